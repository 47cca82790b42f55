import { readdirSync } from 'node:fs';
import { EOL } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { startGithub } from '../simulator/github.ts';
import type { Version } from '../simulator/simulator.ts';
import { root } from '../support/runner.ts';
import { missingForScripts, skippedFor } from '../support/scripts.ts';
import { type Job, readWorkflow, type Workflow, type WorkflowRun } from '../support/workflow.ts';
import {
  addMember,
  callable,
  checkFamily,
  checkNothingLeaks,
  DAY,
  folder,
  HOUR,
  inWorld,
  letTimePass,
  names,
  run,
  type Scenario,
  scenarios,
  signIn,
  type World,
  workflowOf,
} from '../support/workflow-scenarios.ts';

const missing = missingForScripts('curl');
const newest: Version = '3.0';

function expectSuccess({ conclusion, shown }: WorkflowRun): void {
  expect(conclusion, shown.join('\n')).toBe('success');
}

/** Requests that changed something at either service, but for a rehearsal. */
function changesOf({ simulator, github }: World): number {
  const all = [...simulator.requests, ...github.requests];
  return all.filter(({ method, path, status = 0 }) => {
    return method !== 'GET' && !path.endsWith('/token') && !path.endsWith('_REHEARSAL') && status < 300;
  }).length;
}

/** What the runs of a recipe print, with all that differs from time to time replaced. */
function transcriptOf(runs: WorkflowRun[]): string {
  const lines = runs.flatMap(({ jobs }, index) =>
    jobs.flatMap(({ id, shown, summary }) => [
      `=== run ${index + 1}, job ${id}`,
      ...inOrder(shown),
      ...(summary ? ['--- summary', summary.replaceAll(EOL, '\n')] : []),
    ]),
  );
  const text = numbered(lines.join('\n'), { pattern: /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, kind: 'id' });
  return `${numbered(text, { pattern: /\b\d{8}-\d{6}\b/g, kind: 'date and time' })
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '<time>')
    .replace(/(127\.0\.0\.1|localhost):\d+/g, '$1:<port>')
    .replace(/\n{3,}/g, '\n\n')
    .trimEnd()}\n`;
}

/** Users are made at the same time, so what is said about them comes in any order. */
function inOrder(lines: string[]): string[] {
  const isAboutUser = (line: string) => /the (existing )?user /.test(line);
  const sorted = lines.filter(isAboutUser).sort();
  return lines.map((line) => (isAboutUser(line) ? (sorted.shift() ?? '') : line));
}

/** A number for each value, so that one can see which of them are the same. */
function numbered(text: string, { pattern, kind }: { pattern: RegExp; kind: string }): string {
  const values = [...new Set(text.match(pattern))];
  return text.replace(pattern, (value) => `<${kind} ${values.indexOf(value) + 1}>`);
}

async function runTwice(scenario: Scenario, version: Version): Promise<WorkflowRun[]> {
  const runs: WorkflowRun[] = [];
  await inWorld(version, async (world) => {
    scenario.prepare(world);
    let before = 0;
    for (let round = 0; round < 2; round++) {
      before = changesOf(world);
      const result = await run(world, workflowOf(scenario));
      runs.push(result);
      expectSuccess(result);
      checkNothingLeaks(world, result);
      scenario.checkDone(world);
      scenario.checkAlways?.(world);
    }
    expect(changesOf(world) > before).toBe(scenario.neverSettles === true);
  });
  return runs;
}

const onOlderToo = [
  'ci-token.yml',
  'keyless.yml',
  'bootstrap-environment.yml in an empty tenant',
  'rotate-in-place.yml',
  'rotate-without-downtime.yml when a rotation is due',
];
const older = scenarios.filter(({ name }) => onOlderToo.includes(name));

