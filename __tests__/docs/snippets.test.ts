import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { rootCertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inputSpecs, type Mode, modes } from '../../src/inputs.ts';
import { actionFile, runStep } from '../support/runner.ts';
import { jobsOf, pages, type Step, snippetsOf } from './documents.ts';

const snippets = pages.flatMap(snippetsOf).filter(({ language }) => language === 'yaml');
const jobs = snippets.flatMap((snippet) => jobsOf(snippet).map((job) => ({ name: snippet.name, job })));
const isOurs = ({ uses }: Step) => uses === 'your-org/runai-auth@v1';
const steps = jobs.flatMap(({ name, job }) => (job.steps ?? []).map((step) => ({ name, job, step })));
const ours = steps.filter(({ step }) => isOurs(step));
const table = ours.map((use) => [use.name, use.step.id ?? use.step.with?.['mode'], use] as const);

/** Refuses every request at once, so a step ends as soon as its inputs have passed. */
let server: Server;
let origin: string;

beforeAll(async () => {
  server = createServer((_request, response) =>
    response.writeHead(400, { 'content-type': 'application/json' }).end('{}'),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

/** What an expression stands for, where it is a whole input. */
const plausible: Record<string, string> = {
  credentials: 'ci:hush-hush',
  email: 'ada@example.com',
  'if-exists': 'skip',
  notify: 'true',
  'reset-password': 'true',
  'access-rules': 'ML engineer @ project:team-a',
  'ca-certificate': rootCertificates[0] ?? '',
};

function plainValue(name: string, given: string): string {
  if (name === 'url') return origin;
  if (/^\$\{\{[^}]*\}\}$/.test(given.trim())) return plausible[name] ?? 'x1';
  return given.replace(/\$\{\{[^}]*\}\}/g, '1');
}

/** Runs the bundle with the inputs of a step: the names of those it does not know, and the code it fails with. */
async function tried({
  with: given = {},
}: Step): Promise<{ unknown: string[]; code: string | undefined; errors: string[] }> {
  const unknown = Object.keys(given).filter((name) => !(name in actionFile.inputs));
  const inputs = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, plainValue(name, String(value))]),
  );
  const env = {
    GITHUB_API_URL: origin,
    GITHUB_REPOSITORY: 'your-org/shop',
    GITHUB_REPOSITORY_ID: '456789',
    GITHUB_REPOSITORY_OWNER: 'your-org',
    GITHUB_REPOSITORY_OWNER_ID: '123456',
    ACTIONS_ID_TOKEN_REQUEST_URL: `${origin}/token?`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'x',
  };
  const { outputs, errors } = await runStep({ inputs, env });
  return { unknown, code: outputs['error-code'], errors };
}

/** The outputs that a mode has: each description in action.yml begins with its modes. */
function outputsOf(mode: Mode): string[] {
  return Object.entries(actionFile.outputs)
    .filter(([, { description }]) => description.split(': ')[0]?.includes(`\`${mode}\``))
    .map(([name]) => name);
}

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
    const { unknown, code, errors } = await tried(step);
    expect(unknown).toEqual([]);
    expect(errors.join('\n')).not.toMatch(/problems? with the inputs/);
    expect(code).toBeDefined();
    expect(code).not.toBe('inputs');
  });

  it('would be found out if they were wrong', async () => {
    const url = 'https://console.example.com';
    expect(await tried({ with: { mode: 'token', url } })).toMatchObject({ code: 'inputs' });
    const typo = { mode: 'token', url, 'client-id': 'ci', 'client-secret': 'x', 'client-key': 'x' };
    expect(await tried({ with: typo })).toMatchObject({ unknown: ['client-key'] });
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
