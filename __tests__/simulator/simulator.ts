import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { RequestSeen } from './contract.ts';
import { checkAnswer, checkRequest } from './contract.ts';
import type { Exchange, Fault, FaultRule } from './faults.ts';
import { Faults, keepsTheAnswer, misbehave } from './faults.ts';
import type { MissingEndpoint, Version } from './profiles.ts';
import type { Answer, Plane, TokenFields } from './routes.ts';
import { answerOidc, answerRequest, page, refusal } from './routes.ts';
import type { AccessRule, AccessRuleSeed, Application, ApplicationSeed, Role, User, UserSeed } from './state.ts';
import { jwt, randomPassword, State } from './state.ts';

export type { EchoStyle, Fault, FaultRule, When } from './faults.ts';
export type { MissingEndpoint, Version } from './profiles.ts';
export type { TokenFields } from './routes.ts';
export type { AccessRule, AccessRuleSeed, Application, ApplicationSeed, Role, User, UserSeed } from './state.ts';

export interface SimulatorOptions {
  /** 2.24 when left out. */
  version?: Version;
  /** PEM. With it the simulator speaks HTTPS. */
  tls?: { key: string; cert: string };
  /** Such as `/runai`. */
  pathPrefix?: string;
  port?: number;
  admin?: { username: string; password: string };
  /** The server's own clock, in milliseconds: for `createdAt`, token expiry and the `Date` header. */
  now?: () => number;
  /** Seconds. */
  tokenLifetime?: number;
  /** Requests per second by the server's clock; what goes beyond gets 429. */
  rateLimit?: number;
  usersPageLimit?: number;
  rolesPageLimit?: number;
  ignoreUserFilter?: boolean;
  /** Create-user answers `{id, email, createdAt}`. */
  guideShapes?: boolean;
  /** Create-application answers come without `clientId`, which then equals the name. */
  omitClientId?: boolean;
  /** The client id of a new application; its name when left out. */
  clientIdOf?: (name: string) => string;
  /** What `/api/v1/token` says to wrong credentials; 400, the documented one, when left out. */
  wrongPasswordStatus?: 400 | 401;
  missingEndpoint?: MissingEndpoint;
  tokenFields?: TokenFields;
  /** External tokens that are trusted besides those of the OIDC stand-in. */
  externalTokens?: string[];
  /** What a token of the OIDC stand-in must be for. */
  oidcAudience?: string;
  /** Whether an exchanged external token may do everything; true when left out. */
  externalIsAdministrator?: boolean;
}

export interface RecordedRequest {
  method: string;
  /** Path and query exactly as sent, the prefix included. */
  path: string;
  /** Names in lower case. */
  headers: Record<string, string | string[] | undefined>;
  /** Name, value, name, value, exactly as sent. */
  rawHeaders: string[];
  body: string;
  /** The number of the TCP connection, from 1. */
  connection: number;
  /** The status whose head was sent in full; absent when none was. */
  status?: number;
  /** Milliseconds, by the server's clock. */
  at: number;
}

export interface Simulator {
  /** Base URL with the path prefix, without a trailing slash. */
  url: string;
  port: number;
  version: Version;
  admin: { username: string; password: string };
  requests: RecordedRequest[];
  violations: string[];
  /** TCP connections made so far. */
  readonly connections: number;
  applications: Application[];
  /** The administrator is the first one. */
  users: User[];
  accessRules: AccessRule[];
  roles: Role[];
  secretsIssued: string[];
  addApplication(seed: ApplicationSeed): Application;
  addUser(seed: UserSeed): User;
  addRole(role: Role): Role;
  addAccessRule(seed: AccessRuleSeed): AccessRule;
  isValidSecret(clientId: string, secret: string): boolean;
  isValidPassword(email: string, password: string): boolean;
  isValidToken(token: string): boolean;
  fault(rule: FaultRule): void;
  clearFaults(): void;
  /** GitHub's side of OpenID Connect: a caller appends `&audience=` to the URL. */
  oidc: { url: string; requestToken: string; audience: string; subject: string };
  close(): Promise<void>;
}

interface Running {
  plane: Plane;
  prefix: string;
  faults: Faults;
  requests: RecordedRequest[];
  violations: string[];
  rateLimit: number;
  closing: AbortController;
  tcp: TcpSockets;
}

