import { EOL } from 'node:os';
import type { RecordedRequest, Simulator } from '../simulator/simulator.ts';
import type { StepResult } from './runner.ts';

/** Text with all that changes from run to run replaced by names that do not. */
export function normalizer(secrets: string[]) {
  const names = new Map<string, string>();
  const nameFor = (kind: string, value: string) => {
    const known =
      names.get(value) ?? `<${kind} ${[...names.values()].filter((name) => name.startsWith(`<${kind} `)).length + 1}>`;
    names.set(value, known);
    return known;
  };
  const forms = secrets.flatMap(formsOf);
  forms.sort((a, b) => b.form.length - a.form.length);
  return (text: string) => {
    let result = text;
    for (const { form, secret, how } of forms) {
      if (!result.includes(form)) continue;
      const name = nameFor('secret', secret);
      result = result.replaceAll(form, how ? name.replace('>', `, ${how}>`) : name);
    }
    return result
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, (id) => nameFor('id', id))
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '<time>')
      .replace(/(127\.0\.0\.1|localhost):\d+/g, '$1:<port>')
      .replace(/ in \d+ ms/g, ' in <n> ms');
  };
}

/** The forms that a secret takes on the way, and what to call them. */
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

/** All that a step showed, wrote and sent, in the order in which it did. */
export function transcript(
  result: StepResult,
  { simulator, secrets }: { simulator: Simulator; secrets: string[] },
): string {
  const normalize = normalizer([...secrets, ...simulator.secretsIssued]);
  const outputs = Object.entries(result.outputs).map(([name, value]) => `${name}=${value}`);
  const sections = {
    'exit code': String(result.exitCode),
    stdout: unixLines(result.stdout),
    stderr: unixLines(result.stderr),
    outputs: outputs.join('\n').replace(/^expires-in=359\d$/m, 'expires-in=3600'),
    summary: unixLines(result.summary),
    requests: simulator.requests.map(requestText).join('\n\n'),
  };
  const text = Object.entries(sections).flatMap(([name, body]) => (body ? [`--- ${name}\n${body}`] : []));
  return normalize(text.join('\n'));
}

const unixLines = (text: string) => text.replaceAll(EOL, '\n').trimEnd();

function requestText({ method, path, rawHeaders, body, status }: RecordedRequest): string {
  const headers = rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${rawHeaders[index + 1]}`] : []));
  // The others are the same in all requests (action/requests.test.ts has them all), or change with the length of a secret.
  const shown = headers.filter((header) => /^(authorization|content-type): /i.test(header));
  return [`${method} ${path} -> ${status ?? 'no answer'}`, ...shown, ...(body ? [body] : [])].join('\n');
}
