import { type Needle, needleOf } from './redact.ts';
import { cleanText, maskForms } from './text.ts';

/** The secrets of this run: each is masked the moment it is known, and looked for in whatever a server says. */
export interface Secrets {
  /** Masks a secret in every form it can take. An empty value is no secret. */
  mask(secret: string): void;
  /** Masks a text with a secret in it as a whole. Its parts are not looked for: some of them, such as an id, are no secrets. */
  maskWhole(text: string): void;
  /** Makes a server's text fit to be logged. */
  clean(text: string): string;
}

export function createSecrets(setSecret: (form: string) => void): Secrets {
  // Most runs never have to search a text for a secret, so that is prepared only when one does.
  const needles = new Map<string, Needle | undefined>();
  const masked = new Set<string>();
  const prepared = (secret: string): Needle => {
    const needle = needles.get(secret) ?? needleOf(secret);
    needles.set(secret, needle);
    return needle;
  };
  const maskWhole = (text: string) => {
    for (const form of maskForms(text)) {
      if (!masked.has(form)) setSecret(form);
      masked.add(form);
    }
  };
  return {
    mask(secret) {
      if (secret.trim() === '') return;
      if (!needles.has(secret)) needles.set(secret, undefined);
      maskWhole(secret);
    },
    maskWhole,
    clean: (text) => cleanText(text, [...needles.keys()].map(prepared)),
  };
}
