// Runs the recipes in examples/ under act (https://github.com/nektos/act), twice in a row, against the simulator:
// node scripts/act.ts [part of a recipe's name]
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { stringify } from 'yaml';
import type { Version } from '../__tests__/simulator/simulator.ts';
import { actionFolder, root } from '../__tests__/support/runner.ts';
import { ended, missingTools } from '../__tests__/support/workflow.ts';
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

/** What takes the place of actions/create-github-app-token: one of the tokens in APP_TOKENS, by the permission asked for. */
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
    const token = asked.length === 1 ? JSON.parse(process.env.APP_TOKENS)[name] : 'one permission was not asked for';
    console.log('::add-mask::' + token);
    appendFileSync(process.env.GITHUB_OUTPUT, 'token=' + token + '\\n');
  `,
};

/** act does not know the id of the repository. */
function withRepositoryId(text: string, { github }: World): string {
  return text.replaceAll('github.repository_id', `'${github.repositoryId}'`);
}

/** The action, the workflows that can be called, and the workflow to run, in folders that act takes for repositories. */
function writeRepositories(temp: string, { scenario, world }: { scenario: Scenario; world: World }): void {
  for (const name of ['work', 'token', 'action/.github/workflows']) mkdirSync(join(temp, name), { recursive: true });
  cpSync(actionFolder(), join(temp, 'action'), { recursive: true });
  for (const file of callable) {
    const text = readFileSync(join(root, '.github/workflows', file), 'utf8');
    writeFileSync(join(temp, 'action/.github/workflows', file), withRepositoryId(text, world));
  }
  for (const [name, text] of Object.entries(tokenAction)) writeFileSync(join(temp, 'token', name), text);
  writeFileSync(join(temp, 'workflow.yml'), withRepositoryId(textFor(scenario), world));
}

/** act reads the secrets before the first job, so a job that needs what an earlier one has stored is left out. */
function textFor(scenario: Scenario): string {
  const workflow = workflowOf(scenario);
  const jobs = Object.entries(workflow.jobs).filter(([, { needs }]) => needs === undefined);
  // A job that calls a workflow has no steps, not even an empty list of them.
  const written = jobs.map(([id, { steps, ...job }]) => [id, job.uses === undefined ? { ...job, steps } : job]);
  return stringify({ ...workflow, jobs: Object.fromEntries(written) });
}

function secretsOf({ github }: World): Record<string, string> {
  return Object.fromEntries(github.secrets.map(({ name, value }) => [name, value]));
}

/** act knows no environments, so a job sees the values of all of them; it reads JSON, which is YAML, as YAML. */
function writeValues(temp: string, world: World): string[] {
  const { github, simulator, variables } = world;
  const tokens = permissions.map((name) => [name, github.addToken({ permissions: { [name]: 'write' } })]);
  const files = {
    secret: secretsOf(world),
    var: Object.assign({}, ...Object.values(variables)),
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
  const secrets = [...world.simulator.secretsIssued, ...world.github.tokens, ...Object.values(secretsOf(world))];
  const leaked = secrets.filter((secret) => [text, ...world.stores.commandLines].some((line) => line.includes(secret)));
  assert.equal(leaked.length, 0, `${leaked.length} secrets are in the log`);
  scenario.checkDone(world);
  scenario.checkAlways?.(world);
}

async function runTwice(scenario: Scenario, world: World): Promise<void> {
  const temp = mkdtempSync(join(tmpdir(), 'act-'));
  try {
    writeRepositories(temp, { scenario, world });
    scenario.prepare(world);
    for (let round = 0; round < 2; round++) {
      const { exitCode, text } = await runAct(argumentsFor(scenario, { world, temp }), {
        temp,
        programs: world.programs,
      });
      if (process.argv.includes('--verbose') || exitCode !== 0) console.log(text);
      assert.equal(exitCode, 0, 'act failed');
      check(scenario, { world, text });
    }
  } finally {
    rmSync(temp, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  if (missingTools('act').length > 0) return console.log('act is not installed: nothing was run.');
  const wanted = process.argv.slice(2).find((argument) => !argument.startsWith('-')) ?? '';
  for (const scenario of scenarios.filter(({ name }) => name.includes(wanted))) {
    for (const version of versions) {
      await inWorld(version, (world) => runTwice(scenario, world));
      console.log(`ok: ${scenario.name}, twice, on ${version}`);
    }
  }
}

await main();
