import { RunaiError } from '../errors.ts';

/** The small checks of which the readers of all answers are made. */

export type Fields = Record<string, unknown>;

export function object(json: unknown): Fields {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Fields;
  throw missing('an object');
}

export function list(json: unknown): unknown[] {
  if (Array.isArray(json)) return json;
  throw missing('a list');
}

export function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === 'string' && value !== '') return value;
  throw missing(name);
}

export function optionalText(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Masks a secret that was found, before anything else is done with it. */
export function secret(value: string | undefined, mask: (secret: string) => void): string | undefined {
  if (value !== undefined) mask(value);
  return value;
}

export function integer(fields: Fields, name: string): number {
  const value = fields[name];
  if (Number.isSafeInteger(value)) return value as number;
  throw missing(name);
}

// RFC 3339, with a zone: a time without one would be read by the clock of this machine.
export const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** Milliseconds since the epoch. */
export function time(fields: Fields, name: string): number | undefined {
  const text = optionalText(fields, name) ?? '';
  const value = isoTime.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(value) ? undefined : value;
}

export function missing(what: string): RunaiError {
  return new RunaiError('unreadable', `JSON without ${what}`);
}
