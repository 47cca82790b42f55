import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import * as tls from 'node:tls';
import { createAuthority } from '../support/certificates.ts';
import type { Target } from './targets.ts';

/** What can go wrong below HTTP, each time with a new connection. */
export const connectionFaults = ['refused', 'never-accepted', 'reset', 'end', 'silent', 'not-http'] as const;
export const tlsFaults = [
  'plaintext',
  'garbage',
  'reset-in-handshake',
  'end-in-handshake',
  'silent-in-handshake',
  'old-version',
  'untrusted',
  'wrong-host',
] as const;
export type FrontFault = (typeof connectionFaults)[number] | (typeof tlsFaults)[number];

export interface FrontOptions {
  /** The port of the server, which speaks plain HTTP. */
  port: number;
  secure: boolean;
  /** The request that brings the fault on: its connection is reset, and the next ones meet the fault. */
  target: Pick<Target, 'method' | 'path' | 'skip'>;
  fault: FrontFault;
  /** Whether the server gets that request, before its answer is thrown away. */
  work: boolean;
  /** The fault is there from the first connection on, since no request comes before the target. */
  atOnce: boolean;
  /** How many connections meet the fault; if none is accepted, more than one means forever. */
  times: number;
}

export interface Front {
  url: string;
  /** How often the fault was met, as far as it can be known. */
  readonly hits: number;
  close(): Promise<void>;
}

const authority = await createAuthority('Torture authority');
const stranger = await createAuthority('Unknown authority');
const trusted = await authority.issue({ hosts: ['localhost'] });
const untrusted = await stranger.issue({ hosts: ['localhost'] });
const misnamed = await authority.issue({ hosts: ['elsewhere.example'] });

/** The certificate that the action has to trust to get through a secure front. */
export const frontAuthority: string = authority.cert;

/** Longer than the first pause between two attempts, so that an attempt falls into it. */
const REFUSED_FOR = 700;
/** Longer than it takes to start a process. */
const REFUSED_AT_FIRST_FOR = 2500;
/** Shorter than an attempt: its connection is then made, or refused. */
const NOT_ACCEPTED_FOR = 3000;

/** Sits between the action and a server, and breaks connections. */
export async function startFront(options: FrontOptions): Promise<Front> {
  const front = new BrokenFront(options);
  await front.listen();
  if (options.atOnce) await front.begin(REFUSED_AT_FIRST_FOR);
  return front;
}

let lastPort = 0;

// Below the ports that a system hands out by itself: one that is closed for a while must not go to somebody else.
function nextPort(): number {
  lastPort = lastPort === 0 ? 10_000 + Math.floor(Math.random() * 10_000) : lastPort + 1;
  return lastPort;
}

class BrokenFront implements Front {
  readonly #options: FrontOptions;
  readonly #server: Server;
  readonly #secure: tls.Server | undefined;
  readonly #sockets = new Set<Socket>();
  #port = 0;
  #skip: number;
  #met = false;
  #left = 0;
  #reopening: NodeJS.Timeout | undefined;
  #deaf: ChildProcess | undefined;
  hits = 0;

  constructor(options: FrontOptions) {
    this.#options = options;
    this.#skip = options.target.skip;
    this.#server = createServer((socket) => this.#accept(socket));
    if (options.secure) this.#secure = tlsServer(trusted, (socket, raw) => this.#relay(socket, raw));
  }

  get url(): string {
    return this.#options.secure ? `https://localhost:${this.#port}` : `http://127.0.0.1:${this.#port}`;
  }

  async listen(): Promise<void> {
    while (this.#port === 0) {
      const port = nextPort();
      const listening = once(this.#server, 'listening').then(
        () => port,
        () => 0,
      );
      this.#server.listen(port, '127.0.0.1');
      this.#port = await listening;
    }
  }

  /** From now on, connections meet the fault. */
  async begin(refusedFor = REFUSED_FOR): Promise<void> {
    const { fault, times } = this.#options;
    this.#met = true;
    this.#left = times;
    if (fault !== 'refused' && fault !== 'never-accepted') return;
    this.#left = 0;
    this.hits += 1;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#dropAll();
    await closed;
    if (fault === 'never-accepted') await this.#stopAccepting();
    if (times > 1) return;
    const after = fault === 'refused' ? refusedFor : NOT_ACCEPTED_FOR;
    this.#reopening = setTimeout(() => void this.#reopen(), after);
  }