/** The TCP sockets by the client's port: below TLS they are the only place to send a reset from. */
class TcpSockets {
  readonly #open = new Map<number, { socket: Socket; number: number }>();
  count = 0;

  add(socket: Socket): void {
    const port = socket.remotePort ?? 0;
    this.count += 1;
    const entry = { socket, number: this.count };
    this.#open.set(port, entry);
    socket.on('error', () => {});
    socket.once('close', () => {
      if (this.#open.get(port) === entry) this.#open.delete(port);
    });
  }

  under(socket: Socket): { socket: Socket; number: number } {
    return this.#open.get(socket.remotePort ?? 0) ?? { socket, number: 0 };
  }

  destroyAll(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
  }
}

function planeOf(options: SimulatorOptions, url: () => string): Plane {
  const now = options.now ?? Date.now;
  const tokenLifetime = options.tokenLifetime ?? 3600;
  const admin = options.admin ?? { username: 'admin@runai.example', password: randomPassword() };
  const clientIdOf = (options.omitClientId ? undefined : options.clientIdOf) ?? ((name: string) => name);
  const state = new State({ now, admin, tokenLifetime, issuer: url, clientIdOf });
  for (const token of options.externalTokens ?? [])
    state.externalTokens.set(state.remember(token), { subject: 'external-identity' });
  return {
    version: options.version ?? '2.24',
    state,
    now,
    tokenLifetime,
    usersPageLimit: options.usersPageLimit ?? 500,
    rolesPageLimit: options.rolesPageLimit ?? 50,
    ignoreUserFilter: options.ignoreUserFilter ?? false,
    guideShapes: options.guideShapes ?? false,
    omitClientId: options.omitClientId ?? false,
    wrongPasswordStatus: options.wrongPasswordStatus ?? 400,
    missingEndpoint: options.missingEndpoint ?? 'json-404',
    tokenFields: options.tokenFields ?? {},
    externalIsAdministrator: options.externalIsAdministrator ?? true,
    oidc: {
      requestToken: state.remember(jwt({ iss: 'github', jti: randomBytes(8).toString('hex') })),
      audience: options.oidcAudience ?? 'runai',
      subject: 'repo:acme/app:ref:refs/heads/main',
      issuer: 'https://token.actions.githubusercontent.com',
    },
  };
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
    at: running.plane.now(),
  };
  running.requests.push(recorded);
  return recorded;
}

/** Over the limit within the last second, this request included. */
function overLimit({ requests, rateLimit, plane }: Running): boolean {
  const since = plane.now() - 1000;
  return requests.filter((request) => request.at > since && !isOidc(request.path)).length > rateLimit;
}

const isOidc = (path: string) => path.startsWith('/_oidc/');

interface Served extends RequestSeen {
  recorded: RecordedRequest;
}

/** The request without the prefix; nothing when it lies outside of it. */
function inside(running: Running, recorded: RecordedRequest): Served | undefined {
  const { prefix } = running;
  if (!isOidc(recorded.path) && prefix !== '' && !recorded.path.startsWith(`${prefix}/`)) return undefined;
  const path = isOidc(recorded.path) ? recorded.path : recorded.path.slice(prefix.length);
  return { method: recorded.method, path, headers: recorded.headers, body: recorded.body, recorded };
}

function normalAnswer(running: Running, request: Served | undefined): Answer {
  if (!request) return page(404);
  if (isOidc(request.path)) return answerOidc(running.plane, request);
  if (overLimit(running)) {
    const refused = refusal(429, 'Too many requests');
    return { ...refused, documented: false, headers: { ...refused.headers, 'retry-after': '1' } };
  }
  return answerRequest(running.plane, request);
}

function noteRequest(running: Running, request: Served | undefined, recorded: RecordedRequest): void {
  if (!request) running.violations.push(`${recorded.method} ${recorded.path}: outside of ${running.prefix}`);
  else if (!isOidc(request.path)) running.violations.push(...checkRequest(running.plane.version, request));
}

function noteAnswer(running: Running, request: Served | undefined, answer: Answer): void {
  if (!request || !answer.documented) return;
  running.violations.push(...checkAnswer(running.plane.version, request, answer));
}

