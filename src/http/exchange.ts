import type { OutgoingHttpHeaders } from 'node:http';
import { RunaiError } from '../errors.ts';
import { BODY_LIMIT, type Received } from './connection.ts';
import type { Failure, Outcome } from './retry.ts';
import type { Service } from './service.ts';

type Mask = (secret: string) => void;

export interface Request {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  url: string;
}

/** A request, and how to interpret its answer. */
export interface Call<T> extends Request {
  service: Service;
  headers?: OutgoingHttpHeaders;
  body?: string | undefined;
  /** Checks the JSON of a 2xx answer and extracts what is needed. Throws if a promised field is missing. */
  read?: (json: unknown) => T;
  /** The statuses of a success without a body to check; any other 2xx status did not come from this service. */
  statuses?: readonly number[];
  /**
   * If set, a web page means that there is no such endpoint, and is returned; otherwise, it means that the answer was
   * lost.
   */
  probe?: boolean;
  /** The warning for a request that failed but may have been carried out anyway: a full sentence. */
  ifLost?: string;
  /** Checks, after a lost answer, whether the work was done. If it returns undefined, the request is sent again. */
  lookAgain?: () => Promise<T | undefined>;
  /**
   * What a cancelled run may still do: finish this request if it is in flight, or even begin it. If not set, it is
   * dropped.
   */
  whenCancelled?: 'finish' | 'begin';
}

export type Body<T> = { kind: 'read'; value: T } | { kind: 'json'; json: unknown } | { kind: 'page' | 'empty' };

/** An attempt that may have done the work although its answer never reached us. Times are by our own clock. */
export interface LostAttempt {
  from: number;
  /** When the answer came or, if none came or the work may be done later, when the next attempt began. */
  to: number;
  /** Whether the work may be done even after that. */
  late: boolean;
}

export interface Answer<T> {
  request: Request;
  status: number;
  body: Body<T>;
  /** How often the request was sent. */
  attempts: number;
  lost: LostAttempt[];
  /** The warning to add if this is a refusal, but an attempt whose answer was lost may have done the work anyway. */
  ifLost: string | undefined;
}

/** The result of one attempt at a call. */
export type Result<T> =
  | { status: number; body: Body<T> }
  | { failure: Failure; error: unknown }
  | { unreadable: string; status: number }
  | { redirect: string; status: number };

const redirects = new Set([301, 302, 303, 307, 308]);

/** Turns what was received into the result that the call asks for. */
export async function interpret<T>(
  call: Call<T>,
  { status, headers, bytes }: Received,
  mask: Mask,
): Promise<Result<T>> {
  if (redirects.has(status)) return { redirect: headers.location ?? '', status };
  const text = bytes === 'too large' ? undefined : await decode(bytes, headers['content-encoding']);
  const parsed = parse(text, mask);
  const isPage = !('json' in parsed) && (/html/i.test(headers['content-type'] ?? '') || /^\s*</.test(text ?? ''));
  if (status < 200 || status > 299) return { status, body: errorBody(parsed, isPage) };
  if (isPage) return call.probe ? { status, body: { kind: 'page' } } : { unreadable: 'a web page', status };
  if (call.statuses && !call.statuses.includes(status)) return { unreadable: notDocumented, status };
  if (!call.read) return { status, body: { kind: 'empty' } };
  if (!('json' in parsed)) return { unreadable: parsed.why, status };
  try {
    return { status, body: { kind: 'read', value: call.read(parsed.json) } };
  } catch (error) {
    if (error instanceof RunaiError && error.code === 'unreadable') return { unreadable: error.message, status };
    throw error;
  }
}

const notDocumented = 'something other than the documented answer';

function errorBody<T>(parsed: Parsed, isPage: boolean): Body<T> {
  if ('json' in parsed) return { kind: 'json', json: parsed.json };
  return { kind: isPage ? 'page' : 'empty' };
}

/** The text of a body; undefined if it is too large. Some gateways compress a body although nobody asked them to. */
async function decode(bytes: Buffer, encoding = ''): Promise<string | undefined> {
  if (!/^(x-)?gzip$|^deflate$|^br$/i.test(encoding)) return plain(bytes);
  const { brotliDecompressSync, unzipSync } = await import('node:zlib');
  try {
    const decompress = /br/i.test(encoding) ? brotliDecompressSync : unzipSync;
    return plain(decompress(bytes, { maxOutputLength: BODY_LIMIT }));
  } catch {
    return undefined;
  }
}

// JSON must not begin with a byte order mark, but sometimes does (RFC 8259, 8.1).
function plain(bytes: Buffer): string {
  return bytes.toString('utf8').replace(/^\uFEFF/, '');
}

// The text of a JSON error quotes the body, so it must not be passed on.
type Parsed = { json: unknown } | { why: string };

function parse(text: string | undefined, mask: Mask): Parsed {
  if (text === undefined) return { why: 'a body that is broken or larger than 2 MiB' };
  if (text === '') return { why: 'an empty body' };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { why: 'a body that is not JSON' };
  }
  return maskSecrets(json, mask) ? { json } : { why: 'a body with more fields than any answer of this API' };
}

export function outcomeOf<T>(result: Result<T>): Outcome {
  if ('failure' in result) return { failure: result.failure };
  return { status: result.status, unreadable: 'unreadable' in result };
}

const secretName = /(token|secret|password)(value)?$/i;
/** Shorter values with such a name are not secrets, and masking them would ruin the log: `nextPageToken: "1"`. */
const SHORTEST = 8;
/** How much is searched, and how much of it is masked: even thousands of applications need less. */
const FIELDS_SEARCHED = 200_000;
const MASKS = 50;
const CHARACTERS_MASKED = 128 * 1024;

/**
 * Masks every value with the name of a secret, or nested under such a name, before anything is said about an answer.
 * (The readers mask what they extract.) Returns whether the whole answer could be searched.
 */
function maskSecrets(json: unknown, mask: Mask): boolean {
  const rest: { value: object; isSecret: boolean }[] = [];
  let [fields, masks, characters] = [0, 0, 0];
  const look = (value: unknown, isSecret: boolean) => {
    fields += 1;
    if (typeof value === 'object' && value !== null) rest.push({ value, isSecret });
    if (typeof value !== 'string' || value.length < SHORTEST || !isSecret) return;
    masks += 1;
    characters += value.length;
    if (masks <= MASKS && characters <= CHARACTERS_MASKED) mask(value);
  };
  look(json, false);
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { value, isSecret } = next;
    const isList = Array.isArray(value);
    for (const name in value) {
      look((value as Record<string, unknown>)[name], isSecret || (!isList && secretName.test(name)));
      if (fields > FIELDS_SEARCHED || masks > MASKS || characters > CHARACTERS_MASKED) return false;
    }
  }
  return true;
}
