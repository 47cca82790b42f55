import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';

import { call, jsonOf, type Seen } from './call.ts';
import type { AfterAnswer, EchoStyle, Fault, Simulator } from './simulator.ts';
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

describe('work that is done late', () => {
  test.each<[string, Fault]>([
    ['a gateway gives up', { kind: 'status', status: 504, workAfter: 50 }],
    ['the connection is cut', { kind: 'reset', when: 'before-head', workAfter: 50 }],
  ])('%s first', async (_, fault) => {
    const simulator = await start();
    const token = await login(simulator);
    const { id, secret } = simulator.addApplication({ name: 'app-1' });
    const gone = simulator.addApplication({ name: 'app-2' });
    const url = `${simulator.url}/api/v1/apps`;
    const names = () => simulator.applications.map(({ name }) => name);
    simulator.fault({ times: 3, fault });
    const seen = await Promise.all([
      call(url, { token, json: { name: 'app-3' } }),
      call(`${url}/${id}/secret`, { method: 'POST', token }),
      call(`${url}/${gone.id}`, { method: 'DELETE', token }),
    ]);
    const expected = fault.kind === 'status' ? { status: 504 } : { error: 'read ECONNRESET' };
    expect(seen).toMatchObject([expected, expected, expected]);
    expect([names(), simulator.isValidSecret('app-1', secret)]).toEqual([['app-1', 'app-2'], true]);
    await simulator.settled();
    expect([names(), simulator.isValidSecret('app-1', secret)]).toEqual([['app-1', 'app-3'], false]);
    expect(simulator.violations).toEqual([]);
  });

  test('is not done once the simulator is closed', async () => {
    const simulator = await start();
    const token = await login(simulator);
    simulator.fault({ fault: { kind: 'status', status: 504, workAfter: 60_000 } });
    await call(`${simulator.url}/api/v1/apps`, { token, json: { name: 'app-1' } });
    await simulator.close();
    await simulator.settled();
    expect(simulator.applications).toEqual([]);
  });
});

describe('the real answer, with something odd about it', () => {
  test('a byte order mark', async () => {
    const simulator = await start();
    simulator.fault({ path: '/apps', fault: { kind: 'bom' } });
    const seen = await call(`${simulator.url}/api/v1/apps`, { token: await login(simulator) });
    expect([seen.status, seen.raw.toString('hex')]).toEqual([200, 'efbbbf5b5d']);
    expect(() => jsonOf(seen)).toThrow(SyntaxError);
    expect(simulator.violations).toEqual([]);
  });

  test('compression that nobody asked for', async () => {
    const simulator = await start();
    simulator.fault({ path: '/apps', fault: { kind: 'gzip' } });
    const seen = await call(`${simulator.url}/api/v1/apps`, { token: await login(simulator), json: { name: 'app-1' } });
    expect([seen.status, seen.headers?.['content-encoding']]).toEqual([201, 'gzip']);
    expect(JSON.parse(gunzipSync(seen.raw).toString())).toMatchObject({ name: 'app-1' });
    expect(seen.headers?.date).toBeDefined();
  });

  test('headers that are added, large ones too, or left out', async () => {
    const simulator = await start();
    const token = await login(simulator);
    const headers = { 'x-large': 'x'.repeat(20_000), date: undefined };
    simulator.fault({ times: 2, fault: { kind: 'headers', headers } });
    const seen = await call(`${simulator.url}/api/v1/apps`, { token, mostHeaderBytes: 64 * 1024 });
    expect(seen).toMatchObject({ status: 200, body: '[]', headers: { 'x-large': headers['x-large'] } });
    expect(seen.headers?.date).toBeUndefined();
    expect((await call(`${simulator.url}/api/v1/apps`, { token })).error).toMatch(/Header overflow/);
    const without = await start({ omitDate: true });
    expect((await call(`${without.url}/api/v1/apps`)).headers?.date).toBeUndefined();
  });

  // What no kind of its own is needed for.
  type Changed = Record<string, unknown>;
  const rows: ((row: Changed) => Changed)[] = [
    (row) => ({ ...row, id: 7 }),
    (row) => ({ ...row, clientId: 'with a blank' }),
    ({ name: _, ...row }) => row,
    ({ id: _, ...row }) => row,
  ];

  test.each(rows)('a row or an answer as %s makes it', async (change) => {
    const simulator = await start();
    const token = await login(simulator);
    const url = `${simulator.url}/api/v1/apps`;
    simulator.fault({ method: 'POST', fault: { kind: 'transform', change: (made) => change(made as Changed) } });
    const made = await call(url, { token, json: { name: 'app-1' } });
    expect([made.status, jsonOf(made)]).toEqual([201, change(jsonOf(made))]);
    simulator.fault({ method: 'GET', fault: { kind: 'transform', change: (list) => (list as Changed[]).map(change) } });
    const [row] = jsonOf(await call(url, { token }));
    expect(row).toEqual(change(row));
  });
});

