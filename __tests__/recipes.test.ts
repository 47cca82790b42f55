import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type Fault, startSimulator, type Version } from './simulator/simulator.ts';
import { missingTools, readWorkflow, runWorkflow, type WorkflowRun } from './support/workflow.ts';
import { GitHub } from './support/workflow-github.ts';
import {
  addSlot,
  checkSlot,
  checkStored,
  DAY,
  folder,
  HOUR,
  names,
  prepareRotation,
  prepareTurns,
  type Scenario,
  scenarios,
  useSlot,
  type World,
} from './support/workflow-scenarios.ts';

const missing = process.platform === 'win32' ? ['a bash of its own'] : missingTools('bash', 'curl');
const skipped = missing.length > 0 ? ` (skipped: no ${missing.join(', no ')})` : '';
const versions: Version[] = ['2.22', '3.0'];

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
    scenario.checkAlways?.(world);
    expectSuccess(await run(world, scenario));
    scenario.checkDone(world);
    scenario.checkAlways?.(world);
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
      const { requests } = world.simulator;
      let seen = 0;
      for (let round = 0; round < 2; round++) {
        seen = requests.length;
        expectSuccess(await run(world, scenario));
        scenario.checkDone(world);
        scenario.checkAlways?.(world);
      }
      const changes = requests.slice(seen).filter(({ method, path, status = 0 }) => {
        return method !== 'GET' && !path.endsWith('/token') && status < 300;
      });
      expect(changes.length > 0).toBe(scenario.neverSettles === true);
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
      checkStored(world);
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
      checkStored(world);
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
        checkSlot(world, slot);
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
      checkSlot(world, one.slot);
    };
    await inWorld({ file: 'rotate-without-downtime.yml', prepare }, { version: '2.22', use });
  });
});

describe.skipIf(missing.length > 0)(`the runner of the recipes${skipped}`, () => {
  const runText = async (text: string) => {
    const temp = mkdtempSync(join(tmpdir(), 'recipe-'));
    const github = GitHub.create(join(temp, 'github.json'));
    github.setSecret('KEY', 'swordfish');
    try {
      return await runWorkflow(parse(text), { github });
    } finally {
      rmSync(temp, { recursive: true, force: true });
    }
  };

  test('drops a job output that holds a masked value, and hides it in the log', async () => {
    const { conclusion, jobs, shown } = await runText(`
      jobs:
        first:
          outputs: { key: '\${{ steps.one.outputs.key }}', name: '\${{ steps.one.outputs.name }}' }
          steps:
            - id: one
              env: { KEY: '\${{ secrets.KEY }}' }
              run: printf 'key=%s\\nname=fish\\n' "$KEY-1" | tee "$GITHUB_OUTPUT"
        second:
          needs: first
          steps:
            - run: '[ "\${{ needs.first.outputs.key }}" = "" ] && [ "\${{ needs.first.outputs.name }}" = fish ]'
    `);
    expect(conclusion, shown.join('\n')).toBe('success');
    expect(jobs[0]?.outputs).toEqual({ name: 'fish' });
    expect(shown).toContain('key=***-1');
  });

  test('goes by conditions, failures and needs as GitHub does', async () => {
    const { conclusion, jobs, steps } = await runText(`
      env: { A: workflow, B: workflow }
      jobs:
        first:
          env: { B: job, C: job }
          steps:
            - run: '[ "$A $B $C" = "workflow job step" ]'
              env: { C: step }
            - run: echo "A=later" >> "$GITHUB_ENV"
            - run: '[ "$A" = later ]'
            - run: exit 3
              continue-on-error: true
            - if: env.A == 'later'
              run: false | true
            - run: false | true
              shell: bash
            - run: echo never
            - if: failure() && steps.none.outputs.x == ''
              run: echo because
            - if: always()
              run: echo always
        second: { needs: first, steps: [{ run: echo never }] }
        third: { if: always(), needs: [first, second], strategy: { matrix: { n: [1, 2] } }, steps: [{ run: 'echo \${{ matrix.n }}' }] }
    `);
    expect(conclusion).toBe('failure');
    const outcomes = [
      'success',
      'success',
      'success',
      'failure',
      'success',
      'failure',
      'skipped',
      'success',
      'success',
    ];
    expect(steps.map(({ outcome }) => outcome)).toEqual([...outcomes, 'success', 'success']);
    expect(jobs.map((job) => job.conclusion)).toEqual(['failure', 'skipped', 'success', 'success']);
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
