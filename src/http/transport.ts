import { RunaiError } from '../errors.ts';
import type { Cancellation } from './cancellation.ts';
import { type Clock, isoTime, type Span } from './clock.ts';
import { exchange, outOfPatience, type Received } from './connection.ts';
import { type Answer, type Call, interpret, type LostAttempt, outcomeOf, type Result } from './exchange.ts';
import { classify, operationOf, outOfTime, problemOf } from './problems.ts';
import {
  attemptLimit,
  isEnough,
  judge,
  type Outcome,
  patienceFor,
  pauseBefore,
  serverNow,
  type Verdict,
  waitAsked,
} from './retry.ts';
import type { Trust } from './trust.ts';

export interface Log {
  /** Builds the text only if it is needed. */
  debug(text: () => string): void;
  info(text: string): void;
  notice(text: string): void;
  warning(text: string): void;
}

export interface TransportOptions {
  /** The time for the whole run in milliseconds, counted from now. */
  budget: number;
  clock: Clock;
  random: () => number;
  log: Log;
  /** Masks a secret, before anything else is done with it. */
  mask: (secret: string) => void;
  /** Makes a server's text safe to log. */
  clean: (text: string) => string;
  trust: Trust;
  /** The proxy of the whole run, if there is one. */
  proxy: URL | undefined;
  userAgent: string;
  cancellation: Cancellation;
}

/** How far a server's clock is ahead of ours, in milliseconds; NaN if its answers contradict each other. */
interface Lead {
  least: number;
  most: number;
}

/** How much a clock may be adjusted during a run, in milliseconds. */
const CLOCK_STEP = 1_000;

interface Attempt<T> {
  result: Result<T>;
  outcome: Outcome;
  verdict: Verdict;
  from: number;
  /** How long the server asks to wait, in milliseconds. */
  asked: number | undefined;
}

/**
 * The only way to the network. It handles what `@actions/http-client` does not: a deadline for the run and a limit for
 * each attempt, retries of every method, redirects, private certificate authorities, answers that are cut off, and
 * answers that are too large. Requests share the trusted roots, the deadline, and what is known about a server's clock;
 * nothing else.
 */
