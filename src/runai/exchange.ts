import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { RunaiError } from './errors.ts';
import type { Failure, Outcome } from './retry.ts';

/** The list of applications comes whole: this is room for some 7,500 of them. */
const BODY_LIMIT = 2 * 1024 * 1024;
type Mask = (secret: string) => void;

const redirects = new Set([301, 302, 303, 307, 308]);

export interface Call<T> {
  method: 'GET' | 'POST' | 'DELETE';
  url: string;
  headers?: OutgoingHttpHeaders;
  body?: string;
  /** Checks the JSON of a 2xx answer and takes out what is needed. Throws where a promised field is missing. */
  read?: (json: unknown) => T;
  /** A web page instead of an answer means that there is no such endpoint; else, that the answer was lost. */
  probe?: boolean;
  /** Send it once: when the answer is lost, throw `LostAnswer` and let the caller look before it sends again. */
  once?: boolean;
}

export type Body<T> = { kind: 'read'; value: T } | { kind: 'json'; json: unknown } | { kind: 'page' | 'empty' };

export interface Answer<T> {
  status: number;
  body: Body<T>;
  /** How often the request was sent. */
  attempts: number;
}

type Interpreted<T> = Omit<Answer<T>, 'attempts'>;

/** The head and the whole body of what came back. */
export interface Received {
  status: number;
  headers: IncomingMessage['headers'];
  bytes: Buffer | 'too large';
}

/** What one attempt at a call came to. */
export type Result<T> =
  | { answer: Interpreted<T> }
  | { failure: Failure; error: unknown }
  | { unreadable: string; status: number }
  | { redirect: string; status: number };

/** What aborting a request rejects with, so that it reads like Node's own. */
export const outOfPatience = () => Object.assign(new Error('out of time'), { code: 'ABORT_ERR' });

/** Rejects when the signal is given. */
export function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}

/** Reads a body to its end. Rejects where it breaks off, which the library's own method waits out for ever. */
export function readBody(message: IncomingMessage, signal: AbortSignal): Promise<Buffer | 'too large'> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const lost = () => reject(Object.assign(new Error('lost'), { code: signal.aborted ? 'ABORT_ERR' : 'ECONNRESET' }));
    message.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= BODY_LIMIT) return chunks.push(chunk);
      message.destroy();
      resolve('too large');
    });
    message.on('end', () => (message.complete ? resolve(Buffer.concat(chunks)) : lost()));
    message.on('error', lost);
    message.on('close', lost);
    if (message.destroyed) lost();
  });
}

/** What was received, as the call wants it. */
export function interpret<T>(call: Call<T>, { status, headers, bytes }: Received, mask: Mask): Result<T> {
  if (redirects.has(status)) return { redirect: headers.location ?? '', status };
  if (status < 200 || status > 299) return { answer: { status, body: errorBody(bytes, mask) } };
  const body = parse(bytes, mask);
  const isPage = body.kind === 'unreadable' && (/html/i.test(headers['content-type'] ?? '') || looksLikePage(bytes));
  if (isPage && call.probe) return { answer: { status, body: { kind: 'page' } } };
  if (isPage) return { unreadable: 'a web page', status };
  if (!call.read) return { answer: { status, body: { kind: 'empty' } } };
  if (body.kind === 'unreadable') return { unreadable: body.why, status };
  try {
    return { answer: { status, body: { kind: 'read', value: call.read(body.json) } } };
  } catch (error) {
    if (error instanceof RunaiError) return { unreadable: error.message, status };
    throw error;
  }
}

function looksLikePage(bytes: Buffer | 'too large'): boolean {
  return bytes !== 'too large' && /^\s*</.test(bytes.toString('utf8', 0, 64));
}

function errorBody<T>(bytes: Buffer | 'too large', mask: Mask): Body<T> {
  const body = parse(bytes, mask);
  return body.kind === 'json' ? body : { kind: looksLikePage(bytes) ? 'page' : 'empty' };
}

// The text of a JSON error quotes the body, so it goes no further than this.
type Parsed = { kind: 'json'; json: unknown } | { kind: 'unreadable'; why: string };

function parse(bytes: Buffer | 'too large', mask: Mask): Parsed {
  if (bytes === 'too large') return { kind: 'unreadable', why: 'a body of more than 2 MiB' };
  if (bytes.length === 0) return { kind: 'unreadable', why: 'an empty body' };
  try {
    const json: unknown = JSON.parse(bytes.toString('utf8'));
    maskSecrets(json, mask);
    return { kind: 'json', json };
  } catch {
    return { kind: 'unreadable', why: 'a body that is not JSON' };
  }
}

export function outcomeOf<T>(result: Result<T>): Outcome {
  if ('failure' in result) return { failure: result.failure };
  if ('answer' in result) return { status: result.answer.status, unreadable: false };
  return { status: result.status, unreadable: 'unreadable' in result };
}

const secretName = /(token|secret|password)$/i;

/** Masks whatever bears the name of a secret, in any answer: before it is read, and before anything is said of it. */
function maskSecrets(json: unknown, mask: Mask): void {
  const rest: unknown[] = [json];
  for (let value = rest.pop(); value !== undefined; value = rest.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    for (const [name, field] of Object.entries(value)) {
      if (typeof field === 'string' && secretName.test(name)) mask(field);
      else if (typeof field === 'object' && field !== null) rest.push(field);
    }
  }
}
