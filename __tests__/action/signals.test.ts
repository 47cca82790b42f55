// A run that is cancelled: nothing new is begun, and nothing that was issued is lost.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Fault } from '../simulator/simulator.ts';
import type { StepResult } from '../support/runner.ts';
import { openStage, received, type Stage, sent } from '../support/stage.ts';
import { onWindows } from '../support/system.ts';

type Inputs = Record<string, string>;

interface Moment {
  /** The request that is on its way when the signal comes. */
  service?: 'simulator' | 'github';
  method: string;
  path: string | RegExp;
  /** So many requests like it are answered before. */
  skip?: number;
  signal?: 'SIGINT' | 'SIGTERM';
  fault?: Fault;
}

/** Long enough for the signal to come before the answer. */
const late: Fault = { kind: 'delay', ms: 1_200 };

/** Runs a step that gets a signal while a request is on its way. */
async function cancelled(stage: Stage, inputs: Inputs, moment: Moment): Promise<StepResult> {
  const { service = 'simulator', method, path, skip = 0, signal = 'SIGINT', fault = late } = moment;
  const server = stage[service];
  server.fault({ method, path, skip, fault });
  const step = stage.start(inputs);
  await received(server, method, path, skip + 1);
  step.child.kill(signal);
  const result = await step.result;
  expect(result.exitCode).toBe(signal === 'SIGINT' ? 130 : 143);
  expect(result.outputs['error-code']).toBe('interrupted');
  expect(result.errors[0]).toContain(`stopped by ${signal}`);
  return result;
}

const create = { mode: 'create-app', 'app-name': 'trainer', 'access-rules': '12 @ project:1' };
const rotate = { mode: 'rotate-app', 'app-name': 'trainer' };
const createUser = { mode: 'create-user', email: 'ada@acme.example', 'access-rules': '12 @ project:1' };
const storedAs = ({ github }: Stage) => ({ 'store-as': 'RUNAI_CREDENTIALS', 'github-token': github.token });
const secretOf = ({ github }: Stage) => github.secretValue('repository', 'RUNAI_CREDENTIALS');
const signals = ['SIGINT', 'SIGTERM'] as const;

describe.skipIf(onWindows).concurrent('an answer that is on its way when a signal comes is published', () => {
  it.each(signals)('that of a create, with %s', async (signal) => {
    await using stage = await openStage();
    const { outputs } = await cancelled(stage, create, { method: 'POST', path: /apps$/, signal });
    expect(outputs).toMatchObject({ created: 'true', 'app-name': 'trainer', credentials: /^trainer:/ });
    expect(stage.simulator.isValidSecret('trainer', outputs['client-secret'] ?? '')).toBe(true);
    expect(stage.simulator.requests.at(-1)).toMatchObject({ method: 'POST', path: '/api/v1/apps' });
  });

  it.each([
    ['a reset', rotate],
    ['a reset of what exists already', { ...create, 'if-exists': 'rotate' }],
  ])('that of %s', async (_what, inputs) => {
    await using stage = await openStage();
    const { secret } = stage.simulator.addApplication({ name: 'trainer' });
    const { outputs } = await cancelled(stage, inputs, { method: 'POST', path: '/secret' });
    expect(stage.simulator.isValidSecret('trainer', outputs['client-secret'] ?? '')).toBe(true);
    expect(stage.simulator.isValidSecret('trainer', secret)).toBe(false);
    expect(stage.simulator.requests.at(-1)?.path).toMatch(/\/secret$/);
  });

  it.each([
    ['a new user', createUser, /users$/],
    ['a new password', { ...createUser, 'if-exists': 'rotate' }, /password$/],
  ])('that with the password of %s', async (what, inputs, path) => {
    await using stage = await openStage();
    if (what === 'a new password') stage.simulator.addUser({ email: createUser.email });
    const { outputs } = await cancelled(stage, inputs, { method: 'POST', path });
    expect(stage.simulator.isValidPassword(createUser.email, outputs['temporary-password'] ?? '')).toBe(true);
    expect(stage.simulator.requests.at(-1)?.path).toMatch(path);
  });

  it('those of several users, and no other is begun', async () => {
    await using stage = await openStage();
    const email = Array.from({ length: 20 }, (_, count) => `user-${count}@acme.example`).join('\n');
    stage.simulator.fault({ method: 'POST', path: /users$/, times: 20, fault: late });
    const result = await cancelled(stage, { mode: 'create-user', email }, { method: 'POST', path: /users$/ });
    const passwords: Record<string, string> = JSON.parse(result.outputs['temporary-passwords'] ?? '');
    const begun = sent(stage.simulator, 'POST', /users$/).length;
    expect(begun).toBeLessThanOrEqual(5);
    expect(Object.keys(passwords)).toHaveLength(begun);
    const users: { error?: string }[] = JSON.parse(result.outputs['users'] ?? '');
    expect(users.filter(({ error }) => /^not tried$|^stopped by SIGINT/.test(error ?? ''))).toHaveLength(20 - begun);
  });
});

