import { type Cell, type Judged, lookAt, nameOf, tryCell } from './cell.ts';
import { type Trouble, troubles } from './faults.ts';
import {
  located,
  megabytes,
  type PartOptions,
  type PartResult,
  pool,
  randomFrom,
  sample,
  spread,
  table,
} from './report.ts';
import type { Target } from './targets.ts';
import { tasks } from './tasks.ts';

/** What HTTP alone deals with is tried in full on these, and on one in so many of the others. */
const inDetail = new Set(['POST /api/v1/token', 'GET /api/v1/apps', 'GET /_oidc/token']);
const githubInDetail = /^(PUT|GET) \/repos\/acme\/app\/actions\/secrets\/(RUNAI_CREDENTIALS|public-key)$/;
const oneIn = 50;

/**
 * Each request of each task, each with the troubles that matter to it: all of them where it is met for the first time, or
 * where something can be lost; elsewhere some, by chance.
 */
function allCells(targets: readonly Target[], random: () => number): Cell[] {
  const met = new Set<string>();
  const news = (key: string) => !met.has(key) && Boolean(met.add(key));
  return targets.flatMap((target) => {
    const { service, name, task, kind } = target;
    const isFirst = news(`${service} ${name}`);
    const loses = /create|reset|delete|store/.test(kind) || task.deletes !== undefined;
    const matters = isFirst || (loses && news(`${task.name} ${name} ${target.skip}`));
    const details = isFirst && (inDetail.has(name) || githubInDetail.test(name));
    return troubles
      .filter(({ on }) => on?.(target) ?? true)
      .filter((trouble) => (trouble.detail ? details : matters || 'server' in trouble.how) || random() < 1 / oneIn)
      .flatMap((trouble) =>
        ways(trouble, isFirst || kind === 'store').map((lasting): Cell => ({ target, trouble, lasting })),
      );
  });
}

function ways({ lasting }: Trouble, isEndless: boolean): boolean[] {
  if (lasting === 'only') return [true];
  return lasting && isEndless ? [false, true] : [false];
}

const letter = (index: number) => String.fromCharCode(index < 26 ? 65 + index : 97 + index - 26);

/** How many cells of each verdict: `3` succeeded, `2e` ended with an error, `1!` are wrong. */
function counts(judged: readonly Judged[]): string {
  const marks = [
    ['', (one: Judged) => one.problems.length === 0 && one.ended === 'ok'],
    ['e', (one: Judged) => one.problems.length === 0 && one.ended === 'error'],
    ['!', (one: Judged) => one.problems.length > 0],
  ] as const;
  return marks
    .map(([mark, is]) => ({ mark, count: judged.filter(is).length }))
    .flatMap(({ mark, count }) => (count === 0 ? [] : `${count}${mark}`))
    .join(' ');
}

function matrixLines(judged: readonly Judged[]): string[] {
  const legend = tasks.map(({ name }, index) => `${letter(index)}  ${name}`);
  const row = (name: string, some: readonly Judged[]) => {
    const each = tasks.map((task) => counts(some.filter(({ cell }) => cell.target.task === task)));
    return [name, ...each, counts(some)];
  };
  const groupOf = ({ group, name }: Trouble) => group ?? name;
  const rows = [...new Set(troubles.map(groupOf))].map((group) => {
    return row(
      group,
      judged.filter(({ cell }) => groupOf(cell.trouble) === group),
    );
  });
  const head = ['fault', ...tasks.map((_, index) => letter(index)), 'all'];
  return [...legend, '', ...table([head, ...rows, row('all', judged)])];
}

/** Some of the cells: every fault, every task, every kind of request. */
function some(cells: readonly Cell[], random: () => number): Cell[] {
  const quick = cells.filter(({ trouble, lasting }) => !trouble.waits || lasting);
  const keysOf = ({ target, trouble }: Cell) => [
    trouble.group ?? trouble.name,
    target.task.name,
    `${target.service} ${target.kind}`,
  ];
  return sample(quick, { most: 0, keysOf, random });
}

/** Every request x every fault. */
export async function run({ short, seed, wanted }: PartOptions): Promise<PartResult> {
  const random = randomFrom(seed);
  const undisturbed = await lookAt(tasks, { short });
  const all = allCells(undisturbed.targets, random).filter((cell) => wanted(nameOf(cell)));
  const cells = short ? some(all, random) : all;
  const waits = ({ trouble, lasting }: Cell) => trouble.waits === true || lasting;
  const [waiting, busy] = [cells.filter(waits), cells.filter((cell) => !waits(cell))];
  const pools = await Promise.all([
    pool(busy, { atOnce: 8, work: tryCell }),
    pool(waiting, { atOnce: 24, work: tryCell }),
  ]);
  const judged = pools.flat();
  // A busy machine makes a run late, or never get as far as the fault: such a cell is tried again, by itself.
  const again = judged.flatMap(({ unsure }, index) => (unsure ? [index] : []));
  for (const index of again) judged[index] = await tryCell((judged[index] as Judged).cell);
  const of = (ended: Judged['ended']) =>
    judged.filter((one) => one.problems.length === 0 && one.ended === ended).length;
  const wrong = judged.filter(({ problems }) => problems.length > 0).length;
  const memory = judged.map((one) => one.memory);
  return {
    title: 'Fault matrix: every request x every fault',
    cells: cells.length,
    problems: [...undisturbed.problems, ...judged.flatMap(({ cell, problems }) => located(nameOf(cell), problems))],
    lines: [
      ...(short ? [] : matrixLines(judged)),
      `${cells.length} of ${all.length} cells: ${of('ok')} succeeded, ${of('error')} ended with an error that names the cause (e), ${wrong} neither (!)`,
      `tried again by themselves, because the machine was too busy: ${again.length}`,
      `peak memory of the runs, min / median / max: ${spread(memory, megabytes)}`,
    ],
  };
}
