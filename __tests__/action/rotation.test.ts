// rotate-app: in place, and without downtime in several runs, with the clocks of both servers moved in between.
import { describe, expect, it } from 'vitest';
import type { Fault, Simulator } from '../simulator/simulator.ts';
import type { StepResult } from '../support/runner.ts';
import { openStage, type Stage, sent } from '../support/stage.ts';

type Inputs = Record<string, string>;

const name = 'RUNAI_CREDENTIALS';
const storedAs = ({ github }: Stage): Inputs => ({ 'store-as': name, 'github-token': github.token });
const secretOf = ({ github }: Stage) => github.secretValue('repository', name) ?? '';
const rotate = { mode: 'rotate-app', 'app-name': 'trainer' };
const names = ({ applications }: Simulator) => applications.map((application) => application.name).sort();

function expectSuccess({ exitCode, errors }: StepResult): void {
  expect(errors).toEqual([]);
  expect(exitCode).toBe(0);
}

describe.concurrent('rotate-app in place', () => {
  it.each([
    ['2.20', 'app-name'],
    ['2.22', 'app-id'],
    ['2.24', 'app-name'],
    ['3.0', 'app-id'],
  ] as const)('publishes a new secret, and the old one no longer works: %s, by %s', async (version, by) => {
    await using stage = await openStage({ version });
    const { simulator } = stage;
    const { id, secret } = simulator.addApplication({ name: 'trainer', clientId: 'client-of-trainer' });
    simulator.addApplication({ name: 'trainer-2' });
    const result = await stage.run({ mode: 'rotate-app', [by]: by === 'app-id' ? id : 'trainer' });
    expectSuccess(result);
    expect(result.outputs).toMatchObject({
      'app-id': id,
      'app-name': 'trainer',
      'client-id': 'client-of-trainer',
      rotated: 'true',
    });
    expect(simulator.isValidSecret('client-of-trainer', result.outputs['client-secret'] ?? '')).toBe(true);
    expect(simulator.isValidSecret('client-of-trainer', secret)).toBe(false);
    expect(result.summary).toContain('trainer');
  });

  it('publishes a secret that works, although an earlier reset was carried out late', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer' });
    const fault: Fault = { kind: 'status', status: 504, workAfter: 2_500 };
    stage.simulator.fault({ method: 'POST', path: '/secret', fault });
    const result = await stage.run(rotate);
    expectSuccess(result);
    expect(stage.simulator.isValidSecret('trainer', result.outputs['client-secret'] ?? '')).toBe(true);
    expect(sent(stage.simulator, 'POST', '/secret')).toHaveLength(3);
  });

  it('fails with the secret in the outputs, where no time is left to try it', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer' });
    stage.simulator.fault({ method: 'POST', path: '/secret', fault: { kind: 'status', status: 504, work: true } });
    const { exitCode, outputs, errors } = await stage.run({ ...rotate, 'timeout-seconds': '5' });
    expect(exitCode).toBe(1);
    expect(outputs['error-code']).toBe('unverified');
    expect(stage.simulator.isValidSecret('trainer', outputs['client-secret'] ?? '')).toBe(true);
    expect(errors[0]).toContain('The answer to an earlier reset was lost');
  });

  it.each([
    ['app-name', 'trainer', 'no application with the name trainer'],
    ['app-id', 'd34db33f', 'no application with the id d34db33f'],
  ])('says that there is none by %s', async (by, key, says) => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer-2' });
    const { errors, outputs } = await stage.run({ mode: 'rotate-app', [by]: key });
    expect(outputs).toEqual({ 'error-code': 'not-found' });
    expect(errors[0]).toContain(says);
    expect(sent(stage.simulator, 'POST', '/secret')).toEqual([]);
  });

  it('publishes nothing, and says that the old secret may be dead, where no reset is answered', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer' });
    const fault: Fault = { kind: 'status', status: 503, work: true, headers: { 'retry-after': '900' } };
    stage.simulator.fault({ method: 'POST', path: '/secret', fault });
    const { errors, outputs } = await stage.run(rotate);
    expect(outputs).toEqual({ 'error-code': 'unavailable' });
    expect(errors[0]).toMatch(/POST http:\S+\/secret answered 503/);
    expect(errors[0]).toContain('An attempt may have issued a new secret anyway');
  });

  it.each([
    ['29 days ago', 29, false],
    ['31 days ago', 31, true],
    ['never', undefined, true],
  ])('with rotate-after-days: 30, where the secret was written %s', async (_when, days, isDue) => {
    // GitHub's clock is a week ahead, and does not matter.
    const ahead = 7 * 86_400_000;
    await using stage = await openStage({ github: { now: () => Date.now() + ahead } });
    const { secret } = stage.simulator.addApplication({ name: 'trainer' });
    const updatedAt = Date.now() + ahead - (days ?? 0) * 86_400_000;
    if (days !== undefined) stage.github.editSecret('repository', name, { updatedAt });
    const result = await stage.run({ ...rotate, ...storedAs(stage), 'rotate-after-days': '30' });
    expectSuccess(result);
    expect(result.outputs).toMatchObject({ rotated: String(isDue), stored: String(isDue) });
    expect(stage.simulator.isValidSecret('trainer', secret)).toBe(!isDue);
    if (!isDue) expect(stage.simulator.requests).toEqual([]);
  });

  it('puts each new secret into the store, several times in a row', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer' });
    for (let count = 0; count < 3; count++) {
      expectSuccess(await stage.run({ ...rotate, ...storedAs(stage) }));
      const [clientId = '', secret = ''] = secretOf(stage).split(':');
      expect(stage.simulator.isValidSecret(clientId, secret)).toBe(true);
    }
  });
});

