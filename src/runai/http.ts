import type { IncomingMessage, OutgoingHttpHeaders, RequestOptions } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import { HttpClient } from '@actions/http-client';
import { serverText } from './answers.ts';
import type { Clock } from './clock.ts';
import { RunaiError } from './errors.ts';
import { classify, codeOf, inWords } from './failures.ts';
import { attemptLimit, type Failure, judge, type Outcome, pauseBefore, retryAfter } from './retry.ts';
import { type Roots, trust } from './trust.ts';
import { ProxyRefusal, prepareTunnel, type Tunnel } from './tunnel.ts';

const BODY_LIMIT = 1024 * 1024;
/** How often an answer that cannot be used is asked for: the fault may pass, but is no reason to try all day. */
const UNREADABLE_LIMIT = 3;
const redirects = new Set([301, 302, 303, 307, 308]);

export interface Log {
  debug(text: string): void;
  info(text: string): void;
  notice(text: string): void;
  warning(text: string): void;
}

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

/** What is known about all the attempts at one piece of work, over every path that was tried for it. */
export interface Effort {
  attempts: number;
  /** An attempt may have done the work without its answer reaching us. */
  lost: boolean;
  unreadable: number;
  /** When the first attempt was made, by our own clock. */
  startedAt: number | undefined;
}

export const newEffort = (): Effort => ({ attempts: 0, lost: false, unreadable: 0, startedAt: undefined });

/** The answer to a call marked `once` was lost; the pause before another attempt is already over. */
export class LostAnswer extends Error {}

export interface TransportOptions {
  /** The whole run's time in milliseconds, counted from now. */
  budget: number;
  clock: Clock;
  random: () => number;
  log: Log;
  /** Makes a server's text fit to be logged. */
  clean: (text: string) => string;
  /** Certificates (PEM) to trust in addition to the runner's own roots. */
  roots?: Roots;
  /** The proxy of the whole run, if there is one. */
  proxy?: URL | undefined;
}

interface Received {
  status: number;
  headers: IncomingMessage['headers'];
  bytes: Buffer | 'too large';
}

type Result<T> =
  | { answer: Interpreted<T> }
  | { failure: Failure; error: unknown }
  | { unreadable: string; status: number };

/**
 * The one way to the network. It deals with what `@actions/http-client` leaves open: a deadline for the run and a
 * limit for each attempt, retries of every method, redirects, private certificate authorities, answers that break
 * off, and answers that are too large.
 */
