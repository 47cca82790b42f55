import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  attemptLimit,
  type Failure,
  isEnough,
  judge,
  type Outcome,
  patienceFor,
  pauseBefore,
  serverNow,
  type Verdict,
  waitAsked,
} from '../../src/http/retry.ts';

const status = (code: number): Outcome => ({ status: code, unreadable: false });
const failure = (kind: Failure): Outcome => ({ failure: kind });
const unreadable: Outcome = { status: 201, unreadable: true };

describe('whether a request is sent again, and whether it may have been carried out', () => {
  it.each<[string, Outcome, string]>([
    ['200', status(200), 'done'],
    ['204', status(204), 'done'],
    ['400', status(400), 'done'],
    ['401', status(401), 'done'],
    ['403', status(403), 'done'],
    ['404', status(404), 'done'],
    ['409', status(409), 'done'],
    ['422', status(422), 'done'],
    ['501', status(501), 'done'],
    ['300', status(300), 'done, lost by-now'],
    ['303', status(303), 'done, lost by-now'],
    ['408', status(408), 'again, lost at-any-time'],
    ['425', status(425), 'again'],
    ['429', status(429), 'again'],
    ['500', status(500), 'again, lost by-now'],
    ['502', status(502), 'again, lost by-now'],
    ['503', status(503), 'again, lost by-now'],
    ['504', status(504), 'again, lost at-any-time'],
    ['a 201 that cannot be used', unreadable, 'a-few-times, lost by-now'],
    ['refused', failure('refused'), 'again'],
    ['unknown host', failure('unknown-host'), 'for-a-while'],
    ['no name server', failure('no-name-server'), 'again'],
    ['no route', failure('no-route'), 'again'],
    ['reset', failure('reset'), 'again, lost at-any-time'],
    ['time-out', failure('timeout'), 'again, lost at-any-time'],
    ['not HTTP', failure('protocol'), 'a-few-times, lost at-any-time'],
    ['broken TLS', failure('tls'), 'again'],
    ['untrusted certificate', failure('certificate'), 'done'],
    ['refused by the proxy', failure('proxy-refused'), 'done'],
  ])('%s', (_name, outcome, expected) => {
    const { again, lost } = judge(outcome);
    const verdict = typeof again === 'string' ? again : again ? 'again' : 'done';
    expect([verdict, ...(lost ? [`lost ${lost}`] : [])].join(', ')).toBe(expected);
  });

  it.each<[string, Verdict['again'], { times: number; elapsed: number }, boolean]>([
    ['an answer that cannot be read, twice', 'a-few-times', { times: 2, elapsed: 1e6 }, false],
    ['an answer that cannot be read, three times', 'a-few-times', { times: 3, elapsed: 0 }, true],
    ['an unknown host, for less than 10 seconds', 'for-a-while', { times: 99, elapsed: 9_999 }, false],
    ['an unknown host, for 10 seconds', 'for-a-while', { times: 0, elapsed: 10_000 }, true],
    ['what is worth all the time there is', true, { times: 99, elapsed: 1e9 }, false],
    ['what is worth no other attempt', false, { times: 0, elapsed: 0 }, true],
  ])('was it tried enough: %s', (_name, again, seen, expected) => {
    expect(isEnough(again, seen)).toBe(expected);
  });
});

it.each<[string, Outcome, number]>([
  ['an unknown host, for 10 seconds', failure('unknown-host'), 10_000],
  ['a refused connection, to the end', failure('refused'), Number.POSITIVE_INFINITY],
  ['a 503, to the end', status(503), Number.POSITIVE_INFINITY],
])('how long it is tried: %s', (_what, outcome, expected) => {
  expect(patienceFor(outcome)).toBe(expected);
});

describe('what a Retry-After header asks for', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  it.each([
    ['nothing', undefined, undefined],
    ['seconds', '120', 120_000],
    ['no seconds', '0', 0],
    ['seconds with spaces', ' 7 ', 7_000],
    ['a date', 'Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
    ['a date that is over', 'Wed, 31 Dec 2025 23:59:00 GMT', 0],
    ['a negative number', '-1', undefined],
    ['a fraction', '1.5', undefined],
    ['garbage', 'soon', undefined],
    ['a date with something before it', '1 Thu, 01 Jan 2026 00:01:00 GMT', undefined],
    ['a date that is not one of HTTP', '1 Jan 2027 00:00:00 GMT', undefined],
    ['an empty text', '', undefined],
    ['a bare year', '2027', 2_027_000],
  ])('%s', (_name, header, expected) => {
    expect(waitAsked(header === undefined ? {} : { 'retry-after': header }, now)).toBe(expected);
  });

  it("is a date by the server's own clock, where it sent one", () => {
    const headers = { 'retry-after': 'Thu, 01 Jan 2026 01:00:10 GMT', date: 'Thu, 01 Jan 2026 01:00:00 GMT' };
    expect(waitAsked(headers, now)).toBe(10_000);
    expect(serverNow(headers, now)).toBe(now + 3_600_000);
    expect(serverNow({ date: 'today' }, now)).toBe(now);
    expect(serverNow({}, now)).toBe(now);
  });

  it.each([
    ['of 1970, as of a clock that was never set', 'Thu, 01 Jan 1970 00:10:00 GMT', false],
    ['of 2001, at the last second that counts as unset', 'Sun, 09 Sep 2001 01:46:40 GMT', false],
    ['of a second later', 'Sun, 09 Sep 2001 01:46:41 GMT', true],
    ['of 2286, at the last second that counts', 'Sat, 20 Nov 2286 17:46:39 GMT', true],
    ['of a second later', 'Sat, 20 Nov 2286 17:46:40 GMT', false],
  ])("is compared with the server's clock, unless that shows a time %s", (_when, date, counts) => {
    expect(serverNow({ date }, now)).toBe(counts ? Date.parse(date) : now);
  });
});

describe('the pause before another attempt', () => {
  const pause = (attempts: number, more = {}) =>
    pauseBefore({ attempts, budget: 3_600_000, asked: undefined, random: 1, ...more });

  it('doubles up to half a minute', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 20].map((attempts) => pause(attempts))).toEqual([
      500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000,
    ]);
  });

  it('is never more than a sixth of the run', () => {
    expect(pause(10, { budget: 6_000 })).toBe(1_000);
  });

  it('comes on top of what the server asks for', () => {
    expect(pause(3, { asked: 5_000, random: 0.5 })).toBe(6_000);
  });

  it('has full jitter', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.double({ min: 0, max: 1, noNaN: true }), (attempts, random) => {
        expect(pause(attempts, { random })).toBe(Math.round(pause(attempts) * random));
      }),
    );
  });
});

it.each([
  [1_000, 5_000],
  [20_000, 5_000],
  [60_000, 15_000],
  [3_600_000, 60_000],
])('a run of %i ms gives each attempt at most %i ms', (budget, expected) => {
  expect(attemptLimit(budget)).toBe(expected);
});
