import { cleanText, maskForms } from './text.ts';

/** The secrets of this run: each is masked the moment it is known, and hidden in whatever a server says. */
export interface Secrets {
  /** Masks a secret in every form it can take. An empty value is no secret. */
  mask(secret: string): void;
  /** Makes a server's text fit to be logged. */
  clean(text: string): string;
}

export function createSecrets(setSecret: (form: string) => void): Secrets {
  const known = new Set<string>();
  const masked = new Set<string>();
  return {
    mask(secret) {
      if (secret === '') return;
      known.add(secret);
      for (const form of maskForms(secret)) {
        if (!masked.has(form)) setSecret(form);
        masked.add(form);
      }
    },
    clean: (text) => cleanText(text, known),
  };
}
