import { describe, expect, it } from 'vitest';
import type { InputsFor } from '../../src/inputs.ts';
import { createUser as createUsers } from '../../src/modes/create-user.ts';
import { createUser } from '../../src/runai/users.ts';
import type { SimulatorOptions, Version } from '../simulator/simulator.ts';
import { connect, failure, type Setup, sent, signedIn } from '../support/client.ts';
import { contextFor } from '../support/context.ts';

const email = 'jo@example.com';
const one = { email, resetPassword: false, notify: undefined, ifExists: 'fail' as const };

describe.each<Version>(['2.20', '2.24', '3.0'])('a user on %s', (version) => {
  it('is created with a temporary password that works', async () => {
    await using setup = await signedIn({}, { version });
    const user = await createUser(setup.client, one);
    expect(user).toMatchObject({ created: true, username: email, flaw: undefined, id: setup.simulator.users[1]?.id });
    expect(setup.simulator.isValidPassword(email, user.temporaryPassword!)).toBe(true);
    expect(setup.simulator.violations).toEqual([]);
  });
});

describe('what is sent', () => {
  it.each([
    ['without notify', undefined, { email, resetPassword: true }],
    ['with notify', true, { email, resetPassword: true, notify: true }],
    ['with notify: false', false, { email, resetPassword: true, notify: false }],
  ])('%s', async (_how, notify, body) => {
    await using setup = await signedIn({}, { version: '3.0' });
    await createUser(setup.client, { ...one, resetPassword: true, notify });
    expect(JSON.parse(setup.simulator.requests[0]!.body)).toEqual(body);
  });
});

describe('a single sign-on user', () => {
  it('has no password that could be reset, and the message says so', async () => {
    await using setup = await signedIn();
    setup.simulator.addUser({ email, isLocal: false });
    const error = await failure(createUser(setup.client, { ...one, ifExists: 'rotate' }));
    expect(error.code).toBe('single-sign-on');
    expect(error.describe()).toBe(
      'jo@example.com signs in through an identity provider. Such a user has no password here that could be reset: use if-exists: skip.',
    );
    expect(sent(setup).some((request) => request.includes('/password'))).toBe(false);
  });

  it('is left alone by skip', async () => {
    await using setup = await signedIn();
    setup.simulator.addUser({ email, isLocal: false });
    expect((await createUser(setup.client, { ...one, ifExists: 'skip' })).created).toBe(false);
  });
});

