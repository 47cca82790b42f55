import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createApplication, findApplication } from '../src/runai/applications.ts';
import { signIn } from '../src/runai/tokens.ts';
import { createUser, findUser } from '../src/runai/users.ts';
import type { Fault, MissingEndpoint, SimulatorOptions, Version } from './simulator/simulator.ts';
import { adminGrant, clientFor, connect, failure, type Setup, testClock } from './support/client.ts';

const name = 'ci-app';
const email = 'jo@example.com';
const newUser = { email, resetPassword: false, notify: undefined };

/** A client that has signed in, with the requests for that forgotten. */
async function signedIn(options: Parameters<typeof connect>[0] = {}, simulator: SimulatorOptions = {}): Promise<Setup> {
  const setup = await connect(options, simulator);
  await signIn(setup.client, adminGrant(setup.simulator));
  setup.simulator.requests.length = 0;
  return setup;
}

const sent = ({ simulator }: Setup) => simulator.requests.map(({ method, path }) => `${method} ${path}`);

describe('a request that fails', () => {
  it.each([408, 425, 429, 500, 502, 503, 504])('with %i is sent again', async (status) => {
    await using setup = await connect();
    setup.simulator.fault({ times: 2, fault: { kind: 'status', status } });
    const token = await signIn(setup.client, adminGrant(setup.simulator));
    expect(setup.simulator.isValidToken(token.accessToken)).toBe(true);
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
    ['gets a body without an end', { kind: 'endless', status: 200 }],
    ['gets a compressed body', { kind: 'gzip-bomb' }],
    ['gets a number for a token', { kind: 'transform', change: () => ({ accessToken: 7 }) }],
  ])('because it %s is sent again', async (_how, fault) => {
    await using setup = await connect();
    setup.simulator.fault({ times: 2, fault });
    const token = await signIn(setup.client, adminGrant(setup.simulator));
    expect(setup.simulator.isValidToken(token.accessToken)).toBe(true);
    expect(sent(setup)).toHaveLength(3);
  });

  it('with an answer that stays unusable ends after three attempts', async () => {
    await using setup = await connect();
    setup.simulator.fault({ times: Infinity, fault: { kind: 'truncated' } });
    const error = await failure(signIn(setup.client, adminGrant(setup.simulator)));
    expect(error).toMatchObject({ code: 'unreadable', status: 200, attempts: 3 });
    expect(error.describe()).toContain(
      'POST ' + setup.simulator.url + '/api/v1/token answered 200 with a body that is not JSON (3 attempts)',
    );
    expect(sent(setup)).toHaveLength(3);
  });

  it.each([400, 401, 403, 404, 409, 422])('with %i is not sent again', async (status) => {
    await using setup = await signedIn();
    setup.simulator.fault({ times: Infinity, path: '/users', fault: { kind: 'status', status } });
    const error = await failure(createUser(setup.client, { ...newUser, ifExists: 'fail' }));
    expect(error.status).toBe(status);
    expect(sent(setup)).toEqual(['POST /api/v1/users']);
  });

  it('waits as long as Retry-After asks, in seconds or until a date', async () => {
    await using setup = await connect();
    const inTenSeconds = new Date(setup.clock.now() + 10_000).toUTCString();
    for (const value of ['7', inTenSeconds, 'soon']) {
      setup.simulator.fault({ fault: { kind: 'status', status: 429, headers: { 'retry-after': value } } });
    }
    await signIn(setup.client, adminGrant(setup.simulator));
    const [first, second = 0, third] = setup.clock.pauses;
    expect(first).toBe(7_500);
    expect(second).toBeGreaterThan(1_000);
    expect(second).toBeLessThanOrEqual(11_000);
    expect(third).toBe(2_000);
  });

  it('ends at once when Retry-After lies past the deadline, and says so', async () => {
    await using setup = await connect({ budget: 60_000 });
    setup.simulator.fault({
      times: Infinity,
      fault: { kind: 'status', status: 503, headers: { 'retry-after': '120' } },
    });
    const error = await failure(signIn(setup.client, adminGrant(setup.simulator)));
    expect(error).toMatchObject({ code: 'unavailable', status: 503, attempts: 1 });
    expect(error.describe()).toContain(
      'asks to wait 120 s (1 attempt). Gave up, since the next attempt would come after the deadline of 60 s (timeout-seconds)',
    );
    expect(setup.clock.pauses).toEqual([]);
  });

  it('is tried until the deadline, then says how often, and where', async () => {
    const clock = testClock();
    const port = await freePort();
    await using setup = clientFor(`http://127.0.0.1:${port}`, { clock, budget: 60_000 });
    const error = await failure(signIn(setup.client, { type: 'password', username: 'u', password: 'p' }));
    expect(error).toMatchObject({ code: 'unreachable', attempts: clock.pauses.length + 1 });
    expect(error.describe()).toContain(`the connection was refused (127.0.0.1:${port}, ECONNREFUSED)`);
    expect(clock.pauses).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000, 10_000]);
  });

  it('names a host that is not known', async () => {
    await using setup = clientFor('https://control-plane.invalid', { clock: testClock(), budget: 2_000 });
    const error = await failure(signIn(setup.client, { type: 'password', username: 'u', password: 'p' }));
    expect(error.describe()).toMatch(/the host name could not be resolved \(control-plane\.invalid:443, E[A-Z_]+\)/);
  });

  it.each([301, 302, 303, 307, 308] as const)(
    'is not taken along by a redirect (%i), whose target is named',
    async (status) => {
      await using elsewhere = await connect();
      await using setup = await connect();
      const location = `${elsewhere.simulator.url}/login?state=1`;
      setup.simulator.fault({ times: Infinity, fault: { kind: 'redirect', status, location } });
      const error = await failure(signIn(setup.client, adminGrant(setup.simulator)));
      expect(error).toMatchObject({ code: 'redirect', status });
      expect(error.describe()).toContain(`If ${elsewhere.simulator.url} is your control plane, use it as url`);
      expect(error.describe()).not.toContain('login');
      expect(elsewhere.simulator.requests).toEqual([]);
      expect(sent(setup)).toHaveLength(1);
    },
  );

  it.each(['/elsewhere', 'not a url at all://', 'ftp://example.com/', ''])(
    'gets no advice from a redirect to %j',
    async (location) => {
      await using setup = await connect();
      setup.simulator.fault({ fault: { kind: 'redirect', status: 302, location } });
      const error = await failure(signIn(setup.client, adminGrant(setup.simulator)));
      expect(error.describe()).toContain('Check url, its path included');
    },
  );
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('the endpoints of a version', () => {
  const missing: MissingEndpoint[] = ['json-404', 'html-200', 'html-404', '405', '410', '501'];
  const cases = missing.flatMap((missingEndpoint) =>
    (['2.22', '2.24', '3.0', 'next'] as Version[]).map((version) => ({ version, missingEndpoint })),
  );

  it.each(cases)('of $version are found where missing ones answer $missingEndpoint', async (options) => {
    await using setup = await connect({}, options);
    const { client, simulator } = setup;
    const token = await signIn(client, adminGrant(simulator));
    expect(simulator.isValidToken(token.accessToken)).toBe(true);
    const { application, clientSecret, created } = await createApplication(client, { name, ifExists: 'fail' });
    expect(created).toBe(true);
    expect(simulator.isValidSecret(application.clientId, clientSecret ?? '')).toBe(true);
    expect(simulator.violations).toEqual([]);
    const wanted = {
      '2.20': [],
      '2.22': ['POST /api/v1/token', 'POST /api/v1/apps'],
      '2.24': ['POST /api/v1/token', 'POST /api/v1/apps'],
      '3.0': ['POST /api/v1/token', 'POST /api/v1/apps', 'POST /api/v1/service-accounts'],
      next: ['POST /api/v1/token', 'POST /api/v2/token', 'POST /api/v1/service-accounts'],
    };
    expect(sent(setup)).toEqual(wanted[options.version]);
  });

  it('are all missing on something that is not Run:ai', async () => {
    await using setup = await connect();
    setup.simulator.fault({ times: Infinity, fault: { kind: 'status', status: 404 } });
    const error = await failure(signIn(setup.client, adminGrant(setup.simulator)));
    expect(error.code).toBe('not-run-ai');
    expect(error.describe()).toContain(`${setup.simulator.url} has neither /api/v1/token nor /api/v2/token (404)`);
    expect(sent(setup)).toEqual(['POST /api/v1/token', 'POST /api/v2/token']);
  });

  it('are hidden by a log-in page', async () => {
    await using setup = await connect();
    setup.simulator.fault({ times: Infinity, fault: { kind: 'html', status: 200 } });
    const error = await failure(signIn(setup.client, adminGrant(setup.simulator)));
    expect(error.code).toBe('unreadable');
    expect(error.describe()).toContain('answered 200 with a web page');
    expect(error.describe()).toContain('whether a proxy or a log-in page stands in front of it');
  });

  it('keep a path prefix', async () => {
    await using setup = await connect({}, { pathPrefix: '/runai' });
    await signIn(setup.client, adminGrant(setup.simulator));
    expect(sent(setup)).toEqual(['POST /runai/api/v1/token']);
  });

  it('are called over one connection', async () => {
    await using setup = await connect();
    await signIn(setup.client, adminGrant(setup.simulator));
    await createApplication(setup.client, { name, ifExists: 'fail' });
    expect(setup.simulator.connections).toBe(1);
  });
});

