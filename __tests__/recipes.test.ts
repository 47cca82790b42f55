import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Fault, type Simulator, startSimulator, type Version } from './simulator/simulator.ts';
import { root } from './support/runner.ts';
import { missingTools, readWorkflow, runWorkflow, type Workflow, type WorkflowRun } from './support/workflow.ts';
import { evaluate } from './support/workflow-expressions.ts';
import { GitHub } from './support/workflow-github.ts';

const folder = join(root, 'examples');
const missing = process.platform === 'win32' ? ['a bash of its own'] : missingTools('bash', 'curl');
const skipped = missing.length > 0 ? ` (skipped: no ${missing.join(', no ')})` : '';
const versions: Version[] = ['2.22', '3.0'];
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A control plane, what GitHub remembers, and the recipe between them. */
interface World {
  simulator: Simulator;
  github: GitHub;
  workflow: Workflow;
}

interface Scenario {
  name: string;
  file: string;
  inputs?: Record<string, unknown>;
  /** Where another scenario breaks the same steps everywhere, it is enough to break this one after each. */
  breaks?: 'after steps';
  /** What is there before the first run. */
  prepare(world: World): void;
  /** What must hold after every run that succeeded. */
  expectDone(world: World): void;
  /** What must hold after every run, even one that broke off. */
  expectAlways?(world: World): void;
}

const subjectType = ({ version }: Simulator) => (version === '3.0' ? 'service-account' : 'app');

function addAdministrator({ simulator, github }: World): void {
  const { clientId, secret } = simulator.addApplication({ name: 'platform-admin' });
  addRule(simulator, { subjectId: clientId, roleId: 1, scopeType: 'tenant', scopeId: '1001' });
  const place = { environment: 'runai-admin' };
  github.setVariable('RUNAI_URL', simulator.url);
  github.setVariable('RUNAI_ADMIN_CLIENT_ID', clientId, place);
  github.setSecret('RUNAI_ADMIN_CLIENT_SECRET', secret, place);
  github.setVariable('ROTATION_APP_CLIENT_ID', 'Iv23abcdef', place);
  github.setSecret('ROTATION_APP_PRIVATE_KEY', '-----BEGIN KEY-----\nbm90LWEtcmVhbC1rZXk\n-----END KEY-----\n', place);
}

function addRule(
  simulator: Simulator,
  rule: { subjectId: string; roleId: number; scopeType: string; scopeId: string },
): void {
  simulator.addAccessRule({ ...rule, subjectType: subjectType(simulator) });
}

const accessRules = 'ML engineer @ project:4501234\nviewer @ department:77';
const grantedRules = ['12 @ department:77', '9 @ project:4501234'];

function rulesOf({ simulator }: World, subjectId: string): string[] {
  const own = simulator.accessRules.filter((rule) => rule.subjectId === subjectId);
  return own.map(({ roleId, scopeType, scopeId }) => `${roleId} @ ${scopeType}:${scopeId}`).sort();
}

const names = ({ simulator }: World) => simulator.applications.map(({ name }) => name).sort();

/** The value of an input as a comment in the recipe tells its users to write it. */
function asDocumented(file: string, input: string): string {
  const [, expression = ''] =
    new RegExp(`^# +${input}: \\$\\{\\{(.*)\\}\\}$`, 'm').exec(readFileSync(join(folder, file), 'utf8')) ?? [];
  return expression;
}

/** Whether a job that starts now, and gets its credentials as the recipe says, can get a token. */
function expectUsersServed({ simulator, github }: World): void {
  const contexts = { vars: github.variablesFor('production'), secrets: github.secretsFor('production') };
  const [clientId, clientSecret] = ['client-id', 'client-secret'].map((input) =>
    String(evaluate(asDocumented('rotate-without-downtime.yml', input), { contexts, status: 'success' })),
  );
  expect(simulator.isValidSecret(clientId ?? '', clientSecret ?? ''), 'the credentials of a job are valid').toBe(true);
}

