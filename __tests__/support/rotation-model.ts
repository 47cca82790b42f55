import fc from 'fast-check';
import type { FaultRule } from '../simulator/simulator.ts';
import {
  cleanRun,
  type RegularJob,
  type RunOptions,
  type Server,
  secretName,
  World,
  type WorldOptions,
} from './rotation-world.ts';

/** A member of the family: by its number, or what a run last said is in use, or by what is stored. */
type Target = { member: number } | 'reported' | 'stored' | 'stored before' | 'newest';

export type Action =
  | { do: 'run'; runs: { after: number; options: RunOptions }[] }
  | {
      do: 'replace in place';
      target: Target;
      options: RunOptions;
      beside?: { after: number; options: RunOptions } | undefined;
    }
  | { do: 'job'; signsInAfter: number[] }
  | { do: 'store'; what: 'foreign' | 'broken' | Target }
  | { do: 'delete the secret' }
  | { do: 'delete'; target: Target }
  | { do: 'disable' | 'enable'; target: Target };

/** Time passes first: milliseconds, and shares of `overlap-hours` and of the time until a rotation is due. */
export interface Step {
  wait: { ms: number; overlaps: number; dues: number };
  action: Action;
}

export interface Sequence {
  options: WorldOptions;
  steps: Step[];
}

export interface Played {
  runs: number;
  violations: string[];
  trace: string[];
}

/**
 * Plays a sequence, and says what was violated. What must hold (`World` checks it all the time):
 * - who read the stored secret can sign in for `overlap-hours`, unless a person made it useless;
 * - a run deletes nothing that is stored, that a job may hold, or that a job has used within `overlap-hours`;
 * - after a run without a fault the stored secret works, unless a person made it useless and no rotation was due since;
 * - the family stays small, as `calmDown` says;
 * - what was issued was published; what a green run says is how things stand at the servers.
 *
 * What is taken for granted: a job holds what it read for at most `overlap-hours`, and nobody else signs in; the clock of a
 * server may be wrong, but always by as much; a server does what it says it has done; people change nothing in the seconds
 * in which a run is under way, other than by runs of their own.
 */
export async function play({ options, steps }: Sequence): Promise<Played> {
  const world = await World.start(options);
  try {
    await world.rotate([{ after: 0, options: cleanRun }]);
    if (options.rules === 'copied') world.giveRule();
    for (const { wait, action } of steps) {
      await world.pass(wait.ms + wait.overlaps * world.overlap + wait.dues * world.dueAfter);
      await carryOut(world, action);
      if (world.violations.length > 0) break;
    }
    if (world.violations.length === 0) await calmDown(world);
  } finally {
    await world.close();
  }
  return { runs: world.runs, violations: world.violations, trace: world.trace };
}

function find(world: World, target: Target) {
  switch (target) {
    case 'stored':
      return world.storedMember;
    case 'stored before':
      return world.storedBefore;
    case 'newest':
      return world.members.at(-1);
    case 'reported':
      return world.members.find(({ name }) => name === world.reported);
    default:
      return world.members[target.member % Math.max(1, world.members.length)];
  }
}

async function carryOut(world: World, action: Action): Promise<void> {
  switch (action.do) {
    case 'run':
      return world.rotate(action.runs);
    case 'replace in place': {
      const inPlace = find(world, action.target);
      const { options } = action;
      // One that is just being retired is not what leaks.
      const beside = inPlace === world.storedMember ? action.beside : undefined;
      if (inPlace) await world.rotate([{ after: 0, options, inPlace }, ...(beside ? [beside] : [])]);
      return;
    }
    case 'job':
      return world.startJob(action.signsInAfter);
    case 'store': {
      const { what } = action;
      const stored = what === 'foreign' || what === 'broken' ? what : find(world, what);
      if (stored) world.edit(stored);
      return;
    }
    case 'delete the secret':
      return world.deleteSecret();
    case 'delete': {
      const member = find(world, action.target);
      if (member) world.deleteMember(member);
      return;
    }
    default: {
      const member = find(world, action.target);
      if (member) world.setEnabled(member, action.do === 'enable');
    }
  }
}

/**
 * However things stand, they are right again after clean runs: the first one that comes when a rotation is due stores a
 * secret that works, and after three of them the family has at most three members, if somebody signs in with the stored one:
 * the one in use, the one before it (a job may have held its secret to the end), and the next.
 */
async function calmDown(world: World): Promise<void> {
  for (let cycle = 1; cycle <= 3; cycle++) {
    for (let passed = 0; passed < world.dueAfter + 1.5 * world.overlap; passed += world.overlap / 4) {
      world.startJob([0]);
      await world.pass(world.overlap / 4);
    }
    await world.rotate([{ after: 0, options: cleanRun }]);
  }
  world.checkSize(3);
}

// --- Random sequences