const lostAnswers: [string, Fault][] = [
  ['a reset before the answer', { kind: 'reset', when: 'before-head', work: true }],
  ['a reset in the head', { kind: 'reset', when: 'in-head', work: true }],
  ['a reset in the body', { kind: 'reset', when: 'in-body', work: true }],
  ['an end in the body', { kind: 'end', when: 'in-body', work: true }],
  ['a stall before the answer', { kind: 'stall', when: 'before-head', work: true }],
  ['a stall in the body', { kind: 'stall', when: 'in-body', work: true }],
  ['408', { kind: 'status', status: 408, work: true }],
  ['500', { kind: 'status', status: 500, work: true }],
  ['502', { kind: 'html', status: 502, work: true }],
  ['503', { kind: 'status', status: 503, work: true }],
  ['504', { kind: 'status', status: 504, work: true }],
  ['half of its JSON', { kind: 'truncated', work: true }],
  ['an empty answer', { kind: 'empty', status: 201, work: true }],
  ['a web page', { kind: 'html', status: 200, work: true }],
  ['an answer without the id', { kind: 'transform', change: () => ({ name }) }],
  ['an endless answer', { kind: 'endless', status: 201, work: true }],
];

describe.each<Version>(['2.22', '2.24', '3.0'])('a create whose answer was lost (%s)', (version) => {
  it.each(lostAnswers)('to %s is this run’s own work: an application', async (_how, fault) => {
    await using setup = await signedIn({}, { version });
    setup.simulator.fault({ method: 'POST', path: version === '3.0' ? '/service-accounts' : '/apps', fault });
    const issued = await createApplication(setup.client, { name, ifExists: 'fail' });
    expect(issued).toMatchObject({ created: true, application: { name } });
    expect(setup.simulator.isValidSecret(issued.application.clientId, issued.clientSecret ?? '')).toBe(true);
    expect(setup.simulator.applications).toHaveLength(1);
    expect(setup.masks).toContain(issued.clientSecret);
  });

  it.each(lostAnswers)('to %s is this run’s own work: a user', async (_how, fault) => {
    await using setup = await signedIn({}, { version });
    setup.simulator.fault({ method: 'POST', path: '/users', fault });
    const issued = await createUser(setup.client, { ...newUser, ifExists: 'fail' });
    expect(issued.created).toBe(true);
    expect(setup.simulator.isValidPassword(email, issued.temporaryPassword ?? '')).toBe(true);
    expect(setup.simulator.users.filter(({ username }) => username === email)).toHaveLength(1);
  });
});

