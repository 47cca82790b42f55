import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Simulator, startSimulator, type Version } from '../__tests__/simulator/simulator.ts';
import { type Trouble, troubles } from './faults.ts';
import { type Front, frontAuthority, startFront, tlsFaults } from './front.ts';
import {
  emptyResult,
  megabytes,
  type PartOptions,
  type PartResult,
  pool,
  randomFrom,
  shuffled,
  spread,
  table,
} from './report.ts';
import { type Situation, situations } from './requests.ts';
import { type MeasuredResult, runMeasured } from './step.ts';
import { type Judgement, judge, secretsOf } from './verdict.ts';

interface Cell {
  situation: Situation;
  version: Version;
  trouble: Trouble;
  /** Without an end to the fault, instead of once. */
  lasting: boolean;
}

interface Judged extends Judgement {
  cell: Cell;
  memory: number;
}

const seed = 20;

function allCells(): Cell[] {
  let turn = 0;
  return situations.flatMap((situation) =>
    troubles
      .filter(({ on }) => on?.(situation) ?? true)
      .flatMap((trouble) => {
        // Where something can be lost, every version; elsewhere, one after the other.
        const turned = situation.versions[turn++ % situation.versions.length] as Version;
        const every = /create|reset/.test(situation.kind) && trouble.once === 'passes';
        const versions = every ? situation.versions : [turned];
        const once =
          trouble.lasting === 'only'
            ? []
            : versions.map((version) => ({ situation, version, trouble, lasting: false }));
        return trouble.lasting ? [...once, { situation, version: turned, trouble, lasting: true }] : once;
      }),
  );
}

/** Some of the cells: every fault, every request, every request with an endless fault. */
function sample(cells: readonly Cell[]): Cell[] {
  const chosen = new Set<Cell>();
  const counts = new Map<unknown, number>();
  const takeFor = (key: (cell: Cell) => unknown, most: number) => {
    for (const cell of order) {
      const of = key(cell);
      const count = counts.get(of) ?? 0;
      if (count >= most || chosen.has(cell)) continue;
      counts.set(of, count + 1);
      chosen.add(cell);
    }
  };
  const order = shuffled(cells, randomFrom(seed));
  takeFor(({ trouble, lasting }) => (lasting && trouble.lasting !== 'only' ? undefined : trouble), 1);
  takeFor(({ situation, lasting }) => `${situation.name} ${lasting}`, 2);
  return [...chosen];
}

