import { foldCase } from './runai/names.ts';

/** The shortest part of a secret that is hidden in a server's text: shorter ones turn up by accident. */
const PART = 8;
/** The shortest encoded form of a whole secret that is looked for; shorter ones say little, and are everywhere. */
const SHORT_FORM = 4;
/** How much of a secret is looked for. No secret that matters is longer. */
const INDEX_LIMIT = 16_384;
/**
 * How often text is decoded. A secret may itself look encoded several times over, and its text must come down as far as
 * the secret does; and nothing goes on for ever.
 */
const PASSES = 16;

/** A secret, made ready to be searched for in many texts. */
export interface Needle {
  /** All parts of eight characters, of all its forms. */
  parts: ReadonlySet<string>;
  /** Its forms that are shorter than that. */
  wholes: readonly string[];
}

/** Text to search in, and for each of its characters the place in the original that it stands for. */
interface Haystack {
  text: string;
  from: number[];
  to: number[];
}

/** Prepares a secret: as it is, decoded, in hexadecimal, and in base64 at any offset. */
export function needleOf(secret: string): Needle {
  const whole = secret.slice(0, INDEX_LIMIT);
  const bytes = Buffer.from(whole, 'utf8');
  const encoded = [bytes.toString('hex'), ...[0, 1, 2].flatMap((offset) => base64At(bytes, offset))];
  const forms = [foldCase(whole), decode(whole).text];
  for (const form of encoded) if (form.length >= SHORT_FORM) forms.push(foldCase(form), decode(form).text);
  const parts = new Set<string>();
  for (const form of forms) for (let at = 0; at + PART <= form.length; at++) parts.add(form.slice(at, at + PART));
  return { parts, wholes: forms.filter((form) => form !== '' && form.length < PART) };
}

/** Hides every secret in `text`, however it is encoded, and every part of one that is 8 characters or longer. */
export function redact(text: string, needles: Iterable<Needle>): string {
  const from = Array.from({ length: text.length }, (_, at) => at);
  const asItIs = { text: foldCase(text), from, to: from.map((at) => at + 1) };
  const hidden = new Uint8Array(text.length);
  for (const haystack of [asItIs, decode(text)]) for (const needle of needles) mark(hidden, { haystack, needle });
  let result = '';
  for (let at = 0; at < text.length; at++) {
    if (!hidden[at]) result += text[at];
    else if (!hidden[at - 1]) result += '***';
  }
  return result;
}

function mark(hidden: Uint8Array, { haystack, needle }: { haystack: Haystack; needle: Needle }): void {
  const { text, from, to } = haystack;
  const hide = (at: number, length: number) => hidden.fill(1, from[at], to[at + length - 1]);
  for (let at = 0; at + PART <= text.length; at++) if (needle.parts.has(text.slice(at, at + PART))) hide(at, PART);
  for (const whole of needle.wholes) {
    for (let at = text.indexOf(whole); at >= 0; at = text.indexOf(whole, at + 1)) hide(at, whole.length);
  }
}

/** What base64 text holds of `bytes` when `offset` bytes stand before them, in both alphabets. */
function base64At(bytes: Buffer, offset: number): string[] {
  const shifted = Buffer.concat([Buffer.alloc(offset), bytes]);
  const encoded = shifted.toString('base64').replace(/=+$/, '');
  // The characters at both ends depend on what stands beside the secret.
  const stable = encoded.slice(offset === 0 ? 0 : offset + 1, shifted.length % 3 === 0 ? undefined : -1);
  return [stable, stable.replaceAll('+', '-').replaceAll('/', '_')];
}

/**
 * Text without the ways in which URLs, forms, JSON, source code, XML and HTML write a character, as bytes of UTF-8 in
 * lower case. Blanks and invisible characters are left out, and so are `+` (a blank in forms) and the backslash.
 */
function decode(original: string): Haystack {
  let current = toBytes(original);
  for (let pass = 0; pass < PASSES; pass++) {
    const next = decodeOnce(current);
    if (next.text.length === current.text.length) break;
    current = next;
  }
  return withoutFiller(current);
}

const filler = /[\p{Cc}\p{Cf}\p{Zs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}+\\]/u;
const utf8Characters = /[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[\s\S]/g;
const escapes =
  /%([0-9a-f]{2})|\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|\\u([0-9a-f]{4})|\\x([0-9a-f]{2})|\\[nrtbf]|&#x([0-9a-f]{1,6});|&#([0-9]{1,7});|&(amp|lt|gt|quot|apos);/gi;
const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function toBytes(original: string): Haystack {
  const bytes: Haystack = { text: '', from: [], to: [] };
  let at = 0;
  for (const character of original) {
    const end = at + character.length;
    append(bytes, { text: utf8(character), from: at, to: end });
    at = end;
  }
  return bytes;
}

function decodeOnce(current: Haystack): Haystack {
  const next: Haystack = { text: '', from: [], to: [] };
  let done = 0;
  const copy = (end: number) => {
    for (; done < end; done++) {
      append(next, {
        text: current.text[done] as string,
        from: current.from[done] as number,
        to: current.to[done] as number,
      });
    }
  };
  for (const match of current.text.matchAll(escapes)) {
    copy(match.index);
    const last = match.index + match[0].length - 1;
    append(next, { text: meaningOf(match), from: current.from[match.index] as number, to: current.to[last] as number });
    done = last + 1;
  }
  copy(current.text.length);
  return next;
}

function meaningOf([, percent, high, low, unicode, byte, hex, decimal, entity]: RegExpMatchArray): string {
  const byteValue = percent ?? byte;
  if (byteValue) return String.fromCharCode(Number.parseInt(byteValue, 16));
  if (entity) return entities[entity.toLowerCase()] as string;
  const units = [high, low, unicode].filter((unit) => unit !== undefined).map((unit) => Number.parseInt(unit, 16));
  if (units.length > 0) return utf8(String.fromCharCode(...units));
  const point = hex ? Number.parseInt(hex, 16) : Number(decimal ?? 0x20);
  return point <= 0x10ffff ? utf8(String.fromCodePoint(point)) : '';
}

/** One character of latin1 for each byte of UTF-8. */
function utf8(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

function append(haystack: Haystack, { text, from, to }: { text: string; from: number; to: number }): void {
  haystack.text += text;
  for (let count = 0; count < text.length; count++) {
    haystack.from.push(from);
    haystack.to.push(to);
  }
}

function withoutFiller({ text, from, to }: Haystack): Haystack {
  const kept: number[] = [];
  for (const { 0: bytes, index } of text.matchAll(utf8Characters)) {
    const character = Buffer.from(bytes, 'latin1').toString('utf8');
    if (!filler.test(character)) for (let at = 0; at < bytes.length; at++) kept.push(index + at);
  }
  const pick = (places: number[]) => kept.map((at) => places[at] as number);
  return { text: foldCase(kept.map((at) => text[at]).join('')), from: pick(from), to: pick(to) };
}
