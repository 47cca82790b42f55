import { describe, expect, test } from 'vitest';
import { startGithub } from '../simulator/github.ts';
import { missingForScripts, skippedFor } from '../support/scripts.ts';
import { parseWorkflow, runWorkflow } from '../support/workflow.ts';

const missing = missingForScripts();

/** Runs a workflow in a repository with a secret KEY, of its own and of the environment "production". */
async function runText(text: string) {
  const github = await startGithub({ environments: ['production'] });
  github.editSecret('repository', 'KEY', { value: 'swordfish' });
  github.editSecret('environment:production', 'KEY', { value: 'password1' });
  const variables = { repository: { PLACE: 'repository' }, 'environment:production': { PLACE: 'production' } };
  try {
    return await runWorkflow(parseWorkflow(text), { github, variables });
  } finally {
    await github.close();
  }
}

describe.skipIf(missing.length > 0)(`the runner of the recipes${skippedFor(missing)}`, () => {
  test('drops a job output that holds a masked value, and hides it in the log', async () => {
    const { conclusion, jobs, shown } = await runText(`
      jobs:
        first:
          outputs: { key: '\${{ steps.one.outputs.key }}', name: '\${{ steps.one.outputs.name }}' }
          steps:
            - id: one
              env: { KEY: '\${{ secrets.KEY }}' }
              run: printf 'key=%s\\nname=fish\\n' "$KEY-1" | tee "$GITHUB_OUTPUT"
        second:
          needs: first
          steps:
            - run: '[ "\${{ needs.first.outputs.key }}" = "" ] && [ "\${{ needs.first.outputs.name }}" = fish ]'
    `);
    expect(conclusion, shown.join('\n')).toBe('success');
    expect(jobs[0]?.outputs).toEqual({ name: 'fish' });
    expect(shown).toContain('key=***-1');
  });

  test('follows conditions, failures and needs as GitHub does', async () => {
    const { conclusion, jobs, steps } = await runText(`
      env: { A: workflow, B: workflow }
      jobs:
        first:
          env: { B: job, C: job }
          steps:
            - run: '[ "$A $B $C" = "workflow job step" ]'
              env: { C: step }
            - run: echo "A=later" >> "$GITHUB_ENV"
            - run: '[ "$A" = later ]'
            - run: exit 3
              continue-on-error: true
            - if: env.A == 'later'
              run: false | true
            - run: false | true
              shell: bash
            - run: echo never
            - if: failure() && steps.none.outputs.x == ''
              run: echo because
            - if: always()
              run: echo always
        second: { needs: first, steps: [{ run: echo never }] }
        third: { if: always(), needs: [first, second], strategy: { matrix: { n: [1, 2] } }, steps: [{ run: 'echo \${{ matrix.n }}' }] }
    `);
    expect(conclusion).toBe('failure');
    const outcomes = [
      'success',
      'success',
      'success',
      'failure',
      'success',
      'failure',
      'skipped',
      'success',
      'success',
    ];
    expect(steps.map(({ outcome }) => outcome)).toEqual([...outcomes, 'success', 'success']);
    expect(jobs.map((job) => job.conclusion)).toEqual(['failure', 'skipped', 'success', 'success']);
  });

  test('gives a job the secrets and variables of its environment, before those of the repository', async () => {
    const { conclusion, shown } = await runText(`
      jobs:
        without: { steps: [{ run: '[ "$KEY $PLACE" = "swordfish repository" ]', env: &env { KEY: '\${{ secrets.KEY }}', PLACE: '\${{ vars.PLACE }}' } }] }
        with: { environment: production, steps: [{ run: '[ "$KEY $PLACE" = "password1 production" ]', env: *env }] }
    `);
    expect(conclusion, shown.join('\n')).toBe('success');
  });

  test.each([
    ['an input that the called workflow does not have', { with: { colour: 'red' } }, 'has no input colour'],
    ['an input that is missing', { with: { environment: 'production' } }, 'needs the input url'],
    ['an input of another type', { with: { url: 1, environment: 'production' } }, 'url is no string'],
    ['a secret that is not handed over', { with: { url: 'x', environment: 'x' } }, 'needs the secret RUNAI_ADMIN'],
  ])('refuses %s', async (_what, call, message) => {
    const uses = 'your-org/runai-auth/.github/workflows/bootstrap.yml@v1';
    await expect(runText(JSON.stringify({ jobs: { call: { uses, ...call } } }))).rejects.toThrow(message);
  });
});
