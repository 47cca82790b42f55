// create-user: one address or many, and what becomes of the others when one fails.
import { describe, expect, it } from 'vitest';
import type { Fault } from '../simulator/simulator.ts';
import type { StepResult } from '../support/runner.ts';
import { openStage, type Stage, sent } from '../support/stage.ts';

const addresses = (count: number) => Array.from({ length: count }, (_, at) => `user-${at}@acme.example`);
const createUsers = (emails: string[]) => ({ mode: 'create-user', email: emails.join('\n') });

interface Row {
  email: string;
  id?: string;
  created?: boolean;
  error?: string;
}

const rowsOf = ({ outputs }: StepResult): Row[] => JSON.parse(outputs['users'] ?? '');
const passwordsOf = ({ outputs }: StepResult): Record<string, string> =>
  JSON.parse(outputs['temporary-passwords'] ?? '');

/** Every password signs in, and each is masked by itself. */
function checkPasswords({ simulator }: Stage, result: StepResult, emails: string[]): void {
  const passwords = passwordsOf(result);
  expect(Object.keys(passwords).sort()).toEqual([...emails].sort());
  for (const [email, password] of Object.entries(passwords)) {
    expect(simulator.isValidPassword(email, password)).toBe(true);
    expect(result.masks).toContain(password);
  }
}

describe.concurrent('one address', () => {
  const email = 'ada@acme.example';

  it('has outputs of its own, beside those for several', async () => {
    await using stage = await openStage();
    const result = await stage.run({ mode: 'create-user', email });
    const { id } = stage.simulator.users.at(-1) ?? {};
    expect(result.outputs).toMatchObject({ 'user-id': id, email, created: 'true' });
    expect(rowsOf(result)).toEqual([{ email, id, created: true }]);
    checkPasswords(stage, result, [email]);
    expect(result.outputs['temporary-password']).toBe(passwordsOf(result)[email]);
  });

  it.each([
    [
      'the choices that are given',
      { 'reset-password': 'true', notify: 'false' },
      { email, resetPassword: true, notify: false },
    ],
    ['nothing more than is given', {}, { email, resetPassword: false }],
  ])('is sent with %s', async (_what, inputs, body) => {
    await using stage = await openStage({ version: '3.0' });
    await stage.run({ mode: 'create-user', email, ...inputs });
    expect(JSON.parse(sent(stage.simulator, 'POST', '/users')[0]?.body ?? '')).toEqual(body);
  });

  it.each([
    ['fail', 1, 'conflict', false],
    ['skip', 0, undefined, false],
    ['rotate', 0, undefined, true],
  ])('that exists, in another case, with if-exists: %s', async (ifExists, exitCode, code, hasPassword) => {
    await using stage = await openStage();
    const { password = '' } = stage.simulator.addUser({ email: 'Ada@ACME.example' });
    const result = await stage.run({ mode: 'create-user', email, 'if-exists': ifExists });
    expect(result.exitCode).toBe(exitCode);
    expect(result.outputs['error-code']).toBe(code);
    expect(Boolean(result.outputs['temporary-password'])).toBe(hasPassword);
    expect(stage.simulator.isValidPassword(email, password)).toBe(!hasPassword);
    if (exitCode === 0) expect(result.outputs['created']).toBe('false');
  });

  it('gets its rules under the name that the server knows it by', async () => {
    await using stage = await openStage();
    stage.simulator.addUser({ email: 'Ada@ACME.example' });
    const inputs = { mode: 'create-user', 'if-exists': 'skip', 'access-rules': 'Viewer @ project:1' };
    for (const one of [email, 'ADA@acme.example']) {
      expect((await stage.run({ ...inputs, email: one })).exitCode).toBe(0);
    }
    expect(stage.simulator.accessRules.map(({ subjectId }) => subjectId)).toEqual(['Ada@ACME.example']);
  });

  it('that failed has its error in users, too', async () => {
    await using stage = await openStage();
    stage.simulator.addUser({ email });
    const result = await stage.run({ mode: 'create-user', email });
    expect(rowsOf(result)).toEqual([{ email, error: expect.stringContaining('answered 409') }]);
    expect(passwordsOf(result)).toEqual({});
    expect(result.errors[0]).toContain('answered 409');
  });
});