function httpDate(running: Running): string {
  return new Date(running.plane.now()).toUTCString();
}

function send(running: Running, response: ServerResponse, answer: Answer): void {
  const length = answer.status === 204 ? {} : { 'content-length': Buffer.byteLength(answer.body) };
  response.writeHead(answer.status, { ...answer.headers, date: httpDate(running), ...length });
  response.end(answer.body);
}

function goneSignal(running: Running, response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  return AbortSignal.any([gone.signal, running.closing.signal]);
}

async function serve(running: Running, message: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on('error', () => {});
  const tcp = running.tcp.under(message.socket);
  const recorded = record(running, message, tcp.number, await readAll(message));
  const request = inside(running, recorded);
  noteRequest(running, request, recorded);
  const fault = running.faults.take(recorded.method, recorded.path);
  const work = () => {
    const answer = normalAnswer(running, request);
    if (!fault || keepsTheAnswer(fault)) noteAnswer(running, request, answer);
    return answer;
  };
  const deliver = (answer: Answer) => {
    recorded.status = answer.status;
    send(running, response, answer);
  };
  if (!fault) return deliver(work());
  await meet(fault, {
    request: request ?? recorded,
    response,
    tcp: tcp.socket,
    work,
    send: deliver,
    date: () => httpDate(running),
    answered: (status) => {
      recorded.status = status;
    },
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

function makeServer(options: SimulatorOptions, running: Running): Server {
  const listener: RequestListener = (message, response) => {
    serve(running, message, response).catch((error: unknown) => {
      if (message.destroyed && !message.complete) return;
      running.violations.push(`the simulator failed: ${String(error)}`);
      response.destroy();
    });
  };
  const limits = { requestTimeout: 0, headersTimeout: 0 };
  const server = options.tls
    ? createHttpsServer({ ...limits, ...options.tls }, listener)
    : createHttpServer(limits, listener);
  server.on('connection', (socket: Socket) => running.tcp.add(socket));
  server.on('tlsClientError', () => {});
  return server;
}

async function closeServer(server: Server, running: Running): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  running.closing.abort();
  running.tcp.destroyAll();
  await closed;
}

interface Ready {
  url: string;
  origin: string;
  port: number;
  close: () => Promise<void>;
}

function simulatorOf(running: Running, { url, origin, port, close }: Ready, admin: Simulator['admin']): Simulator {
  const { plane, faults, requests, violations, tcp } = running;
  const { state, oidc, version } = plane;
  return {
    url,
    port,
    version,
    admin,
    requests,
    violations,
    get connections() {
      return tcp.count;
    },
    applications: state.applications,
    users: state.users,
    accessRules: state.accessRules,
    roles: state.roles,
    secretsIssued: state.secretsIssued,
    addApplication: (seed) => state.addApplication(seed),
    addUser: (seed) => state.addUser(seed),
    addRole: (role) => state.addRole(role),
    addAccessRule: (seed) => state.addAccessRule(seed),
    isValidSecret: (clientId, secret) => state.isValidSecret(clientId, secret),
    isValidPassword: (email, password) => state.isValidPassword(email, password),
    isValidToken: (token) => state.isValidToken(token),
    fault: (rule) => faults.add(rule),
    clearFaults: () => faults.clear(),
    oidc: {
      url: `${origin}/_oidc/token?api-version=2.0`,
      requestToken: oidc.requestToken,
      audience: oidc.audience,
      subject: oidc.subject,
    },
    close,
  };
}

/** Starts a control plane on the loopback interface. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  let url = '';
  const plane = planeOf(options, () => url);
  const prefix = (options.pathPrefix ?? '').replace(/\/+$/, '');
  const running: Running = {
    plane,
    prefix,
    faults: new Faults(),
    requests: [],
    violations: [],
    rateLimit: options.rateLimit ?? Number.POSITIVE_INFINITY,
    closing: new AbortController(),
    tcp: new TcpSockets(),
  };
  const server = makeServer(options, running);
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const origin = options.tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
  url = `${origin}${prefix}`;
  const admin = plane.state.users[0];
  return simulatorOf(
    running,
    { url, origin, port, close: () => closeServer(server, running) },
    { username: admin?.username ?? '', password: admin?.password ?? '' },
  );
}