/** An application of one of the two names, its credentials stored in its slot. */
function addSlot({ simulator, github }: World, slot: 'A' | 'B'): void {
  const place = { environment: 'production' };
  const { clientId, secret } = simulator.addApplication({ name: `ci-runner-${slot.toLowerCase()}` });
  addRule(simulator, { subjectId: clientId, roleId: 9, scopeType: 'project', scopeId: '4501234' });
  addRule(simulator, { subjectId: clientId, roleId: 12, scopeType: 'department', scopeId: '77' });
  github.setVariable(`RUNAI_CLIENT_ID_${slot}`, clientId, place);
  github.setSecret(`RUNAI_CLIENT_SECRET_${slot}`, secret, place);
}

function useSlot({ github }: World, slot: 'A' | 'B', age: number): void {
  github.setVariable('RUNAI_SLOT', slot, { environment: 'production', updatedAt: new Date(Date.now() - age) });
}

function expectSlot(world: World, slot: 'A' | 'B'): void {
  expect(world.github.variablesFor('production')['RUNAI_SLOT']).toBe(slot);
  expectUsersServed(world);
  expect(rulesOf(world, `ci-runner-${slot.toLowerCase()}`)).toEqual(grantedRules);
}

function prepareTurns(world: World): void {
  addAdministrator(world);
  world.github.setVariable('RUNAI_ACCESS_RULES', accessRules);
}

function expectBootstrapped(world: World): void {
  const { simulator, github } = world;
  const clientId = github.variablesFor('production')['RUNAI_CLIENT_ID'] ?? '';
  expect(simulator.isValidSecret(clientId, github.secretsFor('production')['RUNAI_CLIENT_SECRET'] ?? '')).toBe(true);
  expect(names(world)).toEqual(['deploy-production', 'platform-admin']);
  expect(rulesOf(world, clientId)).toEqual(grantedRules);
  const people: string[] = JSON.parse(github.variablesFor()['RUNAI_USERS'] ?? '');
  expect(simulator.users.map(({ username }) => username).sort()).toEqual([simulator.admin.username, ...people].sort());
  for (const email of people) expect(rulesOf(world, email)).toEqual(grantedRules);
}

function prepareBootstrap(world: World, { users }: { users: string[] }): void {
  addAdministrator(world);
  world.github.setVariable('RUNAI_ACCESS_RULES', accessRules);
  world.github.setVariable('RUNAI_USERS', JSON.stringify(users));
}

/** The application that rotate-in-place.yml rotates, its secret stored where the variable says. */
function prepareRotation(world: World, place: Parameters<GitHub['setSecret']>[2] = {}): void {
  addAdministrator(world);
  const { simulator, github } = world;
  const { secret } = simulator.addApplication({ name: 'ci-runner' });
  addRule(simulator, { subjectId: 'ci-runner', roleId: 9, scopeType: 'project', scopeId: '4501234' });
  github.setVariable('RUNAI_APP_NAME', 'ci-runner');
  github.setSecret('RUNAI_CLIENT_SECRET', secret, place);
}

function expectRotated(world: World): void {
  const { simulator, github } = world;
  expect(simulator.isValidSecret('ci-runner', github.secretsFor()['RUNAI_CLIENT_SECRET'] ?? '')).toBe(true);
  expect(names(world)).toEqual(['ci-runner', 'platform-admin']);
  expect(rulesOf(world, 'ci-runner')).toEqual(['9 @ project:4501234']);
}

/** Nothing was made, and the recipe's own request was answered well. */
function expectTokenUsed({ simulator }: World): void {
  expect(simulator.requests.at(-1)).toMatchObject({ method: 'GET', status: 200 });
  expect(simulator.users).toHaveLength(1);
}

