import { foldCase } from './names.ts';

/** The shortest part of a secret that is searched for; shorter ones turn up by chance. */
const PART = 8;
/** The shortest encoded form of a whole secret that is searched for; shorter ones reveal little, and are everywhere. */
const SHORT_FORM = 4;
/** How much of a secret is searched for, in characters. No real secret is longer. */
const INDEX_LIMIT = 16_384;
/**
 * How many times text is decoded. A secret may itself look as if it were encoded several times, so there is a limit.
 */
const PASSES = 16;

/** Secrets, prepared for searching many texts. */
export interface Index {
  /** All parts of eight characters, in all forms of the secrets. */
  parts: Set<string>;
  /** The forms that are shorter than that. */
  wholes: string[];
}

/** Adds a secret to an index: as it is, decoded, in hexadecimal, and in base64 at any offset. */
export function indexOf(secret: string, { parts, wholes }: Index): void {
  const whole = secret.slice(0, INDEX_LIMIT);
  const bytes = Buffer.from(whole, 'utf8');
  const encoded = [bytes.toString('hex'), ...[0, 1, 2].flatMap((offset) => base64At(bytes, offset))];
  const forms = [whole, ...encoded.filter((form) => form.length >= SHORT_FORM)];
  for (const form of new Set(forms.flatMap((one) => [foldCase(one), decode(one)]))) {
    if (form !== '' && form.length < PART) wholes.push(form);
    for (let at = 0; at + PART <= form.length; at++) parts.add(form.slice(at, at + PART));
  }
}

/** Whether a text contains a secret, in any encoding, or any part of one that has 8 characters or more. */
export function repeatsSecret(text: string, { parts, wholes }: Index): boolean {
  return [foldCase(text), decode(text)].some((haystack) => {
    for (let at = 0; at + PART <= haystack.length; at++) if (parts.has(haystack.slice(at, at + PART))) return true;
    return wholes.some((whole) => haystack.includes(whole));
  });
}

/** What base64 text contains of `bytes` when `offset` bytes come before them, in both alphabets. */
function base64At(bytes: Buffer, offset: number): string[] {
  const shifted = Buffer.concat([Buffer.alloc(offset), bytes]);
  const encoded = shifted.toString('base64').replace(/=+$/, '');
  // The characters at both ends depend on what comes before and after the secret.
  const stable = encoded.slice(offset === 0 ? 0 : offset + 1, shifted.length % 3 === 0 ? undefined : -1);
  return [stable, stable.replaceAll('+', '-').replaceAll('/', '_')];
}

const filler = /[\p{Cc}\p{Cf}\p{Zs}\p{Zl}\p{Zp}\p{M}\p{Default_Ignorable_Code_Point}+\\]/gu;
const escapes =
  /%([0-9a-f]{2})|\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|\\u([0-9a-f]{4})|\\x([0-9a-f]{2})|\\[nrtbf]|(?:&#x|\\u\{)([0-9a-f]{1,6})[;}]|&#([0-9]{1,7});|&(amp|lt|gt|quot|apos);/gi;
const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/**
 * Decodes the escapes of URLs, forms, JSON, source code, XML and HTML, and folds the text to lower case and plain
 * letters. Spaces, accents and invisible characters are left out, and so are `+` (a space in forms) and the backslash.
 */
function decode(original: string): string {
  // As bytes of UTF-8, one character each: percent-encoding knows nothing else.
  let current = utf8(original);
  for (let pass = 0; pass < PASSES; pass++) {
    const next = current.replace(escapes, meaningOf);
    if (next === current) break;
    current = next;
  }
  const text = Buffer.from(current, 'latin1').toString('utf8').normalize('NFKD');
  return foldCase(utf8(text.replace(filler, '')));
}

function meaningOf(...[, percent, high, low, unicode, byte, hex, decimal, entity]: (string | undefined)[]): string {
  const byteValue = percent ?? byte;
  if (byteValue) return String.fromCharCode(Number.parseInt(byteValue, 16));
  if (typeof entity === 'string') return entities[entity.toLowerCase()] as string;
  const units = [high, low, unicode].filter((unit) => unit !== undefined).map((unit) => Number.parseInt(unit, 16));
  if (units.length > 0) return utf8(String.fromCharCode(...units));
  const point = hex ? Number.parseInt(hex, 16) : Number(decimal ?? 0x20);
  return point <= 0x10ffff ? utf8(String.fromCodePoint(point)) : '';
}

/** One character of latin1 for each byte of UTF-8. */
function utf8(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
