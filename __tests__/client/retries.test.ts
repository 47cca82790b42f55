import dns from 'node:dns';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { requestToken } from '../../src/runai/tokens.ts';
import { createUser } from '../../src/runai/users.ts';
import type { Fault } from '../simulator/simulator.ts';
import { adminGrant, clientFor, connect, failure, type Setup, sent, signedIn, testClock } from '../support/client.ts';

const grant = { type: 'password' as const, username: 'u', password: 'p' };
const token = ({ client, simulator }: Setup) => requestToken(client, adminGrant(simulator));

afterEach(() => vi.restoreAllMocks());

describe('a request that fails is sent again', () => {
  it.each([408, 425, 429, 500, 502, 503, 504])('with %i', async (status) => {
    await using setup = await connect();
    setup.simulator.fault({ times: 2, fault: { kind: 'status', status } });
    const { accessToken } = await token(setup);
    expect(setup.simulator.isValidToken(accessToken)).toBe(true);
    expect(sent(setup)).toEqual(Array(3).fill('POST /api/v1/token'));
    expect(setup.clock.pauses).toEqual([500, 1000]);
  });

  it.each<[string, Fault]>([
    ['is reset before the answer', { kind: 'reset', when: 'before-head' }],
    ['is reset in the head', { kind: 'reset', when: 'in-head' }],
    ['is reset in the body', { kind: 'reset', when: 'in-body' }],
    ['ends before the answer', { kind: 'end', when: 'before-head' }],
    ['ends in the head', { kind: 'end', when: 'in-head' }],
    ['ends in the body', { kind: 'end', when: 'in-body' }],
    ['stalls before the answer', { kind: 'stall', when: 'before-head' }],
    ['stalls in the head', { kind: 'stall', when: 'in-head' }],
    ['stalls in the body', { kind: 'stall', when: 'in-body' }],
    ['gets half of its JSON', { kind: 'truncated' }],
    ['gets no body', { kind: 'empty', status: 200 }],
    ['gets null', { kind: 'transform', change: () => null }],
    ['gets a list', { kind: 'transform', change: () => [] }],
    ['gets an endless body', { kind: 'endless', status: 200 }],
    ['gets an endless compressed body', { kind: 'gzip-bomb' }],
    ['gets a number for a token', { kind: 'transform', change: () => ({ accessToken: 7 }) }],
  ])('because it %s', async (_how, fault) => {
    await using setup = await connect();
    setup.simulator.fault({ fault });
    const { accessToken } = await token(setup);
    expect(setup.simulator.isValidToken(accessToken)).toBe(true);
    expect(sent(setup)).toHaveLength(2);
  });

  it('and the first time, the log says so, and for how long', async () => {
    await using setup = await connect({ budget: 60_000 });
    const until = new Date(setup.clock.now() + 60_000).toISOString().slice(0, 16);
    setup.simulator.fault({ times: 3, fault: { kind: 'status', status: 503 } });
    await token(setup);
    const lines = setup.log.filter((line) => line.includes('trying again'));
    expect(lines).toEqual([
      expect.stringMatching(/^POST http:\S+\/api\/v1\/token answered 503: ".*"; trying again until \d{4}-.*Z$/),
    ]);
    expect(lines[0]).toContain(`until ${until}`);
  });
});

it.each([400, 401, 403, 404, 409, 422])('a request with %i is not sent again', async (status) => {
  await using setup = await signedIn();
  setup.simulator.fault({ times: Infinity, path: '/users', fault: { kind: 'status', status } });
  const user = { email: 'jo@example.com', resetPassword: false, notify: undefined, ifExists: 'fail' as const };
  expect((await failure(createUser(setup.client, user))).status).toBe(status);
  expect(sent(setup)).toEqual(['POST /api/v1/users']);
});

describe('an answer that stays unusable', () => {
  it.each<[string, Fault, object]>([
    [
      'half of its JSON',
      { kind: 'truncated' },
      { code: 'unreadable', message: 'answered 200 with a body that is not JSON' },
    ],
    ['nothing', { kind: 'empty' }, { code: 'unreadable', message: 'answered 200 with an empty body' }],
    [
      'too much',
      { kind: 'endless' },
      { code: 'unreadable', message: 'answered 200 with a body that is broken or larger than 2 MiB' },
    ],
    [
      'a header of more than 16 kB',
      { kind: 'headers', headers: { 'x-long': 'x'.repeat(17_000) } },
      { code: 'unreachable', message: expect.stringContaining('the answer was not valid HTTP') },
    ],
  ])('ends the run after three attempts: %s', async (_what, fault, expected) => {
    await using setup = await connect();
    setup.simulator.fault({ times: Infinity, fault });
    expect(await failure(token(setup))).toMatchObject({ ...expected, attempts: 3 });
    expect(sent(setup)).toHaveLength(3);
  });

  it('does so although other faults come between', async () => {
    await using setup = await connect();
    for (let count = 0; count < 3; count++) {
      setup.simulator.fault({ fault: { kind: 'status', status: 503 } });
      setup.simulator.fault({ fault: { kind: 'truncated' } });
    }
    expect(await failure(token(setup))).toMatchObject({ code: 'unreadable', attempts: 6 });
  });
});

