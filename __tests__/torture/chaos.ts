import { setTimeout as sleep } from 'node:timers/promises';
import { arm, hangs, lookAt } from './cell.ts';
import { type Trouble, troubles } from './faults.ts';
import {
  located,
  type PartOptions,
  type PartResult,
  type Problem,
  pick,
  pool,
  problemsOf,
  randomFrom,
  unless,
} from './report.ts';
import { runMeasured, startMeasured } from './step.ts';
import type { Target } from './targets.ts';
import { appName, closeWorld, email, openWorld, stepFor, tasks, type World } from './tasks.ts';
import {
  type Before,
  type Ending,
  harmOf,
  lostSecrets,
  misreported,
  saysWhatToDo,
  snapshot,
  untruths,
} from './verdict.ts';

/** Several things that go wrong in one run. */
interface Storm {
  seed: number;
  /** Seconds. */
  timeout: number;
  faults: { target: Target; trouble: Trouble }[];
  /** Milliseconds after the first request. */
  signalAt: number | undefined;
  /** When somebody else creates the object that the step should create, in milliseconds after the first request. */
  strangerAt: number | undefined;
}

const usual = troubles.filter(({ how, waits }) => 'http' in how && !waits);
/** After these, nobody can take somebody else's work for a lost attempt of this run. */
const harmless = usual.filter(({ name }) => /^429(, Retry-After: 1 second)?$/.test(name));

function stormOf(groups: readonly Target[][], seed: number): Storm {
  const random = randomFrom(seed);
  const targets = pick(random, groups);
  const isMade =
    targets.some(({ kind }) => kind === 'create') && !/taken|three|lost|overlap/.test(targets[0]?.task.name ?? '');
  const hasStranger = isMade && random() < 0.4;
  const among = hasStranger ? harmless : usual;
  const faults = Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
    const target = pick(random, targets);
    return {
      target,
      trouble: pick(
        random,
        among.filter(({ on }) => on?.(target) ?? true),
      ),
    };
  });
  return {
    seed,
    timeout: pick(random, [2, 5, 12, 12]),
    faults,
    signalAt: random() < 0.15 ? random() * 1500 : undefined,
    strangerAt: hasStranger ? random() * 900 : undefined,
  };
}

/** Somebody else creates it, if it does not exist yet; from then on it already exists. */
function comeFirst({ simulator }: World, before: Before, target: Target): void {
  const isUser = target.task.name.startsWith('create-user');
  const taken = isUser
    ? simulator.users.some((one) => one.username === email)
    : simulator.applications.some((one) => one.name === appName);
  if (taken) return;
  const { id, secret } = isUser
    ? (({ id, password }) => ({ id, secret: password }))(simulator.addUser({ email }))
    : simulator.addApplication({ name: appName });
  before.objects.set(id, { name: isUser ? email : appName, secret });
}

async function weather(storm: Storm): Promise<Problem[]> {
  const { timeout, faults, signalAt, strangerAt } = storm;
  const [{ target }] = faults as [Storm['faults'][number]];
  const { task, version } = target;
  const nowhere = 'http://127.0.0.1:9';
  const world = await openWorld({
    task,
    version,
    arm: (opened) => {
      for (const fault of faults) arm({ ...fault, lasting: false }, opened, nowhere);
    },
  });
  const before = snapshot(world);
  const { child, result: ended } = startMeasured(stepFor(world, { task, timeout }));
  const over = new AbortController();
  const later = async (ms: number | undefined, work: () => void) => {
    if (ms === undefined) return;
    while (world.simulator.requests.length + world.github.requests.length === 0 && !over.signal.aborted) await sleep(5);
    await sleep(ms, undefined, { signal: over.signal }).then(work, () => {});
  };
  void later(signalAt, () => child.kill('SIGTERM'));
  void later(strangerAt, () => comeFirst(world, before, target));
  const result = await ended;
  over.abort();
  await Promise.all([world.simulator.settled(), world.github.settled()]);
  const ending = { task, world, before, result };
  const isLate = faults.some(({ trouble }) => trouble.name.includes('work done after'));
  const problems = [
    ...harmOf(ending, { isLate }),
    ...problemsOf('hang', hangs(result, timeout)),
    ...endOf(ending, { isCancelled: signalAt !== undefined, isLate }),
    ...(result.exitCode === 0 ? [] : await heal(ending)),
  ];
  await closeWorld(world);
  return problems;
}

