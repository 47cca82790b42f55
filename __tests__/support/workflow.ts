import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { asShown, type LogLine, readLog } from './log.ts';
import { actionFile, readOutputFile, runStep } from './runner.ts';
import { fillIn, fillInAll, isTrue, type Scope, valueIn } from './workflow-expressions.ts';
import type { GitHub } from './workflow-github.ts';

export interface Step {
  id?: string;
  name?: string;
  if?: unknown;
  uses?: string;
  run?: string;
  shell?: string;
  with?: Record<string, unknown>;
  env?: Record<string, unknown>;
  'continue-on-error'?: unknown;
}

export interface Job {
  needs?: string | string[];
  if?: unknown;
  environment?: string | { name: string };
  permissions?: Record<string, string>;
  outputs?: Record<string, unknown>;
  env?: Record<string, unknown>;
  strategy?: { matrix?: Record<string, unknown> };
  steps: Step[];
}

export interface Workflow {
  name: string;
  on: Record<string, unknown>;
  permissions?: Record<string, string>;
  concurrency?: { group: string; 'cancel-in-progress': boolean };
  defaults?: { run?: { shell?: string } };
  env?: Record<string, unknown>;
  jobs: Record<string, Job>;
}

export type Conclusion = 'success' | 'failure' | 'skipped';

export interface StepRun {
  /** The job, the matrix values if there are any, and the number of the step: the same in each run. */
  key: string;
  name: string;
  /** Before `continue-on-error` is looked at. */
  outcome: Conclusion;
  conclusion: Conclusion;
  outputs: Record<string, string>;
}

export interface JobRun {
  id: string;
  conclusion: Conclusion;
  /** What other jobs get: without any output that holds a masked value. */
  outputs: Record<string, string>;
  steps: StepRun[];
  /** The log as GitHub shows it. */
  shown: string[];
}

export interface WorkflowRun {
  conclusion: Conclusion;
  jobs: JobRun[];
  steps: StepRun[];
  shown: string[];
}

/** A step that breaks: the machine goes away before it begins, or after it has done everything. */
export interface Sabotage {
  key: string;
  when: 'before' | 'after';
}

export interface WorkflowOptions {
  github: GitHub;
  inputs?: Record<string, unknown>;
  /** GitHub's token service, for jobs with `id-token: write`. */
  oidc?: { url: string; requestToken: string };
  sabotage?: Sabotage | undefined;
  /** Called around each step that runs. */
  beforeStep?: (key: string) => void;
  afterStep?: (key: string) => void;
}

export function readWorkflow(file: string): Workflow {
  return parse(readFileSync(file, 'utf8'));
}

/** Tools that the run steps need and the machine lacks. */
export function missingTools(...tools: string[]): string[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return tools.filter((tool) => !folders.some((folder) => existsSync(join(folder, tool))));
}

const repository = 'acme/app';

