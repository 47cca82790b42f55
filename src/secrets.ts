import { type Index, indexOf, repeatsSecret } from './redact.ts';
import { cleanText, leftOut, maskForms } from './text.ts';

/**
 * The secrets of this run: each is masked as soon as it is known, and searched for in everything that a server says.
 */
export interface Secrets {
  /** Masks a secret in every form it can take. An empty value is not a secret. */
  mask(secret: string): void;
  /**
   * Masks a text that contains a secret, as a whole only. Its parts are not searched for: some, such as an id, are not
   * secret.
   */
  maskWhole(text: string): void;
  /** Makes a server's text safe to log. */
  clean(text: string): string;
}

/** How many characters of secrets are searched for, at most. If a run has more, server texts are no longer shown. */
const SEARCHED = 256 * 1024;

export function createSecrets(setSecret: (form: string) => void): Secrets {
  // Most runs never have to search a text for secrets, so the index is built only when needed.
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
