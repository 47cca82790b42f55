// What a step publishes: where outputs cannot be written, where an answer is odd, and what the outputs then say.
import { type ChildProcess, execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openStage, received, type Stage, sent } from '../support/stage.ts';
import { onWindows } from '../support/system.ts';

const temp = mkdtempSync(join(tmpdir(), 'outputs-'));
afterAll(() => rmSync(temp, { recursive: true, force: true }));

/** A Node that cannot write to any file, as on a full disk. By bash, since sh drops variables with a hyphen in their names. */
const nodeOnFullDisk = join(temp, 'node-on-a-full-disk');
writeFileSync(nodeOnFullDisk, `#!/usr/bin/env bash\nulimit -f 0\nexec "${process.execPath}" "$@"\n`);
chmodSync(nodeOnFullDisk, 0o755);

/** Whether the limits of a process can be changed while it runs. */
const canFill = spawnSync('prlimit', ['--version']).status === 0;

/** From now on the process can make no file larger than that, as on a disk that runs full. It may still write to a pipe. */
function fillDisk({ pid }: ChildProcess, size: number): void {
  expect(spawnSync('prlimit', ['--pid', String(pid), `--fsize=${size}`]).status).toBe(0);
}

const create = { mode: 'create-app', 'app-name': 'trainer' };
const rotate = { mode: 'rotate-app', 'app-name': 'trainer' };
const deleteApp = { mode: 'delete-app', 'app-name': 'trainer' };
const storedAs = ({ github }: Stage) => ({ 'store-as': 'RUNAI_CREDENTIALS', 'github-token': github.token });
const secretOf = ({ github }: Stage) => github.secretValue('repository', 'RUNAI_CREDENTIALS');

describe.concurrent('a step whose outputs could not be written asks for nothing', () => {
  it.each([
    ['without GITHUB_OUTPUT', ''],
    ['with a file that is not there', join(temp, 'missing')],
    ['with a folder', temp],
  ])('%s', async (_how, file) => {
    await using stage = await openStage();
    const inputs = { ...create, ...storedAs(stage) };
    const result = await stage.run(inputs, { env: { GITHUB_OUTPUT: file }, hasOutputs: false });
    expect(result.exitCode).toBe(1);
    expect(result.errors[0]).toContain('the file that GITHUB_OUTPUT names is missing or cannot be written');
    expect([...stage.simulator.requests, ...stage.github.requests]).toEqual([]);
  });
});

const lost = 'What was just issued is therefore not in any output';

it.skipIf(onWindows)('a step on a full disk asks for nothing', async () => {
  await using stage = await openStage();
  const inputs = { ...create, ...storedAs(stage) };
  const { exitCode, errors } = await stage.run(inputs, { node: nodeOnFullDisk, hasOutputs: false });
  expect(exitCode).toBe(1);
  expect(errors[0]).toContain('cannot be written (EFBIG)');
  expect([...stage.simulator.requests, ...stage.github.requests]).toEqual([]);
});

describe.skipIf(!canFill).concurrent('on a disk that runs full while something is issued', () => {
  /** Runs a step, and fills the disk while a request is on its way. */
  async function filled(stage: Stage, inputs: Record<string, string>, { method = 'POST', path = /apps$/, size = 0 }) {
    stage.simulator.fault({ method, path, fault: { kind: 'delay', ms: 1_000 } });
    const step = stage.start(inputs, { hasOutputs: size > 100 });
    await received(stage.simulator, method, path);
    fillDisk(step.child, size);
    const result = await step.result;
    expect(result.exitCode).toBe(1);
    expect(result.errors[0]).toContain('the outputs could not be written to the file that GITHUB_OUTPUT names (EFBIG)');
    expect(result.errors[0]).not.toContain('report');
    return result;
  }

  it.each([
    ['create-app', create, /apps$/],
    ['create-app with if-exists: rotate', { ...create, 'if-exists': 'rotate' }, /secret$/],
    ['rotate-app', rotate, /secret$/],
    ['create-user', { mode: 'create-user', email: 'ada@acme.example' }, /users$/],
    ['token', { mode: 'token' }, /token$/],
  ])('%s says that what it issued is lost, and what to do', async (_mode, inputs, path) => {
    await using stage = await openStage();
    if (inputs !== create) stage.simulator.addApplication({ name: 'trainer' });
    const { outputs, errors } = await filled(stage, inputs, { path });
    expect(outputs).toEqual({});
    expect(errors[0]).toContain(lost);
    expect(errors[0]).toContain('if-exists: rotate');
  });

  it.each([40, 150, 300])('the outputs are whole where there is room for %i bytes of them', async (size) => {
    await using stage = await openStage();
    const { outputs } = await filled(stage, create, { size });
    // Too little for any secret, but for the code where it fits.
    expect(outputs).toEqual(size < 100 ? {} : { 'error-code': 'runner' });
  });

  it.each([
    ['a create', create, /apps$/],
    ['a reset in place', rotate, /secret$/],
  ])('the credentials of %s are stored anyway', async (_what, inputs, path) => {
    await using stage = await openStage();
    if (inputs === rotate) stage.simulator.addApplication({ name: 'trainer' });
    const { errors } = await filled(stage, { ...inputs, ...storedAs(stage) }, { path });
    const [clientId = '', secret = ''] = secretOf(stage)?.split(':') ?? [];
    expect(stage.simulator.isValidSecret(clientId, secret)).toBe(true);
    expect(errors[0]).toContain('were stored anyway');
  });

  it('a mode without secrets does what it is for, and fails', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer' });
    const { errors } = await filled(stage, deleteApp, { method: 'DELETE', path: /./ });
    expect(errors[0]).not.toContain(lost);
    expect(stage.simulator.applications).toEqual([]);
  });
});

