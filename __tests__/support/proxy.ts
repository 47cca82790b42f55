import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { createProxy } from 'proxy';

/** What a proxy says to a CONNECT before it does its work: a status, a whole answer, or no answer at all. */
export type Scripted = number | 'silence' | { answer: string };

export interface ProxyOptions {
  credentials?: { username: string; password: string };
  /** PEM. With it the proxy itself speaks TLS. */
  tls?: { key: string; cert: string };
  /** The answers to the first CONNECTs, instead of a tunnel. */
  script?: Scripted[];
}

export interface RunningProxy {
  port: number;
  /** The targets of all CONNECTs so far, as `host:port`. */
  targets: string[];
  /** Their `Proxy-Authorization` headers. */
  authorizations: (string | undefined)[];
  close(): Promise<void>;
}

/** The domain whose names the proxy, and nobody else, finds on this machine. */
export const testDomain = 'test';

// Loopback hosts bypass every proxy, so a test has to use a name that only the proxy knows.
function resolve(target: string): string {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(target) ?? [];
  return host.endsWith(`.${testDomain}`) ? `127.0.0.1:${port}` : target;
}

function makeServer({ tls, credentials }: ProxyOptions): Server {
  const server = createProxy(tls ? createHttpsServer(tls) : createHttpServer());
  if (credentials) {
    const { username, password } = credentials;
    const expected = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    server.authenticate = (request) => request.headers['proxy-authorization'] === expected;
  }
  return server;
}

/** Starts a CONNECT proxy on the loopback interface. */
export async function startProxy(options: ProxyOptions = {}): Promise<RunningProxy> {
  const server = makeServer(options);
  const sockets = new Set<Socket>();
  const script = [...(options.script ?? [])];
  const targets: string[] = [];
  const authorizations: (string | undefined)[] = [];
  const [tunnel] = server.listeners('connect') as ((...all: unknown[]) => void)[];
  server.removeAllListeners('connect');
  server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    targets.push(request.url ?? '');
    authorizations.push(request.headers['proxy-authorization']);
    socket.on('error', () => {});
    const scripted = script.shift();
    if (scripted === 'silence') return;
    if (typeof scripted === 'object') return socket.end(scripted.answer);
    if (scripted !== undefined) return socket.end(`HTTP/1.1 ${scripted} Scripted\r\ncontent-length: 0\r\n\r\n`);
    request.url = resolve(request.url ?? '');
    tunnel?.call(server, request, socket, head);
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    targets,
    authorizations,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