  /** Another process takes over the port and is too busy to accept; what can wait in its queue does. */
  async #stopAccepting(): Promise<void> {
    this.#deaf = spawn(process.execPath, ['-e', deafServer, String(this.#port)], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(this.#deaf.stdout as Readable, 'data');
    for (let count = 0; count < 4; count++) {
      const socket = connect(this.#port, '127.0.0.1');
      this.#sockets.add(socket);
      socket.on('error', () => {});
    }
  }

  async #reopen(): Promise<void> {
    if (this.#deaf) await kill(this.#deaf);
    this.#server.listen(this.#port, '127.0.0.1');
  }

  async close(): Promise<void> {
    clearTimeout(this.#reopening);
    if (this.#deaf) await kill(this.#deaf);
    this.#dropAll();
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  #dropAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#sockets.delete(socket));
    if (this.#left > 0) {
      this.#left -= 1;
      this.hits += 1;
      breakConnection(socket, this.#options.fault);
    } else if (this.#secure) this.#secure.emit('connection', socket);
    else this.#relay(socket, socket);
  }

  /** Passes everything on, until the target comes by. `raw` is what lies below the TLS, if there is any. */
  #relay(socket: Socket, raw: Socket): void {
    const upstream = connect(this.#options.port, '127.0.0.1');
    let swallow = false;
    socket.on('error', () => {});
    upstream.on('error', () => {});
    upstream.on('close', () => socket.end());
    socket.on('close', () => {
      if (!swallow) upstream.destroy();
    });
    upstream.on('data', (chunk) => {
      if (!swallow) return socket.write(chunk);
      upstream.destroy();
      raw.resetAndDestroy();
    });
    socket.on('data', (chunk: Buffer) => {
      const hit = !this.#met && this.#isTarget(chunk);
      if (hit) void this.begin();
      if (hit && !this.#options.work) return raw.resetAndDestroy();
      swallow ||= hit;
      return upstream.write(chunk);
    });
  }

  #isTarget(chunk: Buffer): boolean {
    const [, method, path = ''] = /^([A-Z]+) (\S+) HTTP/.exec(chunk.toString('latin1', 0, 2048)) ?? [];
    if (method !== this.#options.target.method || !this.#options.target.path.test(path)) return false;
    this.#skip -= 1;
    return this.#skip < 0;
  }
}

/** Listens, and then blocks: for no longer than a run can take. */
const deafServer = `
  const options = { port: Number(process.argv[1]), host: '127.0.0.1', backlog: 1 };
  require('node:net').createServer().listen(options, () => {
    require('node:fs').writeSync(1, 'listening');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
    process.exit();
  });
`;

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

function tlsServer(options: tls.TlsOptions, serve: (socket: Socket, raw: Socket) => void): tls.Server {
  const rawOf = new Map<number, Socket>();
  const server = tls.createServer(options, (socket) => {
    serve(socket, rawOf.get(socket.remotePort ?? 0) ?? socket);
  });
  server.on('connection', (raw: Socket) => {
    const port = raw.remotePort ?? 0;
    rawOf.set(port, raw);
    raw.once('close', () => rawOf.delete(port));
  });
  server.on('tlsClientError', () => {});
  return server;
}

const page = 'HTTP/1.1 400 Bad Request\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>';

function breakConnection(socket: Socket, fault: FrontFault): void {
  const onData = (react: () => void) => socket.once('data', react);
  switch (fault) {
    case 'refused':
    case 'never-accepted':
    case 'reset':
      return void socket.resetAndDestroy();
    case 'end':
      return void socket.end();
    case 'silent':
    case 'silent-in-handshake':
      return void socket.resume();
    case 'not-http':
      return void onData(() => socket.end('SSH-2.0-OpenSSH_9.9\r\nInvalid protocol\r\n'));
    case 'plaintext':
      return void onData(() => socket.end(page));
    case 'garbage':
      return void onData(() => socket.end(Buffer.alloc(600, 0x5a)));
    case 'reset-in-handshake':
      return void onData(() => socket.resetAndDestroy());
    case 'end-in-handshake':
      return void onData(() => socket.end());
    default:
      badServer(fault).emit('connection', socket);
  }
}

function badServer(fault: 'old-version' | 'untrusted' | 'wrong-host'): tls.Server {
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  const options = { 'old-version': { ...trusted, ...old }, untrusted, 'wrong-host': misnamed }[fault];
  return tlsServer(options, (socket) => socket.destroy());
}
