import type { IncomingHttpHeaders } from 'node:http';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';

export interface Sent {
  method?: string;
  json?: unknown;
  form?: Record<string, string>;
  token?: string;
  headers?: Record<string, string>;
  ca?: string;
  /** Node takes 16 KiB if omitted. */
  mostHeaderBytes?: number;
  /** Destroys the request after this many characters, or after this many milliseconds of silence. */
  enough?: number;
  patience?: number;
}

export interface Seen {
  status?: number;
  headers?: IncomingHttpHeaders;
  body: string;
  raw: Buffer;
  error?: string;
  gaveUp?: true;
}

function headersOf(sent: Sent): Record<string, string> {
  return {
    ...(sent.json === undefined ? {} : { 'content-type': 'application/json' }),
    ...(sent.form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
    ...(sent.token === undefined ? {} : { authorization: `Bearer ${sent.token}` }),
    ...sent.headers,
  };
}

/** One request on its own connection, and everything the client got to see of the answer. */
export function call(url: string, sent: Sent = {}): Promise<Seen> {
  const body = sent.form ? new URLSearchParams(sent.form).toString() : sent.json ? JSON.stringify(sent.json) : '';
  const chunks: Buffer[] = [];
  const seen: Partial<Seen> = {};
  const open = url.startsWith('https:') ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const settle = (more: Partial<Seen>) => {
      const raw = Buffer.concat(chunks);
      resolve({ ...seen, ...more, raw, body: raw.toString('utf8') });
    };
    const outgoing = open(url, {
      method: sent.method ?? (body === '' ? 'GET' : 'POST'),
      headers: { ...headersOf(sent), 'content-length': Buffer.byteLength(body) },
      agent: false,
      timeout: sent.patience ?? 5000,
      ...(sent.ca ? { ca: sent.ca } : {}),
      ...(sent.mostHeaderBytes ? { maxHeaderSize: sent.mostHeaderBytes } : {}),
    });
    const giveUp = () => {
      settle({ gaveUp: true });
      outgoing.destroy();
    };
    outgoing.on('timeout', giveUp);
    outgoing.on('error', (error: NodeJS.ErrnoException) => settle({ error: error.message }));
    outgoing.on('response', (incoming) => {
      seen.status = incoming.statusCode ?? 0;
      seen.headers = incoming.headers;
      incoming.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (Buffer.concat(chunks).length >= (sent.enough ?? Number.POSITIVE_INFINITY)) giveUp();
      });
      incoming.on('error', (error) => settle({ error: error.message }));
      incoming.on('end', () => settle({}));
    });
    outgoing.end(body);
  });
}

/** The answer's JSON, untyped: the tests say what it should be. */
// biome-ignore lint/suspicious/noExplicitAny: a test reads answers of every shape
export const jsonOf = (seen: Seen): any => JSON.parse(seen.body);