describe.concurrent('a file of outputs that goes while something is issued', () => {
  it.each([
    ['is removed', (file: string) => rmSync(file)],
    [
      'becomes a folder',
      (file: string) => {
        rmSync(file);
        mkdirSync(file);
      },
    ],
  ])('and %s', async (what, change) => {
    await using stage = await openStage();
    const file = join(temp, `output that ${what}`);
    writeFileSync(file, '');
    stage.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'delay', ms: 300 } });
    const step = stage.start(create, { env: { GITHUB_OUTPUT: file }, hasOutputs: false });
    await received(stage.simulator, 'POST', '/apps');
    change(file);
    const { exitCode, errors } = await step.result;
    expect(exitCode).toBe(1);
    expect(errors[0]).toContain('the outputs could not be written to the file that GITHUB_OUTPUT names');
    expect(errors[0]).toContain(lost);
    expect(errors[0]).not.toContain('unknown');
  });
});

describe.concurrent('a secret in an odd answer is published, then the step fails', () => {
  it.each([
    ['an id that is a number', { id: 7 }],
    ['an id that leads elsewhere', { id: '..' }],
    ['no id', { id: undefined }],
    ['a client id that cannot be used', { clientId: 'a b' }],
  ])('an application with %s', async (_what, change) => {
    await using stage = await openStage();
    const fault = { kind: 'transform', change: (json: unknown) => ({ ...(json as object), ...change }) } as const;
    stage.simulator.fault({ method: 'POST', path: '/apps', fault });
    const { exitCode, outputs } = await stage.run({ ...create, ...storedAs(stage) });
    expect(exitCode).toBe(1);
    expect(outputs).toMatchObject({ 'error-code': 'unreadable', created: 'true', stored: 'false' });
    expect(stage.simulator.isValidSecret('trainer', outputs['client-secret'] ?? '')).toBe(true);
    expect(sent(stage.simulator, 'POST', '/apps')).toHaveLength(1);
    expect(secretOf(stage)).toBeUndefined();
  });

  it('a user without an id', async () => {
    await using stage = await openStage();
    const change = (json: unknown) => ({ ...(json as object), id: undefined });
    stage.simulator.fault({ method: 'POST', path: '/users', fault: { kind: 'transform', change } });
    const email = 'ada@acme.example';
    const { exitCode, outputs } = await stage.run({ mode: 'create-user', email });
    expect(exitCode).toBe(1);
    expect(outputs).toMatchObject({ 'error-code': 'unreadable', created: 'true', email });
    expect(stage.simulator.isValidPassword(email, outputs['temporary-password'] ?? '')).toBe(true);
    expect(sent(stage.simulator, 'POST', '/users')).toHaveLength(1);
  });
});

describe.concurrent('the outputs', () => {
  it('hold the credentials in one value, which signs in', async () => {
    await using stage = await openStage({ clientIdOf: (name) => `client-of-${name}` });
    const { outputs } = await stage.run(create);
    expect(outputs['credentials']).toBe(`client-of-trainer:${outputs['client-secret']}`);
    const { exitCode } = await stage.run({ mode: 'token', credentials: outputs['credentials'] ?? '' });
    expect(exitCode).toBe(0);
  });

  it('hold no secret of an application that was left alone', async () => {
    await using stage = await openStage();
    const { id } = stage.simulator.addApplication({ name: 'trainer' });
    const { outputs } = await stage.run({ ...create, 'if-exists': 'skip' });
    expect(outputs).toEqual({ 'app-id': id, 'app-name': 'trainer', 'client-id': 'trainer', created: 'false' });
  });

  it.each([
    ['left alone', { ...create, 'if-exists': 'skip' }],
    ['rotated by create-app', { ...create, 'if-exists': 'rotate' }],
    ['rotated', rotate],
  ])('come with a warning for an application that is disabled: %s', async (_what, inputs) => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer', enabled: false });
    const { exitCode, warnings } = await stage.run(inputs);
    expect(exitCode).toBe(0);
    expect(warnings).toEqual([
      'The application trainer is disabled: it gets no token until it is enabled in the control plane.',
    ]);
  });
});

describe.concurrent('a job summary', () => {
  const warning = ['The job summary could not be written.'];

  it.skipIf(process.platform === 'win32')('that is a pipe without a reader keeps no step waiting', async () => {
    await using stage = await openStage();
    const pipe = join(temp, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const { exitCode, warnings } = await stage.run(create, { env: { GITHUB_STEP_SUMMARY: pipe } });
    expect({ exitCode, warnings }).toEqual({ exitCode: 0, warnings: warning });
  });

  it('that is not there is a warning', async () => {
    await using stage = await openStage();
    const { exitCode, warnings } = await stage.run(create, { env: { GITHUB_STEP_SUMMARY: join(temp, 'missing') } });
    expect({ exitCode, warnings }).toEqual({ exitCode: 0, warnings: warning });
  });

  it('that nobody asks for is none', async () => {
    await using stage = await openStage();
    const { exitCode, warnings } = await stage.run(create, { env: { GITHUB_STEP_SUMMARY: '' } });
    expect({ exitCode, warnings }).toEqual({ exitCode: 0, warnings: [] });
  });

  it('shows what a server says as text, and not as part of its page', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ id: '1', name: '<img src=x>\u2028# Title', clientId: 'a&b' });
    const { exitCode, summary } = await stage.run({ mode: 'rotate-app', 'app-id': '1' });
    expect(exitCode).toBe(0);
    expect(summary).toContain('&#60;img src=x&#62; # Title');
    expect(summary).toContain('a&#38;b');
  });
});