describe('an object that was there before', () => {
  const old = '2020-01-01T00:00:00Z';
  const secret = 'somebody-elses-secret';

  async function withOldApplication(options: SimulatorOptions = {}) {
    const setup = await signedIn({}, options);
    setup.simulator.addApplication({ name, secret, createdAt: old });
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'reset', when: 'before-head', work: true } });
    return setup;
  }

  it('is never taken over after a lost answer', async () => {
    await using setup = await withOldApplication();
    const error = await failure(createApplication(setup.client, { name, ifExists: 'fail' }));
    expect(error.code).toBe('conflict');
    expect(error.hint).toContain('set if-exists to skip');
    expect(setup.simulator.isValidSecret(name, secret)).toBe(true);
  });

  it('is left alone by skip', async () => {
    await using setup = await withOldApplication();
    const issued = await createApplication(setup.client, { name, ifExists: 'skip' });
    expect(issued).toMatchObject({ created: false, clientSecret: undefined, application: { name, clientId: name } });
    expect(setup.simulator.isValidSecret(name, secret)).toBe(true);
  });

  it('gets a new secret by rotate', async () => {
    await using setup = await withOldApplication();
    const issued = await createApplication(setup.client, { name, ifExists: 'rotate' });
    expect(issued.created).toBe(false);
    expect(setup.simulator.isValidSecret(name, secret)).toBe(false);
    expect(setup.simulator.isValidSecret(name, issued.clientSecret ?? '')).toBe(true);
  });

  it('without a time of creation is not ours', async () => {
    await using setup = await signedIn();
    setup.simulator.addApplication({ name, secret, createdAt: null });
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'status', status: 502 } });
    expect((await failure(createApplication(setup.client, { name, ifExists: 'fail' }))).code).toBe('conflict');
    expect(setup.simulator.isValidSecret(name, secret)).toBe(true);
  });

  it.each([
    ['an hour ahead', 3_600_000],
    ['an hour behind', -3_600_000],
  ])('is told from our own by the server’s clock, though it is %s', async (_how, lead) => {
    const clock = testClock();
    const now = () => clock.now() + lead;
    await using ours = await signedIn({ clock }, { now });
    ours.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'reset', when: 'before-head', work: true } });
    expect((await createApplication(ours.client, { name, ifExists: 'fail' })).created).toBe(true);
    await using theirs = await signedIn({ clock }, { now });
    theirs.simulator.addApplication({ name, secret, createdAt: now() - 5_000 });
    theirs.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'status', status: 502 } });
    expect((await failure(createApplication(theirs.client, { name, ifExists: 'fail' }))).code).toBe('conflict');
  });

  it('is not looked for when a conflict is final anyway', async () => {
    await using setup = await signedIn();
    setup.simulator.addApplication({ name });
    await failure(createApplication(setup.client, { name, ifExists: 'fail' }));
    expect(sent(setup)).toEqual(['POST /api/v1/apps']);
  });

  it('may have come from an attempt of ours, which a failure at the deadline says', async () => {
    await using setup = await signedIn({ budget: 5_000 });
    setup.simulator.fault({ method: 'POST', path: '/apps', times: Infinity, fault: { kind: 'status', status: 502 } });
    const error = await failure(createApplication(setup.client, { name, ifExists: 'fail' }));
    expect(error.describe()).toContain(
      'An attempt may have created it all the same: run this again with if-exists: rotate',
    );
  });
});