describe('what a gateway says', () => {
  test.each<[string, Fault, number, RegExp]>([
    ['plain text', { kind: 'status', status: 404, body: 'default backend - 404' }, 404, /^default backend - 404$/],
    ['a page', { kind: 'html', status: 404 }, 404, /^<!doctype html>/],
    ['a page with 401', { kind: 'html', status: 401 }, 401, /^<!doctype html>/],
    ['a page with 403', { kind: 'html', status: 403 }, 403, /^<!doctype html>/],
    [
      'a flood of tokens',
      { kind: 'status', status: 500, body: flood(2), contentType: 'application/json' },
      500,
      /token/,
    ],
    ['a refusal of a good token', { kind: 'status', status: 401 }, 401, /A scripted 401/],
  ])('%s', async (_, fault, status, words) => {
    const simulator = await start();
    const token = await login(simulator);
    simulator.fault({ fault });
    const seen = await call(`${simulator.url}/api/v1/apps`, { token });
    expect([seen.status, (await call(`${simulator.url}/api/v1/apps`, { token })).status]).toEqual([status, 200]);
    expect(seen.body).toMatch(words);
  });

  function flood(mib: number): string {
    const field = `"token":"${'x'.repeat(20)}",`;
    return `{${field.repeat((mib * 1024 * 1024) / field.length)}"message":"Internal error"}`;
  }
});

describe('connections that do not last', () => {
  const request = 'GET /api/v1/apps HTTP/1.1\r\nhost: x\r\nauthorization: Bearer x\r\n\r\n';

  async function answered(simulator: Simulator): Promise<Socket> {
    const socket = connect(simulator.port, '127.0.0.1');
    socket.write(request);
    const [first] = await once(socket, 'data');
    expect(String(first)).toContain('HTTP/1.1 401');
    expect(String(first)).toContain('Connection: keep-alive');
    return socket;
  }

  test.each<[AfterAnswer, number]>([
    ['close', 0],
    ['close-soon', 4],
  ])('%s: the server ends them, at least %i ms after it was asked', async (afterAnswer, least) => {
    const simulator = await start({ afterAnswer });
    const from = performance.now();
    const socket = await answered(simulator);
    await once(socket.resume(), 'end');
    expect(performance.now() - from).toBeGreaterThanOrEqual(least);
  });

  test('reset-on-reuse: the second request meets a reset', async () => {
    const simulator = await start({ afterAnswer: 'reset-on-reuse' });
    const socket = await answered(simulator);
    socket.write(request);
    const [error] = await once(socket, 'error');
    expect(error).toMatchObject({ code: 'ECONNRESET' });
    expect(simulator.requests.map(({ status }) => status)).toEqual([401, undefined]);
  });

  test('silent-on-reuse: the second request meets nothing, and does nothing', async () => {
    const simulator = await start({ afterAnswer: 'silent-on-reuse' });
    const token = await login(simulator);
    const socket = await answered(simulator);
    const body = '{"name":"app-1"}';
    const more = `content-type: application/json\r\ncontent-length: ${body.length}`;
    socket.write(`POST /api/v1/apps HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n${more}\r\n\r\n${body}`);
    const first = await Promise.race([once(socket, 'data'), once(socket, 'close'), sleep(100, 'nothing')]);
    expect([first, simulator.applications, simulator.requests.length]).toEqual(['nothing', [], 3]);
    socket.destroy();
  });

  test.each<AfterAnswer>(['close', 'close-soon', 'reset-on-reuse', 'silent-on-reuse'])(
    '%s: a client that takes a new connection each time notices nothing',
    async (afterAnswer) => {
      const simulator = await start({ afterAnswer });
      const token = await login(simulator);
      for (const _ of [1, 2, 3]) expect((await call(`${simulator.url}/api/v1/apps`, { token })).status).toBe(200);
      expect(simulator.connections).toBe(4);
    },
  );
});
