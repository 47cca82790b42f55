import { once } from 'node:events';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer, RequestSeen } from './answers.ts';
import { given } from './answers.ts';
import type { Exchange, Fault, FaultRule } from './faults.ts';
import { Faults, keepsTheAnswer, misbehave } from './faults.ts';

/**
 * What becomes of a connection after its first answer, which announces nothing of it: `close` and `close-soon` (5 ms
 * later) close it; `reset-on-reuse` and `silent-on-reuse` leave it open, and meet the next request with that.
 */
export type AfterAnswer = 'close' | 'close-soon' | 'reset-on-reuse' | 'silent-on-reuse';

export interface ServerOptions {
  /** PEM. With it the server speaks HTTPS. */
  tls?: { key: string; cert: string };
  port?: number;
  /** The server's own clock, in milliseconds. */
  now?: () => number;
  /** Sends no `Date` header. */
  omitDate?: boolean;
  /** Connections stay open if omitted. */
  afterAnswer?: AfterAnswer;
}

export interface RecordedRequest {
  method: string;
  /** Path and query exactly as sent, including the prefix. */
  path: string;
  /** Names in lower case. */
  headers: Record<string, string | string[] | undefined>;
  /** Name, value, name, value, exactly as sent. */
  rawHeaders: string[];
  body: string;
  /** The number of the TCP connection, from 1. */
  connection: number;
  /** The status whose head was sent in full; absent if none was. */
  status?: number;
  /** Milliseconds, by the server's clock. */
  at: number;
}

export interface Log {
  requests: RecordedRequest[];
  violations: string[];
}

export interface Received {
  /** The request as the service sees it. */
  request: RequestSeen;
  /** Does what was asked. `passedOn`: the client gets the answer as it is, so the contract applies to it. */
  work: (passedOn: boolean) => Answer;
}

export interface Service {
  /** Records violations of the contract in a request. */
  receive: (recorded: RecordedRequest) => Received;
  /** How the service words an error. */
  refusal: (status: number, message: string, details?: string) => Answer;
}

export interface LoopbackServer {
  /** Without a trailing slash. */
  origin: string;
  port: number;
  /** Number of TCP connections so far. */
  connections: () => number;
  fault: (rule: FaultRule) => void;
  clearFaults: () => void;
  /** Resolves once no delayed work (`workAfter`) is left. */
  settled: () => Promise<void>;
  close: () => Promise<void>;
}

interface Connection {
  socket: Socket;
  number: number;
  answered: boolean;
}

/** The TCP sockets by the client's port: below TLS they are the only place to send a reset from. */
class Connections {
  readonly #open = new Map<number, Connection>();
  count = 0;