describe('looking for an existing object', () => {
  it('finds an application by its exact name or id', async () => {
    await using setup = await signedIn();
    for (const other of ['ci-app-2', 'my-ci-app']) setup.simulator.addApplication({ name: other });
    const { id } = setup.simulator.addApplication({ name });
    expect((await findApplication(setup.client, { name }))?.id).toBe(id);
    expect((await findApplication(setup.client, { id }))?.name).toBe(name);
    expect(await findApplication(setup.client, { name: 'ci' })).toBeUndefined();
  });

  it.each([
    ['that filters by a part of the address', {}],
    ['that ignores the filter', { ignoreUserFilter: true }],
    ['with short pages', { ignoreUserFilter: true, usersPageLimit: 2 }],
  ])('finds a user by the exact address, on a server %s', async (_how, options) => {
    await using setup = await signedIn({}, options);
    for (const other of ['xjo@example.com', 'jo@example.com.au', 'a@b.io', 'c@d.io'])
      setup.simulator.addUser({ email: other });
    const { id } = setup.simulator.addUser({ email: 'Jo@Example.com' });
    expect((await findUser(setup.client, email))?.id).toBe(id);
    expect(await findUser(setup.client, 'nobody@example.com')).toBeUndefined();
    expect(setup.simulator.violations).toEqual([]);
  });

  it('sends an address with special characters whole', async () => {
    await using setup = await signedIn();
    const special = 'jo+ci%x@example.com';
    setup.simulator.addUser({ email: special });
    expect((await findUser(setup.client, special))?.username).toBe(special);
    expect(setup.simulator.violations).toEqual([]);
  });

  it('resets no password of a user of single sign-on', async () => {
    await using setup = await signedIn();
    setup.simulator.addUser({ email, isLocal: false });
    const error = await failure(createUser(setup.client, { ...newUser, ifExists: 'rotate' }));
    expect(error.code).toBe('single-sign-on');
    expect((await createUser(setup.client, { ...newUser, ifExists: 'skip' })).created).toBe(false);
  });
});

describe('shapes of answers', () => {
  it('without a client id, the name stands for it', async () => {
    await using setup = await signedIn({}, { omitClientId: true });
    const { application } = await createApplication(setup.client, { name, ifExists: 'fail' });
    expect(application.clientId).toBe(name);
  });

  it('of a new user are those of the guide as well', async () => {
    await using setup = await signedIn({}, { guideShapes: true });
    const user = await createUser(setup.client, { ...newUser, ifExists: 'fail' });
    expect(user).toMatchObject({
      created: true,
      temporaryPassword: undefined,
      createdAt: expect.stringMatching(/^\d{4}-/),
    });
  });

  it('with everything in them are masked before they are returned', async () => {
    await using setup = await connect(
      {},
      { version: '2.22', tokenFields: { idToken: true, refreshToken: true, externalToken: true } },
    );
    const token = await signIn(setup.client, adminGrant(setup.simulator));
    for (const secret of [token.accessToken, token.idToken, token.refreshToken, token.externalToken]) {
      expect(setup.masks).toContain(secret);
    }
  });
});
