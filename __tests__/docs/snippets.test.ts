import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inputSpecs, type Mode, modes } from '../../src/inputs.ts';
import { jobsOf, pages, type Step, snippetsOf } from './documents.ts';
import { outputsOf, startRefusal, tried } from './steps.ts';

const snippets = pages.flatMap(snippetsOf).filter(({ language }) => language === 'yaml');
const jobs = snippets.flatMap((snippet) => jobsOf(snippet).map((job) => ({ name: snippet.name, job })));
const isOurs = ({ uses }: Step) => uses === 'your-org/runai-auth@v1';
const steps = jobs.flatMap(({ name, job }) => (job.steps ?? []).map((step) => ({ name, job, step })));
const ours = steps.filter(({ step }) => isOurs(step));
const table = ours.map((use) => [use.name, use.step.id ?? use.step.with?.['mode'], use] as const);

let refusal: Awaited<ReturnType<typeof startRefusal>>;

beforeAll(async () => {
  refusal = await startRefusal();
});
afterAll(() => refusal.close());

describe('the steps that the documents show', () => {
  it('use every mode and every input', () => {
    expect(new Set(ours.map(({ step }) => step.with?.['mode']))).toEqual(new Set(modes));
    const readme = ours.filter(({ name }) => name.startsWith('README.md'));
    expect(new Set(readme.map(({ step }) => step.with?.['mode']))).toEqual(new Set(modes));
  });

  it.each(table)('%s: %s gives what its mode takes', (_name, _step, { step }) => {
    const mode = step.with?.['mode'] as Mode;
    expect(modes).toContain(mode);
    for (const name of Object.keys(step.with ?? {}))
      expect((inputSpecs as Record<string, { modes: readonly Mode[] }>)[name]?.modes, name).toContain(mode);
  });

  it.each(table)('%s: %s gets past the checks of the bundle', async (_name, _step, { step }) => {
    const { unknown, code, errors } = await tried(step, refusal.origin);
    expect(unknown).toEqual([]);
    expect(errors.join('\n')).not.toMatch(/problems? with the inputs/);
    expect(code).toBeDefined();
    expect(code).not.toBe('inputs');
  });

  it('would be found out if they were wrong', async () => {
    const url = 'https://console.example.com';
    expect(await tried({ with: { mode: 'token', url } }, refusal.origin)).toMatchObject({ code: 'inputs' });
    const typo = { mode: 'token', url, 'client-id': 'ci', 'client-secret': 'x', 'client-key': 'x' };
    expect(await tried({ with: typo }, refusal.origin)).toMatchObject({ unknown: ['client-key'] });
  });

  it.each(table.filter(([, , { step }]) => step.id))(
    '%s: only outputs of its mode are read from %s',
    (_name, id, use) => {
      const read = [...JSON.stringify(use.job).matchAll(/steps\.([\w-]+)\.outputs\.([\w-]+)/g)]
        .filter(([, from]) => from === id)
        .map(([, , output = '']) => output);
      const known = outputsOf(use.step.with?.['mode'] as Mode);
      expect(read.filter((output) => !known.includes(output))).toEqual([]);
    },
  );

  it.each(steps.map(({ name, step }) => [name, step]))(
    '%s pins what it uses, and puts no expression into a script',
    (name, step) => {
      const text = snippets.find((snippet) => snippet.name === name)?.text ?? '';
      for (const [, uses = ''] of text.matchAll(/^[ -]*uses: *(.+)$/gm)) {
        expect(uses).toMatch(
          /^(your-org\/runai-auth(\/\.github\/workflows\/[\w-]+\.yml)?@v1|[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*)$/,
        );
      }
      expect(step.run ?? '').not.toContain('${{');
    },
  );
});
