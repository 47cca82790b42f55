import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { root } from '../support/runner.ts';
import { missingForScripts, runBash, skippedFor } from '../support/scripts.ts';
import { readWorkflow, runWorkflow, type Workflow } from '../support/workflow.ts';

let temp: string;
beforeEach(() => {
  temp = mkdtempSync(join(tmpdir(), 'ci-'));
});
afterEach(() => {
  // A runner ends what a job has left running.
  const left = existsSync(join(temp, 'pids')) ? readFileSync(join(temp, 'pids'), 'utf8').match(/\d+/g) : [];
  for (const pid of left ?? []) process.kill(Number(pid));
  rmSync(temp, { recursive: true });
});

const missing = missingForScripts('jq');

/** The jobs of ci.yml that use the action, as they are but for the folder they run in and for what is installed. */
function actionJobs(): Workflow {
  const workflow = readWorkflow(join(root, '.github/workflows/ci.yml'));
  const { action, 'job-outputs': outputs } = workflow.jobs;
  if (!action || !outputs) throw new Error('ci.yml has lost a job');
  const installed = action.steps.filter(({ uses, run }) => !uses?.startsWith('actions/') && run !== 'npm ci');
  const steps = installed.map((step) =>
    step.id === 'plane' ? { ...step, run: `cd '${root}'\n${step.run}echo $! >> "$RUNNER_TEMP/pids"\n` } : step,
  );
  return {
    ...workflow,
    env: { RUNNER_TEMP: temp },
    jobs: { action: { ...action, steps }, 'job-outputs': outputs },
  };
}

describe.skipIf(missing.length > 0)(`the jobs of ci.yml that use the action${skippedFor(missing)}`, () => {
  it('pass, on each version, and a job output that holds a secret is dropped', async () => {
    const run = await runWorkflow(actionJobs());
    const failed = run.steps.filter(({ conclusion }) => conclusion !== 'success');
    expect(failed, run.shown.join('\n')).toEqual([]);
    expect(run.steps.filter(({ outcome }) => outcome === 'failure').map(({ name }) => name)).toEqual(
      [...'123'].map(() => 'token: the old secret does not (this step has to fail)'),
    );
    expect(run.jobs.map(({ id, outputs }) => [id, Object.keys(outputs)])).toEqual([
      ...[...'123'].map(() => ['action', ['client-id']]),
      ['job-outputs', []],
    ]);
  });

  it('show what the simulator said where it does not start', () => {
    const script = actionJobs().jobs['action']?.steps.find(({ id }) => id === 'plane')?.run ?? '';
    const { status, stdout } = runBash(script, { env: { VERSION: '1.0', RUNNER_TEMP: temp }, cwd: temp });
    expect(status).not.toBe(0);
    expect(stdout).toContain('--version 1.0 is none of 2.20');
  });
});

describe.skipIf(missing.length > 0)(`the seed of torture.yml${skippedFor(missing)}`, () => {
  const steps = readWorkflow(join(root, '.github/workflows/torture.yml')).jobs['torture']?.steps ?? [];
  const script = steps.find(({ run }) => run?.includes('seed='))?.run ?? '';

  function choose(SEED: string) {
    const [GITHUB_ENV, GITHUB_STEP_SUMMARY] = [join(temp, 'env'), join(temp, 'summary')];
    for (const file of [GITHUB_ENV, GITHUB_STEP_SUMMARY]) writeFileSync(file, '');
    const ran = runBash(script, { env: { SEED, GITHUB_ENV, GITHUB_STEP_SUMMARY }, cwd: temp });
    return { ...ran, env: readFileSync(GITHUB_ENV, 'utf8'), summary: readFileSync(GITHUB_STEP_SUMMARY, 'utf8') };
  }

  it('is the date of the day', () => {
    const day = () => new Date().toISOString().slice(0, 10).replaceAll('-', '');
    const days = [day()];
    const { status, stdout, env, summary } = choose('');
    days.push(day());
    const seed = /^TORTURE_SEED=(\d{8})\n$/.exec(env)?.[1] ?? '';
    expect(status).toBe(0);
    expect(days).toContain(seed);
    expect(stdout).toContain(`TORTURE_SEED=${seed}`);
    expect(summary).toContain(`\`TORTURE_SEED=${seed} npm run torture\``);
  });

  it('can be given', () => {
    expect(choose('20260101')).toMatchObject({ status: 0, env: 'TORTURE_SEED=20260101\n' });
  });

  it.each(['1; rm -rf .', '$(date)', 'x\nNODE_OPTIONS=y', '1\n2'])('is refused when it is no number: %j', (seed) => {
    expect(choose(seed)).toMatchObject({ status: 1, env: '', summary: '' });
  });
});
