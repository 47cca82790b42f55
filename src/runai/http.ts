import type { RequestOptions } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import { HttpClient } from '@actions/http-client';
import type { Clock } from './clock.ts';
import type { RunaiError } from './errors.ts';
import {
  type Answer,
  type Call,
  interpret,
  outcomeOf,
  outOfPatience,
  type Received,
  type Result,
  readBody,
  whenAborted,
} from './exchange.ts';
import { classify } from './failures.ts';
import { outOfTime, type Place, problemOf } from './problems.ts';
import { attemptLimit, type Failure, judge, pauseBefore, retryAfter } from './retry.ts';
import { type Roots, trust } from './trust.ts';
import { ProxyRefusal, prepareTunnel, type Tunnel } from './tunnel.ts';

/** How often an answer that cannot be used is asked for: the fault may pass, but is no reason to try all day. */
const UNREADABLE_LIMIT = 3;

export interface Log {
  /** Makes the text only when it is wanted. */
  debug(text: () => string): void;
  info(text: string): void;
  notice(text: string): void;
  warning(text: string): void;
}

/** What is known about all the attempts at one piece of work, over every path that was tried for it. */
export interface Effort {
  attempts: number;
  unreadable: number;
  /** The attempts that may have done the work without their answer reaching us. */
  lost: LostAttempt[];
}

/** When the work may have been done, by our own clock: without an end where it may be done only later. */
export interface LostAttempt {
  from: number;
  to: number | undefined;
}

export const newEffort = (): Effort => ({ attempts: 0, unreadable: 0, lost: [] });

/** The answer to a call marked `once` was lost; the pause before another attempt is already over. */
export class LostAnswer extends Error {}

export interface TransportOptions {
  /** The whole run's time in milliseconds, counted from now. */
  budget: number;
  clock: Clock;
  random: () => number;
  log: Log;
  /** Masks a secret, before anything else is done with it. */
  mask: (secret: string) => void;
  /** Makes a server's text fit to be logged. */
  clean: (text: string) => string;
  /** Certificates (PEM) to trust in addition to the runner's own roots. */
  roots?: Roots;
  /** The proxy of the whole run, if there is one. */
  proxy?: URL | undefined;
}

/**
 * The one way to the network. It deals with what `@actions/http-client` leaves open: a deadline for the run and a
 * limit for each attempt, retries of every method, redirects, private certificate authorities, answers that break
 * off, and answers that are too large.
 */
export class Transport {
  readonly #options: TransportOptions;
  readonly #deadline: number;
  readonly #clients = new Map<string, Connection>();
  /** How far each server's clock is ahead of ours. */
  readonly #clockLeads = new Map<string, { least: number; most: number }>();

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
    let earlier: RunaiError | undefined;
    for (;;) {
      effort.attempts += 1;
      const from = this.#options.clock.now();
      const { result, received } = await this.#attempt(call, effort);
      const verdict = judge(outcomeOf(result));
      const to = verdict.lost === 'at-any-time' ? undefined : this.#options.clock.now();
      if (verdict.lost || isPage(result)) effort.lost.push({ from, to });
      if ('unreadable' in result) effort.unreadable += 1;
      if ('answer' in result && !verdict.again) return { ...result.answer, attempts: effort.attempts };
      const problem = (this.#isCutOff(result) && earlier) || problemOf(result, this.#place(call, effort));
      earlier = problem;
      const enough = 'unreadable' in result && effort.unreadable >= UNREADABLE_LIMIT;
      if (!verdict.again || enough) throw problem;
      await this.#pause(problem, received, effort);
      if (verdict.lost && call.once) throw new LostAnswer();
    }
  }

  /**
   * What the clock of the server at `url` can have shown at a moment of ours, or undefined if no answer of its own had a
   * `Date` header.
   */
  serverTime(url: string, ours: number): { earliest: number; latest: number } | undefined {
    const lead = this.#clockLeads.get(new URL(url).origin);
    return lead && { earliest: ours + lead.least, latest: ours + lead.most };
  }