/** After a storm, "run it again" is all that a repair, a rotation or a deletion needs. */
async function heal({ task, world }: Ending): Promise<Problem[]> {
  if (!/repair|rotate-app|overlap|delete-app/.test(task.name)) return [];
  world.simulator.clearFaults();
  world.github.clearFaults();
  const before = snapshot(world);
  const result = await runMeasured(stepFor(world, { task, timeout: 30 }));
  const ended = `run again: exit code ${result.exitCode}: ${result.errors.join()}`;
  return [
    ...problemsOf('loss', unless(result.exitCode === 0, ended)),
    ...problemsOf('green and wrong', result.exitCode === 0 ? untruths({ task, world, before, result }) : []),
  ];
}

function endOf(ending: Ending, { isCancelled, isLate }: { isCancelled: boolean; isLate: boolean }): Problem[] {
  const { exitCode, errors } = ending.result;
  const lost = lostSecrets(ending);
  if (exitCode === 0) return problemsOf('green and wrong', [...untruths(ending), ...lost]);
  const isKnown = exitCode === 1 || (isCancelled && exitCode === 143);
  const excused = isLate || saysWhatToDo(ending.result);
  return [
    ...problemsOf('loss', excused ? [] : lost.map((text) => `${text}: ${errors.join()}`)),
    ...problemsOf('other', [...unless(isKnown, `exit code ${exitCode}`), ...misreported(ending)]),
  ];
}

const nameOf = ({ seed, timeout, faults, signalAt, strangerAt }: Storm) =>
  [
    `storm ${seed}: ${faults[0]?.target.task.name} (${faults[0]?.target.version}) in ${timeout} s`,
    ...faults.map(
      ({ target, trouble }) => `${target.name}${target.skip > 0 ? ` #${target.skip + 1}` : ''} x ${trouble.name}`,
    ),
    ...(strangerAt === undefined ? [] : [`a stranger at ${Math.round(strangerAt)} ms`]),
    ...(signalAt === undefined ? [] : [`SIGTERM at ${Math.round(signalAt)} ms`]),
  ].join('; ');

/** Several faults in one run, a signal, or somebody who comes first: whatever chance brings. */
export async function run({ short, seed, wanted }: PartOptions): Promise<PartResult> {
  const { targets } = await lookAt(tasks, { short });
  const keys = targets.map(({ task, version }) => `${task.name} ${version}`);
  const groups = [...new Set(keys)].map((key) => targets.filter((_, index) => keys[index] === key));
  const random = randomFrom(seed);
  const storms = Array.from({ length: short ? 24 : 1500 }, () => stormOf(groups, Math.floor(random() * 1e9)));
  const chosen = storms.filter((storm) => wanted(nameOf(storm)));
  const found = await pool(chosen, {
    atOnce: 6,
    work: async (storm) => ({ storm, problems: await weather(storm) }),
  });
  // A busy machine makes a run late: then it is tried again, by itself.
  for (const one of found) {
    if (one.problems.some(({ kind }) => kind === 'hang')) one.problems = await weather(one.storm);
  }
  const count = (is: (storm: Storm) => boolean) => chosen.filter(is).length;
  return {
    title: 'Chaos: several faults in one run',
    cells: chosen.length,
    problems: found.flatMap(({ storm, problems }) => located(nameOf(storm), problems)),
    lines: [
      `${chosen.length} runs; ${count(({ signalAt }) => signalAt !== undefined)} with a signal, ${count(({ strangerAt }) => strangerAt !== undefined)} with somebody who comes first`,
    ],
  };
}
