// Runs the recipes in examples/ under act (https://github.com/nektos/act), twice in a row, against the simulator:
// node scripts/act.ts [part of a recipe's name] [--verbose]
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { stringify } from 'yaml';
import type { PlaceName } from '../__tests__/simulator/github.ts';
import type { Version } from '../__tests__/simulator/simulator.ts';
import { actionFolder, root } from '../__tests__/support/runner.ts';
import { ended, type Job, missingTools, readWorkflow, type Workflow } from '../__tests__/support/workflow.ts';
import { fillIn } from '../__tests__/support/workflow-expressions.ts';
import {
  callable,
  inWorld,
  type Scenario,
  scenarios,
  type World,
  workflowOf,
} from '../__tests__/support/workflow-scenarios.ts';

const versions: Version[] = ['2.22', '3.0'];

const permissions = ['secrets', 'environments', 'organization_secrets'] as const;

/** Replaces actions/create-github-app-token: returns one of the tokens in APP_TOKENS, by the permission requested. */
const tokenAction = {
  'action.yml': JSON.stringify({
    name: 'App token',
    inputs: Object.fromEntries(
      [...permissions.map((name) => `permission-${name.replace('_', '-')}`), 'client-id', 'private-key'].map((name) => [
        name,
        { required: false },
      ]),
    ),
    outputs: { token: { description: 'The token' } },
    runs: { using: 'node24', main: 'index.cjs' },
  }),
  'index.cjs': `
    const { appendFileSync } = require('node:fs');
    const asked = Object.entries(process.env).filter(([name, level]) => name.startsWith('INPUT_PERMISSION-') && level);
    const [name = ''] = asked.map(([input]) => input.slice(17).toLowerCase().replace('-', '_'));
    if (!process.env['INPUT_CLIENT-ID'] || !process.env['INPUT_PRIVATE-KEY']) {
      console.log('::error::The GitHub App has no client id or no private key');
      process.exit(1);
    }
    const token = asked.length === 1 ? JSON.parse(process.env.APP_TOKENS)[name] : 'one permission was not asked for';
    console.log('::add-mask::' + token);
    appendFileSync(process.env.GITHUB_OUTPUT, 'token=' + token + '\\n');
  `,
};

/** act does not know the id of the repository. */
function withRepositoryId(text: string, { github }: World): string {
  return text.replaceAll('github.repository_id', `'${github.repositoryId}'`);
}

/** The action, the reusable workflows, and the workflow to run, in folders that act treats as repositories. */
function writeRepositories(temp: string, { scenario, world }: { scenario: Scenario; world: World }): void {
  for (const name of ['work', 'token', 'action/.github/workflows']) mkdirSync(join(temp, name), { recursive: true });
  cpSync(actionFolder(), join(temp, 'action'), { recursive: true });
  for (const file of callable)
    writeFileSync(join(temp, 'action/.github/workflows', file), withRepositoryId(calledText(file), world));
  for (const [name, text] of Object.entries(tokenAction)) writeFileSync(join(temp, 'token', name), text);
  writeFileSync(join(temp, 'workflow.yml'), withRepositoryId(textFor(scenario), world));
}

/**
 * The name under which act has a value of an environment, since it does not support environments. A job that names the
 * wrong one finds nothing, as on GitHub.
 */
function nameIn(environment: string | undefined, name: string): string {
  return environment === undefined ? name : `${environment.toUpperCase().replace(/\W/g, '_')}__${name}`;
}

/** Part of a workflow with the names that act has in this environment. */
function inEnvironment<T>(part: T, environment: string | undefined, kinds = /\b(secrets|vars)\.(\w+)/g): T {
  const rename = (_: string, kind: string, name: string) => `${kind}.${nameIn(environment, name)}`;
  return part && JSON.parse(JSON.stringify(part).replace(kinds, rename));
}

/** The environment of a job. In a reusable workflow, it may come from an input's default. */
function environmentOf({ environment }: Job, { on }: Workflow): string | undefined {
  const name = typeof environment === 'object' ? environment.name : environment;
  const defaults = Object.entries(on.workflow_call?.inputs ?? {}).map(([input, spec]) => [input, spec.default ?? '']);
  const contexts = { inputs: Object.fromEntries(defaults) };
  return name === undefined ? undefined : fillIn(name, { contexts, status: 'success' });
}

