// An answer that never came, or that nobody could read, to a request that may have been carried out.
import { describe, expect, it } from 'vitest';
import { RunaiError } from '../../src/errors.ts';
import { createApplication, deleteApplication, findApplication, resetSecret } from '../../src/runai/applications.ts';
import { controlPlane } from '../../src/runai/service.ts';
import { createUser } from '../../src/runai/users.ts';
import type { Fault, SimulatorOptions, Version } from '../simulator/simulator.ts';
import { answering } from '../support/answering.ts';
import { connect, failure, type Setup, sent, signedIn, signIn, testClock } from '../support/client.ts';

const name = 'ci-app';
const email = 'jo@example.com';
const create = ({ client }: Setup) => createApplication(client, { name, ifExists: 'fail' });
const user = ({ client }: Setup, ifExists: 'fail' | 'rotate' = 'fail') =>
  createUser(client, { email, resetPassword: false, notify: undefined, ifExists });

const reset: Fault = { kind: 'reset', when: 'before-head', work: true };
const lostAnswers: [string, Fault][] = [
  ['a reset before the answer', reset],
  ['a reset in the head', { kind: 'reset', when: 'in-head', work: true }],
  ['a reset in the body', { kind: 'reset', when: 'in-body', work: true }],
  ['an end in the body', { kind: 'end', when: 'in-body', work: true }],
  ['a stall before the answer', { kind: 'stall', when: 'before-head', work: true }],
  ['a stall in the body', { kind: 'stall', when: 'in-body', work: true }],
  ['408', { kind: 'status', status: 408, work: true }],
  ['500', { kind: 'status', status: 500, work: true }],
  ['a page with 502', { kind: 'html', status: 502, work: true }],
  ['503', { kind: 'status', status: 503, work: true }],
  ['504', { kind: 'status', status: 504, work: true }],
  ['half of its JSON', { kind: 'truncated', work: true }],
  ['an empty answer', { kind: 'empty', status: 201, work: true }],
  ['a web page', { kind: 'html', status: 200, work: true }],
  ['an answer without the secret', { kind: 'transform', change: () => ({ name }) }],
  ['an endless answer', { kind: 'endless', status: 201, work: true }],
];

describe.each<Version>(['2.22', '3.0'])('a create whose answer was lost on %s is done once', (version) => {
  it.concurrent.each(lostAnswers)('to %s: an application', async (_how, fault) => {
    await using setup = await signedIn({}, { version });
    setup.simulator.fault({ method: 'POST', path: version === '3.0' ? '/service-accounts' : '/apps', fault });
    const issued = await create(setup);
    expect(issued).toMatchObject({ created: true, name, flaw: undefined });
    expect(setup.simulator.isValidSecret(issued.clientId!, issued.clientSecret!)).toBe(true);
    expect(setup.simulator.applications).toHaveLength(1);
    expect(setup.masks).toContain(issued.clientSecret);
  });

  it.concurrent.each(lostAnswers)('to %s: a user', async (_how, fault) => {
    await using setup = await signedIn({}, { version });
    setup.simulator.fault({ method: 'POST', path: '/users', fault });
    const issued = await user(setup);
    expect(issued).toMatchObject({ created: true, flaw: undefined });
    expect(setup.simulator.isValidPassword(email, issued.temporaryPassword!)).toBe(true);
    expect(setup.simulator.users.filter(({ username }) => username === email)).toHaveLength(1);
  });
});

describe('own work is recognised', () => {
  async function recognised(options: SimulatorOptions = {}, clock = testClock()) {
    await using setup = await signedIn({ clock }, options);
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: reset });
    return (await create(setup)).created;
  }

  it.each([
    ['an hour ahead', 3_600_000],
    ['an hour behind', -3_600_000],
    ['half a second ahead', 500],
  ])('by the server’s clock, though that is %s', async (_how, lead) => {
    const clock = testClock();
    expect(await recognised({ now: () => clock.now() + lead }, clock)).toBe(true);
  });

  it('by a time that is truncated to the second', async () => {
    const cut = (json: unknown) =>
      (json as { createdAt: string }[]).map((item) => ({ ...item, createdAt: item.createdAt.replace(/\.\d+/, '') }));
    await using setup = await signedIn();
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: reset });
    setup.simulator.fault({ method: 'GET', path: '/apps', fault: { kind: 'transform', change: cut } });
    expect((await create(setup)).created).toBe(true);
  });

  it('whatever the clock of another server shows', async () => {
    await using setup = await connect();
    const date = new Date(setup.clock.now() + 86_400_000).toUTCString();
    await using ahead = await answering(() => ({ json: {}, headers: { date } }));
    await setup.transport.send({ method: 'GET', url: ahead.url, service: controlPlane });
    await signIn(setup.client, setup.simulator);
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: reset });
    expect((await create(setup)).created).toBe(true);
  });

  it('whatever the clock of a gateway that answers instead shows', async () => {
    await using setup = await signedIn();
    const headers = { date: new Date(setup.clock.now() + 86_400_000).toUTCString() };
    setup.simulator.fault({
      method: 'POST',
      path: '/apps',
      fault: { kind: 'status', status: 502, headers, work: true },
    });
    expect((await create(setup)).created).toBe(true);
  });
});