  close(): void {
    for (const connection of this.#clients.values()) connection.client.dispose();
    this.#clients.clear();
  }

  // An attempt that the deadline has cut off says nothing about the cause; the one before it does.
  #isCutOff<T>(result: Result<T>): boolean {
    return 'failure' in result && result.failure === 'timeout' && this.#options.clock.now() >= this.#deadline;
  }

  async #attempt<T>(call: Call<T>, { attempts }: Effort): Promise<{ result: Result<T>; received?: Received }> {
    const { clock, log, clean } = this.#options;
    const startedAt = clock.now();
    const report = (outcome: string | number) => {
      const took = Math.round(clock.now() - startedAt);
      log.debug(() => `${operationOf(call, clean)} -> ${outcome} in ${took} ms (attempt ${attempts})`);
    };
    let received: Received;
    try {
      received = await this.#exchange(call);
    } catch (error) {
      const failure = error instanceof ProxyRefusal ? proxyFailure(error) : classify(error);
      report(failure);
      return { result: { failure, error } };
    }
    report(received.status);
    const result = interpret(call, received, this.#options.mask);
    if (isItsOwn(result)) this.#readDate(call.url, { header: received.headers.date, sentAt: startedAt });
    return { result, received };
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
      const request = connection.client.request(call.method, call.url, call.body ?? null, headers);
      // Node leaves a request without an end where the server answers 101 to it.
      const { message } = await Promise.race([request, whenAborted(controller.signal)]);
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

  // The header was written between the request and now, and shows the second that had begun.
  #readDate(url: string, { header, sentAt }: { header: string | undefined; sentAt: number }): void {
    const date = Date.parse(header ?? '');
    if (Number.isNaN(date)) return;
    const { origin } = new URL(url);
    const { least, most } = this.#clockLeads.get(origin) ?? { least: -Infinity, most: Infinity };
    const lead = {
      least: Math.max(least, date - this.#options.clock.now()),
      most: Math.min(most, date + 1000 - sentAt),
    };
    this.#clockLeads.set(origin, lead);
  }

  async #pause(problem: RunaiError, received: Received | undefined, effort: Effort): Promise<void> {
    const { clock, budget, random } = this.#options;
    const now = clock.now();
    const header = received?.headers['retry-after'];
    const date = Date.parse(received?.headers.date ?? '');
    const asked = retryAfter(header, Number.isNaN(date) ? now : date);
    const pause = pauseBefore({ attempts: effort.attempts, budget, asked, random: random() });
    if (now + pause >= this.#deadline) throw outOfTime(problem, { budget, asked });
    await clock.sleep(pause);
  }

  #place(call: { method: string; url: string }, { attempts }: Effort): Place {
    const { proxy, clean } = this.#options;
    return { operation: operationOf(call, clean), attempts, url: new URL(call.url), proxy, clean };
  }
}

type Clean = (text: string) => string;

/**
 * A request as a person would name it: no query, since an address in it is nobody else's business. A server may put
 * anything into the id that is part of a path.
 */
export function operationOf({ method, url }: { method: string; url: string }, clean: Clean): string {
  const { origin, pathname } = new URL(url);
  return `${method} ${origin}${pathname.split('/').map(clean).join('/')}`;
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
  const agent = connection.client.getAgent(url.href) as HttpsAgent;
  const checks = url.protocol === 'https:' ? trust(roots) : {};
  Object.assign(agent.options, checks);
  const tunnel = proxy && prepareTunnel(agent, { proxy, checks });
  if (tunnel) connection.tunnel = tunnel;
  return connection;
}

/** Whether something else has answered in place of the control plane; the work may have been done behind it. */
function isPage<T>(result: Result<T>): boolean {
  return 'answer' in result && result.answer.body.kind === 'page' && result.answer.status < 300;
}

/** Whether the control plane itself has answered, and not a gateway, whose clock may be another. */
function isItsOwn<T>(result: Result<T>): boolean {
  if (!('answer' in result) || result.answer.body.kind === 'page') return false;
  const { again, lost } = judge(outcomeOf(result));
  return !again && !lost;
}

function proxyFailure(refusal: ProxyRefusal): Failure {
  if (refusal.status === undefined) return classify(refusal.cause);
  return judge({ status: refusal.status, unreadable: false }).again ? 'no-route' : 'proxy-refused';
}