const scenarios: Scenario[] = [
  {
    name: 'ci-token.yml',
    file: 'ci-token.yml',
    prepare({ simulator, github }) {
      const { clientId, secret } = simulator.addApplication({ name: 'ci' });
      addRule(simulator, { subjectId: clientId, roleId: 1, scopeType: 'tenant', scopeId: '1001' });
      github.setVariable('RUNAI_URL', simulator.url);
      github.setVariable('RUNAI_CLIENT_ID', clientId);
      github.setSecret('RUNAI_CLIENT_SECRET', secret);
    },
    expectDone: expectTokenUsed,
  },
  {
    name: 'keyless.yml',
    file: 'keyless.yml',
    prepare({ simulator, github }) {
      const place = { environment: 'production' };
      github.setVariable('RUNAI_URL', simulator.url, place);
      github.setVariable('RUNAI_OIDC_AUDIENCE', simulator.oidc.audience, place);
    },
    expectDone: expectTokenUsed,
  },
  {
    name: 'bootstrap-environment.yml in an empty tenant',
    file: 'bootstrap-environment.yml',
    inputs: { environment: 'production' },
    prepare: (world) => prepareBootstrap(world, { users: ['ada@acme.example', 'grace@acme.example'] }),
    expectDone: expectBootstrapped,
  },
  {
    name: 'bootstrap-environment.yml over a stored secret that no longer works',
    file: 'bootstrap-environment.yml',
    inputs: { environment: 'production' },
    breaks: 'after steps',
    prepare(world) {
      prepareBootstrap(world, { users: ['ada@acme.example'] });
      world.simulator.addApplication({ name: 'deploy-production' });
      const place = { environment: 'production' };
      world.github.setVariable('RUNAI_CLIENT_ID', 'deploy-production', place);
      world.github.setSecret('RUNAI_CLIENT_SECRET', 'a-secret-from-another-time', place);
    },
    expectDone: expectBootstrapped,
  },
  {
    name: 'rotate-in-place.yml',
    file: 'rotate-in-place.yml',
    prepare: (world) => prepareRotation(world),
    expectDone: expectRotated,
  },
  {
    name: 'rotate-without-downtime.yml for the first time',
    file: 'rotate-without-downtime.yml',
    breaks: 'after steps',
    prepare: prepareTurns,
    expectDone(world) {
      expect(names(world)).toEqual(['ci-runner-a', 'platform-admin']);
      expectSlot(world, 'A');
    },
  },
  {
    name: 'rotate-without-downtime.yml when a rotation is due',
    file: 'rotate-without-downtime.yml',
    prepare(world) {
      prepareTurns(world);
      addSlot(world, 'A');
      useSlot(world, 'A', 31 * DAY);
    },
    expectDone(world) {
      expect(names(world), 'the previous application still works').toEqual([
        'ci-runner-a',
        'ci-runner-b',
        'platform-admin',
      ]);
      expectSlot(world, 'B');
    },
    expectAlways: expectUsersServed,
  },
  {
    name: 'rotate-without-downtime.yml after the grace period',
    file: 'rotate-without-downtime.yml',
    prepare(world) {
      prepareTurns(world);
      addSlot(world, 'A');
      addSlot(world, 'B');
      useSlot(world, 'B', 73 * HOUR);
    },
    expectDone(world) {
      expect(names(world)).toEqual(['ci-runner-b', 'platform-admin']);
      expectSlot(world, 'B');
    },
    expectAlways: expectUsersServed,
  },
];

/** Gives `use` a world of its own. */
async function inWorld(
  { file, prepare }: Pick<Scenario, 'file' | 'prepare'>,
  { version, use }: { version: Version; use: (world: World) => Promise<void> },
): Promise<void> {
  const simulator = await startSimulator({ version });
  const temp = mkdtempSync(join(tmpdir(), 'recipe-'));
  try {
    const github = GitHub.create(join(temp, 'github.json'));
    const world = { simulator, github, workflow: readWorkflow(join(folder, file)) };
    prepare(world);
    await use(world);
    expect(simulator.violations).toEqual([]);
  } finally {
    await simulator.close();
    rmSync(temp, { recursive: true, force: true });
  }
}

