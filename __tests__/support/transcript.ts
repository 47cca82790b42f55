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
  const forms = secrets.flatMap((secret) => {
    const encoded = [encodeURIComponent(secret), new URLSearchParams([['', secret]]).toString().slice(1)];
    const plain = [secret, JSON.stringify(secret).slice(1, -1), ...encoded];
    // In the data of a workflow command, a percent sign is escaped once more.
    return [...plain, ...plain.map((form) => form.replaceAll('%', '%25'))].map((form) => [form, secret]);
  });
  forms.sort(([a = ''], [b = '']) => b.length - a.length);
  return (text: string) => {
    let result = text;
    for (const [form = '', secret = ''] of forms) {
      if (result.includes(form)) result = result.replaceAll(form, nameFor('secret', secret));
    }
    return result
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, (id) => nameFor('id', id))
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '<time>')
      .replace(/(127\.0\.0\.1|localhost):\d+/g, '$1:<port>')
      .replace(/ in \d+ ms/g, ' in <n> ms');
  };
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

function requestText({ method, path, rawHeaders, body, connection, status }: RecordedRequest): string {
  const headers = rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${rawHeaders[index + 1]}`] : []));
  // The length of a body tells the length of a secret in it, which is not the same in every run.
  const shown = headers.filter((header) => !/^(host|content-length):/i.test(header));
  return [
    `${method} ${path} -> ${status ?? 'no answer'} (connection ${connection})`,
    ...shown,
    ...(body ? [body] : []),
  ].join('\n');
}
