import type { IncomingHttpHeaders } from 'node:http';

/** Why a request got no complete answer. */
export type Failure =
  | 'refused'
  | 'unknown-host'
  | 'no-name-server'
  | 'no-route'
  | 'reset'
  | 'timeout'
  | 'protocol'
  | 'tls'
  | 'certificate'
  | 'proxy-refused';

export type Outcome = { failure: Failure } | { status: number; unreadable: boolean };

export interface Verdict {
  /** Whether the request is worth sending again: until the deadline, or only a few times, or only for a while. */
  again: boolean | 'a-few-times' | 'for-a-while';
  /**
   * Whether the server may have done the work without us knowing: by the time of its answer or, if something else
   * answered or gave up, at any time after that.
   */
  lost: false | 'by-now' | 'at-any-time';
}

const retryableStatuses = new Set([408, 425, 429, 500, 502, 503, 504]);
const neverArrived = new Set<Failure>([
  'refused',
  'unknown-host',
  'no-name-server',
  'no-route',
  'tls',
  'certificate',
  'proxy-refused',
]);
const gaveUp = new Set([408, 504]);
const hopeless = new Set<Failure>(['certificate', 'proxy-refused']);
// The fault may pass, but rarely does.
const stubborn: Partial<Record<Failure, Verdict['again']>> = {
  protocol: 'a-few-times',
  'unknown-host': 'for-a-while',
};

/** What an outcome means for the request: whether to send it again, and whether it may have been carried out. */
export function judge(outcome: Outcome): Verdict {
  if ('failure' in outcome) {
    const { failure } = outcome;
    const again = stubborn[failure] ?? !hopeless.has(failure);
    return { again, lost: neverArrived.has(failure) ? false : 'at-any-time' };
  }
  const { status, unreadable } = outcome;
  // A redirect can be a server's way to say that it has done the work (RFC 9110, 15.4.4).
  const answered = unreadable || (status >= 300 && status < 400) || (status >= 500 && status !== 501);
  const lost = gaveUp.has(status) ? 'at-any-time' : answered && 'by-now';
  return { again: unreadable ? 'a-few-times' : retryableStatuses.has(status), lost };
}

/** How many times a request is sent if its answer cannot be read. */
const UNREADABLE_LIMIT = 3;
/** How long a host name that does not exist is looked up, in milliseconds. */
const UNKNOWN_HOST_LIMIT = 10_000;

/** How long a request with this outcome is retried, in milliseconds, if the deadline allows. */
export function patienceFor(outcome: Outcome): number {
  return 'failure' in outcome && outcome.failure === 'unknown-host' ? UNKNOWN_HOST_LIMIT : Number.POSITIVE_INFINITY;
}

/**
 * Whether a request was sent often enough, or for long enough.
 * @param times how often the outcome was one that is tried `a-few-times`
 * @param elapsed milliseconds since the first attempt
 */
export function isEnough(again: Verdict['again'], { times, elapsed }: { times: number; elapsed: number }): boolean {
  if (again === 'for-a-while') return elapsed >= UNKNOWN_HOST_LIMIT;
  return again === 'a-few-times' ? times >= UNREADABLE_LIMIT : !again;
}

/**
 * The time that the headers of an answer ask for before another attempt, in milliseconds, or undefined if they say
 * nothing usable. A date is compared with the server's own clock if it sent one (RFC 9110, 10.2.3).
 */
export function waitAsked(headers: IncomingHttpHeaders, ours: number): number | undefined {
  const text = headers['retry-after']?.trim() ?? '';
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  // Date.parse() takes almost anything; an HTTP date starts with the name of a day.
  const date = /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - serverNow(headers, ours));
}

/** No server's clock shows a time before 2001 or after 2286. */
const [EARLIEST, LATEST] = [1e12, 1e13];

/** The time on the server's clock, in milliseconds since the epoch; ours if it sent no `Date`. */
export function serverNow(headers: IncomingHttpHeaders, ours: number): number {
  const date = Date.parse(headers.date ?? '');
  return date > EARLIEST && date < LATEST ? date : ours;
}

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 30_000;

export interface PauseOptions {
  /** How many attempts were made. */
  attempts: number;
  /** The time for the whole run, in milliseconds. */
  budget: number;
  /** How long the server asked to wait, in milliseconds. */
  asked: number | undefined;
  /** A number from 0 to 1. */
  random: number;
}

/**
 * The pause before the next attempt, in milliseconds: exponential growth with full jitter, never shorter than what
 * the server asked for; the jitter comes on top of that, so that many runs do not all come back at once.
 */
export function pauseBefore({ attempts, budget, asked, random }: PauseOptions): number {
  const longest = Math.min(LONGEST_PAUSE, budget / 6, FIRST_PAUSE * 2 ** (attempts - 1));
  return Math.round((asked ?? 0) + random * longest);
}

/** How long one attempt may take, connecting included: room for four in a run, from 5 seconds up to a minute. */
export function attemptLimit(budget: number): number {
  return Math.min(60_000, Math.max(5_000, budget / 4));
}
