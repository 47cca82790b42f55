import { pick, randomFrom } from './report.ts';

type Random = () => number;

const letters = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';
const greek = 'αβγδεζηθικλμνξοπρστυφχψω';
const emoji = ['🔑', '🦊', '🧨', '👩‍🚀', '🇺🇳', 'é', 'ß', '漢', '字', '\u0301'];

/** A number of random characters of an alphabet. */
export function text(random: Random, length: number, alphabet: readonly string[] | string = letters): string {
  return Array.from({ length }, () => pick(random, alphabet)).join('');
}

/** Random runs of letters with something special between them. */
function laced(random: Random, specials: readonly string[], runs = 5): string {
  const run = () => text(random, 1 + Math.floor(random() * 9));
  return Array.from({ length: runs }, () => run() + pick<string>(random, specials)).join('') + run();
}

function pem(random: Random, eol: string): string {
  const body = Array.from({ length: 4 }, () => text(random, 64, `${letters}+/`));
  return ['-----BEGIN PRIVATE KEY-----', ...body, '-----END PRIVATE KEY-----', ''].join(eol);
}

const specials = '`~!@#$%^&*()_+-=[]{}|;:\'",./<>?\\ \t';

/** Kinds of secrets that have broken somebody's masking. */
export const kinds = {
  plain: (random) => text(random, 24),
  'nine letters': (random) => text(random, 9),
  'five letters': (random) => text(random, 5),
  'one character': (random) => pick<string>(random, greek),
  'two characters': (random) => text(random, 2, greek),
  'line breaks': (random) => laced(random, ['\n', '\n\n', '\n\t']),
  'carriage returns': (random) => laced(random, ['\r\n', '\r', '\n\r']),
  'PEM, LF': (random) => pem(random, '\n'),
  'PEM, CRLF': (random) => pem(random, '\r\n'),
  'line break at the end': (random) => `${text(random, 20)}\n`,
  'blanks around': (random) => `  ${text(random, 7)} ${text(random, 9)} \t`,
  '%0A': (random) => laced(random, ['%0A', '%0D%0A', '%25', '%', '%2525']),
  'commands of two colons': (random) =>
    `${text(random, 6)}::add-matcher::${text(random, 12)}::${text(random, 4)}::save-state name=a::${text(random, 9)}`,
  'commands of hash signs': (random) => laced(random, ['##[', '##[group]', '#', '##', '::']),
  quotes: (random) => laced(random, ['"', "'", '`', '""', "'\"'"]),
  backslashes: (random) => laced(random, ['\\', '\\\\', '\\n', '\\u0041', '\\"']),
  'slashes and signs': (random) => laced(random, ['/', '+', '=', '//', '+/'], 12),
  emoji: (random) => laced(random, emoji),
  'only emoji': (random) => text(random, 12, emoji),
  invisible: (random) => laced(random, ['\u2028', '\u200b', '\u202e', '\u00ad', '\u0085', '\u001b[31m', '\ufeff']),
  '4,096 characters': (random) => text(random, 4096, letters + specials),
  JSON: (random) =>
    JSON.stringify({ [text(random, 7)]: text(random, 9), [text(random, 6)]: [`"${text(random, 5)}"`, '\\'] }),
  base64: (random) => Buffer.from(text(random, 31)).toString('base64'),
  JWT: (random) =>
    ['{"alg":"none"}', `{"${text(random, 6)}":"${text(random, 20)}"}`, text(random, 30)]
      .map((part) => Buffer.from(part).toString('base64url'))
      .join('.'),
  hex: (random) => text(random, 40, '0123456789abcdef'),
  XML: (random) => laced(random, ['<', '>', '&', '"', "'", '&amp;', '<![CDATA[', ']]>'], 9),
  tabs: (random) => laced(random, ['\t', ' \t ', '\u000b']),
  'dense specials': (random) => text(random, 32, specials),
  ghadelimiter: (random) => `ghadelimiter_${text(random, 8)}\n${text(random, 12)}<<ghadelimiter_${text(random, 8)}`,
  'a name and <<': (random) => `${text(random, 6)}<<${text(random, 9)}\n${text(random, 9)}\n${text(random, 9)}`,
} as const satisfies Record<string, (random: Random) => string>;