describe('a reset whose answer was lost', () => {
  async function rotating(fault: Fault, options: Parameters<typeof signedIn>[0] = {}) {
    const setup = await signedIn(options);
    setup.simulator.addApplication({ name, secret: 'the-old-secret' });
    setup.simulator.fault({ method: 'POST', path: '/secret', fault });
    const application = (await findApplication(setup.client, { name }))!;
    setup.simulator.requests.length = 0;
    return { setup, rotated: () => resetSecret(setup.client, application) };
  }

  it.each(lostAnswers.filter(([how]) => !how.includes('stall')))(
    'to %s is sent again, and 5 seconds later the secret is tried',
    async (_how, fault) => {
      const { setup, rotated } = await rotating(fault);
      await using _ = setup;
      const issued = await rotated();
      expect(issued.flaw).toBeUndefined();
      expect(setup.simulator.isValidSecret(name, issued.clientSecret!)).toBe(true);
      expect(sent(setup).map((request) => request.replace(/apps\/[-0-9a-f]+/, 'apps/*'))).toEqual([
        'POST /api/v1/apps/*/secret',
        'POST /api/v1/apps/*/secret',
        'POST /api/v1/token',
      ]);
      expect(setup.clock.pauses.at(-1)).toBe(5_000);
    },
  );

  it('and which is carried out after the second, leaves no dead secret behind', async () => {
    const clock = testClock();
    const { setup, rotated } = await rotating({ kind: 'status', status: 504 }, { clock });
    await using _ = setup;
    const { sleep } = clock;
    clock.sleep = async (ms, signal) => {
      await sleep(ms, signal);
      // The control plane carries the first reset out while the run waits.
      if (ms === 5_000) setup.simulator.applications[0]!.secret = 'carried-out-late';
    };
    const issued = await rotated();
    expect(issued.flaw).toBeUndefined();
    expect(setup.simulator.isValidSecret(name, issued.clientSecret!)).toBe(true);
    expect(sent(setup).map((request) => request.split('/').at(-1))).toEqual(['secret', 'secret', 'token', 'secret']);
  });

  it('fails the step if no time is left to try the secret, which is published anyway', async () => {
    const { setup, rotated } = await rotating({ kind: 'status', status: 504 }, { budget: 4_000 });
    await using _ = setup;
    const issued = await rotated();
    expect(setup.simulator.isValidSecret(name, issued.clientSecret!)).toBe(true);
    expect(issued.flaw).toMatchObject({
      code: 'unverified',
      warning: expect.stringContaining('the client secret that was published stops working'),
      hint: 'Raise timeout-seconds. If the new secret does not work, use mode rotate-app, without rotate-after-days.',
    });
  });

  it('fails the step if the secret cannot be tried, which is published anyway', async () => {
    const { setup, rotated } = await rotating({ kind: 'status', status: 504 });
    await using _ = setup;
    setup.simulator.fault({ path: '/token', times: Infinity, fault: { kind: 'status', status: 404 } });
    const issued = await rotated();
    expect(setup.simulator.isValidSecret(name, issued.clientSecret!)).toBe(true);
    expect(issued.flaw).toMatchObject({
      warning: expect.stringContaining('the client secret that was published stops working'),
      hint: expect.stringContaining('use mode rotate-app, without rotate-after-days'),
    });
  });

  it('of a disabled application is sent until an answer is not lost, since its secret cannot be tried', async () => {
    const { setup, rotated } = await rotating({ kind: 'status', status: 504, work: true });
    await using _ = setup;
    setup.simulator.applications[0]!.enabled = false;
    const application = (await findApplication(setup.client, { name }))!;
    setup.simulator.requests.length = 0;
    const issued = await resetSecret(setup.client, application);
    expect(rotated).toBeDefined();
    expect(issued).toMatchObject({ flaw: undefined, enabled: false });
    expect(setup.simulator.applications[0]?.secret).toBe(issued.clientSecret);
    expect(sent(setup)).toHaveLength(3);
    expect(sent(setup).every((request) => request.endsWith('/secret'))).toBe(true);
  });

  it('of a password is sent again 5 seconds later, since it cannot be tried', async () => {
    const clock = testClock();
    await using setup = await signedIn({ clock });
    const { simulator } = setup;
    simulator.addUser({ email });
    simulator.fault({ method: 'POST', path: '/password', fault: { kind: 'status', status: 504 } });
    const { sleep } = clock;
    clock.sleep = async (ms, signal) => {
      await sleep(ms, signal);
      if (ms === 5_000) simulator.users.at(-1)!.password = 'carried-out-late';
    };
    const issued = await user(setup, 'rotate');
    expect(simulator.isValidPassword(email, issued.temporaryPassword!)).toBe(true);
    expect(sent(setup).filter((request) => request.endsWith('/password'))).toHaveLength(3);
  });
});