  add(socket: Socket): void {
    const port = socket.remotePort ?? 0;
    this.count += 1;
    const entry = { socket, number: this.count, answered: false };
    this.#open.set(port, entry);
    socket.on('error', () => {});
    socket.once('close', () => {
      if (this.#open.get(port) === entry) this.#open.delete(port);
    });
  }

  under(socket: Socket): Connection {
    return this.#open.get(socket.remotePort ?? 0) ?? { socket, number: 0, answered: false };
  }

  destroyAll(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
  }
}

interface Running extends Log {
  options: ServerOptions;
  service: Service;
  faults: Faults;
  now: () => number;
  closing: AbortController;
  connections: Connections;
  late: Set<Promise<void>>;
}

async function readAll(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function record(running: Running, message: IncomingMessage, connection: number, body: string): RecordedRequest {
  const recorded: RecordedRequest = {
    method: message.method ?? '',
    path: message.url ?? '',
    headers: { ...message.headers },
    rawHeaders: [...message.rawHeaders],
    body,
    connection,
    at: running.now(),
  };
  running.requests.push(recorded);
  return recorded;
}

function dateHeader({ options, now }: Running): Record<string, string> {
  return options.omitDate ? {} : { date: new Date(now()).toUTCString() };
}

function send(running: Running, response: ServerResponse, answer: Answer): void {
  const length = answer.status === 204 ? {} : { 'content-length': Buffer.byteLength(answer.body) };
  const headers = { ...dateHeader(running), ...answer.headers, ...length };
  response.writeHead(answer.status, given(headers));
  response.end(answer.body);
}

/** Ends, resets or ignores a connection as the option wants; whether the request on it goes unheard. */
function endConnection({ options }: Running, connection: Connection, response: ServerResponse): boolean {
  const { afterAnswer } = options;
  if (connection.answered) {
    if (afterAnswer === 'reset-on-reuse') connection.socket.resetAndDestroy();
    return afterAnswer === 'reset-on-reuse' || afterAnswer === 'silent-on-reuse';
  }
  const { socket } = response;
  const end = () => socket?.end();
  response.once('finish', () => {
    connection.answered = true;
    if (afterAnswer === 'close') end();
    if (afterAnswer === 'close-soon') setTimeout(end, 5);
  });
  return false;
}

function workLater(running: Running, work: () => void, ms: number): void {
  const done = sleep(ms, undefined, { signal: running.closing.signal })
    .then(work, () => {})
    .catch((error: unknown) => void running.violations.push(`the simulator failed: ${String(error)}`))
    .finally(() => running.late.delete(done));
  running.late.add(done);
}

function goneSignal(running: Running, response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  return AbortSignal.any([gone.signal, running.closing.signal]);
}

async function serve(running: Running, message: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on('error', () => {});
  // Only the service's clock counts.
  response.sendDate = false;
  const connection = running.connections.under(message.socket);
  const recorded = record(running, message, connection.number, await readAll(message));
  if (endConnection(running, connection, response)) return;
  const { request, work } = running.service.receive(recorded);
  const answered = (status: number) => {
    recorded.status = status;
  };
  const deliver = (answer: Answer) => {
    answered(answer.status);
    send(running, response, answer);
  };
  const fault = running.faults.take(recorded.method, recorded.path);
  if (!fault) return deliver(work(true));
  await meet(fault, {
    request,
    response,
    tcp: connection.socket,
    work: () => work(keepsTheAnswer(fault)),
    workLater: (ms) => workLater(running, () => work(false), ms),
    send: deliver,
    refusal: running.service.refusal,
    dateHeader: () => dateHeader(running),
    answered,
    signal: goneSignal(running, response),
  });
}

async function meet(fault: Fault, exchange: Exchange): Promise<void> {
  try {
    await misbehave(exchange, fault);
  } catch (error) {
    // The client may go in the middle of anything; what else goes wrong is the simulator's own mistake.
    if (!exchange.signal.aborted && !exchange.response.destroyed) throw error;
  }
}

function makeServer(running: Running): Server {
  const { tls } = running.options;
  const listener: RequestListener = (message, response) => {
    serve(running, message, response).catch((error: unknown) => {
      if (message.destroyed && !message.complete) return;
      running.violations.push(`the simulator failed: ${String(error)}`);
      response.destroy();
    });
  };
  const limits = { requestTimeout: 0, headersTimeout: 0 };
  const server = tls ? createHttpsServer({ ...limits, ...tls }, listener) : createHttpServer(limits, listener);
  server.on('connection', (socket: Socket) => running.connections.add(socket));
  server.on('tlsClientError', () => {});
  return server;
}

async function closeServer(server: Server, running: Running): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  running.closing.abort();
  running.connections.destroyAll();
  await closed;
}

/** Serves a simulated service on the loopback interface; requests are written to the log. */
export async function startServer(options: ServerOptions, service: Service, log: Log): Promise<LoopbackServer> {
  const faults = new Faults();
  const closing = new AbortController();
  const connections = new Connections();
  const late = new Set<Promise<void>>();
  const now = options.now ?? Date.now;
  const running: Running = { ...log, options, service, faults, now, closing, connections, late };
  const server = makeServer(running);
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    origin: options.tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`,
    port,
    connections: () => connections.count,
    fault: (rule) => faults.add(rule),
    clearFaults: () => faults.clear(),
    settled: async () => {
      while (late.size > 0) await Promise.all(late);
    },
    close: () => closeServer(server, running),
  };
}
