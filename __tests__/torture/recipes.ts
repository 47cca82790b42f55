// Breaks every recipe at each of its requests, and runs it again.
import assert from 'node:assert/strict';
import type { Fault, Version } from '../simulator/simulator.ts';
import type { RunningStep } from '../support/runner.ts';
import type { WorkflowOptions, WorkflowRun } from '../support/workflow.ts';
import {
  checkNothingLeaks,
  inWorld,
  letTimePass,
  run as runWorkflow,
  type Scenario,
  scenarios,
  type World,
  workflowOf,
} from '../support/workflow-scenarios.ts';
import type { StoreFault } from '../support/workflow-stores.ts';
import { type PartOptions, type PartResult, type Problem, pool, problem, randomFrom, sample } from './report.ts';

type Service = 'simulator' | 'github';

/** The ways in which one request, or one command of another store, can break. */
type Breakage =
  | { what: string; service: Service; at: number; fault: Fault; kills: boolean }
  | { what: string; store: StoreFault };

/** A request of a clean run; scripts make some of them, and only steps of the action are killed. */
interface Cost {
  service: Service;
  at: number;
  line: string;
  byAction: boolean;
}

const describeRequest = ({ method, path }: { method: string; path: string }) => `${method} ${path.split('?')[0]}`;

/** What a clean run asks of the two services, and of the other stores. */
async function costsOf(scenario: Scenario, version: Version): Promise<{ requests: Cost[]; lines: string[] }> {
  const costs: { requests: Cost[]; lines: string[] } = { requests: [], lines: [] };
  await inWorld(version, async (world) => {
    scenario.prepare(world);
    const during: Record<Service, Set<number>> = { simulator: new Set(), github: new Set() };
    const services: Service[] = ['simulator', 'github'];
    const onStep = async ({ result }: RunningStep) => {
      const before = services.map((service) => world[service].requests.length);
      await result;
      for (const [index, service] of services.entries())
        for (let at = before[index] ?? 0; at < world[service].requests.length; at++) during[service].add(at);
    };
    const clean = await runOnce(world, scenario, { onStep: (step) => void onStep(step) });
    assert.equal(clean.conclusion, 'success', clean.shown.join('\n'));
    costs.requests = services.flatMap((service) =>
      world[service].requests.map((request, at) => {
        return { service, at, line: describeRequest(request), byAction: during[service].has(at) };
      }),
    );
    costs.lines = [...new Set(world.stores.commandLines)];
  });
  return costs;
}

async function runOnce(world: World, scenario: Scenario, options: WorkflowOptions = {}): Promise<WorkflowRun> {
  const result = await runWorkflow(world, workflowOf(scenario), options);
  checkNothingLeaks(world, result);
  return result;
}

function breakagesOf({ requests, lines }: Awaited<ReturnType<typeof costsOf>>): Breakage[] {
  const refused: Fault = { kind: 'status', status: 400 };
  const silent: Fault = { kind: 'stall', when: 'before-head' };
  const atRequests = requests.flatMap(({ service, at, line, byAction }): Breakage[] => {
    const where = `${service}, request ${at + 1}, ${line}`;
    const answered = { service, at, kills: false };
    const killed = { service, at, kills: true };
    return [
      { what: `refused: ${where}`, fault: refused, ...answered },
      { what: `done, but refused: ${where}`, fault: { ...refused, work: true }, ...answered },
      ...(byAction
        ? [
            { what: `killed before it was done: ${where}`, fault: silent, ...killed },
            { what: `killed when it was done: ${where}`, fault: { ...silent, work: true }, ...killed },
          ]
        : []),
    ];
  });
  const atStores = lines.flatMap((line): Breakage[] =>
    (['before', 'after'] as const).map((when) => ({ what: `fails ${when} its work: ${line}`, store: { line, when } })),
  );
  return [...atRequests, ...atStores];
}

/** Arms the fault; a step that is to be killed is, as soon as the request has come in. */
function arm(world: World, breakage: Breakage): WorkflowOptions {
  if ('store' in breakage) {
    world.stores.fault(breakage.store);
    return {};
  }
  const { service, at, fault, kills } = breakage;
  const { requests } = world[service];
  const number = requests.length + at;
  world[service].fault({ skip: at, fault });
  if (!kills) return {};
  const onStep = ({ child }: RunningStep) => {
    const timer = setInterval(() => requests.length > number && child.kill('SIGKILL'), 2);
    child.once('close', () => clearInterval(timer));
  };
  return { onStep };
}

/** Breaks one run, and runs the recipe again, which has to put everything right. */
async function breakAndHeal(scenario: Scenario, { version, breakage }: { version: Version; breakage: Breakage }) {
  await inWorld(version, async (world) => {
    scenario.prepare(world);
    const checkHealed = scenario.checkHealed ?? scenario.checkDone;
    const broken = await runOnce(world, scenario, arm(world, breakage));
    scenario.checkAlways?.(world);
    if (broken.conclusion === 'success') checkHealed(world);
    world.simulator.clearFaults();
    world.github.clearFaults();
    // The names of a family tell seconds apart.
    letTimePass(world, 60_000);
    const again = await runOnce(world, scenario);
    assert.equal(again.conclusion, 'success', again.shown.join('\n'));
    checkHealed(world);
    scenario.checkAlways?.(world);
  });
}

interface Cell {
  scenario: Scenario;
  breakage: Breakage;
}

const nameOf = ({ scenario, breakage }: Cell) => `${scenario.name}, ${breakage.what}`;

/** Newer versions only: what an older one does differently, the matrix tries. */
const version: Version = '3.0';

async function cellsOf(scenario: Scenario): Promise<Cell[]> {
  return breakagesOf(await costsOf(scenario, version)).map((breakage) => ({ scenario, breakage }));
}

async function tryCell(cell: Cell): Promise<Problem[]> {
  try {
    await breakAndHeal(cell.scenario, { version, breakage: cell.breakage });
    return [];
  } catch (error) {
    return [problem('loss', `${nameOf(cell)}: not healed: ${(error as Error).message}`)];
  }
}

/** Each recipe and each workflow that can be called, broken at each of its steps, and run again. */
export async function run({ short, seed, wanted }: PartOptions): Promise<PartResult> {
  const some = scenarios.filter(
    ({ name }) => !short || /^(other-stores|rotate-in-place|rotate-without.*due)/.test(name),
  );
  const all = (await pool(some, { atOnce: 2, work: cellsOf })).flat().filter((cell) => wanted(nameOf(cell)));
  const keysOf = ({ scenario, breakage }: Cell) => [scenario.name, breakage.what.split(':')[0] ?? ''];
  const cells = short ? sample(all, { most: 0, keysOf, random: randomFrom(seed) }) : all;
  const found = await pool(cells, { atOnce: 3, work: tryCell });
  const count = (name: string) => cells.filter(({ scenario }) => scenario.name === name).length;
  return {
    title: 'Recipes: broken at each step, and run again',
    cells: cells.length,
    problems: found.flat(),
    lines: some.map(({ name }) => `${name}: ${count(name)} breaks`),
  };
}