type Extras = Partial<Parameters<typeof runWorkflow>[1]>;

/** One run of the recipe, whose log is searched for every secret there is. */
async function run(world: World, { inputs = {} }: Pick<Scenario, 'inputs'>, extras: Extras = {}): Promise<WorkflowRun> {
  const { simulator, github, workflow } = world;
  const result = await runWorkflow(workflow, { github, inputs, oidc: simulator.oidc, ...extras });
  const { secrets, tokens } = github.state;
  const stored = Object.values(secrets).flatMap((place) => Object.values(place));
  const log = result.shown.join('\n');
  const known = [...simulator.secretsIssued, ...stored, ...Object.keys(tokens)].flatMap((secret) => secret.split('\n'));
  expect(
    known.filter((secret) => secret.length > 3 && log.includes(secret)),
    `secrets in:\n${log}`,
  ).toEqual([]);
  return result;
}

function expectSuccess({ conclusion, shown }: WorkflowRun): void {
  expect(conclusion, shown.join('\n')).toBe('success');
}

/** A way in which one step can break. */
interface Breakage {
  key: string;
  what: string;
  sabotage?: 'before' | 'after';
  request?: { number: number; fault: Fault };
  gh?: { number: number };
}

interface StepCosts {
  requests: string[];
  gh: number;
}

/** Runs a recipe that works, and notes what each step asks of the control plane and of GitHub. */
async function costsOf(world: World, scenario: Scenario): Promise<Map<string, StepCosts>> {
  const { simulator, github } = world;
  const costs = new Map<string, StepCosts>();
  let before = { requests: 0, gh: 0 };
  const now = () => ({ requests: simulator.requests.length, gh: github.state.calls.length });
  const result = await run(world, scenario, {
    beforeStep: () => {
      before = now();
    },
    afterStep: (key) => {
      const requests = simulator.requests.slice(before.requests).map(({ method }) => method);
      costs.set(key, { requests, gh: now().gh - before.gh });
    },
  });
  expectSuccess(result);
  return costs;
}

/**
 * Every step breaks after its work; in the middle of it, at each request and each `gh`, where the work is done and the
 * answer says otherwise; and the first one before it began. A break before any other step is the one after the step
 * before it. The jobs of a matrix are alike, so only the first one breaks.
 */
function breakagesOf(costs: Map<string, StepCosts>, { breaks }: Scenario): Breakage[] {
  const keys = [...costs.keys()].filter((key) => !key.includes('(grace@'));
  const first: Breakage[] = keys.slice(0, 1).map((key) => ({ key, what: 'before it', sabotage: 'before' }));
  const others = keys.flatMap((key): Breakage[] => {
    const { requests, gh } = (breaks === undefined && costs.get(key)) || { requests: [], gh: 0 };
    const fault: Fault = { kind: 'status', status: 400, work: true };
    return [
      { key, what: 'after it', sabotage: 'after' },
      ...requests.map((method, number) => ({ key, what: `at ${method} ${number + 1}`, request: { number, fault } })),
      ...Array.from({ length: gh }, (_, number) => ({ key, what: `at gh ${number + 1}`, gh: { number } })),
    ];
  });
  return [...first, ...others];
}

async function breakAndHeal(scenario: Scenario, { version, breakage }: { version: Version; breakage: Breakage }) {
  const { key, sabotage, request, gh } = breakage;
  const use = async (world: World) => {
    const { simulator, github } = world;
    const broken = await run(world, scenario, {
      sabotage: sabotage && { key, when: sabotage },
      beforeStep(current) {
        if (current !== key) return;
        if (request) simulator.fault({ skip: request.number, fault: request.fault });
        if (gh)
          github.change((state) => Object.assign(state, { fault: { when: 'after', skip: gh.number, times: 99 } }));
      },
      afterStep() {
        simulator.clearFaults();
        github.change((state) => Object.assign(state, { fault: undefined }));
      },
    });
    expect(broken.steps.find((step) => step.key === key)?.outcome).toBe('failure');
    scenario.expectAlways?.(world);
    expectSuccess(await run(world, scenario));
    scenario.expectDone(world);
    scenario.expectAlways?.(world);
  };
  try {
    await inWorld(scenario, { version, use });
  } catch (error) {
    throw new Error(`${key}, broken ${breakage.what}: ${(error as Error).message}`, { cause: error });
  }
}