const share = (max: number) => fc.integer({ min: 0, max: 20 }).map((n) => (n / 20) * max);
const servers = fc.constantFrom<Server>('plane', 'github');
const skew = fc.oneof(
  fc.constant(0),
  fc.integer({ min: -3000, max: 3000 }),
  fc.integer({ min: -6 * 3_600_000, max: 6 * 3_600_000 }),
);

const requests: fc.Arbitrary<Pick<FaultRule, 'method' | 'path'> & { server: Server }> = fc.oneof(
  servers.map((server) => ({ server })),
  fc.constantFrom<Pick<FaultRule, 'method' | 'path'> & { server: Server }>(
    { server: 'github', method: 'PUT', path: new RegExp(`/${secretName}$`) },
    { server: 'github', method: 'GET', path: new RegExp(`/${secretName}$`) },
    { server: 'plane', method: 'POST', path: /\/token$/ },
    { server: 'plane', method: 'POST', path: /\/(apps|service-accounts)$/ },
    { server: 'plane', method: 'POST', path: /\/secret$/ },
    { server: 'plane', method: 'GET', path: /\/(apps|service-accounts)$/ },
    { server: 'plane', method: 'POST', path: /access-rules$/ },
    { server: 'plane', method: 'DELETE' },
  ),
);

const kinds: FaultRule['fault'][] = [
  { kind: 'status', status: 500 },
  { kind: 'status', status: 503, headers: { 'retry-after': '7' } },
  { kind: 'status', status: 504 },
  { kind: 'status', status: 403 },
  { kind: 'status', status: 404 },
  { kind: 'status', status: 400 },
  { kind: 'reset', when: 'before-head' },
  { kind: 'end', when: 'in-body' },
  { kind: 'html', status: 200 },
  { kind: 'html', status: 502 },
  { kind: 'empty' },
];

const faults = fc
  .record({
    request: requests,
    fault: fc.constantFrom(...kinds),
    work: fc.boolean(),
    skip: fc.integer({ min: 0, max: 3 }),
    times: fc.constantFrom(1, 1, 2, 100),
  })
  .map(({ request, fault, work, ...rest }): RunOptions['faults'][number] => {
    // Nobody can do anything about a server that says that it has done what it has not.
    return { ...request, ...rest, fault: { ...fault, work: work || fault.kind === 'empty' } };
  });

const runOptions: fc.Arbitrary<RunOptions> = fc.record({
  skew,
  latency: fc.constantFrom(5, 50, 400, 2000),
  faults: fc.array(faults, { maxLength: 2 }),
  end: fc.option(
    fc.record({
      call: fc.integer({ min: 1, max: 16 }),
      how: fc.constantFrom('killed before' as const, 'killed after' as const, 'cancelled' as const),
    }),
    { nil: undefined, freq: 3 },
  ),
  silent: fc.oneof(
    { weight: 8, arbitrary: fc.constant<Server[]>([]) },
    { weight: 1, arbitrary: servers.map((one) => [one]) },
  ),
  late: fc.option(
    fc.record({
      what: fc.constantFrom('store' as const, 'create' as const),
      ms: fc.constantFrom(500, 5_000, 90_000, 1_200_000),
    }),
    { nil: undefined, freq: 10 },
  ),
});

const someRun = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({ skew, latency: fc.constantFrom(5, 50, 400) }).map((one) => ({ ...cleanRun, ...one })),
  },
  { weight: 2, arbitrary: runOptions },
);
const apart = fc.constantFrom(0, 3, 100, 900, 2_000, 15_000);
const targets = [
  fc.constantFrom<Target>('reported', 'stored', 'stored before', 'stored before', 'newest'),
  fc.nat({ max: 5 }).map((member): Target => ({ member })),
];
const target = fc.oneof(...targets);
const signsInAfter = fc.array(fc.oneof(fc.constantFrom(0, 1), share(1)), { minLength: 1, maxLength: 3 });

const rotations: fc.Arbitrary<Action> = fc.oneof(
  { weight: 3, arbitrary: someRun.map((options): Action => ({ do: 'run', runs: [{ after: 0, options }] })) },
  {
    weight: 1,
    arbitrary: fc.record({ one: someRun, other: someRun, after: apart }).map(({ one, other, after }): Action => {
      return {
        do: 'run',
        runs: [
          { after: 0, options: one },
          { after, options: other },
        ],
      };
    }),
  },
);
const job: fc.Arbitrary<Action> = fc.record({ do: fc.constant('job' as const), signsInAfter });
const leak: fc.Arbitrary<Action> = fc.record({
  do: fc.constant('replace in place' as const),
  target,
  options: someRun,
  beside: fc.option(fc.record({ after: apart, options: someRun }), { nil: undefined, freq: 3 }),
});
const byHand: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('store' as const),
      what: fc.oneof(fc.constantFrom<'foreign' | 'broken'>('foreign', 'broken'), ...targets),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Action>({ do: 'delete the secret' }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), target }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('disable' as const, 'enable' as const), target }) },
);
const actions: fc.Arbitrary<Action> = fc.oneof(
  { weight: 5, arbitrary: rotations },
  { weight: 2, arbitrary: job },
  { weight: 1, arbitrary: leak },
  { weight: 2, arbitrary: byHand },
);

