import { setTimeout as sleep } from 'node:timers/promises';
import type { Fault } from '../simulator/simulator.ts';
import { lookAt } from './cell.ts';
import {
  located,
  type PartOptions,
  type PartResult,
  type Problem,
  pool,
  problemsOf,
  randomFrom,
  sample,
  table,
  unless,
} from './report.ts';
import { startMeasured } from './step.ts';
import type { Target } from './targets.ts';
import { closeWorld, openWorld, stepFor, tasks, type World } from './tasks.ts';
import { type Ending, harmOf, lostSecrets, misreported, saysWhatToDo, snapshot, storedWorks } from './verdict.ts';

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;
type Signal = keyof typeof exitCodes;

interface Moment {
  name: string;
  /** Keeps the run where it is; without it, the signal comes at any time around the answer. */
  fault?: Fault;
  /** The answer still comes, within the five seconds that are left. */
  answers?: true;
}

/** What the run is doing when the signal comes. */
const moments: readonly Moment[] = [
  { name: 'waiting for an answer', fault: { kind: 'stall', when: 'before-head' } },
  { name: 'waiting for an answer, work done', fault: { kind: 'stall', when: 'before-head', work: true } },
  { name: 'reading an answer, work done', fault: { kind: 'stall', when: 'in-body', work: true } },
  { name: 'waiting for an answer that comes', fault: { kind: 'delay', ms: 800 }, answers: true },
  { name: 'reading an answer that comes', fault: { kind: 'drip', ms: 3 }, answers: true },
  { name: 'pausing', fault: { kind: 'status', status: 429, headers: { 'retry-after': '20' } } },
  { name: 'pausing, work done', fault: { kind: 'status', status: 504, headers: { 'retry-after': '20' }, work: true } },
  { name: 'at any time' },
];

/** How long a cancelled run may take, in milliseconds, if it waits for an answer, and if it need not. */
const longest = 6_000;
const atOnce = 2_500;

interface Cell {
  target: Target;
  signal: Signal;
  moment: Moment;
  /** Milliseconds from the request to the signal. */
  after: number;
}

interface Stopped {
  cell: Cell;
  problems: Problem[];
  /** Milliseconds from the signal to the end. */
  took: number;
}

function countOf({ service, method, path }: Target, world: World): number {
  return world[service].requests.filter((request) => request.method === method && path.test(request.path)).length;
}

async function stop(cell: Cell): Promise<Stopped> {
  const { target, moment, signal, after } = cell;
  const { task, version, service, method, path, skip } = target;
  const { fault } = moment;
  const arm = (world: World) => fault && world[service].fault({ method, path, skip, fault });
  const world = await openWorld({ task, version, arm });
  const before = snapshot(world);
  const { child, result: ended } = startMeasured(stepFor(world, { task, timeout: 60 }));
  while (child.exitCode === null && countOf(target, world) <= skip) await sleep(5);
  await sleep(after);
  const signalledAt = performance.now();
  const begun = world.simulator.requests.length;
  const isRunning = child.kill(signal);
  const result = await ended;
  const took = performance.now() - signalledAt;
  const ending = { task, world, before, result };
  const problems = [
    ...harmOf(ending, { isLate: false }),
    ...problemsOf('hang', unless(!result.hung && took < limitOf(cell), `it took ${Math.round(took)} ms`)),
    ...problemsOf('loss', lost(cell, ending)),
    ...problemsOf('other', [...wrongEnd(cell, ending, isRunning), ...begunAnew(cell, world, begun)]),
  ];
  await closeWorld(world);
  return { cell, took, problems };
}

const issues = ({ kind }: Target) => kind === 'create' || kind === 'reset';
/** Whether the old secret no longer works, so that the new one is still stored. */
const mustStore = ({ task }: Target) => task.place !== undefined && task.resets !== undefined;

function limitOf({ target, moment }: Cell): number {
  const waits = issues(target) || target.kind === 'store' || (target.service === 'github' && mustStore(target));
  return waits || !moment.fault ? longest : atOnce;
}

