import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classify, codeOf, inWords } from '../../src/runai/failures.ts';
import { attemptLimit, type Failure, judge, pauseBefore, retryAfter } from '../../src/runai/retry.ts';

describe('whether a request is sent again, and whether it may have been carried out', () => {
  const status = (code: number) => ({ status: code, unreadable: false });
  const failure = (kind: Failure) => ({ failure: kind });
  it.each([
    ['200', status(200), 'done'],
    ['204', status(204), 'done'],
    ['400', status(400), 'done'],
    ['401', status(401), 'done'],
    ['403', status(403), 'done'],
    ['404', status(404), 'done'],
    ['409', status(409), 'done'],
    ['422', status(422), 'done'],
    ['501', status(501), 'done'],
    ['303', status(303), 'done, lost by-now'],
    ['408', status(408), 'again, lost at-any-time'],
    ['425', status(425), 'again'],
    ['429', status(429), 'again'],
    ['500', status(500), 'again, lost by-now'],
    ['502', status(502), 'again, lost by-now'],
    ['503', status(503), 'again, lost by-now'],
    ['504', status(504), 'again, lost at-any-time'],
    ['a 201 that cannot be used', { status: 201, unreadable: true }, 'again, lost by-now'],
    ['refused', failure('refused'), 'again'],
    ['unknown host', failure('unknown-host'), 'again'],
    ['no route', failure('no-route'), 'again'],
    ['reset', failure('reset'), 'again, lost at-any-time'],
    ['time-out', failure('timeout'), 'again, lost at-any-time'],
    ['not HTTP', failure('protocol'), 'again, lost at-any-time'],
    ['broken TLS', failure('tls'), 'again'],
    ['untrusted certificate', failure('certificate'), 'done'],
    ['refused by the proxy', failure('proxy-refused'), 'done'],
  ])('%s', (_name, outcome, expected) => {
    const { again, lost } = judge(outcome);
    expect([again ? 'again' : 'done', ...(lost ? [`lost ${lost}`] : [])].join(', ')).toBe(expected);
  });
});

describe('what a Retry-After header asks for', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  it.each([
    ['nothing', undefined, undefined],
    ['seconds', '120', 120_000],
    ['no seconds', '0', 0],
    ['seconds with blanks', ' 7 ', 7_000],
    ['a date', 'Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
    ['a date that is over', 'Wed, 31 Dec 2025 23:59:00 GMT', 0],
    ['a negative number', '-1', undefined],
    ['a fraction', '1.5', undefined],
    ['garbage', 'soon', undefined],
    ['a date with something before it', '1 Thu, 01 Jan 2026 00:01:00 GMT', undefined],
    ['an empty text', '', undefined],
    ['a bare year', '2027', 2_027_000],
  ])('%s', (_name, header, expected) => {
    expect(retryAfter(header, now)).toBe(expected);
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

describe('errors of Node', () => {
  const error = (code: unknown) => Object.assign(new Error('secret text'), { code });
  it.each<[string, Failure]>([
    ['ECONNREFUSED', 'refused'],
    ['ENOTFOUND', 'unknown-host'],
    ['EAI_AGAIN', 'unknown-host'],
    ['ENETUNREACH', 'no-route'],
    ['EHOSTUNREACH', 'no-route'],
    ['ECONNRESET', 'reset'],
    ['EPIPE', 'reset'],
    ['ETIMEDOUT', 'timeout'],
    ['ABORT_ERR', 'timeout'],
    ['HPE_INVALID_CONSTANT', 'protocol'],
    ['EPROTO', 'tls'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'tls'],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'tls'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'certificate'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'certificate'],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'certificate'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'certificate'],
    ['CERT_HAS_EXPIRED', 'certificate'],
    ['CERT_NOT_YET_VALID', 'certificate'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'certificate'],
    ['SOMETHING_ELSE', 'reset'],
  ])('%s means %s', (code, expected) => {
    expect(classify(error(code))).toBe(expected);
    expect(inWords(expected, { peer: 'example.com:443', code: codeOf(error(code)) })).toMatch(
      /^got no answer: .* \(example\.com:443, [A-Z0-9_]+\)$/,
    );
  });

  it('is named with the host, and with its code where it has one', () => {
    expect(inWords('refused', { peer: 'x:1', code: 'ECONNREFUSED' })).toBe(
      'got no answer: the connection was refused (x:1, ECONNREFUSED)',
    );
    expect(inWords('refused', { peer: 'x:1', code: 'unknown' })).toBe(
      'got no answer: the connection was refused (x:1)',
    );
  });

  it.each([
    [null],
    ['text'],
    [error('a ECONNRESET')],
    [error('ECONNRESET a')],
    [error(7)],
    [error('with blanks')],
    [new Error('x')],
  ])('without a code show none: %s', (thrown) => {
    expect(codeOf(thrown)).toBe('unknown');
    expect(inWords(classify(thrown), { peer: 'x:1', code: codeOf(thrown) })).not.toContain('secret');
  });
});