const readCallable = (file: string) => readWorkflow(join(root, '.github/workflows', file));

/** A reusable workflow gets its secrets by name, and reads the variables of its environment itself. */
function calledText(file: string): string {
  const workflow = readCallable(file);
  const jobs = Object.entries(workflow.jobs).map(([id, job]) => [
    id,
    inEnvironment(job, environmentOf(job, workflow), /\b(vars)\.(\w+)/g),
  ]);
  return stringify({ ...workflow, jobs: Object.fromEntries(jobs) });
}

/**
 * A job that calls a workflow has no steps, not even an empty list; it passes secrets of the called job's environment.
 */
function callingJob({ steps: _, ...job }: Job): Omit<Job, 'steps'> {
  const called = readCallable(/([\w-]+\.yml)@/.exec(job.uses ?? '')?.[1] ?? '');
  const [first] = Object.values(called.jobs);
  const secrets = first && inEnvironment(job.secrets, environmentOf(first, called));
  return secrets ? { ...job, secrets } : job;
}

/** act reads the secrets before the first job, so a job that needs what an earlier one has stored is left out. */
function textFor(scenario: Scenario): string {
  const workflow = workflowOf(scenario);
  const jobs = Object.entries(workflow.jobs).filter(([, { needs }]) => needs === undefined);
  const written = jobs.map(([id, job]) => [
    id,
    job.uses === undefined ? inEnvironment(job, environmentOf(job, workflow)) : callingJob(job),
  ]);
  return stringify({ ...workflow, jobs: Object.fromEntries(written) });
}

function secretsOf({ github }: World, places: string[]): Record<string, string> {
  const there = places.flatMap((place) => github.secrets.filter((secret) => secret.place === place));
  return Object.fromEntries(there.map(({ name, value }) => [name, value]));
}

const everywhere = ['organization', 'repository'];

/** What jobs outside of every environment see, and what the jobs of each see. */
function layered(environments: string[], read: (places: string[]) => Record<string, string>): Record<string, string> {
  const named = environments.flatMap((environment) => {
    const values = Object.entries(read([...everywhere, `environment:${environment}`]));
    return values.map(([name, value]) => [nameIn(environment, name), value]);
  });
  return { ...read(everywhere), ...Object.fromEntries(named) };
}

/** act reads JSON, which is YAML, as YAML. */
function writeValues(temp: string, world: World): string[] {
  const { github, simulator, variables } = world;
  const tokens = permissions.map((name) => [name, github.addToken({ permissions: { [name]: 'write' } })]);
  const places = [...github.secrets.map(({ place }) => place), ...Object.keys(variables)];
  const environments = [...new Set(places.flatMap((place) => /^environment:(.*)$/.exec(place)?.[1] ?? []))];
  const files = {
    secret: layered(environments, (some) => secretsOf(world, some)),
    var: layered(environments, (some) => Object.assign({}, ...some.map((place) => variables[place as PlaceName]))),
    env: {
      APP_TOKENS: JSON.stringify(Object.fromEntries(tokens)),
      GITHUB_API_URL: github.url,
      GITHUB_REPOSITORY: github.repository,
      GITHUB_REPOSITORY_ID: String(github.repositoryId),
      ACTIONS_ID_TOKEN_REQUEST_URL: simulator.oidc.url,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: simulator.oidc.requestToken,
    },
  };
  return Object.entries(files).flatMap(([kind, values]) => {
    const path = join(temp, `${kind}.yml`);
    writeFileSync(path, JSON.stringify(values));
    return [`--${kind}-file`, path];
  });
}

/** The actions that are not this one. */
function foreignActions(scenario: Scenario): string[] {
  const files = [
    textFor(scenario),
    ...callable.map((file) => readFileSync(join(root, '.github/workflows', file), 'utf8')),
  ];
  return [...new Set(files.join('\n').match(/actions\/create-github-app-token@[0-9a-f]{40}/g))];
}

