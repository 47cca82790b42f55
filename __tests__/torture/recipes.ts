// Breaks every recipe at each of its requests, and runs it again: node __tests__/torture/recipes.ts [part of a name]
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import type { Fault, Version } from '../simulator/simulator.ts';
import type { RunningStep } from '../support/runner.ts';
import type { WorkflowOptions, WorkflowRun } from '../support/workflow.ts';
import {
  checkNothingLeaks,
  inWorld,
  letTimePass,
  run,
  type Scenario,
  scenarios,
  type World,
  workflowOf,
} from '../support/workflow-scenarios.ts';
import type { StoreFault } from '../support/workflow-stores.ts';

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
  const result = await run(world, workflowOf(scenario), options);
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

export interface Outcome {
  tried: number;
  /** What went wrong: the recipe, the break, and why. */
  failures: string[];
}

/** Breaks the recipes at each request and each command, two at a time. */
export async function breakRecipes({
  version = '3.0',
  wanted = () => true,
  log = () => {},
}: {
  version?: Version;
  wanted?: (name: string) => boolean;
  log?: (line: string) => void;
}): Promise<Outcome> {
  const outcome: Outcome = { tried: 0, failures: [] };
  for (const scenario of scenarios.filter(({ name }) => wanted(name))) {
    const breakages = breakagesOf(await costsOf(scenario, version));
    const waiting = [...breakages];
    const worker = async () => {
      for (let breakage = waiting.shift(); breakage; breakage = waiting.shift()) {
        outcome.tried += 1;
        await breakAndHeal(scenario, { version, breakage }).catch((error: Error) => {
          outcome.failures.push(`${scenario.name}, ${breakage?.what}: ${error.message}`);
        });
      }
    };
    await Promise.all([worker(), worker()]);
    log(`${scenario.name}: ${breakages.length} breaks`);
  }
  return outcome;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [part = ''] = process.argv.slice(2);
  const { tried, failures } = await breakRecipes({ wanted: (name) => name.includes(part), log: console.log });
  for (const failure of failures) console.log(`\nFAILED ${failure}`);
  console.log(`${tried} breaks, ${failures.length} not healed`);
  process.exitCode = failures.length > 0 ? 1 : 0;
}