describe('the message says what may have been done, wherever the run ends after a lost answer', () => {
  const mayExist = 'An attempt may have created it anyway: run this again with if-exists: rotate';
  const once = (text: string, sentence: string) => expect(text.split(sentence)).toHaveLength(2);

  async function createThen(fault: Fault, method = 'POST', path: string | RegExp = '/apps') {
    const setup = await signedIn({ budget: 60_000 });
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: reset });
    setup.simulator.fault({ method, path, times: Infinity, fault });
    return setup;
  }

  it.each<[string, Fault, string, string | RegExp, string]>([
    ['it is refused', { kind: 'status', status: 403 }, 'POST', /apps|service/, 'forbidden'],
    ['a firewall steps in', { kind: 'html', status: 403 }, 'POST', /apps|service/, 'blocked'],
    ['it is not valid', { kind: 'status', status: 422 }, 'POST', '/apps', 'rejected'],
    ['the endpoints are gone', { kind: 'status', status: 404 }, 'POST', /apps|service/, 'not-run-ai'],
    ['a login page stands there', { kind: 'html', status: 200 }, 'POST', /apps|service/, 'unreadable'],
    ['it is redirected', { kind: 'redirect', status: 302, location: '/' }, 'POST', '/apps', 'redirect'],
    ['the server is away until the deadline', { kind: 'status', status: 503 }, 'POST', '/apps', 'unavailable'],
    ['the lookup is refused', { kind: 'status', status: 403 }, 'GET', /apps|service/, 'forbidden'],
    ['the lookup finds nothing', { kind: 'transform', change: () => [] }, 'GET', '/apps', 'conflict'],
    ['the reset is refused', { kind: 'status', status: 403 }, 'POST', '/secret', 'forbidden'],
    ['the reset fails until the deadline', { kind: 'status', status: 503 }, 'POST', '/secret', 'unavailable'],
    ['the token is no longer accepted', { kind: 'status', status: 401 }, 'POST', '/apps', 'token-rejected'],
  ])('when %s', async (_what, fault, method, path, code) => {
    await using setup = await createThen(fault, method, path);
    const error = await failure(create(setup));
    expect(error.code).toBe(code);
    once(error.describe(), mayExist);
  });

  it('when the second sign-in fails', async () => {
    await using setup = await createThen({ kind: 'status', status: 401 });
    setup.client.authorize('expired', () => Promise.reject(new RunaiError('credentials', 'refused')));
    const error = await failure(create(setup));
    expect(error.code).toBe('credentials');
    once(error.describe(), mayExist);
  });

  it('when the run is cancelled', async () => {
    const clock = testClock();
    await using setup = await signedIn({ clock });
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: reset });
    clock.sleep = async () => setup.cancellation.cancel('SIGTERM');
    const error = await failure(create(setup));
    expect(error).toMatchObject({ code: 'interrupted' });
    once(error.describe(), mayExist);
  });

  it('of a reset that is refused the second time', async () => {
    await using setup = await signedIn();
    setup.simulator.addApplication({ name });
    const application = (await findApplication(setup.client, { name }))!;
    setup.simulator.fault({ method: 'POST', path: '/secret', fault: reset });
    setup.simulator.fault({ method: 'POST', path: '/secret', fault: { kind: 'status', status: 403 } });
    const error = await failure(resetSecret(setup.client, application));
    expect(error.code).toBe('forbidden');
    once(error.describe(), 'An attempt may have issued a new secret anyway; if so, the old one no longer works');
  });

  it('of a delete that is refused the second time', async () => {
    await using setup = await signedIn();
    setup.simulator.addApplication({ name });
    const application = (await findApplication(setup.client, { name }))!;
    setup.simulator.fault({ method: 'DELETE', fault: { kind: 'status', status: 502, work: true } });
    setup.simulator.fault({ method: 'DELETE', fault: { kind: 'status', status: 403 } });
    const error = await failure(deleteApplication(setup.client, application));
    expect(error.code).toBe('forbidden');
    once(error.describe(), 'An attempt may have deleted it anyway.');
  });

  it('but not if nothing was lost', async () => {
    await using setup = await signedIn();
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'status', status: 429 } });
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'status', status: 422 } });
    expect((await failure(create(setup))).warning).toBeUndefined();
  });
});
