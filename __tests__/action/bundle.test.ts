// The committed bundle: whether it is what the source builds, what is in it, and what each mode loads of it.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { actionFile, root } from '../support/runner.ts';
import { openStage } from '../support/stage.ts';

const temp = mkdtempSync(join(tmpdir(), 'bundle-'));
afterAll(() => rmSync(temp, { recursive: true, force: true }));

const text = (name: string) => readFileSync(join(root, 'dist', name), 'utf8');
const scripts = readdirSync(join(root, 'dist')).filter((name) => name.endsWith('.js'));

describe('dist/', () => {
  it('is what the source builds', () => {
    execFileSync(process.execPath, ['scripts/build.ts', '--out', temp], { cwd: root, stdio: 'pipe' });
    const files = (folder: string) => readdirSync(folder).sort();
    expect(files(temp)).toEqual(files(join(root, 'dist')));
    for (const file of files(temp)) {
      const [built, committed] = [temp, join(root, 'dist')].map((folder) =>
        readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n'),
      );
      expect(built === committed, `dist/${file} is stale: run npm run build`).toBe(true);
    }
  });

  it.each(scripts)(
    '%s is ASCII, since one character beyond Latin-1 makes V8 keep all of it in two bytes each',
    (name) => {
      expect(readFileSync(join(root, 'dist', name), 'latin1')).not.toMatch(/[^\x00-\x7f]/);
    },
  );

  it('holds no source map', () => {
    for (const name of scripts) expect(text(name)).not.toContain('sourceMappingURL');
  });

  it('holds neither undici nor what starts processes, which the toolkit imports and nothing here calls', () => {
    for (const name of scripts) expect(text(name)).not.toMatch(/undici|child_process|["'](node:)?assert["']/i);
  });

  it('does not load fs.promises, which the toolkit would for a summary that is not used', () => {
    expect(text('index.js')).toContain('GITHUB_STEP_SUMMARY');
    for (const name of scripts) expect(text(name)).not.toMatch(/\bpromises\b/);
  });

  it('comes with the licences of all that is in it', () => {
    const licenses = readFileSync(join(root, 'dist/licenses.txt'), 'utf8');
    for (const name of ['@actions/core', '@actions/http-client', '@noble/ciphers', '@noble/hashes'])
      expect(licenses).toContain(`${name}\n`);
  });
});

/** Other Nodes that this machine has: the bundle loads on all from 20 on. */
function otherNodes(): string[] {
  const candidates = (process.env['PATH'] ?? '')
    .split(process.platform === 'win32' ? ';' : ':')
    .map((folder) => join(folder, 'node'));
  const version = (node: string) => spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout?.trim() ?? '';
  const found = new Map(candidates.map((node) => [version(node), node]));
  return [...found].flatMap(([name, node]) => (Number(/^v(\d+)/.exec(name)?.[1]) >= 20 ? [node] : []));
}

describe.concurrent('the step', () => {
  it('runs on the Node that action.yml asks for', () => {
    expect(actionFile.runs).toEqual({ using: `node${process.versions.node.split('.')[0]}`, main: 'dist/index.js' });
  });

  it.each(otherNodes())('works with %s', async (node) => {
    await using stage = await openStage();
    const store = { 'store-as': 'RUNAI_CREDENTIALS', 'github-token': stage.github.token };
    const result = await stage.run({ mode: 'create-app', 'app-name': 'ci-app', ...store }, { node });
    expect(result.exitCode).toBe(0);
    expect(stage.github.secretValue('repository', 'RUNAI_CREDENTIALS')).toBe(result.outputs['credentials']);
  });
});

/** The files of the bundle that a step loads. */
async function loadedBy(inputs: Record<string, string>): Promise<string[]> {
  await using stage = await openStage();
  stage.simulator.addApplication({ name: 'ci-app' });
  const list = join(mkdtempSync(join(temp, 'loaded-')), 'list');
  const preload = fileURLToPath(new URL('../support/loaded-modules.cjs', import.meta.url));
  const env = { NODE_OPTIONS: `--require "${preload.replaceAll('\\', '/')}"`, LOADED_MODULES: list };
  const given = inputs['store-as'] ? { ...inputs, 'github-token': stage.github.token } : inputs;
  expect((await stage.run(given, { env })).exitCode).toBe(0);
  const files = readFileSync(list, 'utf8')
    .split('\n')
    .map((file) => basename(file));
  return files.filter((name) => scripts.includes(name)).sort();
}

/** The chunks that hold the sealed box, by the names of its parts, and by GitHub's header for its API. */
const sealing = scripts.filter((name) => /xsalsa20poly1305|x25519/i.test(text(name)));
const storing = scripts.filter((name) => text(name).includes('x-github-api-version'));

describe.concurrent('a step loads of the bundle', () => {
  const create = { mode: 'create-app', 'app-name': 'new-app' };

  it('one file for a token', async () => {
    expect(await loadedBy({ mode: 'token' })).toEqual(['index.js']);
  });

  it.each([
    ['create-app', create],
    ['create-user', { mode: 'create-user', email: 'jo@example.com' }],
    ['rotate-app', { mode: 'rotate-app', 'app-name': 'ci-app' }],
    ['delete-app', { mode: 'delete-app', 'app-name': 'ci-app' }],
  ])('what changes something for %s, and nothing of the store', async (_mode, inputs) => {
    const files = await loadedBy(inputs);
    expect(files.length).toBeGreaterThan(1);
    for (const name of [...sealing, ...storing]) expect(files).not.toContain(name);
  });

  it.each([
    ['create-app', create],
    ['rotate-app', { mode: 'rotate-app', 'app-name': 'ci-app' }],
    ['rotate-app with overlap', { mode: 'rotate-app', 'app-name': 'shop', 'overlap-hours': '24' }],
  ])('the store and the sealed box only with store-as: %s', async (_mode, inputs) => {
    const files = await loadedBy({ ...inputs, 'store-as': 'RUNAI_CREDENTIALS' });
    expect(files).toEqual(expect.arrayContaining([...sealing, ...storing]));
  });

  it('and the sealed box is in a chunk', () => {
    expect(sealing.length).toBeGreaterThan(0);
    expect(storing.length).toBeGreaterThan(0);
    expect([...sealing, ...storing]).not.toContain('index.js');
  });
});