/** Carries out the work for all items, three at a time. */
async function inPool<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async () => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: 3 }, worker));
}

const cases = scenarios.flatMap((scenario) => versions.map((version) => ({ ...scenario, version, scenario })));

describe.skipIf(missing.length > 0)(`recipes${skipped}`, () => {
  test('there are tests for every recipe', () => {
    expect([...new Set(scenarios.map(({ file }) => file))].sort()).toEqual(readdirSync(folder).sort());
  });

  test.each(cases)('$name does the same twice in a row on $version', async ({ scenario, version }) => {
    const use = async (world: World) => {
      for (let round = 0; round < 2; round++) {
        expectSuccess(await run(world, scenario));
        scenario.expectDone(world);
        scenario.expectAlways?.(world);
      }
    };
    await inWorld(scenario, { version, use });
  });

  test.each(cases)('$name heals after a break anywhere on $version', { timeout: 300_000 }, async (one) => {
    const { scenario, version } = one;
    let breakages: Breakage[] = [];
    const use = async (world: World) => {
      breakages = breakagesOf(await costsOf(world, scenario), scenario);
    };
    await inWorld(scenario, { version, use });
    expect(breakages.length).toBeGreaterThan(4);
    await inPool(breakages, (breakage) => breakAndHeal(scenario, { version, breakage }));
  });

  const places = [
    { at: '--env=production', place: { environment: 'production' }, permission: 'environments' },
    {
      at: '--org=acme --visibility=selected --repos=app,web',
      place: { organization: true },
      permission: 'organization-secrets',
    },
  ];
  test.each(places)('rotate-in-place.yml stores with $at, and with that permission only', async (one) => {
    const prepare = (world: World) => {
      prepareRotation(world, one.place);
      world.github.setVariable('RUNAI_SECRET_AT', one.at);
    };
    const use = async ({ simulator, github, workflow }: World) => {
      const before = github.state.secrets;
      expectSuccess(await run({ simulator, github, workflow }, {}));
      const { secrets, tokens } = github.state;
      const [changed] = Object.keys(secrets).filter((place) => secrets[place]?.['RUNAI_CLIENT_SECRET']);
      expect(before[changed ?? '']?.['RUNAI_CLIENT_SECRET']).toBeDefined();
      expect(simulator.isValidSecret('ci-runner', secrets[changed ?? '']?.['RUNAI_CLIENT_SECRET'] ?? '')).toBe(true);
      expect(Object.values(tokens)).toEqual([{ [one.permission]: 'write' }]);
    };
    await inWorld({ file: 'rotate-in-place.yml', prepare }, { version: '3.0', use });
  });

  test('rotate-in-place.yml leaves the old secret alone when the new one could not be stored', async () => {
    const prepare = (world: World) => {
      prepareRotation(world);
      world.github.setVariable('RUNAI_SECRET_AT', '--env');
    };
    const use = async (world: World) => {
      expect((await run(world, {})).conclusion).toBe('failure');
      expectRotated(world);
      expect(world.simulator.requests).toEqual([]);
    };
    await inWorld({ file: 'rotate-in-place.yml', prepare }, { version: '3.0', use });
  });

  test('rotate-in-place.yml stores the new secret in spite of a hiccup, and of a check that failed', async () => {
    const use = async (world: World) => {
      const { simulator, github } = world;
      github.change((state) => Object.assign(state, { fault: { when: 'before', skip: 1, times: 2 } }));
      simulator.fault({ path: '/token', skip: 1, fault: { kind: 'status', status: 400 } });
      const result = await run(world, {});
      expect(result.conclusion).toBe('failure');
      expect(result.steps.filter(({ outcome }) => outcome === 'failure').map(({ name }) => name)).toEqual([
        'Check the new secret',
      ]);
      expectRotated(world);
      expect(github.state.calls.filter(({ failed }) => failed)).toHaveLength(2);
    };
    await inWorld({ file: 'rotate-in-place.yml', prepare: prepareRotation }, { version: '3.0', use });
  });

  test('rotate-without-downtime.yml serves its users through two whole turns', async () => {
    const file = 'rotate-without-downtime.yml';
    const life = [
      { slot: 'A', age: 0, left: ['a'] },
      { slot: 'A', age: 71 * HOUR, left: ['a'] },
      { slot: 'A', age: 73 * HOUR, left: ['a'] },
      { slot: 'B', age: 30 * DAY, left: ['a', 'b'] },
      { slot: 'B', age: 71 * HOUR, left: ['a', 'b'] },
      { slot: 'B', age: 73 * HOUR, left: ['b'] },
      { slot: 'A', age: 30 * DAY, left: ['a', 'b'] },
      { slot: 'A', age: 73 * HOUR, left: ['a'] },
    ] as const;
    const use = async (world: World) => {
      for (const { slot, age, left } of life) {
        const current = world.github.variablesFor('production')['RUNAI_SLOT'];
        if (current) useSlot(world, current as 'A' | 'B', age);
        expectSuccess(await run(world, {}));
        expectSlot(world, slot);
        expect(names(world)).toEqual([...left.map((letter) => `ci-runner-${letter}`), 'platform-admin']);
      }
    };
    await inWorld({ file, prepare: prepareTurns }, { version: '3.0', use });
  });

  test.each([
    { age: 71 * HOUR, conclusion: 'failure', slot: 'A' },
    { age: 73 * HOUR, conclusion: 'success', slot: 'B' },
  ] as const)('rotate-without-downtime.yml rotates by hand, but not in the grace period ($conclusion)', async (one) => {
    const prepare = (world: World) => {
      prepareTurns(world);
      addSlot(world, 'A');
      useSlot(world, 'A', one.age);
    };
    const use = async (world: World) => {
      expect((await run(world, { inputs: { 'rotate-now': true } })).conclusion).toBe(one.conclusion);
      expectSlot(world, one.slot);
    };
    await inWorld({ file: 'rotate-without-downtime.yml', prepare }, { version: '2.22', use });
  });
});

describe('the text of the recipes', () => {
  const files = readdirSync(folder).map((file) => ({ file, text: readFileSync(join(folder, file), 'utf8') }));

  test.each(files)('$file grants nothing by default, and says what each job needs', ({ file }) => {
    const { permissions, concurrency, jobs } = readWorkflow(join(folder, file));
    expect(permissions).toEqual({});
    expect(concurrency).toMatchObject({ group: expect.any(String), 'cancel-in-progress': expect.any(Boolean) });
    for (const job of Object.values(jobs)) expect(job).toHaveProperty('permissions');
  });

  test.each(files)('$file pins every action by commit, with the version beside it', ({ text }) => {
    const used = [...text.matchAll(/uses: (.*)/g)].map(([, action = '']) => action);
    const others = used.filter((action) => action !== 'your-org/runai-auth@v1');
    for (const action of others) expect(action).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    expect(used.length).toBeGreaterThan(others.length);
  });

  test.each(files)('$file puts no expression into a script', ({ file }) => {
    const { jobs } = readWorkflow(join(folder, file));
    const scripts = Object.values(jobs).flatMap(({ steps }) => steps.flatMap((step) => step.run ?? []));
    for (const script of scripts) expect(script).not.toContain('${{');
  });
});