export type Kind = keyof typeof kinds;
export const kindNames = Object.keys(kinds) as Kind[];

/** Whether an HTTP header can carry a secret as it is. */
export function fitsHeader(secret: string): boolean {
  return /^[\u0021-\u007e]([\u0020-\u007e]*[\u0021-\u007e])?$/.test(secret);
}

/** The kinds of which a header can carry most. */
export const headerKinds = kindNames.filter((kind) => fitsHeader(kinds[kind](randomFrom(1))));

/** A raw answer of a server. */
export interface Raw {
  reason?: string;
  type?: string;
  headers?: Record<string, string>;
  body: string;
  /** Instead of the status that the case asks for. */
  status?: number;
  /** Secrets among it. */
  issued?: string[];
}

export interface Heard {
  /** Each secret value of the request. */
  values: string[];
  /** The whole request: its body, and the header with the credentials. */
  whole: string;
  random: () => number;
}

const said = (message: string, details = ''): Raw => ({ body: JSON.stringify({ code: 400, message, details }) });
export const base64 = (value: string, offset = 0) => Buffer.from('~'.repeat(offset) + value).toString('base64');
const oneHeader = (value: string) => value.replace(/[\u0000-\u0008\u000a-\u001f\u007f]/g, '').trim();
const lowerHex = (value: string) => encodeURIComponent(value).replace(/%../g, (code) => code.toLowerCase());
const entities = (value: string, write: (c: string) => string) => value.replace(/[&<>"']/g, write);
const unicode = (c: string) => `\\u${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
const location = (url: string): Raw => ({ status: 302, headers: { location: url }, body: '' });

/** What a server sends for an application or a user, with secrets where there should be none. */
function quoting({ values, random }: Heard): Record<string, unknown> {
  const value = pick(random, values);
  return {
    id: value,
    name: 'app-two',
    clientId: value,
    username: 'new@runai.example',
    createdAt: value,
    isLocal: true,
  };
}

/** Ways to echo a request in addition to those of the simulator. */
export const echoes: Record<string, (heard: Heard) => Raw> = {
  'reason phrase': ({ values, whole }) => ({ ...said('Refused'), reason: oneHeader([...values, whole].join(' ')) }),
  'OAuth error': ({ values, whole }) => ({
    body: JSON.stringify({ error: values.join(' '), error_description: whole, error_uri: `https://x/${values[0]}` }),
  }),
  'JSON twice': ({ whole, values }) =>
    said(JSON.stringify(JSON.stringify(whole)), JSON.stringify(JSON.stringify(values))),
  'JSON of .NET': ({ values, whole }) =>
    said(values.join(' ').replace(/[^A-Za-z0-9 ]/g, unicode), whole.replace(/[^A-Za-z0-9 ]/g, unicode)),
  'JSON of PHP': ({ values, whole }) =>
    said(JSON.stringify(values).replaceAll('/', '\\/'), JSON.stringify(whole).replaceAll('/', '\\/')),
  'URL twice': ({ values }) =>
    said(encodeURIComponent(encodeURIComponent(values.join('&'))), values.map(encodeURIComponent).join()),
  'URL, lower case': ({ values, whole }) => said(values.map(lowerHex).join(' '), lowerHex(whole)),
  'form style': ({ values, whole }) =>
    said(new URLSearchParams({ values: values.join(' ') }).toString(), new URLSearchParams({ whole }).toString()),
  'base64 with an offset': ({ values, whole }) =>
    said(values.flatMap((value) => [base64(value), base64(value, 1), base64(value, 2)]).join(' '), base64(whole)),
  'base64 without padding': ({ values }) =>
    said(values.flatMap((value) => [0, 1, 2].map((at) => base64(value, at).replace(/=+$/, ''))).join('.')),
  base64url: ({ values }) => said(values.map((value) => Buffer.from(value).toString('base64url')).join('.')),
  'Basic header': ({ values }) =>
    said(`authorization: Basic ${base64(`app-one:${values[0]}`)}`, base64(values.join(':'))),
  hex: ({ values }) =>
    said(
      values.map((value) => Buffer.from(value).toString('hex')).join(' '),
      values.map((value) => Buffer.from(value).toString('hex').toUpperCase()).join(''),
    ),
  XML: ({ values, whole }) =>
    said(
      values.map((value) => entities(value, (c) => `&#${c.charCodeAt(0)};`)).join(' '),
      entities(whole, (c) => `&#x${c.charCodeAt(0).toString(16)};`),
    ),
  'XML with names': ({ values }) =>
    said(
      values
        .map((value) =>
          entities(value, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' })[c] ?? c),
        )
        .join(' '),
    ),
  'thirds of a value': ({ values }) => {
    const third = (value: string, at: number) =>
      value.slice(Math.ceil((value.length * at) / 3), Math.ceil((value.length * (at + 1)) / 3));
    return said(
      values.map((value) => third(value, 0)).join(' '),
      values.map((value) => `${third(value, 1)} | ${third(value, 2)}`).join(' '),
    );
  },
  'across the limit of a line': ({ values, random }) =>
    said('. '.repeat(135 + Math.floor(random() * 15)) + values.join(' ')),
  'across the limit of a search': ({ values, random }) =>
    said('\u0007'.repeat(2020 + Math.floor(random() * 28)) + values.join(' ')),
  'every line a command': ({ values, whole }) =>
    said(
      values
        .map((value) => `\r\n::add-mask::${value.slice(0, 3)}\r\n::set-output name=a::${value}\n::error::${value}`)
        .join('\n'),
      `\n::stop-commands::${whole}\n##[add-mask]a\n##[debug]${whole}\n::add-mask::a\n%0A::add-mask::a`,
    ),
  headers: ({ values, whole }) => {
    const value = oneHeader(values.join(' '));
    const names = [
      'www-authenticate',
      'set-cookie',
      'retry-after',
      'date',
      'server',
      'location',
      'x-request',
      'content-language',
    ];
    return {
      ...said('Refused'),
      headers: Object.fromEntries([...names.map((name) => [name, value]), ['via', oneHeader(whole)]]),
    };
  },
  'content type': ({ values }) => ({ ...said('Refused'), type: `text/${oneHeader(values.join('+'))}` }),
  'target of a redirect': ({ values, whole }) =>
    location(
      `https://elsewhere.example/${encodeURIComponent(values.join('/'))}?${encodeURIComponent(whole)}#${encodeURIComponent(whole)}`,
    ),
  'host of a redirect': ({ values }) =>
    location(`https://${values[0]?.replace(/[^A-Za-z0-9-]/g, '').slice(0, 60)}.example/`),
  'user of a redirect': ({ values }) =>
    location(`https://${encodeURIComponent(values[0] ?? '')}:${encodeURIComponent(values.join())}@elsewhere.example/`),
  'scheme of a redirect': ({ values }) => location(`x${values[0]?.replace(/[^A-Za-z0-9]/g, '')}://elsewhere.example/`),
  'redirect to nonsense': ({ values }) => location(`http://[${oneHeader(values.join(' '))}`),
  'text, not JSON': ({ whole }) => ({ type: 'text/plain', body: whole }),
  'broken JSON': ({ whole }) => ({ status: 200, body: JSON.stringify({ accessToken: whole }).slice(0, -3) }),
  'a page': ({ whole, values }) => ({
    type: 'text/html',
    body: `<html><title>${whole}</title><p>${values.join('<p>')}</html>`,
  }),
  'a page with status 200': ({ whole }) => ({ status: 200, type: 'text/html', body: `<html>${whole}</html>` }),
  'wrong types': ({ values }) => ({
    status: 200,
    body: JSON.stringify({
      message: values,
      error: { [values[0] ?? '']: values },
      id: values,
      name: values,
      accessToken: values,
    }),
  }),
  'ids and names': (heard) => {
    const secret = kinds.plain(heard.random);
    const body = { ...quoting(heard), secret, tempPassword: secret, accessToken: secret };
    return { status: 200, body: JSON.stringify(body), issued: [secret] };
  },
  'ids in a list': (heard) => ({ status: 200, body: JSON.stringify([quoting(heard)]) }),
  'not HTTP': ({ values, whole }) => ({
    reason: `\r\n${whole}\r\n${values.join('\r\n')}`,
    body: '',
    headers: { ' ': whole },
  }),
};