/** A server that nobody should come to. */
async function startElsewhere(): Promise<{ url: string; visits: () => number; close: () => void }> {
  let visits = 0;
  const server = createServer((_, response) => {
    visits += 1;
    response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, visits: () => visits, close: () => server.close() };
}

async function frontFor({ situation, trouble, lasting }: Cell, simulator: Simulator): Promise<Front | undefined> {
  if (!('front' in trouble.how)) return undefined;
  const { front: fault, work } = trouble.how;
  return startFront({
    port: simulator.port,
    secure: tlsFaults.some((one) => one === fault),
    target: situation.target,
    fault,
    work,
    atOnce: situation.first === true && !work,
    times: lasting ? Number.POSITIVE_INFINITY : 1,
  });
}

interface Run {
  cell: Cell;
  simulator: Simulator;
  front: Front | undefined;
  timeout: number;
}

function step({ cell, simulator, front, timeout }: Run): Promise<MeasuredResult> {
  const { situation } = cell;
  const { how } = cell.trouble;
  const url = 'url' in how ? how.url : (front?.url ?? simulator.url);
  // The service that issues the job's own token stands behind the same front.
  const environment = Object.entries(situation.env?.(simulator) ?? {});
  const env = environment.map(([name, value]) => [name, value.replace(simulator.url, url)]);
  const inputs = { url, 'timeout-seconds': String(timeout), ...situation.inputs(simulator) };
  return runMeasured({
    inputs: url.startsWith('https:') ? { ...inputs, 'ca-certificate': frontAuthority } : inputs,
    env: Object.fromEntries(env),
    patience: (timeout + 10) * 1000,
  });
}

async function tryCell(cell: Cell): Promise<Judged> {
  const { situation, trouble, version, lasting } = cell;
  const simulator = await startSimulator({ version, ...situation.simulator });
  const elsewhere = await startElsewhere();
  situation.seed?.(simulator);
  const now = situation.simulator?.now ?? Date.now;
  const { method, path, skip = 0 } = situation.target;
  if ('http' in trouble.how) {
    const fault = trouble.how.http({ here: simulator.url, elsewhere: elsewhere.url, now });
    simulator.fault({ method, path, skip, times: lasting ? Number.POSITIVE_INFINITY : 1, fault });
  }
  const before = { secrets: secretsOf(simulator) };
  const timeout = lasting ? 2 : trouble.waits ? 12 : 20;
  const front = await frontFor(cell, simulator);
  const result = await step({ cell, simulator, front, timeout });
  const asked = simulator.requests.filter((request) => request.method === method && path.test(request.path));
  const met = 'url' in trouble.how || (front ? front.hits > 0 : asked.length > skip);
  const strayed = elsewhere.visits() + simulator.requests.filter((request) => request.path.includes('signin')).length;
  const judgement = judge({ situation, trouble, lasting, timeout, simulator, before, result, met, strayed });
  elsewhere.close();
  await Promise.all([front?.close(), simulator.close()]);
  return { ...judgement, cell, memory: result.peakMemory ?? 0 };
}

const nameOf = ({ situation, version, trouble, lasting }: Cell) =>
  `${situation.name} (${version}) x ${trouble.name}${lasting ? ', without end' : ''}`;

const letter = (index: number) => String.fromCharCode(index < 26 ? 65 + index : 97 + index - 26);

/** How many cells of each verdict: `3` succeeded, `2e` ended with an error, `1!` are wrong. */
function counts(judged: readonly Judged[]): string {
  const marks = { ok: '', error: 'e', violation: '!' } as const;
  return (Object.keys(marks) as (keyof typeof marks)[])
    .flatMap((verdict) => {
      const count = judged.filter((one) => one.verdict === verdict).length;
      return count === 0 ? [] : `${count}${marks[verdict]}`;
    })
    .join(' ');
}

function matrixLines(judged: readonly Judged[]): string[] {
  const legend = situations.map(({ name }, index) => `${letter(index)}  ${name}`);
  const head = ['fault', ...situations.map((_, index) => letter(index)), 'all'];
  const row = (name: string, some: readonly Judged[]) => {
    const each = situations.map((situation) => counts(some.filter(({ cell }) => cell.situation === situation)));
    return [name, ...each, counts(some)];
  };
  const groupOf = ({ group, name }: Trouble) => group ?? name;
  const rows = [...new Set(troubles.map(groupOf))].map((group) =>
    row(
      group,
      judged.filter(({ cell }) => groupOf(cell.trouble) === group),
    ),
  );
  return [...legend, '', ...table([head, ...rows, row('all', judged)])];
}

/** Every request x every fault. */
export async function run({ short }: PartOptions): Promise<PartResult> {
  const all = allCells();
  const cells = short ? sample(all) : all;
  const waits = ({ trouble, lasting }: Cell) => trouble.waits === true || lasting;
  const [waiting, busy] = [cells.filter(waits), cells.filter((cell) => !waits(cell))];
  const pools = await Promise.all([
    pool(busy, { atOnce: 4, work: tryCell }),
    pool(waiting, { atOnce: 12, work: tryCell }),
  ]);
  const judged = pools.flat();
  // A busy machine makes a run late, or never get as far as the fault: such a cell is tried again, by itself.
  const again = judged.flatMap(({ unsure }, index) => (unsure ? [index] : []));
  for (const index of again) judged[index] = await tryCell((judged[index] as Judged).cell);
  const sum = (field: 'leaks' | 'hangs' | 'losses') => judged.reduce((total, one) => total + one[field], 0);
  const of = (verdict: Judgement['verdict']) => judged.filter((one) => one.verdict === verdict).length;
  const chosen = short ? `${cells.length} of ${all.length} cells, chosen with the seed ${seed}` : `${all.length} cells`;
  return {
    ...emptyResult('Fault matrix: every request x every fault'),
    cells: cells.length,
    leaks: sum('leaks'),
    hangs: sum('hangs'),
    losses: sum('losses'),
    failures: judged.flatMap(({ cell, wrong }) => wrong.map((text) => `${nameOf(cell)}: ${text}`)),
    lines: [
      ...matrixLines(judged),
      '',
      `${chosen}: ${of('ok')} succeeded, ${of('error')} ended with an error that names the cause (e), ${of('violation')} neither (!)`,
      `tried again by themselves, because the machine was too busy: ${again.length}`,
      `peak memory of the runs, min / median / max: ${spread(
        judged.map(({ memory }) => memory),
        megabytes,
      )}`,
    ],
  };
}
