// Breaks every recipe at each of its requests, and runs it again.
import assert from 'node:assert/strict';
import type { Fault, Version } from '../simulator/simulator.ts';
import type { RunningStep } from '../support/runner.ts';
import type { WorkflowOptions, WorkflowRun } from '../support/workflow.ts';
import {
  checkNothingLeaks,
  inWorld,
  letTimePass,
  run as runRecipe,
  type Scenario,
  scenarios,
  type World,
  workflowOf,
} from '../support/workflow-scenarios.ts';
import type { StoreFault } from '../support/workflow-stores.ts';
import {
  located,
  type PartOptions,
  type PartResult,
  type Problem,
  pool,
  problem,
  randomFrom,
  sample,
  table,
} from './report.ts';

const version: Version = '3.0';

type Service = 'simulator' | 'github';

/** One break: at a request, or at a command of another store. */
interface Cell {
  scenario: Scenario;
  kind: string;
  where: string;
  fault: { service: Service; at: number; fault: Fault; kills: boolean } | StoreFault;
}

/** A request of a clean run; scripts make some of them, and only steps of the action are killed. */
interface Cost {
  service: Service;
  at: number;
  line: string;
  byAction: boolean;
}

const describeRequest = ({ method, path }: { method: string; path: string }) => `${method} ${path.split('?')[0]}`;

/** What a clean run asks of the two services, and of the other stores. */
async function costsOf(scenario: Scenario): Promise<{ requests: Cost[]; lines: string[] }> {
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

function runOnce(world: World, scenario: Scenario, options: WorkflowOptions = {}): Promise<WorkflowRun> {
  return runRecipe(world, workflowOf(scenario), options);
}

/** Every possible break; only a step of the action is killed, since scripts are not what is tested. */
async function cellsOf(scenario: Scenario): Promise<Cell[]> {
  const { requests, lines } = await costsOf(scenario);
  const refused: Fault = { kind: 'status', status: 400 };
  const silent: Fault = { kind: 'stall', when: 'before-head' };
  const ways = [
    { kind: 'refused', fault: refused, kills: false },
    { kind: 'done, but refused', fault: { ...refused, work: true }, kills: false },
    { kind: 'killed before it was done', fault: silent, kills: true },
    { kind: 'killed when it was done', fault: { ...silent, work: true }, kills: true },
  ];
  const atRequests = requests.flatMap(({ service, at, line, byAction }) =>
    ways
      .filter(({ kills }) => byAction || !kills)
      .map(({ kind, fault, kills }): Cell => {
        return { scenario, kind, where: `${service} ${at + 1}, ${line}`, fault: { service, at, fault, kills } };
      }),
  );
  const atStores = lines.flatMap((line) =>
    (['before', 'after'] as const).map(
      (when): Cell => ({ scenario, kind: `failed ${when} its work`, where: line, fault: { line, when } }),
    ),
  );
  return [...atRequests, ...atStores];
}

/** Arms the fault; a step that is to be killed is, as soon as the request has come in. */
function arm(world: World, fault: Cell['fault']): (step: RunningStep) => void {
  if ('line' in fault) {
    world.stores.fault(fault);
    return () => {};
  }
  const { requests } = world[fault.service];
  const last = requests.length + fault.at;
  world[fault.service].fault({ skip: fault.at, fault: fault.fault });
  if (!fault.kills) return () => {};
  return ({ child }) => {
    const timer = setInterval(() => requests.length > last && child.kill('SIGKILL'), 2);
    child.once('close', () => clearInterval(timer));
  };
}

/** Breaks one run, and runs the recipe again, which has to fix everything. */
async function breakAndHeal({ scenario, fault }: Cell): Promise<Problem[]> {
  const problems: Problem[] = [];
  const check = (kind: Problem['kind'], condition: () => void) => {
    try {
      condition();
    } catch (error) {
      problems.push(problem(kind, (error as Error).message));
    }
  };
  const checkHealed = scenario.checkHealed ?? scenario.checkDone;
  await inWorld(version, async (world) => {
    scenario.prepare(world);
    const kill = arm(world, fault);
    const watch = ({ result }: RunningStep) =>
      void result.then(({ hung }) => hung && problems.push(problem('hang', 'a step had to be ended')));
    const onStep = (step: RunningStep) => {
      kill(step);
      watch(step);
    };
    const broken = await runOnce(world, scenario, { onStep });
    check('leak', () => checkNothingLeaks(world, broken));
    check('loss', () => scenario.checkAlways?.(world));
    if (broken.conclusion === 'success') check('green and wrong', () => checkHealed(world));
    world.simulator.clearFaults();
    world.github.clearFaults();
    // The names of a family have a resolution of one second.
    letTimePass(world, 60_000);
    const again = await runOnce(world, scenario, { onStep: watch });
    check('leak', () => checkNothingLeaks(world, again));
    check('loss', () => assert.equal(again.conclusion, 'success', again.shown.join('\n')));
    check('green and wrong', () => checkHealed(world));
  }).catch((error: Error) => problems.push(problem('other', error.message)));
  return problems;
}

export async function run({ short, seed, wanted }: PartOptions): Promise<PartResult> {
  // Which requests a recipe makes is found out by running it, so a short run leaves most of them out.
  const some = scenarios.filter((_, index) => !short || index % 4 === seed % 4);
  const perScenario = await pool(some, { atOnce: 3, work: cellsOf });
  const all = perScenario.flat().filter(({ scenario, kind, where }) => wanted(`${scenario.name} ${kind} ${where}`));
  const keysOf = ({ scenario, kind }: Cell) => [scenario.name, kind];
  const cells = short ? sample(all, { most: 20, keysOf, random: randomFrom(seed) }) : all;
  const found = await pool(cells, { atOnce: 3, work: breakAndHeal });
  const rows = some.map(({ name }) => [name, String(cells.filter(({ scenario }) => scenario.name === name).length)]);
  return {
    title: 'recipes that were interrupted and run again',
    cells: cells.length,
    problems: found.flatMap((problems, index) => {
      const { scenario, kind, where } = cells[index] as Cell;
      return located(`${scenario.name}, ${kind}, ${where}`, problems);
    }),
    lines: table([['recipe', 'breaks'], ...rows]),
  };
}
