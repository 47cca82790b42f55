// Runs the recipes in examples/ under act (https://github.com/nektos/act), twice in a row, against the simulator:
// node scripts/act.ts [part of a recipe's name]
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { type Simulator, startSimulator, type Version } from '../__tests__/simulator/simulator.ts';
import { actionFolder } from '../__tests__/support/runner.ts';
import { missingTools, readWorkflow, writeStandIns } from '../__tests__/support/workflow.ts';
import { GitHub } from '../__tests__/support/workflow-github.ts';
import { folder, type Scenario, scenarios, type World } from '../__tests__/support/workflow-scenarios.ts';

const versions: Version[] = ['2.22', '3.0'];

/** What takes the place of actions/create-github-app-token: a token that the stand-in for `gh` knows. */
const tokenAction = {
  'action.yml': JSON.stringify({
    name: 'App token',
    inputs: Object.fromEntries(
      [
        'client-id',
        'private-key',
        'permission-secrets',
        'permission-environments',
        'permission-organization-secrets',
      ].map((name) => [name, { required: false }]),
    ),
    outputs: { token: { description: 'The token' } },
    runs: { using: 'node24', main: 'index.cjs' },
  }),
  'index.cjs': `
    const { appendFileSync, readFileSync, writeFileSync } = require('node:fs');
    const file = process.env.GITHUB_STAND_IN;
    const token = 'ghs_' + require('node:crypto').randomBytes(18).toString('hex');
    const asked = Object.entries(process.env).filter(([name, level]) => name.startsWith('INPUT_PERMISSION-') && level);
    const state = JSON.parse(readFileSync(file, 'utf8'));
    state.tokens[token] = Object.fromEntries(asked.map(([name, level]) => [name.slice(17).toLowerCase(), level]));
    writeFileSync(file, JSON.stringify(state));
    console.log('::add-mask::' + token);
    appendFileSync(process.env.GITHUB_OUTPUT, 'token=' + token + '\\n');
  `,
};

function usedActions({ workflow }: World): string[] {
  const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);
  return [...new Set(steps.flatMap((step) => step.uses ?? []))];
}

/** act knows no environments, so a job sees the values of all of them; it reads JSON, which is YAML, as YAML. */
function writeFiles(temp: string, { github, simulator }: World): string[] {
  const files = {
    secret: { ...github.secretsFor('production'), ...github.secretsFor('runai-admin') },
    var: { ...github.variablesFor('production'), ...github.variablesFor('runai-admin') },
    env: {
      GITHUB_STAND_IN: github.file,
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

function argumentsFor({ file, inputs = {} }: Scenario, { world, temp }: { world: World; temp: string }): string[] {
  const actions = usedActions(world).flatMap((action) => {
    if (action.startsWith('your-org/')) return ['--local-repository', `${action}=${actionFolder()}`];
    if (!action.startsWith('actions/create-github-app-token')) return [];
    return ['--local-repository', `${action}=${join(temp, 'token')}`];
  });
  return [
    'workflow_dispatch',
    ...['--workflows', join(folder, file), '--directory', join(temp, 'work')],
    ...['--platform', 'ubuntu-latest=-self-hosted', '--concurrent-jobs', '1', '--no-cache-server'],
    ...['--action-cache-path', join(temp, 'cache')],
    ...Object.entries(inputs).flatMap(([name, value]) => ['--input', `${name}=${value}`]),
    ...actions,
    ...writeFiles(temp, world),
  ];
}

async function runAct(args: string[], temp: string): Promise<{ exitCode: number | null; text: string }> {
  const PATH = [join(temp, 'bin'), process.env['PATH']].join(delimiter);
  const child = spawn('act', args, { env: { ...process.env, PATH, HOME: temp }, stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return { exitCode, text: Buffer.concat(chunks).toString('utf8') };
}

function prepareFolder(temp: string): void {
  for (const name of ['work', 'token']) mkdirSync(join(temp, name));
  writeStandIns(temp);
  for (const [name, text] of Object.entries(tokenAction)) writeFileSync(join(temp, 'token', name), text);
}

function check(scenario: Scenario, { world, text }: { world: World; text: string }): void {
  const leaked = world.simulator.secretsIssued.filter((secret) => text.includes(secret));
  assert.deepEqual(leaked.length, 0, `${leaked.length} secrets are in the log`);
  scenario.checkDone(world);
  assert.deepEqual(world.simulator.violations, []);
}

async function runTwice(scenario: Scenario, simulator: Simulator): Promise<void> {
  const temp = mkdtempSync(join(tmpdir(), 'act-'));
  try {
    prepareFolder(temp);
    const github = GitHub.create(join(temp, 'github.json'));
    const world = { simulator, github, workflow: readWorkflow(join(folder, scenario.file)) };
    scenario.prepare(world);
    for (let round = 0; round < 2; round++) {
      const { exitCode, text } = await runAct(argumentsFor(scenario, { world, temp }), temp);
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
      const simulator = await startSimulator({ version });
      try {
        await runTwice(scenario, simulator);
        console.log(`ok: ${scenario.name}, twice, on ${version}`);
      } finally {
        await simulator.close();
      }
    }
  }
}

await main();