/** Rotates every day; what is replaced goes an hour later at the earliest. */
const overlapFor = (stage: Stage): Inputs => ({
  mode: 'rotate-app',
  'app-name': 'shop',
  'overlap-hours': '1',
  'rotate-after-days': '1',
  ...storedAs(stage),
});

/** A job that signs in with what is stored. */
async function signIn(stage: Stage, credentials = secretOf(stage)): Promise<void> {
  expectSuccess(await stage.run({ mode: 'token', credentials }));
}

const accounts = /\/(apps|service-accounts)$/;

/** Runs the rotation, and says which application it left in use. */
async function turn(stage: Stage, more: Inputs = {}): Promise<{ app: string; rotated: boolean; retired: string[] }> {
  const result = await stage.run({ ...overlapFor(stage), ...more });
  expectSuccess(result);
  const { 'app-name': app = '', rotated, stored, 'retired-apps': retired = '' } = result.outputs;
  expect(stored).toBe(rotated);
  if (rotated === 'true') expect(secretOf(stage)).toBe(result.outputs['credentials']);
  return { app, rotated: rotated === 'true', retired: retired.split('\n').filter(Boolean) };
}

/** Two rotations, and a job that shows that the first member is no longer needed. Returns the names of both. */
async function afterOverlap(stage: Stage): Promise<[string, string]> {
  const first = await turn(stage);
  await stage.pass(25);
  const second = await turn(stage);
  await stage.pass(2);
  await signIn(stage);
  return [first.app, second.app];
}

/** A run that makes the next member, and cannot store it. */
async function brokenTurn(stage: Stage): Promise<string> {
  stage.github.fault({ method: 'PUT', path: /CREDENTIALS$/, fault: { kind: 'status', status: 403 } });
  const { exitCode, outputs } = await stage.run(overlapFor(stage));
  expect(exitCode).toBe(1);
  expect(outputs['error-code']).toBe('store');
  return outputs['app-name'] ?? '';
}