/** Runs all jobs of a workflow, one after the other, as GitHub and a runner would. */
export async function runWorkflow(workflow: Workflow, options: WorkflowOptions): Promise<WorkflowRun> {
  const folder = mkdtempSync(join(tmpdir(), 'workflow-'));
  try {
    writeStandIns(folder);
    const jobs: JobRun[] = [];
    for (const [id, job] of Object.entries(workflow.jobs)) {
      jobs.push(...(await runJobs({ id, job, workflow, options, folder, earlier: jobs })));
    }
    const conclusion = jobs.some((job) => job.conclusion === 'failure') ? 'failure' : 'success';
    const steps = jobs.flatMap((job) => job.steps);
    return { conclusion, jobs, steps, shown: jobs.flatMap((job) => job.shown) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `gh` works on a file instead of GitHub; `sleep` takes no time. */
export function writeStandIns(folder: string): void {
  mkdirSync(join(folder, 'bin'));
  const gh = fileURLToPath(new URL('workflow-gh.ts', import.meta.url));
  const programs = { gh: `exec '${process.execPath}' '${gh}' "$@"`, sleep: 'exit 0' };
  for (const [name, line] of Object.entries(programs)) {
    writeFileSync(join(folder, 'bin', name), `#!/bin/sh\n${line}\n`);
    chmodSync(join(folder, 'bin', name), 0o755);
  }
}

interface JobContext {
  id: string;
  job: Job;
  workflow: Workflow;
  options: WorkflowOptions;
  folder: string;
  earlier: JobRun[];
}

async function runJobs(context: JobContext): Promise<JobRun[]> {
  const { id, job, options, earlier } = context;
  const names = [job.needs ?? []].flat();
  const needed = earlier.filter((run) => names.includes(run.id));
  const needs = Object.fromEntries(
    needed.map(({ id: name, conclusion, outputs }) => [name, { result: conclusion, outputs }]),
  );
  const status = needed.every(({ conclusion }) => conclusion === 'success') ? 'success' : 'failure';
  const { github, inputs = {} } = options;
  const contexts = { github: githubContext, vars: github.variablesFor(), inputs, needs };
  if (!isTrue(job.if, { contexts, status })) return [{ id, conclusion: 'skipped', outputs: {}, steps: [], shown: [] }];
  const runs: JobRun[] = [];
  for (const matrix of combinations(job.strategy?.matrix, { contexts, status })) {
    runs.push(await new JobRunner(context, { ...contexts, matrix }).run());
  }
  return runs;
}

const githubContext = {
  repository,
  repository_owner: 'acme',
  ref: 'refs/heads/main',
  event_name: 'workflow_dispatch',
  token: 'ghs_the_own_token_of_the_job',
};

/** Every combination of the values of a matrix; one empty one where there is none. */
function combinations(matrix: Record<string, unknown> = {}, scope: Scope): Record<string, unknown>[] {
  return Object.entries(matrix).reduce<Record<string, unknown>[]>(
    (all, [name, values]) => {
      const list = valueIn(values, scope) as unknown[];
      return all.flatMap((one) => list.map((value) => ({ ...one, [name]: value })));
    },
    [{}],
  );
}

interface Finished {
  failed: boolean;
  outputs: Record<string, string>;
  env?: Record<string, string>;
}

/** Runs the steps of one job, and keeps what a runner keeps over them: environment, outputs, masks, log. */
class JobRunner {
  readonly #context: JobContext;
  readonly #contexts: Record<string, unknown>;
  readonly #matrix: Record<string, unknown>;
  readonly #secrets: Record<string, string>;
  readonly #steps: StepRun[] = [];
  readonly #ids: Record<string, Pick<StepRun, 'outputs' | 'outcome' | 'conclusion'>> = {};
  readonly #log: LogLine[] = [];
  #env: Record<string, string> = {};

  constructor(context: JobContext, contexts: Record<string, unknown> & { matrix: Record<string, unknown> }) {
    const { job, options } = context;
    this.#context = context;
    this.#matrix = contexts.matrix;
    const name = typeof job.environment === 'object' ? job.environment.name : job.environment;
    const environment = name === undefined ? undefined : fillIn(name, { contexts, status: 'success' });
    this.#secrets = options.github.secretsFor(environment);
    this.#contexts = { ...contexts, vars: options.github.variablesFor(environment), job: {}, runner: { os: 'Linux' } };
    // A runner knows every secret of the job before its first line.
    for (const secret of [githubContext.token, ...Object.values(this.#secrets)]) this.#mask(secret);
  }

  async run(): Promise<JobRun> {
    const { id, job, workflow } = this.#context;
    this.#env = fillInAll(workflow.env, this.#scope());
    this.#env = { ...this.#env, ...fillInAll(job.env, this.#scope()) };
    for (const [index, step] of job.steps.entries()) await this.#runStep(step, index);
    const outputs = this.#outputs();
    const conclusion = this.#status();
    return { id, conclusion, outputs, steps: this.#steps, shown: asShown(this.#log) };
  }

  #status(): 'success' | 'failure' {
    return this.#steps.some(({ conclusion }) => conclusion === 'failure') ? 'failure' : 'success';
  }

  /** What expressions see. A condition sees no secrets. */
  #scope({ secrets = true }: { secrets?: boolean } = {}): Scope {
    const visible = secrets ? { secrets: this.#secrets } : {};
    return { contexts: { ...this.#contexts, ...visible, env: this.#env, steps: this.#ids }, status: this.#status() };
  }

  #mask(value: string): void {
    if (value !== '') this.#log.push({ command: 'add-mask', text: value });
  }

  /** A runner leaves out whatever holds a masked value. */
  #outputs(): Record<string, string> {
    const masks = this.#log.flatMap(({ command, text }) => (command === 'add-mask' ? [text] : []));
    const entries = Object.entries(fillInAll(this.#context.job.outputs, this.#scope()));
    return Object.fromEntries(entries.filter(([, value]) => !masks.some((mask) => value.includes(mask))));
  }

  async #runStep(step: Step, index: number): Promise<void> {
    const { id, options } = this.#context;
    const values = Object.values(this.#matrix).map((value) => ` (${value})`);
    const key = `${id}${values.join('')} ${index + 1}`;
    const name = step.name ?? step.uses ?? step.run?.split('\n')[0] ?? '';
    if (!isTrue(step.if, this.#scope({ secrets: false }))) {
      return this.#note(step, { key, name, outcome: 'skipped', conclusion: 'skipped', outputs: {} });
    }
    const broken = options.sabotage?.key === key ? options.sabotage.when : undefined;
    options.beforeStep?.(key);
    const finished = broken === 'before' ? { failed: true, outputs: {} } : await this.#carryOut(step);
    options.afterStep?.(key);
    const outcome = finished.failed || broken ? 'failure' : 'success';
    const forgiven = valueIn(step['continue-on-error'], this.#scope()) === true;
    this.#env = { ...this.#env, ...finished.env };
    this.#note(step, { key, name, outcome, conclusion: forgiven ? 'success' : outcome, outputs: finished.outputs });
  }

  #note(step: Step, run: StepRun): void {
    this.#steps.push(run);
    if (step.id !== undefined) this.#ids[step.id] = run;
  }

  async #carryOut(step: Step): Promise<Finished> {
    const scope = this.#scope();
    const env = { ...this.#env, ...fillInAll(step.env, scope) };
    const inputs = fillInAll(step.with, { ...scope, contexts: { ...scope.contexts, env } });
    this.#announce(step, { inputs, env });
    if (step.run !== undefined) return this.#script(fillIn(step.run, scope), { shell: step.shell, env });
    const action = step.uses?.replace(/@.*/, '');
    switch (action) {
      case './':
      case 'your-org/runai-auth':
        return this.#action(inputs, env);
      case 'actions/checkout':
        return { failed: false, outputs: {} };
      case 'actions/create-github-app-token':
        return this.#appToken(inputs);
      default:
        throw new Error(`This runner does not know ${step.uses}`);
    }
  }

  /** The beginning of a step's log: what is to be run, with all values filled in. */
  #announce(step: Step, { inputs, env }: { inputs: Record<string, string>; env: Record<string, string> }): void {
    const list = (title: string, values: Record<string, string>) =>
      Object.entries(values).map(([name, value]) => `${title} ${name}: ${value}`);
    const lines = [`Run ${step.uses ?? step.run}`, ...list('with', inputs), ...list('env', env)];
    this.#log.push(...lines.flatMap((line) => line.split('\n')).map((text) => ({ text })));
  }

  async #action(inputs: Record<string, string>, env: Record<string, string>): Promise<Finished> {
    const { options, job, workflow } = this.#context;
    const unknown = Object.keys(inputs).filter((name) => !(name in actionFile.inputs));
    if (unknown.length > 0) throw new Error(`action.yml has no input ${unknown.join(', ')}`);
    const permissions = job.permissions ?? workflow.permissions ?? {};
    const { oidc } = options;
    const service = oidc &&
      permissions['id-token'] === 'write' && {
        ACTIONS_ID_TOKEN_REQUEST_URL: oidc.url,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: oidc.requestToken,
      };
    const result = await runStep({ inputs, env: { ...env, ...service } });
    this.#log.push(...result.log, ...result.stderr.split('\n').map((text) => ({ text })));
    return { failed: result.exitCode !== 0, outputs: result.outputs };
  }

  #appToken(inputs: Record<string, string>): Finished {
    if (!inputs['client-id'] || !inputs['private-key']) throw new Error('The GitHub App has no id or no key');
    const token = `ghs_${randomBytes(18).toString('hex')}`;
    const asked = Object.entries(inputs).filter(([name, level]) => name.startsWith('permission-') && level !== '');
    this.#context.options.github.change(({ tokens }) => {
      tokens[token] = Object.fromEntries(asked.map(([name, level]) => [name.replace('permission-', ''), level]));
    });
    this.#mask(token);
    return { failed: false, outputs: { token } };
  }

  async #script(script: string, { shell, env }: { shell: string | undefined; env: Record<string, string> }) {
    const { folder, workflow, options } = this.#context;
    const work = mkdtempSync(join(folder, 'step-'));
    const files = { GITHUB_OUTPUT: '', GITHUB_ENV: '', GITHUB_STEP_SUMMARY: '' };
    const paths = Object.fromEntries(Object.keys(files).map((name) => [name, join(work, name)]));
    for (const path of Object.values(paths)) writeFileSync(path, '');
    writeFileSync(join(work, 'script.sh'), script);
    const chosen = shell ?? workflow.defaults?.run?.shell;
    const flags = chosen === 'bash' ? ['--noprofile', '--norc', '-eo', 'pipefail'] : ['-e'];
    const child = spawn('bash', [...flags, join(work, 'script.sh')], {
      cwd: work,
      env: {
        PATH: [join(folder, 'bin'), process.env['PATH']].join(delimiter),
        HOME: work,
        GITHUB_STAND_IN: options.github.file,
        GITHUB_REPOSITORY: repository,
        GITHUB_REPOSITORY_OWNER: githubContext.repository_owner,
        ...env,
        ...paths,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { exitCode, text } = await ended(child);
    this.#log.push(...readLog(text));
    const read = (name: keyof typeof files) => readOutputFile(readFileSync(paths[name] ?? '', 'utf8'));
    return { failed: exitCode !== 0, outputs: read('GITHUB_OUTPUT'), env: read('GITHUB_ENV') };
  }
}

async function ended(child: ChildProcess): Promise<{ exitCode: number | null; text: string }> {
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return { exitCode, text: Buffer.concat(chunks).toString('utf8') };
}