export class Transport {
  readonly #options: TransportOptions;
  readonly #deadline: number;
  readonly #clockLeads = new Map<string, Lead>();

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#deadline = options.clock.now() + options.budget;
  }

  /**
   * Sends a request until there is an answer, or until the deadline.
   * @throws RunaiError `unreachable`, `unavailable`, `unreadable`, `certificate`, `proxy`, `redirect`, `interrupted`
   */
  async send<T>(call: Call<T>): Promise<Answer<T>> {
    const lost: LostAttempt[] = [];
    try {
      return await this.#sendUntilAnswered(call, lost);
    } catch (error) {
      if (lost.length > 0 && call.ifLost && error instanceof RunaiError) throw error.warn(call.ifLost);
      throw error;
    }
  }

  async #sendUntilAnswered<T>(call: Call<T>, lost: LostAttempt[]): Promise<Answer<T>> {
    const { clock, cancellation } = this.#options;
    const startedAt = clock.now();
    let times = 0;
    let earlier: RunaiError | undefined;
    for (let attempts = 1; ; attempts++) {
      cancellation.refuse(call.whenCancelled);
      endAtNextAttempt(lost, clock.now());
      const attempt = await this.#attempt(call, attempts);
      noteLoss(lost, attempt, clock.now());
      const { result, outcome, verdict, asked } = attempt;
      if ('failure' in result) cancellation.refuse(call.whenCancelled);
      if ('body' in result && !verdict.again) return answerTo(call, { ...result, attempts, lost });
      const problem = (this.#isCutOff(outcome) && earlier) || this.#problem(call, result, attempts);
      if (verdict.again === 'a-few-times') times += 1;
      if (isEnough(verdict.again, { times, elapsed: clock.now() - startedAt })) throw problem;
      await this.#pause(call, { problem, attempts, asked, patience: patienceFor(outcome) });
      earlier = problem;
      const done = verdict.lost ? await call.lookAgain?.() : undefined;
      if (done !== undefined)
        return answerTo(call, { status: 200, body: { kind: 'read', value: done }, attempts, lost });
    }
  }

  /**
   * What the clock of the server at `url` may have shown at a time on our clock; undefined if no answer had a `Date`.
   */
  serverTime(url: string, ours: number): Span | undefined {
    const lead = this.#leadOf(url);
    return lead && { earliest: ours + lead.least, latest: ours + lead.most };
  }

  /** Converts a time on the clock of the server at `url` to our clock; undefined if no answer had a `Date`. */
  ourTime(url: string, theirs: Span): Span | undefined {
    const lead = this.#leadOf(url);
    return lead && { earliest: theirs.earliest - lead.most, latest: theirs.latest - lead.least };
  }

  #leadOf(url: string): Lead | undefined {
    const lead = this.#clockLeads.get(new URL(url).origin);
    return lead && !Number.isNaN(lead.least) ? lead : undefined;
  }

  /** Milliseconds until the deadline. */
  get remaining(): number {
    return this.#deadline - this.#options.clock.now();
  }

  /**
   * Waits, unless that would go past the deadline. Returns whether there was time.
   * @throws RunaiError `interrupted` if the run is cancelled in the meantime
   */
  async wait(ms: number): Promise<boolean> {
    const { clock, cancellation } = this.#options;
    if (ms >= this.remaining) return false;
    await clock.sleep(ms, cancellation.signalFor(undefined));
    cancellation.refuse(undefined);
    return true;
  }

  // An attempt that the deadline cut off says nothing about the cause; the one before it does.
  #isCutOff(outcome: Outcome): boolean {
    return 'failure' in outcome && outcome.failure === 'timeout' && this.remaining <= 0;
  }

  #problem<T>(call: Call<T>, result: Result<T>, attempts: number): RunaiError {
    const { proxy, clean } = this.#options;
    return problemOf(call, result, { attempts, proxy, clean });
  }

  async #attempt<T>(call: Call<T>, number: number): Promise<Attempt<T>> {
    const { clock, log, clean, mask } = this.#options;
    const from = clock.now();
    const report = (what: string | number) => {
      const took = Math.round(clock.now() - from);
      log.debug(() => `${operationOf(call, clean)} -> ${what} in ${took} ms (attempt ${number})`);
    };
    let received: Received;
    try {
      received = await this.#exchange(call);
    } catch (error) {
      const failure = classify(error);
      report(failure);
      return { result: { failure, error }, outcome: { failure }, verdict: judge({ failure }), from, asked: undefined };
    }
    report(received.status);
    const result = await interpret(call, received, mask);
    const limit = call.service.limit?.(received, clock.now());
    const outcome = limit === undefined ? outcomeOf(result) : { status: 429, unreadable: false };
    const verdict = judge(outcome);
    if (isItsOwn(result, verdict)) this.#readDate(call.url, { received, from });
    return { result, outcome, verdict, from, asked: limit ?? waitAsked(received.headers, clock.now()) };
  }

  async #exchange<T>({ method, url, headers, body, whenCancelled }: Call<T>): Promise<Received> {
    const { clock, budget, trust, proxy, userAgent, cancellation } = this.#options;
    const patience = new AbortController();
    const limit = Math.min(attemptLimit(budget), Math.max(0, this.remaining));
    const forget = clock.after(limit, () => patience.abort(outOfPatience()));
    const signal = AbortSignal.any([patience.signal, cancellation.signalFor(whenCancelled)]);
    const message = { method, url, headers: { accept: 'application/json', 'user-agent': userAgent, ...headers }, body };
    try {
      return await exchange(message, { trust, proxy, signal });
    } finally {
      forget();
    }
  }

  // The header was written between the request and now, and shows the time rounded down to the second.
  #readDate(url: string, { received, from }: { received: Received; from: number }): void {
    const { clock } = this.#options;
    const date = serverNow(received.headers, Number.NaN);
    if (Number.isNaN(date)) return;
    const { origin } = new URL(url);
    const { least, most } = this.#clockLeads.get(origin) ?? { least: -Infinity, most: Infinity };
    const [low, high] = [Math.max(least, date - clock.now()), Math.min(most, date + 1000 - from)];
    // If a clock was adjusted a little, the truth is somewhere in between; clocks that contradict each other tell
    // nothing.
    const lead = low <= high ? { least: low, most: high } : { least: high, most: low };
    const isSteady = low - high < CLOCK_STEP;
    this.#clockLeads.set(origin, isSteady ? lead : { least: Number.NaN, most: Number.NaN });
  }

  async #pause<T>(
    call: Call<T>,
    {
      problem,
      attempts,
      asked,
      patience,
    }: { problem: RunaiError; attempts: number; asked: number | undefined; patience: number },
  ): Promise<void> {
    const { clock, budget, random, log, cancellation } = this.#options;
    const pause = pauseBefore({ attempts, budget, asked, random: random() });
    if (pause >= this.remaining) throw outOfTime(problem, { budget, asked });
    if (attempts === 1) {
      const until = Math.min(this.#deadline, clock.now() + patience);
      log.info(`${problem.operation} ${problem.message}; trying again until ${isoTime(until)}`);
    }
    // If nothing is in flight, a cancelled run has nothing to wait for.
    await clock.sleep(pause, cancellation.signalFor(call.whenCancelled === 'begin' ? 'begin' : undefined));
  }
}

function answerTo<T>({ method, url, ifLost }: Call<T>, answer: Omit<Answer<T>, 'request' | 'ifLost'>): Answer<T> {
  return { request: { method, url }, ifLost, ...answer };
}

function noteLoss<T>(lost: LostAttempt[], { result, verdict, from }: Attempt<T>, now: number): void {
  if (!verdict.lost && !isPage(result)) return;
  lost.push({ from, to: now, late: verdict.lost === 'at-any-time' });
}

/** Work that may be done after its answer was lost is attributed to that attempt until the next one begins. */
function endAtNextAttempt(lost: LostAttempt[], begin: number): void {
  const last = lost.at(-1);
  if (last?.late) last.to = begin;
}

/** Whether something else has answered instead of the control plane; the work may have been done anyway. */
function isPage<T>(result: Result<T>): boolean {
  return 'body' in result && result.body.kind === 'page' && result.status < 300;
}

/** Whether the server itself has answered, and not a gateway, whose clock may differ. */
function isItsOwn<T>(result: Result<T>, { again, lost }: Verdict): boolean {
  return 'body' in result && result.body.kind !== 'page' && !again && !lost;
}
