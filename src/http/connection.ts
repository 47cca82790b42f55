import * as http from 'node:http';
import * as https from 'node:https';
import type { TLSSocket } from 'node:tls';
import { HttpClient } from '@actions/http-client';
import { needsProxy } from './proxy.ts';
import type { Trust } from './trust.ts';
import { bare, openTunnel } from './tunnel.ts';

/** The list of applications comes in one piece: this is room for some 7,500 of them. */
export const BODY_LIMIT = 2 * 1024 * 1024;

export interface Message {
  method: string;
  url: string;
  headers: http.OutgoingHttpHeaders;
  body?: string | undefined;
}

/** The head and the whole body of what came back. */
export interface Received {
  status: number;
  headers: http.IncomingHttpHeaders;
  bytes: Buffer | 'too large';
}

/**
 * Sends one message over its own connection, and reads the whole answer. No connection is used twice: on one that the
 * server is just closing, there would be no way to tell whether the message was received.
 * @throws ProxyRefusal, or the error of Node's http, tls, net or dns module
 */
export async function exchange(
  { method, url, headers, body }: Message,
  { trust, proxy, signal }: { trust: Trust; proxy: URL | undefined; signal: AbortSignal },
): Promise<Received> {
  const target = new URL(url);
  const secure = target.protocol === 'https:';
  const way =
    proxy && needsProxy(target)
      ? tunnelled(await openTunnel(target, { proxy, trust, signal }))
      : { agent: false as const, ...(secure && trust) };
  const options: https.RequestOptions = {
    method,
    host: bare(target.hostname),
    port: target.port || (secure ? 443 : 80),
    path: target.pathname + target.search,
    headers,
    signal,
    ...way,
  };
  // Not request(), which follows redirects and reads the proxy from the environment by itself.
  const client = new HttpClient();
  const info = { options, parsedUrl: target, httpModule: secure ? https : http };
  // The library accepts null for no body, although its types do not say so.
  const request = client.requestRaw(info, (body ?? null) as string);
  // Node never settles a request that the server answers with 101.
  const { message } = await Promise.race([request, whenAborted(signal)]);
  const bytes = await readBody(message, signal);
  return { status: message.statusCode ?? 0, headers: message.headers, bytes };
}

function tunnelled(socket: TLSSocket): https.RequestOptions {
  return { createConnection: () => socket };
}

/** The initial buffer for a body, in bytes; most bodies are smaller. */
const FIRST_SIZE = 16 * 1024;

/** The error of an aborted attempt, which looks like Node's own. */
export const outOfPatience = () => Object.assign(new Error('out of time'), { code: 'ABORT_ERR' });

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

/** Reads a body to its end. Rejects if the body is cut off, where the library's own method would wait forever. */
function readBody(message: http.IncomingMessage, signal: AbortSignal): Promise<Buffer | 'too large'> {
  return new Promise((resolve, reject) => {
    let [bytes, size] = [Buffer.alloc(FIRST_SIZE), 0];
    const lost = () => reject(Object.assign(new Error('lost'), { code: signal.aborted ? 'ABORT_ERR' : 'ECONNRESET' }));
    message.on('data', (chunk: Buffer) => {
      if (size + chunk.length > BODY_LIMIT) {
        message.destroy();
        return resolve('too large');
      }
      // Not a list of chunks: there could be one for each byte.
      if (size + chunk.length > bytes.length) bytes = Buffer.concat([bytes], 2 * bytes.length + chunk.length);
      size += chunk.copy(bytes, size);
    });
    message.on('end', () => (message.complete ? resolve(bytes.subarray(0, size)) : lost()));
    message.on('error', lost);
    message.on('close', lost);
    if (message.destroyed) lost();
  });
}
