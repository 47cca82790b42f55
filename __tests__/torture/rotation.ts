import { inspect } from 'node:util';
import { run as model } from '../support/rotation-model.ts';
import { type Part, problem } from './report.ts';

/** Plays the model of rotation without downtime with many more sequences than the tests do. */
export const run: Part = async ({ short, seed }) => {
  const { sequences, runs, failure } = await model({ sequences: short ? 60 : 2_000, seed });
  const problems = failure
    ? [problem('loss', [...failure.violations, inspect(failure.sequence, { depth: 20 }), ...failure.trace].join('\n'))]
    : [];
  return {
    title: 'rotations without downtime, with faults, people and jobs in between',
    cells: sequences,
    problems,
    lines: [`${runs} runs in ${sequences} sequences`],
  };
};