const waits = fc.oneof(
  fc.integer({ min: 0, max: 20_000 }).map((ms) => ({ ms, overlaps: 0, dues: 0 })),
  share(1.2).map((overlaps) => ({ ms: 0, overlaps, dues: 0 })),
  fc.integer({ min: -5_000, max: 20_000 }).map((ms) => ({ ms, overlaps: 1, dues: 0 })),
  fc.integer({ min: -5_000, max: 20_000 }).map((ms) => ({ ms, overlaps: 0, dues: 1 })),
  fc.record({ ms: fc.nat({ max: 20_000 }), overlaps: share(1), dues: fc.constant(1) }),
);

const jobs: fc.Arbitrary<RegularJob> = fc.record({
  every: fc.constantFrom(0.07, 0.4, 1.3, 3.1, 8),
  signsInAfter,
});

const worlds: fc.Arbitrary<WorldOptions> = fc
  .record({
    overlapHours: fc.constantFrom(1, 2, 24, 72),
    rotateAfter: fc.constantFrom(0, 1, 3, 3),
    rules: fc.constantFrom('input' as const, 'copied' as const),
    version: fc.constantFrom('2.24' as const, '3.0' as const),
    skew: fc.record({ plane: skew, github: skew }),
    wholeSeconds: fc.boolean(),
    signsInAsItself: fc.boolean(),
    jobs: fc.array(jobs, { maxLength: 2 }),
  })
  .map(({ rotateAfter, ...rest }) => {
    const days = rotateAfter * Math.ceil(rest.overlapHours / 24);
    return { ...rest, rotateAfterDays: days === 0 ? undefined : days };
  });

const soon = fc.integer({ min: 0, max: 20_000 }).map((ms) => ({ ms, overlaps: 0, dues: 0 }));
const whenDue = fc.integer({ min: -5_000, max: 60_000 }).map((ms) => ({ ms, overlaps: 0, dues: 1 }));
const afterOverlap = share(0.5).map((more) => ({ ms: 0, overlaps: 1 + more, dues: 0 }));

/** What people do when something is wrong, or when they think so, comes soon after a rotation, whole or broken. */
const trouble: fc.Arbitrary<Step[]> = fc
  .tuple(
    fc.record({ wait: whenDue, action: rotations }),
    fc.array(fc.record({ wait: soon, action: job }), { maxLength: 1 }),
    fc.array(fc.record({ wait: soon, action: fc.oneof(byHand, byHand, leak, rotations) }), {
      minLength: 1,
      maxLength: 2,
    }),
    fc.array(
      fc.record({ wait: fc.oneof(afterOverlap, afterOverlap, whenDue), action: fc.oneof(rotations, rotations, leak) }),
      { minLength: 1, maxLength: 2 },
    ),
  )
  .map((parts) => parts.flat());

export const sequences: fc.Arbitrary<Sequence> = fc.record({
  options: worlds,
  steps: fc
    .array(
      fc.oneof(
        fc.record({ wait: waits, action: actions }).map((step) => [step]),
        trouble,
      ),
      { minLength: 1, maxLength: 6 },
    )
    .map((parts) => parts.flat()),
});

export interface Report {
  sequences: number;
  runs: number;
  /** The smallest sequence that was found for what was violated, if anything was. */
  failure: { violations: string[]; trace: string[]; sequence: Sequence } | undefined;
}

/** fast-check keeps what every sequence was played with until it ends, so it is asked for a few at a time. */
const AT_A_TIME = 20;

/** Plays random sequences until one violates something, and then looks for a smaller one that does. */
export async function run({ sequences: count, seed }: { sequences: number; seed: number }): Promise<Report> {
  const report: Report = { sequences: 0, runs: 0, failure: undefined };
  const property = fc.asyncProperty(sequences, async (sequence) => {
    const { runs, violations, trace } = await play(sequence);
    report.sequences += 1;
    report.runs += runs;
    if (violations.length > 0) report.failure = { violations, trace, sequence };
    return violations.length === 0;
  });
  for (let part = 0; part * AT_A_TIME < count && !report.failure; part++) {
    const numRuns = Math.min(AT_A_TIME, count - part * AT_A_TIME);
    const { failed, errorInstance } = await fc.check(property, { numRuns, seed: seed * 1_000 + part });
    if (failed && !report.failure) throw errorInstance;
  }
  return report;
}
