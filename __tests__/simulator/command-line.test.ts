import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import sodium from 'libsodium-wrappers';
import { describe, expect, test } from 'vitest';

import { onWindows } from '../support/system.ts';
import { call, jsonOf } from './call.ts';

const script = fileURLToPath(new URL('../../scripts/simulator.ts', import.meta.url));

/** Runs it until it has said how it ends, then lets `use` try it and interrupts it. */
async function run(args: string[], use: (text: string) => Promise<void> = async () => {}) {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'close');
  const errors: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => errors.push(line));
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (line.startsWith('Ctrl+C')) await use(lines.join('\n')).finally(() => child.kill('SIGINT'));
  }
  const [code] = await exited;
  return { code, lines, text: lines.join('\n'), errors: errors.join('\n') };
}

const found = (text: string, pattern: RegExp) => pattern.exec(text)?.[1] ?? '';

describe('the command line', () => {
  test('prints what a person needs and ends well when interrupted', async () => {
    const { code, text } = await run(['--version', '3.0']);
    expect(code).toBe(onWindows ? null : 0);
    expect(text).toMatch(/3\.0, simulated: http:\/\/127\.0\.0\.1:\d+/);
    expect(text).toContain('/api/v2/token');
    expect(text).not.toContain('/api/v1/apps');
  });

  // Windows ends a process without asking it, so nothing is said at the end.
  test.skipIf(onWindows)(
    'the application that it prints may do everything, and what is not as documented is said at the end',
    async () => {
      const { text } = await run([], async (said) => {
        const url = found(said, /simulated: (.*)/);
        const [clientID, clientSecret] = [found(said, /Client id: (.*)/), found(said, /Client secret: (.*)/)];
        const json = { grantType: 'client_credentials', clientID, clientSecret };
        const token = jsonOf(await call(`${url}/api/v1/token`, { json })).accessToken;
        expect((await call(`${url}/api/v1/users?page=1`, { token })).status).toBe(200);
      });
      expect(text).toMatch(/Not as documented: GET \/api\/v1\/users: the query parameter "page" is unknown$/);
    },
  );

  test.each([true, false])('GitHub is simulated as well, and shows what it stores (opened: %s)', async (opened) => {
    await sodium.ready;
    const more = opened ? ['--show-secrets'] : [];
    const { text } = await run(['--repository', 'me/mine', '--environment', 'prod', ...more], async (said) => {
      const token = found(said, /GITHUB_TOKEN=(.*)/);
      const place = `${found(said, /GITHUB_API_URL=(\S+)/)}/repos/me/mine/environments/prod/secrets`;
      const headers = { 'user-agent': 'a test' };
      const { key_id, key } = jsonOf(await call(`${place}/public-key`, { token, headers }));
      const sealed = sodium.crypto_box_seal('hush', new Uint8Array(Buffer.from(key, 'base64')));
      const json = { encrypted_value: Buffer.from(sealed).toString('base64'), key_id };
      expect((await call(`${place}/RUNAI`, { method: 'PUT', token, headers, json })).status).toBe(201);
    });
    expect(text).toMatch(opened ? /^GitHub stored RUNAI in the environment:prod: hush$/m : /environment:prod$/m);
    expect(text.includes('hush')).toBe(opened);
  });

  test('prints a help text of a dozen lines', async () => {
    const { code, lines } = await run(['--help']);
    expect([code, lines.length]).toEqual([0, 12]);
  });

  test.each([
    [['--version', '1.0'], '--version 1.0 is none of 2.20'],
    [['--port', 'x'], '--port x is not a port'],
    [['--github-port', '70000'], '--github-port 70000 is not a port'],
    [['--repository', 'mine'], '--repository mine is not OWNER/NAME'],
    [['--verbose'], '--verbose'],
  ])('%j is refused', async (args, words) => {
    const { code, errors } = await run(args);
    expect([code, errors.split('\n')[0]]).toEqual([1, expect.stringContaining(words)]);
  });
});
