import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { parse } from 'yaml';
import type { Github, Permissions, PlaceName } from '../simulator/github.ts';
import { asShown, type LogLine, readLog } from './log.ts';
import { actionFile, type RunningStep, readOutputFile, root, startStep } from './runner.ts';
import { fillIn, fillInAll, isTrue, type Scope, valueIn } from './workflow-expressions.ts';

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
  concurrency?: { group: string };
  outputs?: Record<string, unknown>;
  env?: Record<string, unknown>;
  strategy?: { matrix?: Record<string, unknown> };
  /** Empty if the job calls a workflow. */
  steps: Step[];
  /** The workflow that the job calls. */
  uses?: string;
  with?: Record<string, unknown>;
  secrets?: Record<string, string>;
}

interface CallInput {
  description?: string;
  type: 'string' | 'number' | 'boolean';
  required?: boolean;
  default?: unknown;
}

/** What a workflow gets from its caller. */
export interface Call {
  inputs?: Record<string, CallInput>;
  secrets?: Record<string, { description?: string; required?: boolean }>;
}

export interface Workflow {
  name: string;
  on: { workflow_call?: Call } & Record<string, unknown>;
  permissions?: Record<string, string>;
  concurrency?: { group: string };
  defaults?: { run?: { shell?: string } };
  env?: Record<string, unknown>;
  jobs: Record<string, Job>;
}

export type Conclusion = 'success' | 'failure' | 'skipped';

export interface StepRun {
  name: string;
  /** Before `continue-on-error` is looked at. */
  outcome: Conclusion;
  conclusion: Conclusion;
  outputs: Record<string, string>;
}

export interface JobRun {
  id: string;
  conclusion: Conclusion;
  /** What other jobs get: without any output that contains a masked value. */
  outputs: Record<string, string>;
  steps: StepRun[];
  /** The log as GitHub shows it. */
  shown: string[];
  /** The job summary. */
  summary: string;
}

export interface WorkflowRun {
  conclusion: Conclusion;
  jobs: JobRun[];
  steps: StepRun[];
  shown: string[];
}

/** Variables by the place where they are stored. */
export type Variables = Partial<Record<PlaceName, Record<string, string>>>;

export interface WorkflowOptions {
  /** Stores the secrets, and answers the action. */
  github?: Github;
  variables?: Variables;
  inputs?: Record<string, unknown>;
  /** GitHub's token service, for jobs with `id-token: write`. */
  oidc?: { url: string; requestToken: string };
  /** A folder of programs that scripts find before all others. */
  programs?: string;
  /** Called with each step that runs the action, once it has begun. */
  onStep?: (step: RunningStep) => void;
}

export function parseWorkflow(text: string): Workflow {
  const workflow = parse(text) as Workflow;
  for (const job of Object.values(workflow.jobs)) job.steps ??= [];
  return workflow;
}

export function readWorkflow(file: string): Workflow {
  return parseWorkflow(readFileSync(file, 'utf8'));
}

/** Tools that the run steps need but the machine lacks. */
export function missingTools(...tools: string[]): string[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return tools.filter((tool) => !folders.some((folder) => existsSync(join(folder, tool))));
}

/** A run of a workflow, or of one that a job calls. */
interface Run {
  workflow: Workflow;
  options: WorkflowOptions;
  inputs: Record<string, unknown>;
  folder: string;
  github: typeof githubContext;
  /** GitHub reads the secrets of the organization and the repository when a run is queued. */
  queuedSecrets: Record<string, string>;
  /** In a called workflow: the secrets that the caller names. It sees no others. */
  named?: string[];
}

