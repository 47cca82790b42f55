import type { RequestSeen } from './answers.ts';

export type EchoStyle = 'whole' | 'halves' | 'json' | 'url' | 'headers' | 'redirect' | 'base64' | 'commands';

/** Each value that the request carried, including the secret ones. */
function valuesIn(request: RequestSeen): string[] {
  const authorization = String(request.headers['authorization'] ?? '').replace(/^Bearer /, '');
  let values: unknown[];
  try {
    values = Object.values(JSON.parse(request.body) as Record<string, unknown>);
  } catch {
    values = [...new URLSearchParams(request.body).values()];
  }
  return [...values.map(String), authorization].filter((value) => value !== '');
}

const workflowCommands = [
  '::stop-commands::x',
  '::add-mask::a',
  '::set-output name=x::y',
  '::error::forged',
  '##[error]forged',
  '##[group]forged',
];

interface Echo {
  message: string;
  details: string;
  headers?: Record<string, string>;
}

function commandsEcho(sent: string): Echo {
  const separators = ['\r\n', '\n', '\r', '\u2028', '\u0085'];
  const lines = workflowCommands.map((command, index) => `${separators[index % separators.length]}${command}`);
  const controls = '\u001b[2J\u001b[31m\u0000\u0007\b\u202e\u2066\u200b\u009b';
  return {
    message: `Refused ${sent}${lines.join('')}${controls}`,
    details: `${controls}${lines.join('')}\n${sent}\n::add-mask::${sent}`,
  };
}

function halvesEcho(values: string[]): Echo {
  const middle = (value: string) => Math.ceil(value.length / 2);
  return {
    message: `Refused ${values.map((value) => value.slice(0, middle(value))).join(' ')}`,
    details: values.map((value) => value.slice(middle(value))).join(' '),
  };
}

function base64Echo(request: RequestSeen, values: string[]): Echo {
  const all = [request.body, ...values, values.join(':')];
  return {
    message: `Refused ${all.map((value) => Buffer.from(value).toString('base64')).join(' ')}`,
    details: all.map((value) => Buffer.from(value).toString('base64url')).join(' '),
  };
}

/** An error that repeats what the request carried, including its secrets. */
export function echoOf(request: RequestSeen, style: EchoStyle): Echo {
  const authorization = String(request.headers['authorization'] ?? '');
  const sent = `${request.body} ${authorization}`.trim();
  const inUrl = encodeURIComponent(sent);
  const values = valuesIn(request);
  switch (style) {
    case 'whole':
      return { message: `Refused ${sent}`, details: [...values, sent].join('\n') };
    case 'halves':
      return halvesEcho(values);
    case 'json':
      return { message: `Refused ${JSON.stringify(sent)}`, details: JSON.stringify(values) };
    case 'url':
      return { message: `Refused ${inUrl}`, details: new URLSearchParams({ sent }).toString() };
    case 'headers': {
      const safe = sent.replace(/[^\t\x20-\x7e]/g, '?');
      return {
        message: 'Refused',
        details: 'See the headers',
        headers: { 'x-request-echo': safe, 'www-authenticate': `Bearer realm="${safe.replaceAll('"', "'")}"` },
      };
    }
    case 'redirect':
      return {
        message: 'Moved',
        details: inUrl,
        headers: { location: `https://elsewhere.example/signin?state=${inUrl}#${inUrl}` },
      };
    case 'base64':
      return base64Echo(request, values);
    case 'commands':
      return commandsEcho(sent);
  }
}
