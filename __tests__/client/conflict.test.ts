// A 409: the object already exists. Who created it, and if-exists, decide what happens.
import { describe, expect, it } from 'vitest';
import { createApplication } from '../../src/runai/applications.ts';
import type { IfExists } from '../../src/runai/create.ts';
import { createUser } from '../../src/runai/users.ts';
import type { Fault, SimulatorOptions } from '../simulator/simulator.ts';
import { failure, type Setup, sent, signedIn, testClock } from '../support/client.ts';

const name = 'ci-app';
const email = 'jo@example.com';
const theirs = 'somebody-elses-secret';
const old = '2020-01-01T00:00:00Z';

const create = ({ client }: Setup, ifExists: IfExists) => createApplication(client, { name, ifExists });
const user = ({ client }: Setup, ifExists: IfExists) =>
  createUser(client, { email, resetPassword: false, notify: undefined, ifExists });

const untouched = ({ simulator }: Setup) => simulator.isValidSecret(name, theirs);
/** Whether a secret works, and the previous one does not. */
const replaced = (setup: Setup, secret: string | undefined) =>
  !untouched(setup) && setup.simulator.isValidSecret(name, secret ?? '');

describe('an application that exists', () => {
  async function existing(options: SimulatorOptions = {}) {
    const setup = await signedIn({}, options);
    setup.simulator.addApplication({ name, secret: theirs, createdAt: old });
    return setup;
  }

  it('fails the step with if-exists: fail, without a lookup, and the message lists the alternatives', async () => {
    await using setup = await existing();
    const error = await failure(create(setup, 'fail'));
    expect(error).toMatchObject({ code: 'conflict', status: 409, warning: undefined });
    expect(error.hint).toBe(
      'It already exists: set if-exists to skip to keep it, or to rotate to get a new secret or password for it.',
    );
    expect(sent(setup)).toEqual(['POST /api/v1/apps']);
    expect(untouched(setup)).toBe(true);
  });

  it('is left alone by skip, and its ids are published', async () => {
    await using setup = await existing({ clientIdOf: (name) => `client-of-${name}` });
    const [application] = setup.simulator.applications;
    expect(await create(setup, 'skip')).toMatchObject({
      created: false,
      clientSecret: undefined,
      name,
      id: application?.id,
      clientId: 'client-of-ci-app',
    });
    expect(application?.secret).toBe(theirs);
  });

  it('gets a new secret by rotate', async () => {
    await using setup = await existing();
    const issued = await create(setup, 'rotate');
    expect(issued.created).toBe(false);
    expect(replaced(setup, issued.clientSecret)).toBe(true);
    expect(setup.masks).toContain(issued.clientSecret);
  });

  it.each(['skip', 'rotate'] as const)('but is not in the list, is an error with %s', async (ifExists) => {
    await using setup = await existing();
    setup.simulator.fault({ method: 'GET', path: '/apps', fault: { kind: 'transform', change: () => [] } });
    const error = await failure(create(setup, ifExists));
    expect(error).toMatchObject({ code: 'conflict', warning: undefined });
    expect(error.hint).toContain('is not in the list that these credentials can see');
    expect(untouched(setup)).toBe(true);
  });
});

describe('a user that exists', () => {
  async function existing() {
    const setup = await signedIn();
    setup.simulator.addUser({ email: 'Jo@Example.com', password: theirs, createdAt: old });
    return setup;
  }

  it.each([
    [
      'skip',
      {
        created: false,
        temporaryPassword: undefined,
        username: 'Jo@Example.com',
        createdAt: '2020-01-01T00:00:00.000Z',
      },
    ],
    ['rotate', { created: false, temporaryPassword: expect.any(String), username: 'Jo@Example.com' }],
  ] as const)('is handled as if-exists says: %s', async (ifExists, expected) => {
    await using setup = await existing();
    const issued = await user(setup, ifExists);
    expect(issued).toMatchObject(expected);
    const password = issued.temporaryPassword ?? theirs;
    expect(setup.simulator.isValidPassword(email, password)).toBe(true);
  });

  it('fails the step with if-exists: fail', async () => {
    await using setup = await existing();
    expect((await failure(user(setup, 'fail'))).code).toBe('conflict');
    expect(setup.simulator.isValidPassword(email, theirs)).toBe(true);
  });
});

