import { oneLine } from '../text.ts';
import { type InputName, inputNames, type Mode, specOf } from './specs.ts';

export interface InputSource {
  /** The input as the workflow sets it, untrimmed; an empty string if it is not set. */
  read(name: InputName): string;
  readFile(path: string): string;
  env: Record<string, string | undefined>;
  mask(secret: string): void;
  /** Masks a text that contains a secret, as a whole only. */
  maskWhole(text: string): void;
  /** Makes an invalid value safe to quote. */
  clean(text: string): string;
  warn(text: string): void;
}

/** Reads inputs, and collects the problems with them. Secrets are masked before anything is said about any input. */
export class InputReader {
  readonly problems: string[] = [];
  readonly source: InputSource;
  readonly #values: Map<InputName, string>;

  constructor(source: InputSource) {
    this.source = source;
    this.#values = new Map(inputNames.map((name) => [name, source.read(name)]));
    const secrets = inputNames.filter((name) => specOf(name).secret);
    for (const name of secrets) if (name !== 'credentials') source.mask(this.given(name));
    const credentials = this.given('credentials');
    source.maskWhole(credentials);
    // A value of any other form is secret as a whole.
    const [, half = credentials] = splitCredentials(credentials);
    source.mask(half);
    for (const name of secrets) this.#warnOfWhitespace(name);
  }

  /** The value of an input: trimmed, unless it is a secret; its default, or an empty string, if it is not set. */
  given(name: InputName): string {
    const value = this.#values.get(name) ?? '';
    const spec = specOf(name);
    return (spec.secret ? value : value.trim()) || (spec.default ?? '');
  }

  report(problem: string): '' {
    this.problems.push(problem);
    return '';
  }

  /** An invalid value, safe to show. */
  quote(value: string): string {
    return `"${this.source.clean(oneLine(value).slice(0, 80))}"`;
  }

  boolean(name: InputName): boolean | undefined {
    const value = this.given(name);
    if (!value) return undefined;
    if (/^(true|True|TRUE)$/.test(value)) return true;
    if (!/^(false|False|FALSE)$/.test(value)) this.report(`${name} is ${this.quote(value)}: it must be true or false`);
    return false;
  }

  /** A whole number from 1 to `most`; undefined if it is not set, or invalid. */
  wholeNumber(name: InputName, most: number): number | undefined {
    const value = this.given(name);
    if (!value) return undefined;
    const number = /^\d{1,6}$/.test(value) ? Number(value) : 0;
    if (number >= 1 && number <= most) return number;
    this.report(`${name} is ${this.quote(value)}: it must be a whole number from 1 to ${most}`);
    return undefined;
  }

  // A value equal to the default cannot be distinguished from one that was not set.
  refuseUnused(mode: Mode): void {
    for (const name of inputNames) {
      const spec = specOf(name);
      const given = this.given(name);
      if (spec.modes.includes(mode) || given === '' || given === spec.default) continue;
      this.report(`${name} is not used by mode ${mode}, only by ${spec.modes.join(', ')}: remove it`);
    }
  }

  #warnOfWhitespace(name: InputName): void {
    if (!/\s$/.test(this.given(name))) return;
    this.source.warn(
      `${name} ends with whitespace, which is sent as part of it. If it should not be there, store the secret again without it.`,
    );
  }
}

/** The two halves of `<client-id>:<client-secret>`, split at the first colon; none without a colon. */
export function splitCredentials(value: string): [string, string] | [] {
  const at = value.indexOf(':');
  return at < 0 ? [] : [value.slice(0, at), value.slice(at + 1)];
}
