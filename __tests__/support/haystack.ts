/** The shortest part of a long secret that counts as a leak. */
const PART = 8;
/** A secret of this length or more leaks by any of its parts; a shorter one by the whole of it. */
const LONG = 16;
/** Shorter forms of a short secret turn up by accident. */
const SHORTEST = 5;

const controls = /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]+/g;

const escapesOnly = /^%?[0-9a-f]{0,2}(%[0-9a-f]{0,2})+$/i;

/** A form that a secret was found in, and the text that gave it away. */
export interface Hit {
  form: string;
  part: string;
}

function base64Forms(bytes: Buffer): [string, string][] {
  return [0, 1, 2].flatMap((offset) => {
    const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64');
    const last = (offset + bytes.length) % 3 === 0 ? encoded.length : encoded.replace(/=+$/, '').length - 1;
    // The characters at both ends depend on what comes before and after the secret.
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
  // RFC 3986 to the letter.
  const strict = percent.replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  const lower = (text: string) => text.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());
  return [
    ['percent-encoded', percent],
    ['percent-encoded, lower case', lower(percent)],
    ['percent-encoded to the letter', strict],
    ['percent-encoded to the letter, lower case', lower(strict)],
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
  // A log line made from the form has spaces instead of the control characters.
  const oneLine = forms.map(([name, form]): [string, string] => [name, form.replace(controls, ' ').trim()]);
  const all = new Map<string, string>();
  for (const [name, form] of [...forms, ...oneLine]) if (!all.has(form)) all.set(form, name);
  return [...all].map(([form, name]) => [name, form]);
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
      // Escapes alone are two characters of punctuation, which the request around a secret has as well.
      if (!escapesOnly.test(part) && this.#parts.has(part)) return part;
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
