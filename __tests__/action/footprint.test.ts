// How much a step asks of the servers and of the runner.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createAuthority } from '../support/certificates.ts';
import { root } from '../support/runner.ts';
import { openStage } from '../support/stage.ts';

const app = { mode: 'create-app', 'app-name': 'ci-app' };
const rules = { 'access-rules': 'ML engineer @ project:1\nViewer @ project:2' };
const store = { 'store-as': 'RUNAI_CREDENTIALS' };

describe.concurrent('a step makes no more requests than it needs, each on its own connection', () => {
  it.each([
    ['a token', { mode: 'token' }, '2.24', 1, 0],
    ['a token, after v1 is gone', { mode: 'token' }, 'next', 2, 0],
    ['an application', app, '2.24', 2, 0],
    ['an application, on 3.0', app, '3.0', 3, 0],
    ['an application, after v1 is gone', app, 'next', 3, 0],
    ['an application with two access rules', { ...app, ...rules }, '2.24', 6, 0],
    // Beside the create: the key, a rehearsal and its end, a grant to verify, the write.
    ['an application that is stored', { ...app, ...store }, '2.24', 3, 4],
    ['a user', { mode: 'create-user', email: 'jo@example.com' }, '2.24', 2, 0],
  ] as const)('%s', async (_what, inputs, version, requests, toGithub) => {
    const authority = await createAuthority();
    const tls = await authority.issue({ hosts: ['localhost'] });
    await using stage = await openStage({ version, tls });
    const token = 'store-as' in inputs ? { 'github-token': stage.github.token } : {};
    const { errors } = await stage.run({ ...inputs, ...token, 'ca-certificate': authority.cert });
    expect(errors).toEqual([]);
    expect(stage.simulator.requests.map(({ method, path }) => `${method} ${path}`)).toHaveLength(requests);
    expect(stage.simulator.connections).toBe(requests);
    expect(stage.github.requests.map(({ method, path }) => `${method} ${path}`)).toHaveLength(toGithub);
    expect(stage.github.connections).toBe(toGithub);
  });
});

const sizeOf = (name: string) => statSync(join(root, 'dist', name)).size;

it('the file that every step parses is smaller than 70 kB, and all of the bundle than 130 kB', () => {
  const scripts = readdirSync(join(root, 'dist')).filter((name) => name.endsWith('.js'));
  expect(sizeOf('index.js')).toBeLessThan(70_000);
  expect(scripts.map(sizeOf).reduce((sum, size) => sum + size)).toBeLessThan(130_000);
});

it.skipIf(!existsSync(join(root, '.git')))('the archive that a runner downloads is smaller than 300 kB', () => {
  const archive = spawnSync('git', ['archive', 'HEAD'], { cwd: root, maxBuffer: 2 ** 28 });
  expect(archive.status).toBe(0);
  expect(gzipSync(archive.stdout).length).toBeLessThan(300_000);
});
