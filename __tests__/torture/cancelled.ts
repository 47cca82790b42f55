import { setTimeout as sleep } from 'node:timers/promises';
import { type Fault, startSimulator } from '../__tests__/simulator/simulator.ts';
import { emptyResult, type PartOptions, type PartResult, pool, randomFrom, table } from './report.ts';
import { type Situation, situations } from './requests.ts';
import { type MeasuredResult, startMeasured } from './step.ts';
import { saysWhatToDo, secretsOf } from './verdict.ts';

const signals = ['SIGINT', 'SIGTERM'] as const;
type Signal = (typeof signals)[number];

interface Moment {
  name: string;
  /** Keeps the run where it is; without it, the signal comes at any time around the answer. */
  fault?: Fault;
}

/** What the run is doing when the signal comes. */
const moments: readonly Moment[] = [
  { name: 'waiting for an answer', fault: { kind: 'stall', when: 'before-head' } },
  { name: 'waiting for an answer, work done', fault: { kind: 'stall', when: 'before-head', work: true } },
  { name: 'reading an answer, work done', fault: { kind: 'stall', when: 'in-body', work: true } },
  { name: 'pausing', fault: { kind: 'status', status: 429, headers: { 'retry-after': '20' } } },
  { name: 'at any time' },
];
const random = randomFrom(6);

interface Cell {
  situation: Situation;
  signal: Signal;
  moment: Moment;
}

interface Stopped {
  cell: Cell;
  hung: boolean;
  lost: boolean;
  wrong: string[];
  /** Milliseconds from the signal to the end. */
  took: number;
}

/** The outputs that a mode promises, of which a run writes all or none. */
const promised: Record<string, readonly string[]> = {
  token: ['access-token', 'expires-at'],
  'create-app': ['app-id', 'app-name', 'client-id', 'created'],
  'create-user': ['user-id', 'email', 'created'],
  'rotate-app': ['app-id', 'app-name', 'client-id', 'client-secret'],
  'delete-app': ['app-id', 'app-name', 'deleted'],
};

async function stop({ situation, signal, moment }: Cell): Promise<Stopped> {
  const version = situation.versions[0];
  const simulator = await startSimulator({ ...situation.simulator, ...(version && { version }) });
  situation.seed?.(simulator);
  const before = secretsOf(simulator);
  const { method, path, skip = 0 } = situation.target;
  if (moment.fault) simulator.fault({ method, path, skip, fault: moment.fault });
  const inputs = { url: simulator.url, ...situation.inputs(simulator) };
  const env = situation.env?.(simulator) ?? {};
  const { child, result } = startMeasured({ inputs, env, patience: 20_000 });
  const isTarget = (request: { method: string; path: string }) => request.method === method && path.test(request.path);
  while (child.exitCode === null && simulator.requests.filter(isTarget).length <= skip) await sleep(5);
  // With a fault, long enough for the answer, or as much of it as there is, to arrive.
  await sleep(moment.fault ? 50 : random() * 40);
  const signalledAt = performance.now();
  child.kill(signal);
  const step = await result;
  const took = performance.now() - signalledAt;
  const changed = [...secretsOf(simulator)].some(([id, secret]) => before.get(id) !== secret);
  await simulator.close();
  const mode = inputs['mode'] ?? '';
  return { cell: { situation, signal, moment }, took, ...verdict({ step, mode, took, changed, moment }) };
}

interface End {
  step: MeasuredResult;
  mode: string;
  took: number;
  moment: Moment;
  /** Whether a secret was issued in the run. */
  changed: boolean;
}

function verdict({ step, mode, took, changed, moment }: End): { hung: boolean; lost: boolean; wrong: string[] } {
  const hung = step.hung || took > 1000;
  const wrong = hung ? [`it took ${Math.round(took)} ms`] : [];
  const ended = !moment.fault && step.exitCode === 0;
  if (step.exitCode === 0 && !ended) wrong.push('exit code 0');
  if (step.errors.length !== (ended ? 0 : 1)) wrong.push(`${step.errors.length} errors`);
  const missing = (promised[mode] ?? []).filter((name) => !(name in step.outputs));
  const written = Object.keys(step.outputs).length;
  if ((written > 0 || ended) && missing.length > 0) wrong.push(`half of the outputs: no ${missing.join(', ')}`);
  const published = 'client-secret' in step.outputs || 'temporary-password' in step.outputs;
  const lost = changed && !published && !saysWhatToDo(step);
  if (lost) wrong.push(`a secret was issued, and the error does not say so: ${step.errors.join()}`);
  if (step.stderr !== '') wrong.push(`on standard error: ${step.stderr.slice(0, 200)}`);
  return { hung, lost, wrong };
}

function cells(short: boolean): Cell[] {
  const all = situations.flatMap((situation) =>
    moments.flatMap((moment) => signals.map((signal) => ({ situation, moment, signal }))),
  );
  // The answer to a delete has no body.
  const possible = all.filter(({ situation, moment }) => situation.kind !== 'delete' || !/reading/.test(moment.name));
  return short ? possible.filter((_, index) => index % 7 === 0) : possible;
}

/** Signals in the middle of every request of every mode. */
export async function run({ short }: PartOptions): Promise<PartResult> {
  const stopped = await pool(cells(short), { atOnce: 4, work: stop });
  const rows = moments.flatMap((moment) =>
    signals.map((signal) => {
      const some = stopped.filter(({ cell }) => cell.moment === moment && cell.signal === signal);
      const bad = some.filter(({ wrong }) => wrong.length > 0).length;
      const slowest = Math.max(0, ...some.map(({ took }) => Math.round(took)));
      return [moment.name, signal, String(some.length), String(bad), `${slowest} ms`];
    }),
  );
  const nameOf = ({ situation, moment, signal }: Cell) => `${situation.name}, ${moment.name}, ${signal}`;
  return {
    ...emptyResult('Limits: a signal in the middle of every request'),
    cells: stopped.length,
    hangs: stopped.filter(({ hung }) => hung).length,
    losses: stopped.filter(({ lost }) => lost).length,
    failures: stopped.flatMap(({ cell, wrong }) => wrong.map((text) => `${nameOf(cell)}: ${text}`)),
    lines: table([['the run is', 'signal', 'runs', 'wrong', 'slowest end'], ...rows]),
  };
}
