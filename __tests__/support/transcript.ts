import { EOL } from 'node:os';
import type { Github } from '../simulator/github.ts';
import type { RecordedRequest, Simulator } from '../simulator/simulator.ts';
import { readLog } from './log.ts';
import type { StepResult } from './runner.ts';

/**
 * Text in which everything that varies from run to run is replaced by stable names.
 * @param secrets that are always the same, so that the form in which each turns up can be named
 * @param issued secrets that are random
 */
export function normalizer(secrets: string[], issued: string[]) {
  const names = new Map<string, string>();
  const nameFor = (kind: string, value: string) => {
    const known =
      names.get(value) ?? `<${kind} ${[...names.values()].filter((name) => name.startsWith(`<${kind} `)).length + 1}>`;
    names.set(value, known);
    return known;
  };
  const forms = [...secrets.flatMap(formsOf), ...issued.flatMap(formsOf).map((form) => ({ ...form, how: '' }))];
  forms.sort((a, b) => b.form.length - a.form.length);
  return (text: string) => {
    let result = text;
    for (const { form, secret, how } of forms) {
      if (!result.includes(form)) continue;
      const name = nameFor('secret', secret);
      result = result.replaceAll(form, how ? name.replace('>', `, ${how}>`) : name);
    }
    return (
      result
        .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, (id) => nameFor('id', id))
        .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '<time>')
        // The name of a member of a family ends with the time of its creation.
        .replace(/\b\d{8}-\d{6}\b/g, (moment) => nameFor('moment', moment))
        .replace(/(127\.0\.0\.1|localhost):\d+/g, '$1:<port>')
        .replace(/ in \d+ ms/g, ' in <n> ms')
    );
  };
}

/** The forms that a secret takes along the way, and their names. */
function formsOf(secret: string): { form: string; secret: string; how: string }[] {
  const encoded = encodeURIComponent(secret);
  const strict = encoded.replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
  const form = new URLSearchParams([['', secret]]).toString().slice(1);
  const lower = (text: string) => text.replace(/%[0-9A-F]{2}/g, (digits) => digits.toLowerCase());
  const named: [string, string][] = [
    [secret, ''],
    [secret.trim(), 'trimmed'],
    [JSON.stringify(secret).slice(1, -1), 'in JSON'],
    [encoded, 'percent-encoded'],
    [strict, 'percent-encoded, RFC 3986'],
    [form, 'form-encoded'],
    [lower(encoded), 'percent-encoded, lower-case digits'],
    [lower(strict), 'percent-encoded, RFC 3986, lower-case digits'],
    [lower(form), 'form-encoded, lower-case digits'],
  ];
  // In the data of a workflow command, a percent sign is escaped once more.
  const all = [...named, ...named.map(([text, how]): [string, string] => [text.replaceAll('%', '%25'), how])];
  const seen = new Set<string>();
  return all.flatMap(([text, how]) => {
    if (text === '' || seen.has(text)) return [];
    seen.add(text);
    return [{ form: text, secret, how }];
  });
}

interface Servers {
  simulator: Simulator;
  /** Shown where the step has called it. */
  github?: Github;
  /** The values of the inputs. */
  secrets: string[];
}

/** Everything that a step showed, wrote, sent and stored, in order. */
export function transcript(result: StepResult, { simulator, github, secrets }: Servers): string {
  const issued = simulator.secretsIssued.filter((secret) => !secrets.includes(secret));
  const normalize = normalizer(secrets, [...issued, ...(github?.tokens ?? [])]);
  const outputs = Object.entries(result.outputs).map(([name, value]) => `${name}=${value}`);
  const sections = {
    'exit code': String(result.exitCode),
    stdout: withoutRandomForms(unixLines(result.stdout), issued),
    stderr: unixLines(result.stderr),
    outputs: outputs.join('\n').replace(/^expires-in=359\d$/m, 'expires-in=3600'),
    summary: unixLines(result.summary),
    requests: requestsOf(simulator, github).join('\n\n'),
    stored: storedIn(github).join('\n'),
  };
  const text = Object.entries(sections).flatMap(([name, body]) => (body ? [`--- ${name}\n${body}`] : []));
  return normalize(text.join('\n'));
}

const unixLines = (text: string) => text.replaceAll(EOL, '\n').trimEnd();

/** Leaves out the encoded forms of masks with a random secret in them: how many there are depends on its characters. */
function withoutRandomForms(stdout: string, issued: string[]): string {
  let forms = new Set<string>();
  const lines = stdout.split('\n').filter((line) => {
    const [{ command, text } = { text: '' }] = readLog(line);
    if (command !== 'add-mask') return true;
    if (forms.has(text)) return false;
    const isRandom = issued.some((secret) => text.includes(secret));
    forms = new Set(isRandom ? formsOf(text).flatMap(({ form }) => (form === text ? [] : [form])) : []);
    return true;
  });
  return lines.join('\n');
}

/** What was sent to both services, in order. GitHub's paths are marked as such. */
function requestsOf(simulator: Simulator, github: Github | undefined): string[] {
  const ours = simulator.requests.map((request) => ({ at: request.at, text: requestText(request) }));
  const theirs = (github?.requests ?? []).map((request) => ({
    at: request.at,
    text: `GitHub: ${requestText(request)}`,
  }));
  return [...ours, ...theirs].sort((a, b) => a.at - b.at).map(({ text }) => text);
}

function requestText({ method, path, rawHeaders, body, status }: RecordedRequest): string {
  const headers = rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${rawHeaders[index + 1]}`] : []));
  // The others are the same in all requests (action/requests.test.ts has them all), or change with the length of a
  // secret.
  const shown = headers.filter((header) => /^(authorization|content-type): /i.test(header));
  const sealed = body
    .replace(/"encrypted_value":"[^"]*"/, '"encrypted_value":"<sealed>"')
    .replace(/"key_id":"\d+"/, '"key_id":"<key id>"');
  return [`${method} ${path} -> ${status ?? 'no answer'}`, ...shown, ...(body ? [sealed] : [])].join('\n');
}

/** What was written to GitHub's store, opened. */
function storedIn(github: Github | undefined): string[] {
  const writes = github?.writes ?? [];
  return writes.map(({ place, name, value }) => {
    const shown = name.endsWith('_REHEARSAL') ? '<random>' : value;
    return `${place} ${name}=${shown}`;
  });
}