function lost({ target, moment }: Cell, ending: Ending): string[] {
  const { errors } = ending.result;
  const secrets = lostSecrets(ending);
  // Whose answer comes is known; what an earlier attempt has lost is not.
  const isKnown = moment.answers && issues(target) && target.status < 300;
  const excused = !isKnown && saysWhatToDo(ending.result);
  const isDead = mustStore(target) && target.kind === 'reset' && moment.answers && !storedWorks(ending);
  return [
    ...(excused ? [] : secrets.map((text) => `${text}: ${errors.join()}`)),
    ...unless(!isDead, `the stored secret is dead, and the new one is not stored: ${errors.join()}`),
  ];
}

function wrongEnd({ signal, moment, target }: Cell, { world, result }: Ending, isRunning: boolean): string[] {
  const { exitCode, errors } = result;
  // It had ended before, or was just ending.
  const isOver = !moment.fault && (exitCode === 0 || (exitCode === 1 && target.task.ends === 'error'));
  if (isOver || !isRunning) return [];
  return [
    ...unless(exitCode === exitCodes[signal], `exit code ${exitCode}: ${errors.join()}`),
    ...misreported({ world, result }),
  ];
}

/**
 * No request to Run:ai may be started after the signal. One that is in flight at that moment cannot be distinguished
 * from it.
 */
function begunAnew({ moment }: Cell, { simulator }: World, begun: number): string[] {
  const more = simulator.requests.slice(begun).map(({ method, path }) => `${method} ${path}`);
  return unless(!moment.fault || more.length === 0, `requests that were begun afterwards: ${more.join(', ')}`);
}

function allCells(targets: readonly Target[], random: () => number): Cell[] {
  const signals = Object.keys(exitCodes) as Signal[];
  return targets.flatMap((target, index) =>
    moments
      // The answer to a delete or a write has no body.
      .filter(({ name }) => !(name.startsWith('reading') && /delete|rehearse|store/.test(target.kind)))
      .flatMap((moment, turn) => {
        // With several requests at once, the others have to get as far as they can.
        const after = !moment.fault ? random() * 60 : target.task.name.endsWith('three') ? 300 : 50;
        const some = moment.fault ? [signals[(index + turn) % 2] as Signal] : signals;
        return some.map((signal) => ({ target, moment, signal, after }));
      }),
  );
}

const nameOf = ({ target: { task, version, name, skip }, moment, signal }: Cell) =>
  `${task.name} (${version}), ${name}${skip > 0 ? ` #${skip + 1}` : ''}, ${moment.name}, ${signal}`;

/** A signal at each moment of each request of each task. */
export async function run({ short, seed, wanted }: PartOptions): Promise<PartResult> {
  const random = randomFrom(seed);
  const { targets } = await lookAt(tasks, { short: true });
  const all = allCells(targets, random).filter((cell) => wanted(nameOf(cell)));
  const keysOf = ({ target, moment }: Cell) => [target.task.name, `${target.service} ${target.kind}`, moment.name];
  const cells = short ? sample(all, { most: 0, keysOf, random }) : all;
  const stopped = await pool(cells, { atOnce: 12, work: stop });
  // A busy machine makes a run late: then it is tried again, by itself.
  for (const [index, { cell, problems }] of stopped.entries()) {
    if (problems.some(({ kind }) => kind === 'hang')) stopped[index] = await stop(cell);
  }
  const rows = moments.map(({ name }) => {
    const some = stopped.filter(({ cell }) => cell.moment.name === name);
    const bad = some.filter(({ problems }) => problems.length > 0).length;
    const slowest = Math.max(0, ...some.map(({ took }) => Math.round(took)));
    return [name, String(some.length), String(bad), `${slowest} ms`];
  });
  return {
    title: 'Cancelled: a signal at each moment of every request',
    cells: stopped.length,
    problems: stopped.flatMap(({ cell, problems }) => located(nameOf(cell), problems)),
    lines: table([['the run is', 'runs', 'wrong', 'slowest end'], ...rows]),
  };
}
