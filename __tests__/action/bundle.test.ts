import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { startSimulator } from '../simulator/simulator.ts';
import { actionFile, root, runStep, startStep } from '../support/runner.ts';
import { onWindows } from '../support/system.ts';

const temp = mkdtempSync(join(tmpdir(), 'bundle-'));
afterAll(() => rmSync(temp, { recursive: true, force: true }));

const credentials = ({ admin }: { admin: { username: string; password: string } }) => ({ ...admin });

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

  it('is ASCII, since one character beyond Latin-1 makes V8 keep all of it in two bytes a character', () => {
    expect(readFileSync(join(root, 'dist/index.js'), 'latin1')).not.toMatch(/[^\x00-\x7f]/);
  });

  it('is smaller than 100 kB, and holds no source map', () => {
    expect(statSync(join(root, 'dist/index.js')).size).toBeLessThan(100_000);
    expect(readFileSync(join(root, 'dist/index.js'), 'utf8')).not.toContain('sourceMappingURL');
  });

  it('holds neither undici nor the modules that start processes', () => {
    const bundle = readFileSync(join(root, 'dist/index.js'), 'utf8');
    expect(bundle).toContain('undici is not part of this bundle');
    expect(bundle).not.toContain('child_process');
  });

  it('loads events in place of assert, which the tunnel package requires and does not use', () => {
    const tunnel = readFileSync(join(root, 'node_modules/tunnel/lib/tunnel.js'), 'utf8');
    expect(tunnel.match(/\bassert\b/g)).toHaveLength(2);
    expect(tunnel).toContain("var assert = require('assert');");
    expect(readFileSync(join(root, 'dist/index.js'), 'utf8')).not.toMatch(/["'](node:)?assert["']/);
  });

  it('does not load fs.promises, which the toolkit would for a summary that is not used', () => {
    const bundle = readFileSync(join(root, 'dist/index.js'), 'utf8');
    expect(bundle).toContain('GITHUB_STEP_SUMMARY');
    expect(bundle).not.toMatch(/\bpromises\b/);
  });

  it('comes with the licences of all that is in it', () => {
    const licenses = readFileSync(join(root, 'dist/licenses.txt'), 'utf8');
    for (const name of ['@actions/core', '@actions/http-client', 'tunnel']) expect(licenses).toContain(`${name}\n`);
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

describe('the step', () => {
  it('runs on the Node that action.yml asks for', () => {
    expect(actionFile.runs).toEqual({ using: `node${process.versions.node.split('.')[0]}`, main: 'dist/index.js' });
  });

  it.each(otherNodes())('works with %s', async (node) => {
    const simulator = await startSimulator();
    const result = await runStep({ inputs: { mode: 'token', url: simulator.url, ...credentials(simulator) }, node });
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(simulator.isValidToken(result.outputs['access-token'] ?? '')).toBe(true);
    await simulator.close();
  });

  it('asks for nothing when the outputs could not be written', async () => {
    const simulator = await startSimulator();
    const inputs = { mode: 'create-app', url: simulator.url, 'app-name': 'a1', ...credentials(simulator) };
    for (const file of ['', join(temp, 'missing')]) {
      const result = await runStep({ inputs, env: { GITHUB_OUTPUT: file } });
      expect(result.exitCode).toBe(1);
      expect(result.errors).toEqual([expect.stringContaining('GITHUB_OUTPUT')]);
    }
    expect(simulator.requests).toEqual([]);
    await simulator.close();
  });

  it.skipIf(process.platform === 'win32')('does not wait for a reader where the job summary is a pipe', async () => {
    const simulator = await startSimulator();
    const pipe = join(temp, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const inputs = { mode: 'create-app', url: simulator.url, 'app-name': 'a1', ...credentials(simulator) };
    const result = await runStep({ inputs, env: { GITHUB_STEP_SUMMARY: pipe } });
    expect(result).toMatchObject({ exitCode: 0, hung: false });
    expect(result.warnings).toContain('The job summary could not be written.');
    await simulator.close();
  });

  it('goes on where there is no job summary', async () => {
    const simulator = await startSimulator();
    const inputs = { mode: 'create-app', url: simulator.url, 'app-name': 'a1', ...credentials(simulator) };
    const without = await runStep({ inputs, env: { GITHUB_STEP_SUMMARY: '' } });
    expect(without).toMatchObject({ exitCode: 0, warnings: [] });
    const missing = await runStep({
      inputs: { ...inputs, 'app-name': 'a2' },
      env: { GITHUB_STEP_SUMMARY: join(temp, 'missing') },
    });
    expect(missing).toMatchObject({ exitCode: 0, warnings: ['The job summary could not be written.'] });
    await simulator.close();
  });

  it('ends by its deadline while the server is silent', async () => {
    const simulator = await startSimulator();
    simulator.fault({ times: Infinity, fault: { kind: 'stall', when: 'before-head' } });
    const result = await runStep({
      inputs: { mode: 'token', url: simulator.url, 'timeout-seconds': '1', ...credentials(simulator) },
    });
    expect(result.exitCode).toBe(1);
    expect(result.errors).toEqual([expect.stringMatching(/no whole answer came in time .* the deadline of 1 s/)]);
    // One attempt may take five seconds, but not longer than the run.
    expect(result.duration).toBeLessThan(4_500);
    await simulator.close();
  });

  it.skipIf(onWindows).each(['SIGINT', 'SIGTERM'] as const)(
    'is ended by %s at once, with no output',
    async (signal) => {
      const simulator = await startSimulator();
      simulator.fault({ path: '/apps', fault: { kind: 'stall', when: 'before-head', work: true } });
      const inputs = { mode: 'create-app', url: simulator.url, 'app-name': 'a1', ...credentials(simulator) };
      const step = startStep({ inputs });
      while (simulator.applications.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      step.child.kill(signal);
      const result = await step.result;
      expect(result).toMatchObject({ hung: false, exitCode: signal === 'SIGINT' ? 130 : 143, outputs: {} });
      expect(result.errors).toEqual([
        `create-app: stopped by ${signal}. What it was creating may exist: run it again with if-exists: rotate.`,
      ]);
      await simulator.close();
    },
  );
});