describe('somebody else’s application is never taken over after a lost answer', () => {
  const lost: Fault = { kind: 'reset', when: 'before-head', work: true };

  async function existing(createdAt: string | number, fault: Fault = lost) {
    const setup = await signedIn();
    setup.simulator.addApplication({ name, secret: theirs, createdAt });
    setup.simulator.fault({ method: 'POST', path: '/apps', fault });
    return setup;
  }

  it('when it is old: fail fails, skip leaves it alone, rotate does what was asked', async () => {
    for (const ifExists of ['fail', 'skip', 'rotate'] as const) {
      await using setup = await existing(old);
      if (ifExists === 'fail') {
        const error = await failure(create(setup, ifExists));
        expect(error).toMatchObject({ code: 'conflict', warning: undefined });
        expect(error.hint).toContain('set if-exists to skip');
      } else {
        expect((await create(setup, ifExists)).created).toBe(false);
      }
      expect(untouched(setup)).toBe(ifExists !== 'rotate');
    }
  });

  /** One that is made while the run waits for its next attempt, as a Retry-After asks. */
  async function madeMeanwhile(status: number) {
    const clock = testClock();
    const setup = await signedIn({ clock });
    const { sleep } = clock;
    clock.sleep = async (...all) => {
      await sleep(...all);
      setup.simulator.addApplication({ name, secret: theirs, createdAt: clock.now() });
    };
    const headers = { 'retry-after': '5' };
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'status', status, headers } });
    return setup;
  }

  it.each([500, 502, 503])('when it is made during the Retry-After of a %i', async (status) => {
    for (const ifExists of ['fail', 'skip'] as const) {
      await using setup = await madeMeanwhile(status);
      if (ifExists === 'fail') expect((await failure(create(setup, ifExists))).code).toBe('conflict');
      else expect((await create(setup, ifExists)).created).toBe(false);
      expect(untouched(setup)).toBe(true);
    }
  });

  // A gateway that has given up waiting may still have the work done, so the two cannot be told apart.
  it.each([408, 504])('but for one that is made before the next attempt, after a %i', async (status) => {
    await using setup = await madeMeanwhile(status);
    expect((await create(setup, 'fail')).created).toBe(true);
  });

  it.each([
    ['an hour ahead', 3_600_000],
    ['an hour behind', -3_600_000],
  ])('by the server’s clock, though that is %s', async (_how, lead) => {
    const clock = testClock();
    const now = () => clock.now() + lead;
    await using setup = await signedIn({ clock }, { now });
    setup.simulator.addApplication({ name, secret: theirs, createdAt: now() - 5_000 });
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'status', status: 502 } });
    expect((await failure(create(setup, 'fail'))).code).toBe('conflict');
    expect(untouched(setup)).toBe(true);
  });
});

describe('what may be this run’s own, and cannot be proved', () => {
  type Unproved = (setup: Setup) => string | number | null;
  const lost: Fault = { kind: 'reset', when: 'before-head' };
  const cases: [string, Unproved, SimulatorOptions][] = [
    ['because there is no time of creation', () => null, {}],
    ['because the server does not send its time', ({ clock }) => clock.now() + 50, { omitDate: true }],
    ['because it lies in the future', ({ clock }) => clock.now() + 60_000, {}],
    ['because its time has no zone', ({ clock }) => new Date(clock.now()).toISOString().replace('Z', ''), {}],
    ['because its time is of another form', ({ clock }) => new Date(clock.now()).toUTCString(), {}],
    ['because its time is none', () => 'x 2099', {}],
  ];

  async function existing(createdAt: Unproved, options: SimulatorOptions) {
    const setup = await signedIn({}, options);
    setup.simulator.addApplication({ name, secret: theirs, createdAt: createdAt(setup) });
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: lost });
    return setup;
  }

  it.each(cases)('%s, fails the step and says so', async (_why, createdAt, options) => {
    for (const ifExists of ['fail', 'skip'] as const) {
      await using setup = await existing(createdAt, options);
      const error = await failure(create(setup, ifExists));
      expect(error.code).toBe('conflict');
      expect(error.warning).toContain(
        'An earlier attempt of this run may have created it, and then its secret is lost',
      );
      expect(error.hint).toContain('run this again with if-exists: rotate');
      expect(untouched(setup)).toBe(true);
    }
  });

  it.each(cases)('%s, gets a secret by rotate', async (_why, createdAt, options) => {
    await using setup = await existing(createdAt, options);
    const issued = await create(setup, 'rotate');
    expect(issued.created).toBe(false);
    expect(replaced(setup, issued.clientSecret)).toBe(true);
  });

  it('holds for users as well', async () => {
    await using setup = await signedIn({}, { nullCreatedAt: true });
    setup.simulator.fault({
      method: 'POST',
      path: '/users',
      fault: { kind: 'reset', when: 'before-head', work: true },
    });
    expect(await failure(user(setup, 'skip'))).toMatchObject({
      code: 'conflict',
      warning: expect.stringContaining('may have created it'),
    });
  });
});
