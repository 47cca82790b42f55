// One run of the action against two servers, one of which does something wrong.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Version } from '../simulator/simulator.ts';
import type { Trouble } from './faults.ts';
import { type Front, frontAuthority, startFront, tlsFaults } from './front.ts';
import { type Problem, pool, problem, problemsOf } from './report.ts';
import { runMeasured } from './step.ts';
import { type Target, targetsIn } from './targets.ts';
import { closeWorld, openWorld, stepFor, type Task, type World } from './tasks.ts';
import { endProblems, harmOf, snapshot, unexpected, untruths } from './verdict.ts';

export interface Cell {
  target: Target;
  trouble: Trouble;
  /** A permanent fault, instead of a single one. */
  lasting: boolean;
}

export interface Judged {
  cell: Cell;
  ended: 'ok' | 'error';
  problems: Problem[];
  /** Late, or too late to meet the fault or its answer: which a busy machine brings about as well. */
  unsure: boolean;
  /** Bytes. */
  memory: number;
}

/** How long a run may go on after its deadline, in milliseconds. */
const grace = 2000;

export const nameOf = ({ target: { task, version, name, skip }, trouble, lasting }: Cell): string =>
  `${task.name} (${version}), ${name}${skip > 0 ? ` #${skip + 1}` : ''} x ${trouble.name}${lasting ? ', without end' : ''}`;

/** A server that nobody should connect to. */
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

async function frontFor({ target, trouble, lasting }: Cell, world: World): Promise<Front | undefined> {
  if (!('front' in trouble.how)) return undefined;
  const { front: fault, work } = trouble.how;
  return startFront({
    port: world[target.service].port,
    secure: tlsFaults.some((one) => one === fault),
    target,
    fault,
    work,
    atOnce: target.index === 0 && !work,
    times: lasting ? Number.POSITIVE_INFINITY : 1,
  });
}

/** Makes the server misbehave, once at the target or from there on. */
export function arm({ target, trouble, lasting }: Cell, world: World, elsewhere: string): void {
  if (!('http' in trouble.how)) return;
  const { service, method, path, skip, task } = target;
  const now = (service === 'simulator' && task.simulator?.now) || Date.now;
  const fault = trouble.how.http({ here: world[service].url, elsewhere, now });
  world[service].fault({ method, path, skip, times: lasting ? Number.POSITIVE_INFINITY : 1, fault });
}

function timeoutOf({ trouble, lasting }: Cell): number {
  if (!lasting) return 20;
  return trouble.name === 'unknown host' ? 1 : 2;
}

export async function tryCell(cell: Cell): Promise<Judged> {
  const { target, trouble, lasting } = cell;
  const { task, version, service } = target;
  const elsewhere = await startElsewhere();
  const oddities = 'server' in trouble.how ? { [service]: trouble.how.server } : {};
  const world = await openWorld({ task, version, oddities, arm: (opened) => arm(cell, opened, elsewhere.url) });
  const before = snapshot(world);
  const timeout = timeoutOf(cell);
  const front = await frontFor(cell, world);
  const url = 'url' in trouble.how ? trouble.how.url : front?.url;
  const step = stepFor(world, { task, timeout, urls: url === undefined ? {} : { [service]: url } });
  if (url?.startsWith('https:')) step.inputs['ca-certificate'] = frontAuthority;
  const result = await runMeasured(step);
  await Promise.all([world.simulator.settled(), world.github.settled()]);
  const hung = hangs(result, timeout);
  const wrong = [...unmet(cell, { world, front }), ...strays(world, elsewhere.visits())];
  const ending = { task, world, before, result };
  const problems = [
    ...problemsOf('hang', hung),
    ...harmOf(ending, { isLate: /work done after/.test(trouble.name) }),
    ...endProblems({ ...ending, target, trouble, lasting }),
    ...problemsOf('other', wrong),
  ];
  elsewhere.close();
  await Promise.all([front?.close(), closeWorld(world)]);
  const cutShort = lasting && problems.length > 0 && /came in time/.test(result.errors.join());
  const unsure = hung.length > 0 || wrong.length > 0 || cutShort;
  return { cell, ended: result.exitCode === 0 ? 'ok' : 'error', problems, unsure, memory: result.peakMemory ?? 0 };
}

export function hangs({ hung, duration }: { hung: boolean; duration: number }, timeout: number): string[] {
  if (hung) return ['the run had to be killed'];
  const late = duration - timeout * 1000;
  return late > grace ? [`the run ended ${Math.round(late)} ms after its deadline`] : [];
}

function unmet({ target, trouble }: Cell, { world, front }: { world: World; front: Front | undefined }): string[] {
  if ('url' in trouble.how) return [];
  const { method, path, skip, service } = target;
  const asked = world[service].requests.filter((request) => request.method === method && path.test(request.path));
  const met = front ? front.hits > 0 : asked.length > skip;
  return met ? [] : ['the fault was never met'];
}

function strays({ simulator, github }: World, visits: number): string[] {
  const followed = [...simulator.requests, ...github.requests].filter(({ path }) => path.includes('signin'));
  return visits + followed.length > 0 ? ['a redirect was followed'] : [];
}

/** A run without any fault: its requests, and its problems. */
export interface Undisturbed {
  targets: Target[];
  problems: Problem[];
}

async function runUndisturbed({ task, version }: { task: Task; version: Version }): Promise<Undisturbed> {
  const world = await openWorld({ task, version });
  const before = snapshot(world);
  const result = await runMeasured(stepFor(world, { task, timeout: 30 }));
  const targets = targetsIn(world, { task, version });
  const ending = { task, world, before, result };
  const isAsItShould = (result.exitCode === 0) === (task.ends === undefined);
  const rehearsals = world.github.secrets.filter(({ name }) => name.endsWith('_REHEARSAL'));
  const problems = [
    ...harmOf(ending, { isLate: false }),
    ...(isAsItShould ? [] : [problem('other', `exit code ${result.exitCode}: ${result.errors.join()}`)]),
    ...(result.exitCode === 0
      ? problemsOf('green and wrong', [...untruths(ending), ...unexpected(task, result.outputs)])
      : []),
    ...problemsOf(
      'other',
      rehearsals.map(({ name }) => `${name} was left behind`),
    ),
  ];
  await closeWorld(world);
  return {
    targets,
    problems: problems.map(({ kind, text }) => ({ kind, text: `${task.name} (${version}): ${text}` })),
  };
}

const looks = new Map<boolean, Promise<Undisturbed>>();

/** Runs every task once on each of its versions, or only on the first, and looks at what it asks for. */
export function lookAt(tasks: readonly Task[], { short }: { short: boolean }): Promise<Undisturbed> {
  const look = looks.get(short) ?? runAll(tasks, { short });
  looks.set(short, look);
  return look;
}

async function runAll(tasks: readonly Task[], { short }: { short: boolean }): Promise<Undisturbed> {
  const jobs = tasks.flatMap((task) =>
    task.versions.slice(0, short ? 1 : undefined).map((version) => ({ task, version })),
  );
  const runs = await pool(jobs, { atOnce: 4, work: runUndisturbed });
  return { targets: runs.flatMap(({ targets }) => targets), problems: runs.flatMap(({ problems }) => problems) };
}
