import { randomFrom } from './report.ts';

/** The shortest part of a long secret that counts as a leak. */
const PART = 8;
/** A secret of this length or more leaks by any of its parts; a shorter one by the whole of it. */
const LONG = 16;
/** Shorter forms of a short secret turn up by accident. */
const SHORTEST = 5;

const controls = /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]+/g;

/** A form that a secret was found in, and the text that gave it away. */
export interface Hit {
  form: string;
  part: string;
}

function base64Forms(bytes: Buffer): [string, string][] {
  return [0, 1, 2].flatMap((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
    const last = (offset + bytes.length) % 3 === 0 ? encoded.length : encoded.replace(/=+$/, '').length - 1;
    // The characters at both ends depend on what stands beside the secret.
    const sure = encoded.slice(offset === 0 ? 0 : offset + 1, last);
    const url = sure.replaceAll('+', '-').replaceAll('/', '_');
    return [
      [`base64 at ${offset}`, sure],
      [`base64url at ${offset}`, url],
    ] satisfies [string, string][];
  });
}

function urlForms(secret: string): [string, string][] {
  const whole = secret.toWellFormed();
  const percent = encodeURIComponent(whole);
  const form = new URLSearchParams([['', whole]]).toString().slice(1);
  const lower = (text: string) => text.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());
  return [
    ['percent-encoded', percent],
    ['percent-encoded, lower case', lower(percent)],
    ['form-encoded', form],
    ['form-encoded, lower case', lower(form)],
  ];
}

const named: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' };

function textForms(secret: string): [string, string][] {
  const xml = (write: (c: string) => string) => secret.replace(/[&<>"']/g, write);
  const json = JSON.stringify(secret).slice(1, -1);
  const unicode = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return [
    ['JSON', json],
    ['JSON, ASCII only', json.replace(/[<>&\u0080-\uffff]/g, unicode)],
    ['XML', xml((c) => named[c] ?? c)],
    ['XML, decimal', xml((c) => `&#${c.charCodeAt(0)};`)],
    ['HTML', xml((c) => (c === "'" ? '&#39;' : (named[c] ?? c)))],
  ];
}

/** Every form in which a secret counts as leaked, by its name. */
export function formsOf(secret: string): [string, string][] {
  const bytes = Buffer.from(secret, 'utf8');
  const hex = bytes.toString('hex');
  const lines = secret.split(/[\r\n]+/).filter((line) => line.trim() !== '');
  const forms: [string, string][] = [
    ['literal', secret],
    ['literal', secret.trim()],
    ...lines.flatMap((line): [string, string][] => [
      ['line', line],
      ['line', line.trim()],
    ]),
    ...textForms(secret),
    ...urlForms(secret),
    ['hex', hex],
    ['hex', hex.toUpperCase()],
    ...base64Forms(bytes),
  ];
  // A log line that was made of the form holds blanks in place of the control characters.
  const oneLine = forms.map(([name, form]): [string, string] => [name, form.replace(controls, ' ').trim()]);
  return [...new Map([...forms, ...oneLine].map(([name, form]) => [form, [name, form] as [string, string]])).values()];
}

/** Text that is searched for many secrets. */
export class Haystack {
  readonly #text: string;
  readonly #parts = new Set<string>();

  constructor(texts: readonly string[]) {
    this.#text = texts.join('\u0000');
    for (let at = 0; at + PART <= this.#text.length; at++) this.#parts.add(this.#text.slice(at, at + PART));
  }

  /** Where a secret shows; undefined where nothing of it does, or it is too short to be told from other text. */
  find(secret: string): Hit | undefined {
    if (secret.length <= 2) return undefined;
    for (const [form, value] of formsOf(secret)) {
      const part = secret.length >= LONG && value.length >= PART ? this.#part(value) : this.#whole(value);
      if (part !== undefined) return { form, part };
    }
    return undefined;
  }

  #part(form: string): string | undefined {
    for (let at = 0; at + PART <= form.length; at++) {
      const part = form.slice(at, at + PART);
      if (this.#parts.has(part)) return part;
    }
    return undefined;
  }

  #whole(form: string): string | undefined {
    const tooShort = Buffer.byteLength(form) < SHORTEST;
    return !tooShort && this.#text.includes(form) ? form : undefined;
  }
}

/** Whether a mask hides a form of one of the secrets, and nothing else. */
export function isFormOf(mask: string, secrets: readonly string[]): boolean {
  return secrets.some((secret) => formsOf(secret).some(([, form]) => form === mask));
}

type Random = () => number;

const letters = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';
const greek = 'αβγδεζηθικλμνξοπρστυφχψω';
const emoji = ['🔑', '🦊', '🧨', '👩‍🚀', '🇺🇳', 'é', 'ß', '漢', '字', '\u0301'];

export function pick<T>(random: Random, items: readonly T[] | string): T {
  return items[Math.floor(random() * items.length)] as T;
}

/** So many random characters of an alphabet. */
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
  invisible: (random) => laced(random, ['\u200b', '\u202e', '\u00ad', '\u0085', '\u001b[31m', '\ufeff']),
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
