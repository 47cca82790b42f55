import { type Index, indexOf, repeatsSecret } from './redact.ts';
import { cleanText, leftOut, maskForms } from './text.ts';

/** The secrets of this run: each is masked the moment it is known, and looked for in whatever a server says. */
export interface Secrets {
  /** Masks a secret in every form it can take. An empty value is no secret. */
  mask(secret: string): void;
  /** Masks a text with a secret in it as a whole. Its parts are not looked for: some of them, such as an id, are no secrets. */
  maskWhole(text: string): void;
  /** Makes a server's text fit to be logged. */
  clean(text: string): string;
}

/** The most characters of secrets that are looked for. Where a run meets more, no server's text is shown any more. */
const SEARCHED = 256 * 1024;

export function createSecrets(setSecret: (form: string) => void): Secrets {
  // Most runs never have to search a text for a secret, so the index is made only when one does.
  const known = new Set<string>();
  const waiting: string[] = [];
  const masked = new Set<string>();
  const index: Index = { parts: new Set(), wholes: [] };
  let characters = 0;
  const maskWhole = (text: string) => {
    for (const form of maskForms(text)) {
      if (!masked.has(form)) setSecret(form);
      masked.add(form);
    }
  };
  return {
    mask(secret) {
      if (secret.trim() === '' || known.has(secret)) return;
      known.add(secret);
      waiting.push(secret);
      characters += secret.length;
      maskWhole(secret);
    },
    maskWhole,
    clean(text) {
      if (characters > SEARCHED) return leftOut;
      for (const secret of waiting.splice(0)) indexOf(secret, index);
      return cleanText(text, (searched) => repeatsSecret(searched, index));
    },
  };
}