describe.skipIf(onWindows).concurrent('what was issued before a signal', () => {
  it.each(signals)('is stored after a reset in place, since the old secret is dead: %s', async (signal) => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer' });
    const inputs = { ...rotate, ...storedAs(stage) };
    const { outputs, errors } = await cancelled(stage, inputs, { method: 'POST', path: '/secret', signal });
    expect(outputs).toMatchObject({ stored: 'true', rotated: 'true' });
    expect(secretOf(stage)).toBe(outputs['credentials']);
    expect(stage.simulator.isValidSecret('trainer', outputs['client-secret'] ?? '')).toBe(true);
    expect(stage.simulator.requests.at(-1)?.path).toMatch(/\/secret$/);
    expect(errors[0]).toContain('The new credentials were stored anyway');
  });

  it.each([
    ['they are tried', { method: 'POST', path: /token$/, skip: 1 }],
    ['they are stored', { service: 'github', method: 'PUT', path: /CREDENTIALS$/ }],
  ] satisfies [string, Moment][])('is stored after a reset in place, while %s', async (_when, moment) => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer' });
    const { outputs } = await cancelled(stage, { ...rotate, ...storedAs(stage) }, moment);
    expect(outputs['stored']).toBe('true');
    expect(secretOf(stage)).toBe(outputs['credentials']);
  });

  it('is stored after the reset of a repair', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer' });
    const inputs = { ...create, ...storedAs(stage), 'if-exists': 'repair' };
    const { outputs } = await cancelled(stage, inputs, { method: 'POST', path: '/secret' });
    expect(outputs).toMatchObject({ created: 'false', stored: 'true' });
    expect(secretOf(stage)).toBe(outputs['credentials']);
  });

  it.each([
    ['a create', create],
    ['the next of a family', { ...rotate, 'overlap-hours': '24' }],
  ])('is in the outputs after %s, and not stored', async (_what, inputs) => {
    await using stage = await openStage();
    const moment = { method: 'POST', path: /apps$/ };
    const { outputs, errors } = await cancelled(stage, { ...inputs, ...storedAs(stage) }, moment);
    expect(outputs['stored']).toBe('false');
    const { 'client-id': clientId = '', 'client-secret': secret = '' } = outputs;
    expect(stage.simulator.isValidSecret(clientId, secret)).toBe(true);
    expect(secretOf(stage)).toBeUndefined();
    expect(errors[0]).toContain('the outputs of this step hold the only copy');
  });

  it('is stored after a create, where the write is on its way already', async () => {
    await using stage = await openStage();
    const moment: Moment = { service: 'github', method: 'PUT', path: /CREDENTIALS$/ };
    const { outputs } = await cancelled(stage, { ...create, ...storedAs(stage) }, moment);
    expect(outputs['stored']).toBe('true');
    expect(secretOf(stage)).toBe(outputs['credentials']);
  });
});

describe.skipIf(onWindows).concurrent('a signal ends a run at once', () => {
  const silent: Fault = { kind: 'stall', when: 'before-head' };
  const only = { 'error-code': 'interrupted' };

  it.each(signals)('while it waits for a token, with %s', async (signal) => {
    await using stage = await openStage();
    const moment = { method: 'POST', path: '/token', signal, fault: silent };
    const { outputs, duration } = await cancelled(stage, create, moment);
    expect(outputs).toEqual(only);
    expect(duration).toBeLessThan(4_000);
    expect(stage.simulator.requests).toHaveLength(1);
  });

  it('while it rehearses, before any request to the control plane', async () => {
    await using stage = await openStage();
    const moment: Moment = { service: 'github', method: 'PUT', path: /REHEARSAL$/, fault: silent };
    const { outputs, duration } = await cancelled(stage, { ...create, ...storedAs(stage) }, moment);
    expect(outputs).toEqual(only);
    expect(duration).toBeLessThan(4_000);
    expect(stage.simulator.requests).toEqual([]);
  });

  it.each([
    ['delete', { mode: 'delete-app', 'app-name': 'trainer' }],
    ['create', create],
  ])('while it pauses before another attempt to %s', async (_what, inputs) => {
    await using stage = await openStage();
    const fault: Fault = { kind: 'status', status: 503, headers: { 'retry-after': '30' } };
    stage.simulator.fault({ path: /apps$/, fault });
    const step = stage.start(inputs);
    step.child.stdout?.on('data', (chunk: Buffer) => {
      if (chunk.includes('trying again until')) step.child.kill('SIGTERM');
    });
    const { exitCode, outputs, duration } = await step.result;
    expect(exitCode).toBe(143);
    expect(outputs).toEqual(only);
    expect(duration).toBeLessThan(4_000);
  });

  it('while a rule is made, with what was issued in the outputs', async () => {
    await using stage = await openStage();
    const moment = { method: 'POST', path: 'access-rules', fault: silent };
    const { outputs, errors } = await cancelled(stage, create, moment);
    expect(stage.simulator.isValidSecret('trainer', outputs['client-secret'] ?? '')).toBe(true);
    expect(errors[0]).toContain('12 @ project:1');
  });
});

describe.skipIf(onWindows).concurrent('an answer that does not come within 5 seconds', () => {
  const silent: Fault = { kind: 'stall', when: 'before-head', work: true };

  it.each([
    ['may have created something', create, /apps$/, /An attempt may have created it anyway/],
    ['may have made a secret', rotate, /secret$/, /An attempt may have issued a new secret anyway/],
  ])('%s, and the message says so', async (_what, inputs, path, says) => {
    await using stage = await openStage();
    if (inputs.mode === 'rotate-app') stage.simulator.addApplication({ name: 'trainer' });
    const step = stage.start(inputs);
    stage.simulator.fault({ method: 'POST', path, fault: silent });
    await received(stage.simulator, 'POST', path);
    const since = performance.now();
    step.child.kill('SIGTERM');
    await sleep(200);
    // A second signal changes nothing.
    step.child.kill('SIGINT');
    const { exitCode, errors, outputs } = await step.result;
    expect(performance.now() - since).toBeGreaterThan(4_900);
    expect(performance.now() - since).toBeLessThan(9_000);
    expect(exitCode).toBe(143);
    expect(outputs).toEqual({ 'error-code': 'interrupted' });
    expect(errors[0]).toMatch(says);
  });
});
