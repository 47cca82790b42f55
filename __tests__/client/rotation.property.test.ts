import { describe, expect, it } from 'vitest';
import { type Action, play, run, type Sequence, type Step } from '../support/rotation-model.ts';
import { cleanRun, type RunOptions, type WorldOptions } from '../support/rotation-world.ts';

const world: WorldOptions = {
  overlapHours: 24,
  rotateAfterDays: 7,
  rules: 'input',
  version: '2.24',
  skew: { plane: 0, github: 0 },
  wholeSeconds: false,
  signsInAsItself: false,
  jobs: [],
};

const [second, minute] = [1_000, 60_000];
const at = (wait: Partial<Step['wait']>, action: Action): Step => ({
  wait: { ms: 0, overlaps: 0, dues: 0, ...wait },
  action,
});
const runs = (...options: Partial<RunOptions & { after: number }>[]): Action => ({
  do: 'run',
  runs: options.map(({ after = 0, ...one }) => ({ after, options: { ...cleanRun, ...one } })),
});
const oneRun = runs({});
const jobAfter = (seconds: number) => ({ every: 7 + seconds / 86_400, signsInAfter: [0.5] });
const storeFails = (skip = 0): RunOptions['faults'] => [
  {
    server: 'github',
    method: 'PUT',
    path: /RUNAI_CREDENTIALS$/,
    skip,
    times: 100,
    fault: { kind: 'status', status: 503 },
  },
];

interface Story {
  name: string;
  options?: Partial<WorldOptions>;
  steps: Step[];
}

/** What people, clocks and broken runs can do to deceive the one who decides what to delete. All but that of the clock once broke a promise. */
const stories: Story[] = [
  {
    name: 'somebody goes back to the credentials before, while a job still holds the new ones',
    steps: [
      at({ dues: 1, ms: minute }, oneRun),
      at({ ms: minute }, { do: 'job', signsInAfter: [0.5] }),
      at({ ms: minute }, { do: 'store', what: { member: 0 } }),
      at({ overlaps: 1.1 }, oneRun),
    ],
  },
  {
    name: 'of two runs at once, the one that made the older application stores last, after a job has read the other',
    steps: [
      at({ dues: 1, ms: minute }, runs({ latency: 3 * second }, { after: 20 * second, latency: 500 })),
      at({ overlaps: 1.1 }, oneRun),
    ],
    options: { jobs: [jobAfter(89)] },
  },
  {
    name: 'a leak is replaced in place while a rotation is under way that checks its credentials and cannot store them',
    steps: [
      at(
        { dues: 1, ms: minute },
        {
          do: 'replace in place',
          target: 'stored',
          options: { ...cleanRun, latency: 3 * second },
          beside: { after: 100, options: { ...cleanRun, latency: 3 * second, faults: storeFails(1) } },
        },
      ),
      at({ overlaps: 1.1 }, oneRun),
    ],
  },
  {
    name: 'a left-behind application gets a new secret in place that cannot be stored',
    steps: [
      at({ dues: 1, ms: minute }, runs({ faults: storeFails() })),
      at({ ms: minute }, { do: 'replace in place', target: 'stored', options: cleanRun }),
      at(
        { overlaps: 1.1 },
        { do: 'replace in place', target: { member: 1 }, options: { ...cleanRun, faults: storeFails() } },
      ),
      at({ ms: minute }, oneRun),
    ],
  },
  {
    name: 'somebody goes back to the credentials before, and GitHub, whose clock is hours behind, does not say so',
    options: { overlapHours: 2, skew: { plane: 0, github: -4 * 3_600_000 } },
    steps: [
      at({ dues: 1, ms: minute }, oneRun),
      at({ overlaps: 2.4 }, { do: 'job', signsInAfter: [0.5] }),
      at({ ms: minute }, { do: 'store', what: 'stored before' }),
      at({ overlaps: 0.6 }, runs({ silent: ['github'] })),
    ],
  },
  {
    name: 'the stored secret is deleted, and the rules are those of the application before',
    options: { rules: 'copied' },
    steps: [at({ ms: minute }, { do: 'delete the secret' }), at({ ms: minute }, oneRun)],
  },
  {
    name: 'a leak is replaced in place beside an application that was left behind without its rules',
    options: { rules: 'copied' },
    steps: [
      at({ dues: 1, ms: minute }, runs({ end: { call: 8, how: 'killed after' } })),
      at({ ms: minute }, { do: 'replace in place', target: 'stored', options: cleanRun }),
      at({ dues: 1, ms: minute }, oneRun),
    ],
  },
  {
    name: 'two runs in the same second make an application of the same name, and one of them gets no answer',
    options: { jobs: [jobAfter(61.3)] },
    steps: [
      at(
        { dues: 1, ms: minute },
        runs(
          {
            faults: [{ server: 'plane', method: 'POST', path: /apps$/, fault: { kind: 'reset', when: 'before-head' } }],
          },
          { after: 10 },
        ),
      ),
    ],
  },
];

describe('rotation without downtime', () => {
  it.each(stories.map(({ name, ...story }) => [name, story] as const))('%s', async (_name, { options, steps }) => {
    const sequence: Sequence = { options: { ...world, ...options }, steps };
    const { violations, trace } = await play(sequence);
    expect(violations, trace.join('\n')).toEqual([]);
  });

  // Many more of them: npm run torture -- --only rotation
  it('holds what it promises in random sequences of runs, faults, jobs and what people do', async () => {
    const { failure } = await run({ sequences: 20, seed: 1 });
    expect(failure?.violations, failure?.trace.join('\n')).toBeUndefined();
  });
});