describe('Retry-After', () => {
  it('is obeyed, in seconds or as a date, with jitter on top', async () => {
    await using setup = await connect();
    const inTenSeconds = new Date(setup.clock.now() + 10_000).toUTCString();
    for (const value of ['7', inTenSeconds, 'soon']) {
      setup.simulator.fault({ fault: { kind: 'status', status: 429, headers: { 'retry-after': value } } });
    }
    await token(setup);
    const [first, second = 0, third] = setup.clock.pauses;
    expect(first).toBe(7_500);
    expect(second).toBeGreaterThan(1_000);
    expect(second).toBeLessThanOrEqual(11_000);
    expect(third).toBe(2_000);
  });

  it('is compared with the server’s clock if it is a date', async () => {
    const clock = testClock();
    const now = () => clock.now() + 3_600_000;
    await using setup = await connect({ clock }, { now });
    const headers = { 'retry-after': new Date(now() + 10_000).toUTCString() };
    setup.simulator.fault({ fault: { kind: 'status', status: 503, headers } });
    await token(setup);
    expect(clock.pauses[0]).toBeLessThanOrEqual(11_500);
  });

  it('that is past the deadline ends the run at once, and is reported', async () => {
    await using setup = await connect({ budget: 60_000 });
    const headers = { 'retry-after': '120' };
    setup.simulator.fault({ times: Infinity, fault: { kind: 'status', status: 429, headers } });
    const error = await failure(token(setup));
    expect(error).toMatchObject({ code: 'unavailable', status: 429, attempts: 1 });
    expect(error.describe()).toContain(
      'it asks to wait 120 s (1 attempt). Waiting that long would go past the deadline of 60 s (timeout-seconds): run the job again later, or raise timeout-seconds.',
    );
    expect(setup.clock.pauses).toEqual([]);
  });
});

describe('the deadline', () => {
  it('ends the attempts, and the error says how many there were, and where', async () => {
    const port = await freePort();
    const clock = testClock();
    await using setup = clientFor(`http://127.0.0.1:${port}`, { clock, budget: 60_000 });
    const error = await failure(requestToken(setup.client, grant));
    expect(error).toMatchObject({ code: 'unreachable', attempts: clock.pauses.length + 1 });
    expect(error.describe()).toContain(`the connection was refused (127.0.0.1:${port}, ECONNREFUSED)`);
    expect(clock.pauses).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000, 10_000]);
  });

  it('that cuts an attempt off leaves the cause that was seen before', async () => {
    await using setup = await connect({ budget: 5_000 });
    setup.simulator.fault({ fault: { kind: 'status', status: 503 } });
    setup.simulator.fault({ times: Infinity, fault: { kind: 'stall', when: 'before-head' } });
    expect(await failure(token(setup))).toMatchObject({ code: 'unavailable', status: 503 });
  });
});

describe('a host name that does not exist', () => {
  function resolving(code: string) {
    const lookup = (...all: unknown[]) => {
      const callback = all.at(-1) as (error: Error) => void;
      process.nextTick(() => callback(Object.assign(new Error(code), { code, syscall: 'getaddrinfo' })));
    };
    vi.spyOn(dns, 'lookup').mockImplementation(lookup as never);
    const clock = testClock();
    return { clock, setup: clientFor('https://control-plane.test', { clock, budget: 60_000 }) };
  }

  it('is looked up for 10 seconds, not until the deadline', async () => {
    const { clock, setup } = resolving('ENOTFOUND');
    const error = await failure(requestToken(setup.client, grant));
    expect(error.describe()).toContain('there is no such host name (control-plane.test:443, ENOTFOUND)');
    expect(clock.pauses).toEqual([500, 1000, 2000, 4000, 8000]);
  });

  it('that then turns up does not affect what follows', async () => {
    await using plane = await connect();
    const { clock } = plane;
    const real = dns.lookup;
    const spy = vi.spyOn(dns, 'lookup');
    for (let count = 0; count < 4; count++) {
      spy.mockImplementationOnce(((...all: unknown[]) => {
        const callback = all.at(-1) as (error: Error) => void;
        process.nextTick(() => callback(Object.assign(new Error('ENOTFOUND'), { code: 'ENOTFOUND' })));
      }) as never);
    }
    spy.mockImplementation(real as never);
    plane.simulator.fault({ fault: { kind: 'status', status: 503 } });
    plane.simulator.fault({ fault: { kind: 'truncated' } });
    await using setup = clientFor(plane.simulator.url.replace('127.0.0.1', 'localhost'), { clock });
    const { accessToken } = await requestToken(setup.client, adminGrant(plane.simulator));
    expect(plane.simulator.isValidToken(accessToken)).toBe(true);
    expect(clock.pauses).toHaveLength(6);
  });

  it('is distinguished from a name server that does not answer, which is asked until the deadline', async () => {
    const { clock, setup } = resolving('EAI_AGAIN');
    const error = await failure(requestToken(setup.client, grant));
    expect(error.describe()).toContain('the host name could not be looked up (control-plane.test:443, EAI_AGAIN)');
    expect(clock.pauses).toHaveLength(9);
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