function argumentsFor(scenario: Scenario, { world, temp }: { world: World; temp: string }): string[] {
  return [
    'workflow_dispatch',
    ...['--workflows', join(temp, 'workflow.yml'), '--directory', join(temp, 'work')],
    ...['--platform', 'ubuntu-latest=-self-hosted', '--concurrent-jobs', '1', '--no-cache-server'],
    ...['--action-cache-path', join(temp, 'cache')],
    ...['--local-repository', `your-org/runai-auth@v1=${join(temp, 'action')}`],
    ...foreignActions(scenario).flatMap((action) => ['--local-repository', `${action}=${join(temp, 'token')}`]),
    ...writeValues(temp, world),
  ];
}

async function runAct(args: string[], { temp, programs }: { temp: string; programs: string }) {
  const PATH = [programs, process.env['PATH']].join(delimiter);
  return ended(spawn('act', args, { env: { ...process.env, PATH, HOME: temp }, stdio: ['ignore', 'pipe', 'pipe'] }));
}

function check(scenario: Scenario, { world, text }: { world: World; text: string }): void {
  const secrets = [
    ...world.simulator.secretsIssued,
    ...world.github.tokens,
    ...world.github.secrets.map(({ value }) => value),
  ];
  const leaked = secrets.filter((secret) => [text, ...world.stores.commandLines].some((line) => line.includes(secret)));
  assert.equal(leaked.length, 0, `${leaked.length} secrets are in the log`);
  scenario.checkDone(world);
  scenario.checkAlways?.(world);
}

async function runOnce(scenario: Scenario, { world, temp }: { world: World; temp: string }) {
  const { exitCode, text } = await runAct(argumentsFor(scenario, { world, temp }), { temp, programs: world.programs });
  if (process.argv.includes('--verbose')) console.log(text);
  return { exitCode, text };
}

async function inFolder(scenario: Scenario, world: World, use: (temp: string) => Promise<void>): Promise<void> {
  const temp = mkdtempSync(join(tmpdir(), 'act-'));
  try {
    writeRepositories(temp, { scenario, world });
    scenario.prepare(world);
    await use(temp);
  } finally {
    rmSync(temp, { recursive: true, force: true });
  }
}

function runTwice(scenario: Scenario, world: World): Promise<void> {
  return inFolder(scenario, world, async (temp) => {
    for (let round = 0; round < 2; round++) {
      const { exitCode, text } = await runOnce(scenario, { world, temp });
      assert.equal(exitCode, 0, `act failed:\n${text}`);
      check(scenario, { world, text });
    }
  });
}

const eachStep = (workflow: Workflow) => Object.values(workflow.jobs).flatMap(({ steps }) => steps);

/** Mistakes in a recipe that a run has to notice. */
const mistakes: Record<string, (workflow: Workflow) => void> = {
  'the wrong environment': (workflow) => {
    for (const job of Object.values(workflow.jobs)) job.environment = 'production';
  },
  'a GitHub App without its key': (workflow) => {
    for (const { uses = '', with: inputs } of eachStep(workflow))
      if (uses.startsWith('actions/create-github-app-token') && inputs) inputs['private-key'] = '';
  },
};

async function notices(what: string, adapt: (workflow: Workflow) => void): Promise<void> {
  const scenario = scenarios.find(({ file }) => file === 'rotate-in-place.yml');
  assert.ok(scenario);
  const wrong = { ...scenario, adapt };
  await inWorld('3.0', (world) =>
    inFolder(wrong, world, async (temp) => {
      const { exitCode, text } = await runOnce(wrong, { world, temp });
      assert.notEqual(exitCode, 0, `${what} was not noticed:\n${text}`);
    }),
  );
  console.log(`ok: ${what} is noticed`);
}

async function main(): Promise<void> {
  if (missingTools('act').length > 0) throw new Error('act is not installed: https://nektosact.com/installation');
  const wanted = process.argv.slice(2).find((argument) => !argument.startsWith('-')) ?? '';
  const chosen = scenarios.filter(({ name }) => name.includes(wanted));
  if (chosen.length === 0)
    throw new Error(`No recipe is called ${wanted}: ${scenarios.map(({ name }) => name).join(', ')}`);
  for (const [what, adapt] of Object.entries(mistakes)) await notices(what, adapt);
  for (const scenario of chosen) {
    for (const version of versions) {
      await inWorld(version, (world) => runTwice(scenario, world));
      console.log(`ok: ${scenario.name}, twice, on ${version}`);
    }
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