describe.concurrent('several addresses', () => {
  it('fifty of them are one grant, and one request each', async () => {
    await using stage = await openStage();
    const emails = addresses(50);
    const result = await stage.run(createUsers(emails));
    expect(result.exitCode).toBe(0);
    expect(rowsOf(result).map(({ email }) => email)).toEqual(emails);
    checkPasswords(stage, result, emails);
    expect(sent(stage.simulator, 'POST', '/token')).toHaveLength(1);
    expect(stage.simulator.requests).toHaveLength(51);
  });

  it('fifty of them, who exist, are one grant and at most two requests each', async () => {
    await using stage = await openStage();
    const emails = addresses(50);
    for (const email of emails) stage.simulator.addUser({ email });
    const result = await stage.run({ ...createUsers(emails), 'if-exists': 'skip' });
    expect(result.exitCode).toBe(0);
    expect(rowsOf(result).every(({ created }) => created === false)).toBe(true);
    expect(sent(stage.simulator, 'POST', '/token')).toHaveLength(1);
    expect(stage.simulator.requests.length).toBeLessThanOrEqual(101);
  });

  it('are used once each, in whatever case, and blank lines are ignored', async () => {
    await using stage = await openStage();
    const email = '\n ada@acme.example \r\nADA@acme.example\n\nbob@acme.example\n';
    const result = await stage.run({ mode: 'create-user', email });
    expect(rowsOf(result).map((row) => row.email)).toEqual(['ada@acme.example', 'bob@acme.example']);
    expect(result.outputs).not.toHaveProperty('user-id');
    expect(result.outputs).not.toHaveProperty('temporary-password');
  });

  it('do not wait for one that fails', async () => {
    await using stage = await openStage();
    const emails = addresses(12);
    const [, taken = '', , other = ''] = emails;
    stage.simulator.addUser({ email: taken });
    stage.simulator.addUser({ email: other });
    const result = await stage.run(createUsers(emails));
    expect(result.exitCode).toBe(1);
    expect(result.outputs['error-code']).toBe('conflict');
    checkPasswords(
      stage,
      result,
      emails.filter((email) => email !== taken && email !== other),
    );
    expect(result.errors[0]).toContain('2 of 12 users failed');
    for (const email of [taken, other]) expect(result.errors[0]).toContain(`\n- ${email}: POST`);
    for (const { email, error, created } of rowsOf(result)) {
      if (email === taken || email === other) expect(error).toContain('answered 409');
      else expect(created).toBe(true);
    }
  });

  it('do not wait for one whose rule cannot be made, and its password is not lost', async () => {
    await using stage = await openStage();
    const emails = addresses(3);
    const refused: Fault = { kind: 'status', status: 400, body: { message: 'no such project' } };
    stage.simulator.fault({ method: 'POST', path: 'access-rules', fault: refused });
    const result = await stage.run({ ...createUsers(emails), 'access-rules': '12 @ project:1' });
    expect(result.exitCode).toBe(1);
    checkPasswords(stage, result, emails);
    expect(rowsOf(result).filter(({ error }) => error)).toHaveLength(1);
    expect(stage.simulator.accessRules).toHaveLength(2);
  });

  it.each([
    [401, 'token-rejected'],
    [403, 'forbidden'],
  ])('are not all tried after %i', async (status, code) => {
    await using stage = await openStage();
    const emails = addresses(30);
    const refused: Fault = { kind: 'status', status, body: { message: 'no' } };
    stage.simulator.fault({ method: 'POST', path: '/users', skip: 3, times: 99, fault: refused });
    const result = await stage.run(createUsers(emails));
    expect(result.exitCode).toBe(1);
    expect(result.outputs['error-code']).toBe(code);
    const rows = rowsOf(result);
    const done = rows.filter(({ created }) => created);
    expect(done).toHaveLength(3);
    checkPasswords(
      stage,
      result,
      done.map(({ email }) => email),
    );
    // Those that were in flight are distinguished from those that were never started.
    expect(rows.filter(({ error }) => error === 'not tried').length).toBeGreaterThan(15);
    expect(rows).toHaveLength(30);
  });

  it('are not tried after the deadline, and what was done is in the outputs', async () => {
    await using stage = await openStage();
    const emails = addresses(30);
    const slow: Fault = { kind: 'delay', ms: 1_500 };
    stage.simulator.fault({ method: 'POST', path: '/users', times: 99, fault: slow });
    const result = await stage.run({ ...createUsers(emails), 'timeout-seconds': '4' });
    expect(result.exitCode).toBe(1);
    const rows = rowsOf(result);
    expect(rows.filter(({ error }) => error === 'not tried').length).toBeGreaterThan(10);
    checkPasswords(
      stage,
      result,
      rows.flatMap(({ email, created }) => (created ? [email] : [])),
    );
  });

  it('share the rules, which are looked up once', async () => {
    await using stage = await openStage();
    const emails = addresses(5);
    const result = await stage.run({ ...createUsers(emails), 'access-rules': 'Viewer @ project:1' });
    expect(result.exitCode).toBe(0);
    expect(sent(stage.simulator, 'GET', '/roles')).toHaveLength(1);
    expect(stage.simulator.accessRules.map(({ subjectId }) => subjectId).sort()).toEqual([...emails].sort());
  });

  it('are none where a role is not there: nothing is created', async () => {
    await using stage = await openStage();
    const before = stage.simulator.users.length;
    const result = await stage.run({ ...createUsers(addresses(5)), 'access-rules': 'Nobody @ project:1' });
    expect(result.outputs).toEqual({ 'error-code': 'access-rule' });
    expect(stage.simulator.users).toHaveLength(before);
  });
});
