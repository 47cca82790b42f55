import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';

import { call, jsonOf, type Seen } from './call.ts';
import type { EchoStyle, Fault } from './simulator.ts';
import { grant, login, start } from './started.ts';

describe('faults', () => {
  const broken = (kind: 'reset' | 'end' | 'stall'): [Fault, Partial<Seen>][] => {
    const after = { reset: { error: 'read ECONNRESET' }, end: { error: 'socket hang up' }, stall: { gaveUp: true } };
    const inBody = { ...after, end: { error: 'aborted' } };
    return [
      [{ kind, when: 'before-head' }, { ...after[kind], body: '' } as Partial<Seen>],
      [{ kind, when: 'in-head' }, { ...after[kind], body: '' } as Partial<Seen>],
      [{ kind, when: 'in-body' }, { ...inBody[kind], status: 200 } as Partial<Seen>],
    ];
  };

  const table: [Fault, Partial<Seen>][] = [
    ...broken('reset'),
    ...broken('end'),
    ...broken('stall'),
    [
      { kind: 'status', status: 503 },
      { status: 503, body: '{"code":503,"message":"A scripted 503"}' },
    ],
    [
      { kind: 'status', status: 500, body: 'oops' },
      { status: 500, body: 'oops' },
    ],
    [
      { kind: 'status', status: 400, body: { error: 'x' } },
      { status: 400, body: '{"error":"x"}' },
    ],
    [
      { kind: 'delay', ms: 1 },
      { status: 200, body: '[]' },
    ],
    [
      { kind: 'drip', ms: 0 },
      { status: 200, body: '[]' },
    ],
    [{ kind: 'html', status: 502 }, { status: 502 }],
    [
      { kind: 'truncated', work: true },
      { status: 200, body: '[' },
    ],
    [
      { kind: 'transform', change: (json) => ({ was: json }) },
      { status: 200, body: '{"was":[]}' },
    ],
    [{ kind: 'empty' }, { status: 200, body: '' }],
    [
      { kind: 'empty', status: 502 },
      { status: 502, body: '' },
    ],
    [{ kind: 'endless' }, { status: 200, gaveUp: true }],
    [{ kind: 'redirect', status: 307, location: 'https://elsewhere.example/' }, { status: 307 }],
  ];

  test.each(table)('%j', async (fault, expected) => {
    const simulator = await start();
    const token = await login(simulator);
    simulator.fault({ fault });
    const patience = fault.kind === 'stall' ? 300 : 5000;
    const seen = await call(`${simulator.url}/api/v1/apps`, { token, patience, enough: 100_000 });
    expect(seen).toMatchObject(expected);
    expect(simulator.requests.at(-1)?.status).toBe(expected.status);
    expect((await call(`${simulator.url}/api/v1/apps`, { token })).body).toBe('[]');
    expect(simulator.violations).toEqual([]);
  });

  test('a rule says which requests it hits, after how many, and how often', async () => {
    const simulator = await start();
    const token = await login(simulator);
    simulator.fault({ method: 'GET', path: /apps$/, skip: 1, times: 2, fault: { kind: 'status', status: 500 } });
    const statuses: (number | undefined)[] = [];
    for (const path of ['apps', 'users', 'apps', 'apps', 'apps'])
      statuses.push((await call(`${simulator.url}/api/v1/${path}`, { token })).status);
    expect(statuses).toEqual([200, 200, 500, 500, 200]);
    simulator.fault({ path: 'users', times: Number.POSITIVE_INFINITY, fault: { kind: 'status', status: 502 } });
    const hit = [];
    for (const _ of [1, 2]) hit.push((await call(`${simulator.url}/api/v1/users`, { token })).status);
    simulator.clearFaults();
    hit.push((await call(`${simulator.url}/api/v1/users`, { token })).status);
    expect(hit).toEqual([502, 502, 200]);
  });

  test.each([true, false])('an answer lost with the work done (%s) leaves its traces', async (work) => {
    const simulator = await start();
    const token = await login(simulator);
    simulator.fault({ method: 'POST', fault: { kind: 'reset', when: 'before-head', work } });
    const seen = await call(`${simulator.url}/api/v1/apps`, { token, json: { name: 'app-1' } });
    expect(seen.error).toBe('read ECONNRESET');
    expect(simulator.applications.map(({ name }) => name)).toEqual(work ? ['app-1'] : []);
  });

  test('a gzip bomb grows when it is opened', async () => {
    const simulator = await start();
    simulator.fault({ fault: { kind: 'gzip-bomb', mib: 2 } });
    const seen = await call(`${simulator.url}/api/v1/apps`);
    expect(seen.headers?.['content-encoding']).toBe('gzip');
    expect(seen.raw.length).toBeLessThan(20_000);
    expect(gunzipSync(seen.raw).length).toBe(2 * 1024 * 1024);
  });

  test.each<[EchoStyle, (seen: Seen, secret: string) => boolean]>([
    ['whole', (seen, secret) => jsonOf(seen).message.includes(secret)],
    ['halves', (seen, secret) => jsonOf(seen).details.endsWith(secret.slice(8)) && !seen.body.includes(secret)],
    ['json', (seen, secret) => JSON.parse(jsonOf(seen).message.replace('Refused ', '')).includes(secret)],
    ['url', (seen, secret) => jsonOf(seen).message.includes(encodeURIComponent(JSON.stringify(secret)))],
    ['headers', (seen, secret) => String(seen.headers?.['x-request-echo']).includes(secret)],
    ['redirect', (seen, secret) => String(seen.headers?.location).includes(encodeURIComponent(secret))],
    ['base64', (seen, secret) => seen.body.includes(Buffer.from(secret).toString('base64'))],
    ['commands', (seen, secret) => jsonOf(seen).details.includes(`"${secret}"`)],
  ])('an echo of style %s repeats the secret', async (style, repeats) => {
    const simulator = await start();
    const secret = 'S3cret+/;=%value';
    simulator.fault({ fault: { kind: 'echo', status: 400, style } });
    const seen = await grant(simulator, 'app-1', secret);
    expect(seen.status).toBe(400);
    expect(repeats(seen, secret)).toBe(true);
  });

  test('commands come at the start of lines, among control characters', async () => {
    const simulator = await start();
    simulator.fault({ fault: { kind: 'echo', status: 400, style: 'commands' } });
    const { message } = jsonOf(await grant(simulator, 'app-1', 'secret'));
    expect(message.split(/[\r\n]+/)).toContain('::stop-commands::x');
    expect(message).toMatch(/\u001b.*\u0000.*\u202e/);
  });

  test('the second generation echoes in an OAuth error', async () => {
    const simulator = await start();
    simulator.fault({ fault: { kind: 'echo', status: 401, style: 'whole' } });
    const form = { grant_type: 'client_credentials', client_id: 'app-1', client_secret: 'hush' };
    const seen = jsonOf(await call(`${simulator.url}/api/v2/token`, { form }));
    expect(Object.keys(seen)).toEqual(['error', 'error_description']);
    expect(seen.error_description).toContain('hush');
  });

  test('closing ends stalled connections at once', async () => {
    const simulator = await start();
    simulator.fault({ fault: { kind: 'stall', when: 'in-body' } });
    const waiting = call(`${simulator.url}/api/v1/apps`);
    while (simulator.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await simulator.close();
    expect((await waiting).error).toBeDefined();
    await simulator.close();
  });
});
