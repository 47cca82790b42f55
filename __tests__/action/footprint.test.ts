import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { startSimulator } from '../simulator/simulator.ts';
import { createAuthority } from '../support/certificates.ts';
import { root, runStep } from '../support/runner.ts';

const app = { mode: 'create-app', 'app-name': 'ci-app' };
const rules = { 'access-rules': 'ML engineer @ project:1\nViewer @ project:2' };

it.each([
  ['a token', { mode: 'token' }, '2.24', 1],
  ['a token, after v1 is gone', { mode: 'token' }, 'next', 2],
  ['an application', app, '2.24', 2],
  ['an application, on 3.0', app, '3.0', 3],
  ['an application, after v1 is gone', app, 'next', 3],
  ['an application with two access rules', { ...app, ...rules }, '2.24', 6],
  ['a user', { mode: 'create-user', email: 'jo@example.com' }, '2.24', 2],
] as const)(
  '%s takes no more requests than it needs, on one TLS connection',
  async (_what, inputs, version, requests) => {
    const authority = await createAuthority();
    const simulator = await startSimulator({ version, tls: await authority.issue({ hosts: ['localhost'] }) });
    const { url, admin } = simulator;
    const result = await runStep({ inputs: { ...inputs, url, ...admin, 'ca-certificate': authority.cert } });
    expect(result.errors).toEqual([]);
    expect(simulator.requests.map(({ method, path }) => `${method} ${path}`)).toHaveLength(requests);
    expect(simulator.connections).toBe(1);
    await simulator.close();
  },
);

it.skipIf(!existsSync(join(root, '.git')))('the archive that a runner downloads is smaller than 300 kB', () => {
  const archive = spawnSync('git', ['archive', 'HEAD'], { cwd: root, maxBuffer: 2 ** 28 });
  expect(archive.status).toBe(0);
  expect(gzipSync(archive.stdout).length).toBeLessThan(300_000);
});