export class Transport {
  readonly #options: TransportOptions;
  readonly #deadline: number;
  readonly #clients = new Map<string, Connection>();
  #clockLead = Number.NEGATIVE_INFINITY;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#deadline = options.clock.now() + options.budget;
  }

  /**
   * Sends a request until there is an answer, or until the deadline.
   * @throws RunaiError `unreachable`, `unavailable`, `unreadable`, `certificate`, `proxy`, `redirect`
   * @throws LostAnswer for a call marked `once`
   */
  async send<T>(call: Call<T>, effort: Effort = newEffort()): Promise<Answer<T>> {
    effort.startedAt ??= this.#options.clock.now();
    for (;;) {
      effort.attempts += 1;
      const { result, received } = await this.#attempt(call, effort);
      const verdict = judge(outcomeOf(result));
      effort.lost ||= verdict.lost;
      if ('unreadable' in result) effort.unreadable += 1;
      if ('answer' in result && !verdict.again) return { ...result.answer, attempts: effort.attempts };
      const problem = this.#problem(call, result, effort);
      const enough = 'unreadable' in result && effort.unreadable >= UNREADABLE_LIMIT;
      if (!verdict.again || enough) throw problem;
      await this.#pause(problem, received, effort);
      if (verdict.lost && call.once) throw new LostAnswer();
    }
  }

  /**
   * The earliest moment that the server's clock can have shown at a moment of ours, or undefined if no answer had a
   * `Date` header. What the server did after that moment carries no earlier time.
   */
  serverTime(ours: number): number | undefined {
    return Number.isFinite(this.#clockLead) ? ours + this.#clockLead : undefined;
  }

  close(): void {
    for (const connection of this.#clients.values()) connection.client.dispose();
    this.#clients.clear();
  }

  async #attempt<T>(call: Call<T>, effort: Effort): Promise<{ result: Result<T>; received?: Received }> {
    const { clock, log } = this.#options;
    const startedAt = clock.now();
    const took = () => `${clock.now() - startedAt} ms (attempt ${effort.attempts})`;
    try {
      const received = await this.#exchange(call);
      log.debug(`${operationOf(call)} -> ${received.status} in ${took()}`);
      this.#readDate(received.headers.date);
      return { result: interpret(call, received, this.#options.clean), received };
    } catch (error) {
      if (error instanceof RunaiError) throw error;
      const failure = error instanceof ProxyRefusal ? proxyFailure(error) : classify(error);
      log.debug(`${operationOf(call)} -> ${failure} in ${took()}`);
      return { result: { failure, error } };
    }
  }

  async #exchange<T>(call: Call<T>): Promise<Received> {
    const { clock, budget } = this.#options;
    const connection = this.#connect(new URL(call.url));
    const controller = new AbortController();
    const remaining = Math.max(0, this.#deadline - clock.now());
    const cancel = clock.after(Math.min(attemptLimit(budget), remaining), () => controller.abort(outOfPatience()));
    connection.signal = controller.signal;
    connection.tunnel?.watch(controller.signal);
    try {
      const headers = { accept: 'application/json', ...call.headers };
      const { message } = await connection.client.request(call.method, call.url, call.body ?? null, headers);
      const bytes = await readBody(message, controller.signal);
      return { status: message.statusCode ?? 0, headers: message.headers, bytes };
    } catch (error) {
      throw connection.tunnel?.refusal ?? error;
    } finally {
      cancel();
    }
  }

  #connect(url: URL): Connection {
    const existing = this.#clients.get(url.origin);
    if (existing) return existing;
    const connection = openConnection(url, this.#options);
    this.#clients.set(url.origin, connection);
    return connection;
  }

  // The header was written before now and shows the second that had begun: the server is at least this far ahead.
  #readDate(header: string | undefined): void {
    const date = Date.parse(header ?? '');
    if (!Number.isNaN(date)) this.#clockLead = Math.max(this.#clockLead, date - this.#options.clock.now());
  }

  async #pause(problem: RunaiError, received: Received | undefined, effort: Effort): Promise<void> {
    const { clock, budget, random } = this.#options;
    const now = clock.now();
    const header = received?.headers['retry-after'];
    const asked = retryAfter(header, this.serverTime(now) ?? now);
    const pause = pauseBefore({ attempts: effort.attempts, budget, asked, random: random() });
    if (now + pause >= this.#deadline) throw outOfTime(problem, { budget, asked });
    await clock.sleep(pause);
  }

  #problem<T>(call: Call<T>, result: Result<T>, { attempts }: Effort): RunaiError {
    const operation = operationOf(call);
    if ('failure' in result) {
      return failed(result, { operation, attempts, url: new URL(call.url), proxy: this.#options.proxy });
    }
    if ('unreadable' in result) return unreadable(result, { operation, attempts });
    const { status, body } = result.answer;
    const says = serverText(body.kind === 'json' ? body.json : undefined, this.#options.clean);
    return new RunaiError('unavailable', `answered ${status}${says}`, {
      operation,
      attempts,
      status,
      hint: 'The control plane, or a gateway in front of it, could not take the request: see its status, then run the job again.',
    });
  }
}

/** A request as a person would name it: no query, since an address in it is nobody else's business. */
export function operationOf({ method, url }: { method: string; url: string }): string {
  const { origin, pathname } = new URL(url);
  return `${method} ${origin}${pathname}`;
}

interface Connection {
  client: HttpClient;
  signal?: AbortSignal;
  tunnel?: Tunnel;
}

function openConnection(url: URL, { roots, proxy }: TransportOptions): Connection {
  const options = { allowRedirects: false, allowRetries: false, keepAlive: true };
  const connection: Connection = { client: new HttpClient('runai-auth', [], options) };
  connection.client.handlers.push({
    prepareRequest(request: RequestOptions) {
      // The library keeps the brackets of an IPv6 address, which no resolver understands.
      request.host = request.host?.replace(/^\[(.*)\]$/, '$1') ?? null;
      if (connection.signal) request.signal = connection.signal;
    },
    canHandleAuthentication: () => false,
    handleAuthentication: () => Promise.reject(new Error('not supported')),
  });
  const agent = connection.client.getAgent(url.href);
  if (roots && url.protocol === 'https:') trust(agent as HttpsAgent, roots);
  if (proxy) {
    const tunnel = prepareTunnel(agent, proxy);
    if (tunnel) connection.tunnel = tunnel;
  }
  return connection;
}

/** What aborting a request rejects with, so that it reads like Node's own. */
const outOfPatience = () => Object.assign(new Error('out of time'), { code: 'ABORT_ERR' });

function readBody(message: IncomingMessage, signal: AbortSignal): Promise<Buffer | 'too large'> {
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

function interpret<T>(call: Call<T>, { status, headers, bytes }: Received, clean: (text: string) => string): Result<T> {
  if (redirects.has(status)) throw redirected(call, { status, location: headers.location, clean });
  if (status < 200 || status > 299) return { answer: { status, body: errorBody(bytes) } };
  const body = parse(bytes);
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

function errorBody<T>(bytes: Buffer | 'too large'): Body<T> {
  const body = parse(bytes);
  return body.kind === 'json' ? body : { kind: looksLikePage(bytes) ? 'page' : 'empty' };
}

// The text of a JSON error quotes the body, so it goes no further than this.
function parse(bytes: Buffer | 'too large'): { kind: 'json'; json: unknown } | { kind: 'unreadable'; why: string } {
  if (bytes === 'too large') return { kind: 'unreadable', why: 'a body of more than 1 MiB' };
  if (bytes.length === 0) return { kind: 'unreadable', why: 'an empty body' };
  try {
    return { kind: 'json', json: JSON.parse(bytes.toString('utf8')) };
  } catch {
    return { kind: 'unreadable', why: 'a body that is not JSON' };
  }
}

function outcomeOf<T>(result: Result<T>): Outcome {
  if ('failure' in result) return { failure: result.failure };
  if ('unreadable' in result) return { status: result.status, unreadable: true };
  return { status: result.answer.status, unreadable: false };
}

function proxyFailure(refusal: ProxyRefusal): Failure {
  if (refusal.status === undefined) return classify(refusal.cause);
  return judge({ status: refusal.status, unreadable: false }).again ? 'no-route' : 'proxy-refused';
}

function failed(
  { failure, error }: { failure: Failure; error: unknown },
  { operation, attempts, url, proxy }: { operation: string; attempts: number; url: URL; proxy: URL | undefined },
): RunaiError {
  const details = { operation, attempts, cause: error };
  if (error instanceof ProxyRefusal) return proxyProblem(error, { ...details, proxy, failure });
  const peer = `${url.hostname}:${url.port || (url.protocol === 'https:' ? 443 : 80)}`;
  const message = inWords(failure, { peer, code: codeOf(error) });
  if (failure === 'certificate') return new RunaiError('certificate', message, { ...details, hint: certificateHint });
  return new RunaiError('unreachable', message, {
    ...details,
    hint: `Check that ${peer} is right in url and can be reached from this runner${proxy ? ' through the proxy' : ''}; raise timeout-seconds if it is slow.`,
  });
}

const certificateHint =
  'If the control plane uses a private certificate authority, give its root certificate as ca-certificate; if the certificate has expired or is made for another host, mend that. Checking cannot be turned off.';

function proxyProblem(
  refusal: ProxyRefusal,
  { proxy, failure, ...details }: { operation: string; attempts: number; proxy: URL | undefined; failure: Failure },
): RunaiError {
  const peer = `proxy ${proxy?.host ?? ''}`;
  if (refusal.status === undefined) {
    const message = inWords(failure, { peer, code: codeOf(refusal.cause) });
    const hint = failure === 'certificate' ? certificateHint : 'Check https_proxy and no_proxy on this runner.';
    return new RunaiError(failure === 'certificate' ? 'certificate' : 'proxy', message, { ...details, hint });
  }
  const hint =
    refusal.status === 407
      ? 'The proxy wants credentials: put them into https_proxy, as http://name:password@host:port, percent-encoded.'
      : 'The proxy does not let this runner reach the control plane: allow it there, or list the host in no_proxy.';
  return new RunaiError('proxy', `got no answer: the ${peer} answered ${refusal.status} to CONNECT`, {
    ...details,
    hint,
  });
}

function unreadable(
  { unreadable, status }: { unreadable: string; status: number },
  details: { operation: string; attempts: number },
): RunaiError {
  return new RunaiError('unreadable', `answered ${status} with ${unreadable}`, {
    ...details,
    status,
    hint: unreadableHint,
  });
}

export const unreadableHint =
  'That is no answer of the Run:ai API: check url, and whether a proxy or a log-in page stands in front of it.';

function redirected(
  call: { method: string; url: string },
  { status, location, clean }: { status: number; location: string | undefined; clean: (text: string) => string },
): RunaiError {
  const here = new URL(call.url);
  const target = URL.canParse(location ?? '', here.href) ? new URL(location ?? '', here) : undefined;
  const elsewhere = target && /^https?:$/.test(target.protocol) && target.origin !== here.origin;
  const hint = elsewhere
    ? `Redirects are not followed, since they would take the credentials along. If ${clean(target.origin)} is your control plane, use it as url.`
    : 'Redirects are not followed, since they would take the credentials along. Check url, its path included.';
  return new RunaiError('redirect', `answered ${status}, a redirect`, { operation: operationOf(call), status, hint });
}

function outOfTime(problem: RunaiError, { budget, asked }: { budget: number; asked: number | undefined }): RunaiError {
  const limit = `the deadline of ${budget / 1000} s`;
  const why = asked ? `; it asks to wait ${Math.ceil(asked / 1000)} s` : '';
  const hint = `Another attempt would have come after ${limit} (timeout-seconds). ${problem.hint ?? ''}`.trim();
  return new RunaiError(problem.code, `${problem.message}${why}`, { ...problem.details(), hint });
}