describe('several users in one step', () => {
  const emails = Array.from({ length: 12 }, (_, at) => `user-${at}@example.com`);

  interface Given extends Partial<InputsFor<'create-user'>> {
    budget?: number;
    options?: SimulatorOptions;
    prepare?: (setup: Setup) => void;
  }

  async function run({ budget = 60_000, options = {}, prepare, ...more }: Given) {
    const setup = await connect({ budget }, options);
    prepare?.(setup);
    const { url, admin } = setup.simulator;
    const credentials = { by: 'user' as const, ...admin };
    const common = { mode: 'create-user' as const, url, credentials, roots: undefined, timeoutSeconds: 60 };
    const rest = { emails, resetPassword: false, notify: undefined, ifExists: 'fail' as const, accessRules: [] };
    const context = contextFor(setup);
    const problem = createUsers({ ...common, ...rest, ...more }, context).then(
      () => undefined,
      (error: unknown) => error,
    );
    const error = await problem;
    const { users, 'temporary-passwords': passwords } = context.outputs;
    return {
      setup,
      context,
      error: error as Error & { code?: string },
      users: JSON.parse(users as string) as { email: string; id?: string; created?: boolean; error?: string }[],
      passwords: JSON.parse(passwords as string) as Record<string, string>,
      [Symbol.asyncDispose]: () => setup.simulator.close(),
    };
  }

  it('take one grant and one request each, and are reported in the order of the input', async () => {
    await using result = await run({});
    expect(result.error).toBeUndefined();
    expect(sent(result.setup).sort()).toEqual(['POST /api/v1/token', ...emails.map(() => 'POST /api/v1/users')]);
    expect(result.users.map((user) => user.email)).toEqual(emails);
    for (const [address, password] of Object.entries(result.passwords)) {
      expect(result.setup.simulator.isValidPassword(address, password)).toBe(true);
      expect(result.setup.masks).toContain(password);
    }
    expect(Object.keys(result.passwords)).toEqual(emails);
    expect(result.context.outputs).not.toHaveProperty('user-id');
  });

  it('get their access rules, with two more requests each', async () => {
    const accessRules = [{ role: 'Viewer', scopeType: 'project' as const, scopeId: '1' }];
    await using result = await run({ accessRules });
    expect(result.error).toBeUndefined();
    expect(result.setup.simulator.accessRules.map(({ subjectId }) => subjectId).sort()).toEqual([...emails].sort());
    expect(sent(result.setup)).toHaveLength(2 + 3 * emails.length);
  });

  it('get rules for the address as the server writes it', async () => {
    await using setup = await connect();
    setup.simulator.addUser({ email: 'Jo@Example.com' });
    const { url, admin } = setup.simulator;
    const credentials = { by: 'user' as const, ...admin };
    const common = { mode: 'create-user' as const, url, credentials, roots: undefined, timeoutSeconds: 60 };
    const accessRules = [{ role: 'Viewer', scopeType: 'project' as const, scopeId: '1' }];
    const rest = { resetPassword: false, notify: undefined, ifExists: 'skip' as const, accessRules };
    for (const address of ['jo@example.com', 'JO@example.com']) {
      await createUsers({ ...common, ...rest, emails: [address] }, contextFor(setup));
    }
    expect(setup.simulator.accessRules.map(({ subjectId }) => subjectId)).toEqual(['Jo@Example.com']);
  });

  it('are not stopped by one that fails, and the error lists which failed and why', async () => {
    await using result = await run({
      prepare: ({ simulator }) => {
        simulator.addUser({ email: emails[3]! });
        simulator.fault({ path: '/users', skip: 5, fault: { kind: 'status', status: 422 } });
      },
    });
    expect(result.error.code).toBe('conflict');
    const failed = result.users.filter(({ error }) => error !== undefined);
    expect(failed).toHaveLength(2);
    expect(failed[0]?.error).toMatch(/answered 409.*set if-exists to skip/);
    expect(result.error.message).toMatch(/^2 of 12 users failed:\n- user-\d+@example\.com: POST [^\n]*\n- user-/);
    expect(result.error.message).toContain('The outputs users and temporary-passwords show what was done');
    expect(Object.keys(result.passwords)).toHaveLength(10);
    for (const { email: address, error } of result.users) expect(address in result.passwords).toBe(error === undefined);
  });

  it.each([401, 403])('are not tried any more after a %i', async (status) => {
    await using result = await run({
      prepare: ({ simulator }) =>
        simulator.fault({ path: '/users', times: Infinity, fault: { kind: 'status', status } }),
    });
    expect(result.error.code).toBe(status === 401 ? 'token-rejected' : 'forbidden');
    const notTried = result.users.filter(({ error }) => error === 'not tried');
    expect(notTried.length).toBeGreaterThanOrEqual(emails.length - 5);
    expect(result.passwords).toEqual({});
  });

  it('are not tried any more after the deadline', async () => {
    await using result = await run({
      budget: 5_000,
      prepare: ({ simulator }) =>
        simulator.fault({ path: '/users', times: Infinity, fault: { kind: 'stall', when: 'before-head' } }),
    });
    expect(result.error.code).toBe('unreachable');
    expect(result.users.filter(({ error }) => error === 'not tried')).toHaveLength(emails.length - 5);
    expect(result.error.message).toContain('user-11@example.com: not tried');
  });

  it('with a single address are reported as one user', async () => {
    await using result = await run({ emails: [email] });
    expect(result.context.outputs).toMatchObject({
      'user-id': result.setup.simulator.users[1]?.id,
      email,
      created: true,
      'temporary-password': result.passwords[email],
    });
  });

  it('with a single address that fails, the error is that of the address', async () => {
    await using result = await run({ emails: [email], prepare: ({ simulator }) => void simulator.addUser({ email }) });
    expect(result.error.code).toBe('conflict');
    expect(result.error.message).not.toContain('users failed');
    expect(result.users).toEqual([{ email, error: expect.stringContaining('answered 409') }]);
    expect(result.passwords).toEqual({});
  });
});