describe.skipIf(missing.length > 0)(`recipes${skippedFor(missing)}`, () => {
  test('there are runs of every recipe, and of every reusable workflow', () => {
    const files = [...readdirSync(folder), ...callable].sort();
    expect([...new Set(scenarios.map(({ file }) => file))].sort()).toEqual(files);
  });

  test.concurrent.for(scenarios)('$name does the same twice in a row', async (scenario, { expect }) => {
    const transcript = transcriptOf(await runTwice(scenario, newest));
    await expect(transcript).toMatchFileSnapshot(`__snapshots__/${scenario.name.replaceAll(/[ ,]+/g, '-')}.txt`);
  });

  test.concurrent.for(older)('$name does so on 2.22 as well', async (scenario) => {
    await runTwice(scenario, '2.22');
  });

  test.concurrent('rotate-without-downtime.yml serves its users through two whole turns', async () => {
    const workflow = workflowOf({ file: 'rotate-without-downtime.yml' });
    const scenario = scenarios.find(({ name }) => name === 'rotate-without-downtime.yml for the first time');
    const life = [
      { pass: 0, members: 1 },
      { pass: 71 * HOUR, members: 1 },
      { pass: 30 * DAY, members: 2 },
      { pass: 71 * HOUR, members: 2 },
      { pass: 2 * HOUR, members: 1 },
      { pass: 30 * DAY, members: 2 },
      { pass: 73 * HOUR, members: 1 },
    ];
    await inWorld(newest, async (world) => {
      scenario?.prepare(world);
      for (const { pass, members } of life) {
        letTimePass(world, pass);
        if (pass > 0) signIn(world);
        expectSuccess(await run(world, workflow));
        checkFamily(world, members);
      }
    });
  });

  test.concurrent('rotate-without-downtime.yml keeps an application that somebody still uses', async () => {
    const scenario = scenarios.find(({ name }) => name === 'rotate-without-downtime.yml after the overlap');
    await inWorld(newest, async (world) => {
      scenario?.prepare(world);
      const used = addMember(world, { age: 50 * DAY, unused: HOUR });
      expectSuccess(await run(world, workflowOf({ file: 'rotate-without-downtime.yml' })));
      expect(names(world)).toHaveLength(2);
      expect(names(world)).toContain(used.name);
    });
  });

  test.concurrent('bootstrap-environment.yml of two repositories in one tenant: neither touches what the other one made', async () => {
    await inWorld(newest, async (world) => {
      const workflow = workflowOf({ file: 'bootstrap-environment.yml' });
      const scenario = scenarios.find(({ name }) => name === 'bootstrap-environment.yml in an empty tenant');
      scenario?.prepare(world);
      expectSuccess(await run(world, workflow));
      const before = world.simulator.applications.map(({ secret }) => secret);
      const others = await startGithub({ repository: 'acme/other', environments: ['runai-admin', 'production'] });
      for (const { place, name, value } of world.github.secrets)
        if (place.endsWith('admin')) others.editSecret(place, name, { value });
      expectSuccess(await run({ ...world, github: { ...others, repositoryId: 777 } }, workflow));
      await others.close();
      const after = world.simulator.applications.map(({ secret }) => secret);
      expect(after.slice(0, before.length)).toEqual(before);
      expect(after).toHaveLength(before.length + 2);
    });
  });
});

describe('the text of the recipes and of the reusable workflows', () => {
  const files = [
    ...readdirSync(folder).map((file) => join(folder, file)),
    ...callable.map((file) => join(root, '.github/workflows', file)),
  ];
  const workflows = files.map((file) => [file.slice(root.length), readWorkflow(file)] as const);

  test.each(workflows)('%s grants nothing to all of its jobs', (_file, { permissions }) => {
    expect(permissions).toEqual({});
  });

  test.each(workflows)(
    '%s never writes to one store in two runs at once, and two stores do not wait',
    (_file, workflow) => {
      for (const job of Object.values(workflow.jobs)) {
        const changes = job.steps.filter((step) => /create|rotate|delete/.test(String(step.with?.['mode'])));
        if (changes.length === 0) continue;
        const stores = new Set(changes.flatMap((step) => step.with?.['store-in'] ?? []));
        const group = groupOf(workflow, job);
        if (stores.size > 0) expect([...stores].map((store) => `runai-${store}`)).toEqual([group]);
        else expect(group).toMatch(/^runai-/);
      }
    },
  );

  test.each(workflows.filter(([file]) => file.startsWith('.github')))(
    '%s describes all that it takes',
    (_file, { on }) => {
      const { inputs = {}, secrets = {} } = on.workflow_call ?? {};
      for (const one of [...Object.values(inputs), ...Object.values(secrets)])
        expect(one.description?.length).toBeGreaterThan(10);
      expect(Object.keys(secrets)).toHaveLength(2);
    },
  );
});

function groupOf(workflow: Workflow, job: Job): string | undefined {
  return (job.concurrency ?? workflow.concurrency)?.group;
}
