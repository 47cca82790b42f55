import { formsOf } from './transcript.ts';

/** The shortest part of a secret that counts as a leak; shorter ones turn up by accident. */
const PART = 8;

/** The secrets of which a text shows a part, in whatever encoding; a secret shorter than that counts as a whole. */
export function leaksIn(texts: string[], secrets: Iterable<string>): string[] {
  const parts = new Set(texts.flatMap(partsOf));
  const shows = (form: string) =>
    form.length < PART ? texts.some((text) => text.includes(form)) : partsOf(form).some((part) => parts.has(part));
  return [...new Set(secrets)].filter((secret) => encodingsOf(secret).some(shows));
}

function partsOf(text: string): string[] {
  return Array.from({ length: Math.max(0, text.length - PART + 1) }, (_, at) => text.slice(at, at + PART));
}

function encodingsOf(secret: string): string[] {
  const bytes = Buffer.from(secret, 'utf8');
  // What stands before a secret moves its base64 by none, one or two bytes; the ends depend on what stands beside it.
  const base64 = [0, 1, 2].map((offset) =>
    Buffer.concat([Buffer.alloc(offset), bytes])
      .toString('base64')
      .replace(/=+$/, '')
      .slice(offset && offset + 1, -1),
  );
  const forms = formsOf(secret).map(({ form }) => form);
  return [...forms, bytes.toString('hex'), ...base64.filter((form) => form.length >= PART)];
}