describe.concurrent('rotate-app without downtime', () => {
  it('makes the next, keeps the one before until nobody uses it, and deletes it', async () => {
    await using stage = await openStage();
    const { simulator } = stage;
    const first = await turn(stage, { 'access-rules': 'Viewer @ project:7' });
    expect(first).toMatchObject({ rotated: true, retired: [] });
    expect(first.app).toMatch(/^shop-74788d-\d{8}-\d{6}$/);
    const stored = secretOf(stage);

    // Nothing is due before a day has passed.
    await stage.pass(23);
    await signIn(stage);
    expect(await turn(stage)).toEqual({ app: first.app, rotated: false, retired: [] });
    expect(secretOf(stage)).toBe(stored);

    await stage.pass(2);
    const second = await turn(stage);
    expect(second).toMatchObject({ rotated: true, retired: [] });
    expect(second.app).not.toBe(first.app);
    const rules = simulator.accessRules.map(({ subjectId, roleId, scopeId }) => `${subjectId} ${roleId} ${scopeId}`);
    expect(rules).toEqual([`${first.app} 12 7`, `${second.app} 12 7`]);
    // A job that began before the switch still signs in.
    await signIn(stage, stored);

    // Not before somebody has signed in with the stored credentials, and nobody with those before.
    await stage.pass(2);
    expect(await turn(stage)).toEqual({ app: second.app, rotated: false, retired: [] });
    await signIn(stage);
    expect(await turn(stage)).toEqual({ app: second.app, rotated: false, retired: [first.app] });
    expect(names(simulator)).toEqual([second.app]);
    await signIn(stage);
  });

  it('keeps one that is still used, and says so', async () => {
    await using stage = await openStage();
    const first = await turn(stage);
    const old = secretOf(stage);
    await stage.pass(25);
    await turn(stage);
    await stage.pass(2);
    await signIn(stage);
    await signIn(stage, old);
    const { outputs, notices, summary } = await stage.run(overlapFor(stage));
    expect(outputs['retired-apps']).toBe('');
    expect(notices[0]).toContain(`The application ${first.app} is kept: it has signed in too recently`);
    expect(summary).toContain('kept: it has signed in too recently');
    await signIn(stage, old);
  });

  it('starts over after a run that could not store, and cleans up after it', async () => {
    await using stage = await openStage();
    const first = await turn(stage);
    await signIn(stage);
    await stage.pass(25);
    const left = await brokenTurn(stage);
    // What is stored works all the time.
    await signIn(stage);
    await stage.pass(0);
    const third = await turn(stage);
    expect(third.rotated).toBe(true);
    await stage.pass(2);
    await signIn(stage);
    const { retired } = await turn(stage);
    expect(retired.sort()).toEqual([first.app, left].sort());
    expect(names(stage.simulator)).toEqual([third.app]);
  });

  it('lets a leaked secret be replaced in place, for the member in use', async () => {
    await using stage = await openStage();
    const { app } = await turn(stage);
    const leaked = secretOf(stage);
    await stage.pass(5);
    expectSuccess(await stage.run({ mode: 'rotate-app', 'app-name': app, ...storedAs(stage) }));
    expect((await stage.run({ mode: 'token', credentials: leaked })).outputs['error-code']).toBe('credentials');
    await signIn(stage);
    expect(await turn(stage)).toEqual({ app, rotated: false, retired: [] });
  });

  it('deletes nothing that is in use, where a leaked secret was replaced beside a member that was left behind', async () => {
    await using stage = await openStage();
    const { app } = await turn(stage);
    await stage.pass(25);
    const left = await brokenTurn(stage);
    await stage.pass(1);
    expectSuccess(await stage.run({ mode: 'rotate-app', 'app-name': app, ...storedAs(stage) }));
    // Now the one that was left behind looks like the one in use; it never signs in, so nothing goes.
    for (let count = 0; count < 3; count++) {
      await stage.pass(3);
      await signIn(stage);
      expect(await turn(stage)).toMatchObject({ rotated: false, retired: [] });
    }
    await stage.pass(25);
    const next = await turn(stage);
    expect(next.rotated).toBe(true);
    await stage.pass(2);
    await signIn(stage);
    expect((await turn(stage)).retired.sort()).toEqual([app, left].sort());
  });

  it('goes on with the rest where one cannot be deleted, and fails at the end', async () => {
    await using stage = await openStage();
    const first = await turn(stage);
    await stage.pass(25);
    const second = await turn(stage);
    await stage.pass(25);
    const third = await turn(stage);
    await stage.pass(2);
    await signIn(stage);
    const stubborn = stage.simulator.applications.find((application) => application.name === second.app);
    const fault: Fault = { kind: 'status', status: 403, body: { message: 'not this one' } };
    stage.simulator.fault({ method: 'DELETE', path: stubborn?.id ?? 'none', fault });
    const { exitCode, errors, outputs } = await stage.run(overlapFor(stage));
    expect(exitCode).toBe(1);
    expect(outputs).toMatchObject({ 'retired-apps': first.app, 'error-code': 'forbidden', rotated: 'false' });
    expect(errors[0]).toContain('the deletion of 1 of the applications that nobody uses any more failed');
    expect(errors[0]).toContain(`${second.app}: DELETE`);
    expect(names(stage.simulator)).toEqual([second.app, third.app]);
    // The next run tries again.
    expect(await turn(stage)).toEqual({ app: third.app, rotated: false, retired: [second.app] });
  });

  it('takes no credit for one that somebody else deletes first', async () => {
    await using stage = await openStage();
    const [first, second] = await afterOverlap(stage);
    stage.simulator.fault({ method: 'DELETE', fault: { kind: 'status', status: 404, work: true } });
    const result = await stage.run(overlapFor(stage));
    expectSuccess(result);
    expect(result.outputs['retired-apps']).toBe('');
    expect(result.log.map(({ text }) => text).join()).toContain(`Somebody else has deleted the application ${first}`);
    expect(names(stage.simulator)).toEqual([second]);
  });

  it('does not deny a deletion that it cannot confirm', async () => {
    await using stage = await openStage();
    const [first, second] = await afterOverlap(stage);
    stage.simulator.fault({ method: 'GET', path: accounts, skip: 1, times: 2, fault: { kind: 'status', status: 403 } });
    const { errors, outputs, notices } = await stage.run(overlapFor(stage));
    expect(outputs).toMatchObject({ 'retired-apps': '', 'error-code': 'forbidden' });
    expect(errors[0]).toContain('The control plane has accepted the deletion');
    expect(notices.join()).toContain(`${first} may still exist`);
    expect(names(stage.simulator)).toEqual([second]);
  });

  it('fails where the newest member cannot be read: it may be the one in use', async () => {
    await using stage = await openStage();
    await turn(stage);
    await stage.pass(2);
    const second = await turn(stage, { 'rotate-after-days': '' });
    const change = (json: unknown) =>
      (json as { name: string }[]).map((row) => (row.name === second.app ? { ...row, clientId: 'not one' } : row));
    stage.simulator.fault({ method: 'GET', path: accounts, fault: { kind: 'transform', change } });
    const { outputs, errors } = await stage.run(overlapFor(stage));
    expect(outputs).toEqual({ 'error-code': 'unreadable' });
    expect(errors[0]).toContain(`lists the application ${second.app} with fields that cannot be read`);
  });

  it('warns that a first member without access rules may do nothing', async () => {
    await using stage = await openStage();
    const { warnings } = await stage.run(overlapFor(stage));
    expect(warnings.join()).toContain('has no permissions, so jobs that sign in with it can do nothing');
  });

  it('that cannot tell whether the next was created says only to run it again', async () => {
    await using stage = await openStage();
    stage.simulator.fault({ method: 'POST', path: accounts, times: 99, fault: { kind: 'status', status: 503 } });
    const { errors } = await stage.run({ ...overlapFor(stage), 'timeout-seconds': '2' });
    expect(errors[0]).toContain('An attempt may have created the application anyway; that does no harm');
    expect(errors[0]).not.toContain('if-exists');
  });

  it('is not bypassed by advice to reset whichever member is newest', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'shop-e51728-20260601-000000' });
    const { errors, outputs } = await stage.run({ mode: 'rotate-app', 'app-name': 'shop' });
    expect(outputs).toEqual({ 'error-code': 'not-found' });
    expect(errors[0]).toContain('applications called shop-…');
    expect(errors[0]).not.toMatch(/e51728|app-id:/);
  });

  it('never touches the applications of others', async () => {
    await using stage = await openStage();
    const others = ['shop', 'shop-000000-20200101-000000', 'shop-74788d-20200101-000000x', 'shop-74788d-2020'];
    for (const other of others) stage.simulator.addApplication({ name: other, createdAt: '2020-01-01T00:00:00Z' });
    const first = await turn(stage);
    await stage.pass(25);
    const second = await turn(stage);
    await stage.pass(2);
    await signIn(stage);
    expect((await turn(stage)).retired).toEqual([first.app]);
    expect(names(stage.simulator)).toEqual([...others, second.app].sort());
  });

  it('keeps the families of two secrets apart', async () => {
    await using stage = await openStage();
    const one = await turn(stage);
    const result = await stage.run({ ...overlapFor(stage), 'store-as': 'OTHER_CREDENTIALS' });
    expectSuccess(result);
    expect(result.outputs['app-name']?.slice(0, 11)).not.toBe(one.app.slice(0, 11));
    expect(await turn(stage)).toMatchObject({ app: one.app, rotated: false });
  });

  it.each([
    ['GitHub', { github: { omitDate: true } }],
    ['the control plane', { omitDate: true }],
  ])('deletes nothing while %s does not send its time', async (_who, options) => {
    await using stage = await openStage(options);
    // Without a Date header, the runner's clock decides what is due, so time passes in what the servers say.
    const old = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();
    stage.simulator.addApplication({ name: 'shop-74788d-20200101-000000', createdAt: old(90) });
    const inUse = stage.simulator.addApplication({ name: 'shop-74788d-20200102-000000', createdAt: old(20) });
    inUse.lastLogin = old(2);
    stage.github.editSecret('repository', name, { updatedAt: old(19) });
    const result = await stage.run(overlapFor(stage));
    expectSuccess(result);
    expect(result.outputs).toMatchObject({ rotated: 'false', 'app-name': inUse.name, 'retired-apps': '' });
    expect(result.warnings[0]).toContain('One of the servers does not send its time');
    expect(stage.simulator.applications).toHaveLength(2);
  });

  it('never deletes a member whose creation time is unknown', async () => {
    await using stage = await openStage();
    const unknown = stage.simulator.addApplication({ name: 'shop-74788d-20200101-000000', createdAt: null });
    await turn(stage);
    await stage.pass(2);
    await signIn(stage);
    expect((await turn(stage)).retired).toEqual([]);
    expect(names(stage.simulator)).toContain(unknown.name);
  });

  it('rotates at once where the stored secret is gone', async () => {
    await using stage = await openStage();
    const first = await turn(stage);
    stage.github.deleteSecret('repository', name);
    await stage.pass(0);
    const second = await turn(stage);
    expect(second.rotated).toBe(true);
    expect(names(stage.simulator)).toEqual([first.app, second.app].sort());
  });

  it('rehearses, and reads the rules, before anything is created', async () => {
    await using stage = await openStage();
    await turn(stage);
    await stage.pass(25);
    stage.simulator.forbidden.add('access_rules');
    const { outputs } = await stage.run(overlapFor(stage));
    expect(outputs).toMatchObject({ 'error-code': 'forbidden' });
    expect(stage.simulator.applications).toHaveLength(1);
    expect(sent(stage.github, 'PUT', /REHEARSAL$/)).toHaveLength(2);
  });

  it.each([
    [{ 'app-id': '1' }, /app-id cannot be used with overlap-hours/],
    [{ 'store-as': '', 'github-token': '' }, /overlap-hours needs store-as/],
    [{ 'app-name': 'x'.repeat(231) }, /at most 230 characters/],
    [{ 'overlap-hours': '48' }, /rotate-after-days is shorter than overlap-hours/],
    [{ 'overlap-hours': '0' }, /overlap-hours is "0"/],
  ])('asks for what it needs: %j', async (change, says) => {
    await using stage = await openStage();
    const { errors, outputs } = await stage.run({ ...overlapFor(stage), ...change });
    expect(outputs).toEqual({ 'error-code': 'inputs' });
    expect(errors[0]).toMatch(says);
    expect([...stage.simulator.requests, ...stage.github.requests]).toEqual([]);
  });
});
