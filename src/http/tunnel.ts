import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { credentialsOf } from './proxy.ts';
import type { Trust } from './trust.ts';

/** The proxy answered something other than 200, or could not be reached at all (then `status` is undefined). */
export class ProxyRefusal extends Error {
  readonly status: number | undefined;

  constructor(status: number | undefined, cause?: unknown) {
    super('the proxy refused the connection', { cause });
    this.status = status;
  }
}

interface Way {
  proxy: URL;
  trust: Trust;
  signal: AbortSignal;
}

/**
 * Connects to a host through a proxy (CONNECT, RFC 9110, 9.3.6), and starts TLS with the host. Does not use the
 * library's own proxy agent: its CONNECT cannot be aborted, and it loses the reason for a failure.
 * @throws ProxyRefusal
 */
export async function openTunnel(target: URL, { proxy, trust, signal }: Way): Promise<TLSSocket> {
  const socket = await askProxy(`${target.hostname}:${target.port || 443}`, { proxy, trust, signal });
  return connect({ socket, ...serverName(target), ...trust });
}

function askProxy(authority: string, { proxy, trust, signal }: Way): Promise<Socket> {
  const secure = proxy.protocol === 'https:';
  const authorization = credentialsOf(proxy);
  const request = (secure ? httpsRequest : httpRequest)({
    method: 'CONNECT',
    host: bare(proxy.hostname),
    port: proxy.port || (secure ? 443 : 80),
    path: authority,
    headers: { host: authority, ...(authorization && { 'proxy-authorization': authorization }) },
    agent: false,
    signal,
    ...(secure && { ...serverName(proxy), ...trust }),
  });
  return new Promise((resolve, reject) => {
    request.once('error', (cause) => reject(new ProxyRefusal(undefined, cause)));
    request.once('connect', ({ statusCode }, socket: Socket) => {
      if (statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(new ProxyRefusal(statusCode));
    });
    request.end();
  });
}

// TLS has no server name for an IP address.
function serverName({ hostname }: URL): { host: string; servername: string } {
  const host = bare(hostname);
  return { host, servername: isIP(host) ? '' : host };
}

/** A host without the brackets that a URL puts around an IPv6 address, which no resolver understands. */
export function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}
