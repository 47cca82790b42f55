import { RunaiError } from '../errors.ts';

/** The basic checks that all readers of answers use. */

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

/** No real secret is longer, or has more lines; masking it would take long. */
const SECRET_LIMIT = 64 * 1024;
const SECRET_LINES = 20;

/** Masks a secret, before anything else is done with it. */
export function secret(value: string | undefined, mask: (secret: string) => void): string | undefined {
  if (value === undefined) return undefined;
  if (value.length > SECRET_LIMIT || value.split(/[\r\n]+/).length > SECRET_LINES)
    throw missing('a secret of usual size');
  mask(value);
  return value;
}

export function integer(fields: Fields, name: string): number {
  const value = fields[name];
  if (Number.isSafeInteger(value)) return value as number;
  throw missing(name);
}

// RFC 3339, with a zone: a time without one would be read in the time zone of this machine.
const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** Milliseconds since the epoch; undefined for what is not a time. */
export function time(value: unknown): number | undefined {
  const time = typeof value === 'string' && isoTime.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}

export function missing(what: string): RunaiError {
  return new RunaiError('unreadable', `JSON without ${what}`);
}