/** Runs all jobs of a workflow, one after the other, as GitHub and a runner would. */
export async function runWorkflow(workflow: Workflow, options: WorkflowOptions = {}): Promise<WorkflowRun> {
  const folder = mkdtempSync(join(tmpdir(), 'workflow-'));
  try {
    const { github, inputs = {} } = options;
    const queuedSecrets = { ...secretsAt(github, 'organization'), ...secretsAt(github, 'repository') };
    const jobs = await runAll({ workflow, options, inputs, folder, github: contextOf(github), queuedSecrets });
    const conclusion = jobs.some((job) => job.conclusion === 'failure') ? 'failure' : 'success';
    return {
      conclusion,
      jobs,
      steps: jobs.flatMap((job) => job.steps),
      shown: jobs.flatMap((job) => job.shown),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const githubContext = {
  repository: 'acme/app',
  repository_id: '456789',
  repository_owner: 'acme',
  repository_owner_id: '123456',
  ref: 'refs/heads/main',
  event_name: 'workflow_dispatch',
  token: 'ghs_the_own_token_of_the_job',
};

function contextOf(github: Github | undefined): typeof githubContext {
  if (!github) return githubContext;
  const { repository, repositoryId, organization } = github;
  return { ...githubContext, repository, repository_id: String(repositoryId), repository_owner: organization };
}

function secretsAt(github: Github | undefined, place: PlaceName): Record<string, string> {
  const there = github?.secrets.filter((secret) => secret.place === place.toLowerCase()) ?? [];
  return Object.fromEntries(there.map(({ name, value }) => [name, value]));
}

async function runAll(run: Run): Promise<JobRun[]> {
  const jobs: JobRun[] = [];
  for (const [id, job] of Object.entries(run.workflow.jobs))
    jobs.push(...(await runJob(run, { id, job, earlier: jobs })));
  return jobs;
}

async function runJob(run: Run, { id, job, earlier }: { id: string; job: Job; earlier: JobRun[] }): Promise<JobRun[]> {
  const names = [job.needs ?? []].flat();
  const needed = earlier.filter((one) => names.includes(one.id));
  const needs = Object.fromEntries(needed.map((one) => [one.id, { result: one.conclusion, outputs: one.outputs }]));
  const status = needed.every(({ conclusion }) => conclusion === 'success') ? 'success' : 'failure';
  const { github, inputs } = run;
  const contexts = { github, inputs, needs, vars: variablesOf(run) };
  const scope: Scope = { contexts, status };
  if (!isTrue(job.if, scope)) return [{ id, conclusion: 'skipped', outputs: {}, steps: [], shown: [], summary: '' }];
  if (job.uses !== undefined) return callWorkflow(run, { id, job, scope });
  const runs: JobRun[] = [];
  for (const matrix of combinations(job.strategy?.matrix, scope))
    runs.push(await new JobRunner(run, { id, job, contexts: { ...contexts, matrix } }).run());
  return runs;
}

function variablesOf({ options: { variables = {} } }: Run, environment?: string): Record<string, string> {
  return {
    ...variables.organization,
    ...variables.repository,
    ...(environment === undefined ? {} : variables[`environment:${environment}`]),
  };
}

/** Runs the jobs of a workflow of this repository, with what the calling job passes. */
async function callWorkflow(run: Run, { id, job, scope }: { id: string; job: Job; scope: Scope }): Promise<JobRun[]> {
  const [, path] = /^your-org\/runai-auth\/(\.github\/workflows\/[\w-]+\.yml)@v1$/.exec(job.uses ?? '') ?? [];
  if (path === undefined) throw new Error(`This runner does not know ${job.uses}`);
  const workflow = readWorkflow(join(root, path));
  const call = workflow.on.workflow_call ?? {};
  const given = Object.entries(job.with ?? {}).map(([name, value]) => [
    name,
    valueIn(fillInAround(value, scope), scope),
  ]);
  const inputs = inputsOf(call, Object.fromEntries(given));
  const named = Object.keys(job.secrets ?? {});
  checkNames('secret', { known: call.secrets ?? {}, given: named });
  const runs = await runAll({ ...run, workflow, inputs, named });
  return runs.map((one) => ({ ...one, id: `${id} / ${one.id}` }));
}

/** One expression keeps its type; a text with expressions in it is filled in. */
function fillInAround(value: unknown, scope: Scope): unknown {
  return typeof value === 'string' && !/^\$\{\{((?!\}\}).)*\}\}$/s.test(value.trim()) ? fillIn(value, scope) : value;
}

function inputsOf({ inputs: declared = {} }: Call, given: Record<string, unknown>): Record<string, unknown> {
  checkNames('input', { known: declared, given: Object.keys(given) });
  const none = { string: '', number: 0, boolean: false };
  return Object.fromEntries(
    Object.entries(declared).map(([name, input]) => {
      const value = given[name] ?? input.default ?? none[input.type];
      if (typeof value !== input.type) throw new Error(`The input ${name} is no ${input.type}: ${String(value)}`);
      return [name, value];
    }),
  );
}

function checkNames(
  kind: string,
  { known, given }: { known: Record<string, { required?: boolean }>; given: string[] },
): void {
  const unknown = given.filter((name) => !(name in known));
  if (unknown.length > 0) throw new Error(`The called workflow has no ${kind} ${unknown.join(', ')}`);
  const required = Object.keys(known).filter((name) => known[name]?.required);
  const missing = required.filter((name) => !given.includes(name));
  if (missing.length > 0) throw new Error(`The called workflow needs the ${kind} ${missing.join(', ')}`);
}

/** Every combination of the values of a matrix; one empty one if there is none. */
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

/** Runs the steps of one job, and keeps what a runner keeps across them: environment, outputs, masks, log. */
class JobRunner {
  readonly #run: Run;
  readonly #id: string;
  readonly #job: Job;
  readonly #contexts: Record<string, unknown>;
  readonly #secrets: Record<string, string>;
  readonly #steps: StepRun[] = [];
  readonly #ids: Record<string, StepRun> = {};
  readonly #log: LogLine[] = [];
  readonly #summaries: string[] = [];
  #env: Record<string, string> = {};

  constructor(run: Run, { id, job, contexts }: { id: string; job: Job; contexts: Record<string, unknown> }) {
    this.#run = run;
    this.#id = id;
    this.#job = job;
    const name = typeof job.environment === 'object' ? job.environment.name : job.environment;
    const environment = name === undefined ? undefined : fillIn(name, { contexts, status: 'success' });
    this.#contexts = { ...contexts, vars: variablesOf(run, environment), job: {}, runner: { os: 'Linux' } };
    this.#secrets = this.#readSecrets(environment);
    // A runner knows every secret of the job before its first line.
    for (const secret of [run.github.token, ...Object.values(this.#secrets)]) this.#mask(secret);
  }

  /** GitHub reads the secrets of an environment when a job that names it starts. */
  #readSecrets(environment: string | undefined): Record<string, string> {
    const { options, queuedSecrets, named } = this.#run;
    const own = environment === undefined ? {} : secretsAt(options.github, `environment:${environment}`);
    const entries = Object.entries({ ...queuedSecrets, ...own });
    return Object.fromEntries(entries.filter(([name]) => named === undefined || named.includes(name)));
  }

  async run(): Promise<JobRun> {
    this.#env = fillInAll(this.#run.workflow.env, this.#scope());
    this.#env = { ...this.#env, ...fillInAll(this.#job.env, this.#scope()) };
    for (const step of this.#job.steps) await this.#runStep(step);
    return {
      id: this.#id,
      conclusion: this.#status(),
      outputs: this.#outputs(),
      steps: this.#steps,
      shown: asShown(this.#log),
      summary: this.#summaries.join(''),
    };
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

  /** A runner drops every output that contains a masked value. */
  #outputs(): Record<string, string> {
    const masks = this.#log.flatMap(({ command, text }) => (command === 'add-mask' ? [text] : []));
    const entries = Object.entries(fillInAll(this.#job.outputs, this.#scope()));
    return Object.fromEntries(entries.filter(([, value]) => !masks.some((mask) => value.includes(mask))));
  }

  async #runStep(step: Step): Promise<void> {
    const name = step.name ?? step.uses ?? step.run?.split('\n')[0] ?? '';
    if (!isTrue(step.if, this.#scope({ secrets: false })))
      return this.#note(step, { name, outcome: 'skipped', conclusion: 'skipped', outputs: {} });
    const { failed, outputs, env } = await this.#carryOut(step);
    const outcome = failed ? 'failure' : 'success';
    const forgiven = valueIn(step['continue-on-error'], this.#scope()) === true;
    this.#env = { ...this.#env, ...env };
    this.#note(step, { name, outcome, conclusion: forgiven ? 'success' : outcome, outputs });
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
    const unknown = Object.keys(inputs).filter((name) => !(name in actionFile.inputs));
    if (unknown.length > 0) throw new Error(`action.yml has no input ${unknown.join(', ')}`);
    const step = startStep({ inputs, env: { ...this.#runnerEnv(), ...env, ...this.#tokenService() } });
    this.#run.options.onStep?.(step);
    const result = await step.result;
    this.#log.push(...result.log, ...result.stderr.split('\n').map((text) => ({ text })));
    this.#summaries.push(result.summary);
    return { failed: result.exitCode !== 0, outputs: result.outputs };
  }

  /** The environment in which a runner starts every step. */
  #runnerEnv(): Record<string, string> {
    const { github, options } = this.#run;
    return {
      GITHUB_API_URL: options.github?.url ?? 'http://127.0.0.1:9',
      GITHUB_REPOSITORY: github.repository,
      GITHUB_REPOSITORY_ID: github.repository_id,
      GITHUB_REPOSITORY_OWNER: github.repository_owner,
      GITHUB_REPOSITORY_OWNER_ID: github.repository_owner_id,
    };
  }

  #tokenService(): Record<string, string> {
    const { options, workflow } = this.#run;
    const permissions = this.#job.permissions ?? workflow.permissions ?? {};
    if (!options.oidc || permissions['id-token'] !== 'write') return {};
    const { url, requestToken } = options.oidc;
    return { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken };
  }

  /** A token with the requested permissions; as with the real action, an empty input requests nothing. */
  #appToken(inputs: Record<string, string>): Finished {
    const { github } = this.#run.options;
    if (!github || !inputs['client-id'] || !inputs['private-key']) {
      this.#log.push({ command: 'error', text: 'The GitHub App has no client id or no private key' });
      return { failed: true, outputs: {} };
    }
    const asked = Object.entries(inputs).filter(([name, level]) => name.startsWith('permission-') && level !== '');
    const named = asked.map(([name, level]) => [name.slice('permission-'.length).replaceAll('-', '_'), level]);
    const token = github.addToken({ permissions: Object.fromEntries(named) as Permissions });
    this.#mask(token);
    return { failed: false, outputs: { token } };
  }

  async #script(script: string, { shell, env }: { shell: string | undefined; env: Record<string, string> }) {
    const { folder, workflow, options } = this.#run;
    const work = mkdtempSync(join(folder, 'step-'));
    const names = ['GITHUB_OUTPUT', 'GITHUB_ENV', 'GITHUB_STEP_SUMMARY'] as const;
    const paths = Object.fromEntries(names.map((name) => [name, join(work, name)]));
    for (const path of Object.values(paths)) writeFileSync(path, '');
    writeFileSync(join(work, 'script.sh'), script);
    const chosen = shell ?? workflow.defaults?.run?.shell;
    const flags = chosen === 'bash' ? ['--noprofile', '--norc', '-eo', 'pipefail'] : ['-e'];
    const child = spawn('bash', [...flags, join(work, 'script.sh')], {
      cwd: work,
      env: {
        PATH: [options.programs ?? [], process.env['PATH'] ?? []].flat().join(delimiter),
        HOME: work,
        ...this.#runnerEnv(),
        ...env,
        ...paths,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { exitCode, text } = await ended(child);
    this.#log.push(...readLog(text));
    const read = (name: (typeof names)[number]) => readFileSync(paths[name] ?? '', 'utf8');
    this.#summaries.push(read('GITHUB_STEP_SUMMARY'));
    return {
      failed: exitCode !== 0,
      outputs: readOutputFile(read('GITHUB_OUTPUT')),
      env: readOutputFile(read('GITHUB_ENV')),
    };
  }
}

/** What a process printed, and how it ended. */
export async function ended(child: ChildProcess): Promise<{ exitCode: number | null; text: string }> {
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return { exitCode, text: Buffer.concat(chunks).toString('utf8') };
}
