import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ErrorCode, errorCodes } from '../../src/errors.ts';
import { type Github, startGithub } from '../simulator/github.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { createAuthority } from '../support/certificates.ts';
import { runStep, type StepOptions, type StepResult, startStep } from '../support/runner.ts';
import { onWindows } from '../support/system.ts';
import { read } from './documents.ts';

const page = read('docs/troubleshooting.md');

/** The sections of the page: a code, its sentence, and the messages that it quotes (`…` for what varies). */
const sections = page
  .split(/^## /m)
  .slice(1)
  .map((text) => {
    const [, code = ''] = /^`([a-z-]+)`\n/.exec(text) ?? [];
    const rows = [...text.matchAll(/^\| (?!You see|---)(.+?) \| (.+) \|$/gm)];
    const quotes = rows.flatMap(([, cell = '']) => [...cell.matchAll(/`([^`]+)`/g)].map(([, quote = '']) => quote));
    return { code, sentence: text.split('\n')[2] ?? '', remedies: rows.map(([, , remedy = '']) => remedy), quotes };
  });

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const patternOf = (quote: string) => new RegExp(quote.split('…').map(escaped).join('[\\s\\S]+?'));

const app = { mode: 'create-app', 'app-name': 'ci' };
const stored = { 'store-as': 'RUNAI_CREDENTIALS' };
let simulator: Simulator;
let github: Github;
let admin: { username: string; password: string };

beforeAll(async () => {
  simulator = await startSimulator();
  github = await startGithub();
  admin = simulator.admin;
});
afterAll(async () => {
  await simulator.close();
  await github.close();
});

/** What a runner says about the action and its repository. */
function runner(): Record<string, string> {
  return {
    GITHUB_SERVER_URL: 'https://github.com',
    GITHUB_ACTION_REPOSITORY: 'your-org/runai-auth',
    GITHUB_ACTION_REF: 'v1.1.0',
    GITHUB_API_URL: github.url,
    GITHUB_REPOSITORY: github.repository,
    GITHUB_REPOSITORY_ID: String(github.repositoryId),
    GITHUB_REPOSITORY_OWNER: github.organization,
    GITHUB_REPOSITORY_OWNER_ID: '123456',
  };
}

/** One step that fails. Faults are gone after it, and so is what an earlier one made. */
async function failing(inputs: Record<string, string>, options: Partial<StepOptions> = {}): Promise<StepResult> {
  const env = { ...runner(), ...options.env };
  const result = await runStep({ ...options, inputs: { url: simulator.url, ...inputs }, env });
  simulator.clearFaults();
  github.clearFaults();
  expect(result.exitCode).not.toBe(0);
  return result;
}

/** A step that meets a fault again and again. */
function after(
  fault: Parameters<Simulator['fault']>[0]['fault'],
  { path = '', ...inputs }: Record<string, string> = {},
) {
  simulator.fault({ path, fault, times: 1000 });
  return failing({ mode: 'token', ...admin, 'timeout-seconds': '2', ...inputs });
}

/** A create with `store-as`, under a name of its own. */
let creates = 0;
function storing(inputs: Record<string, string> = {}): Promise<StepResult> {
  creates += 1;
  const own = { ...app, 'app-name': `stored-${creates}`, ...admin, ...stored, 'github-token': github.token };
  return failing({ ...own, 'timeout-seconds': '6', ...inputs });
}

async function listening<T extends Server>(server: T): Promise<{ server: T; port: number }> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

async function behindProxy(answer: string | undefined): Promise<StepResult> {
  const { server, port } = await listening(
    createHttpServer().on('connect', (_request, socket: Socket) => socket.end(answer ?? '')),
  );
  if (answer === undefined) server.close();
  const env = { https_proxy: `http://127.0.0.1:${port}` };
  const inputs = { mode: 'token', ...admin, url: 'https://console.example.com', 'timeout-seconds': '1' };
  return failing(inputs, { env }).finally(() => server.close());
}

/** A server that says something, but not what a step expects. */
async function against(scheme: 'http' | 'https', said: string): Promise<StepResult> {
  const { server, port } = await listening(
    createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => socket.end(said));
    }),
  );
  const inputs = { mode: 'token', ...admin, url: `${scheme}://127.0.0.1:${port}`, 'timeout-seconds': '1' };
  return failing(inputs).finally(() => server.close());
}

/** A step that waits for an answer, and is stopped or broken there. */
async function stalled(options: Partial<StepOptions>, kill?: NodeJS.Signals): Promise<StepResult> {
  simulator.fault({ fault: { kind: 'stall', when: 'before-head' } });
  const before = simulator.requests.length;
  const env = { ...runner(), ...options.env };
  const step = startStep({ inputs: { url: simulator.url, ...admin, ...app }, ...options, env });
  if (kill) {
    await expect.poll(() => simulator.requests.length, { timeout: 20_000 }).toBeGreaterThan(before);
    step.child.kill(kill);
  }
  const result = await step.result;
  simulator.clearFaults();
  return result;
}

/** The answer to the create is lost, and nothing tells when the application was made. */
async function unproven(): Promise<StepResult> {
  const timeless = await startSimulator({ nullCreatedAt: true });
  timeless.fault({ method: 'POST', path: '/apps', fault: { kind: 'reset', when: 'before-head', work: true } });
  return failing({ ...app, ...timeless.admin, url: timeless.url }).finally(() => timeless.close());
}

/** The file for the outputs is gone by the time that something has been issued. */
async function withoutFile(): Promise<StepResult> {
  const folder = mkdtempSync(join(tmpdir(), 'gone-'));
  const file = join(folder, 'output');
  writeFileSync(file, '');
  simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'delay', ms: 1000 } });
  const before = simulator.requests.length;
  const step = startStep({
    inputs: { ...app, ...admin, url: simulator.url, 'app-name': 'unwritten' },
    env: { ...runner(), GITHUB_OUTPUT: file },
  });
  const isAsked = () =>
    simulator.requests.slice(before).some(({ method, path }) => method === 'POST' && path.endsWith('/apps'));
  await expect.poll(isAsked, { timeout: 20_000 }).toBe(true);
  rmSync(folder, { recursive: true });
  return step.result;
}

/** What throws in the middle of a run, where nothing expects it. */
const ambush = `process.on('newListener', (event) => {
  if (event === 'SIGTERM') setImmediate(() => { throw new TypeError('boom'); });
});`;

/** Ways into each kind of failure. */
const scenarios: Record<ErrorCode, () => Promise<StepResult>[] | Promise<StepResult[]>> = {
  inputs: () => [
    failing({ mode: 'token', 'client-id': 'ci' }),
    failing({ mode: 'token' }),
    failing({ mode: 'token', ...admin, url: '' }),
    failing({ mode: 'token', ...admin, 'app-name': 'ci' }),
    failing({ mode: 'token', 'oidc-audience': 'runai' }),
    failing({ ...app, 'access-token': 'eyJ\neyJ' }),
  ],
  runner: async () => [await failing({ mode: 'token', ...admin }, { env: { GITHUB_OUTPUT: '' } }), await withoutFile()],
  credentials: () => [
    failing({ mode: 'token', ...admin, password: 'wrong' }),
    failing({ mode: 'token', 'external-token': 'nobody-knows-it' }),
  ],
  'token-rejected': () => [
    failing({ ...app, 'access-token': 'eyJ.eyJ.x' }),
    storing({ 'github-token': 'ghs_nobody-knows-it' }),
  ],
  forbidden: () => {
    const { clientId, secret } = simulator.addApplication({ name: 'powerless' });
    return [
      failing({ ...app, 'client-id': clientId, 'client-secret': secret }),
      storing({ 'github-token': github.addToken({ permissions: {} }) }),
    ];
  },
  'not-run-ai': () => [failing({ mode: 'token', ...admin, url: `${simulator.url}/elsewhere` })],
  conflict: async () => {
    simulator.addApplication({ name: 'twice' });
    const duplicate = (list: unknown) =>
      [...(list as { id: string }[])].flatMap((row) => [row, { ...row, id: `${row.id}2` }]);
    return [
      await failing({ ...app, ...admin, 'app-name': 'twice' }),
      await unproven(),
      await after({ kind: 'transform', change: duplicate }, { mode: 'rotate-app', 'app-name': 'twice', path: '/apps' }),
    ];
  },
  rejected: async () => {
    const body = { code: 422, message: 'the name is reserved' };
    simulator.fault({ path: '/api/v1/apps', times: 2, fault: { kind: 'status', status: 422, body } });
    const own = simulator.addApplication({ name: 'own' });
    const roleId = simulator.roles.find(({ name }) => name === 'System administrator')?.id ?? 0;
    const scope = { scopeType: 'system', scopeId: '1' };
    simulator.addAccessRule({ subjectId: own.clientId, subjectType: 'app', roleId, ...scope });
    const key = { 'client-id': own.clientId, 'client-secret': own.secret };
    return [await failing({ ...app, ...admin }), await failing({ mode: 'rotate-app', 'app-name': 'own', ...key })];
  },
  redirect: () => [after({ kind: 'redirect', status: 302, location: 'https://login.example.com/' })],
  unreadable: async () => [
    await after({ kind: 'html', status: 200 }),
    await after({ kind: 'status', status: 200, body: {} }, { 'timeout-seconds': '20' }),
  ],
  blocked: async () => [await after({ kind: 'html', status: 401 }), await after({ kind: 'html', status: 403 })],
  certificate: async () => {
    const tls = await (await createAuthority()).issue({ hosts: ['localhost'] });
    const secure = await startSimulator({ tls });
    return [await failing({ mode: 'token', ...admin, url: secure.url }).finally(() => secure.close())];
  },
  proxy: () => [
    failing(
      { mode: 'token', ...admin, url: 'https://console.example.com' },
      { env: { https_proxy: 'socks5://proxy.example.com' } },
    ),
    behindProxy('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'),
    behindProxy('HTTP/1.1 403 Forbidden\r\n\r\n'),
    behindProxy(undefined),
  ],
  unreachable: async () => {
    const gone = await startSimulator();
    await gone.close();
    const nowhere = await Promise.all([
      failing({ mode: 'token', ...admin, url: gone.url, 'timeout-seconds': '1' }),
      failing({ mode: 'token', ...admin, url: 'https://console.invalid', 'timeout-seconds': '1' }),
      against('http', 'good morning\r\n'),
      against('https', 'good morning\r\n'),
    ]);
    const cut = await after({ kind: 'reset', when: 'in-body' }, { 'timeout-seconds': '1' });
    return [...nowhere, cut, await after({ kind: 'stall', when: 'before-head' }, { 'timeout-seconds': '1' })];
  },
  unavailable: async () => [
    await after({ kind: 'status', status: 503 }),
    await after({ kind: 'status', status: 429, headers: { 'retry-after': '120' } }),
  ],
  'not-found': () => [
    failing({ mode: 'rotate-app', 'app-name': 'nobody', ...admin }),
    storing({ 'store-in': 'environment:nowhere' }),
    storing({ 'store-in': 'organization' }),
  ],
  'single-sign-on': () => {
    simulator.addUser({ email: 'sso@example.com', isLocal: false });
    return [failing({ mode: 'create-user', email: 'sso@example.com', 'if-exists': 'rotate', ...admin })];
  },
  'access-rule': async () => {
    const ruled = (rule: string) => failing({ ...app, ...admin, 'app-name': 'ruled', 'access-rules': rule });
    for (const name of ['east', 'west']) {
      const { uuid } = simulator.addCluster({ name });
      simulator.addProject({ name: 'in-both', clusterId: uuid });
    }
    const results = [
      await ruled('Emperor @ project:4501234'),
      await ruled('Viewer @ project:nowhere'),
      await ruled('Viewer @ project:in-both'),
    ];
    const body = { code: 422, message: 'out of reach' };
    simulator.fault({ method: 'POST', path: '/access-rules', fault: { kind: 'status', status: 422, body } });
    return [...results, await ruled('Viewer @ project:4501234')];
  },
  oidc: () => {
    simulator.fault({ path: '/_oidc/', fault: { kind: 'status', status: 403, body: { message: 'forbidden' } } });
    const { url, requestToken } = simulator.oidc;
    const env = { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken };
    return [failing({ mode: 'token', 'oidc-audience': 'runai' }, { env })];
  },
  store: async () => {
    const refuse = (status: number) =>
      github.fault({ method: 'PUT', path: /RUNAI_CREDENTIALS$/, times: 1000, fault: { kind: 'status', status } });
    refuse(403);
    const refused = await storing();
    github.clearFaults();
    refuse(503);
    return [refused, await storing({ 'timeout-seconds': '3' })];
  },
  unverified: async () => {
    const body = { code: 401, message: 'Invalid client' };
    simulator.fault({ path: '/token', skip: 1, times: 1000, fault: { kind: 'status', status: 401, body } });
    const untried = await storing();
    const reset = { ...admin, 'timeout-seconds': '5' };
    const lost = {
      method: 'POST',
      path: /secret$|password$/,
      fault: { kind: 'status', status: 504, work: true },
    } as const;
    simulator.addApplication({ name: 'lost' });
    simulator.fault(lost);
    const late = await failing({ ...reset, mode: 'rotate-app', 'app-name': 'lost' });
    simulator.addUser({ email: 'lost@acme.example' });
    simulator.fault(lost);
    const users = { mode: 'create-user', email: 'lost@acme.example', 'if-exists': 'rotate' };
    return [untried, late, await failing({ ...reset, ...users })];
  },
  // Windows knows no such signals: there, a process is ended without being asked.
  interrupted: async () => (onWindows ? [] : [await stalled({}, 'SIGTERM'), await stalled({}, 'SIGINT')]),
  internal: () => [stalled({ env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(ambush)}` } })],
};

describe('the troubleshooting page', () => {
  it('has a section for each code, and no other', () => {
    expect(sections.map(({ code }) => code).toSorted()).toEqual([...errorCodes].toSorted());
  });

  it('says in each section what it means, what is seen and what to do', () => {
    for (const { code, sentence, remedies } of sections) {
      expect(sentence, code).toMatch(/^[A-Z`].{15,100}\.$/);
      expect(remedies.length, code).toBeGreaterThan(0);
      for (const remedy of remedies) expect(remedy.length, code).toBeGreaterThan(15);
    }
  });

  it('is where the README leads for each code', () => {
    const readme = read('README.md');
    for (const code of errorCodes) expect(readme).toContain(`[\`${code}\`](docs/troubleshooting.md#${code})`);
  });
});

describe('a step that fails', () => {
  it.each(errorCodes)('names its code, and links to its section: %s', async (code) => {
    const results = await Promise.all(await scenarios[code]());
    const { quotes = [] } = sections.find((section) => section.code === code) ?? {};
    const said = results.map(({ errors }) => errors.join('\n'));
    for (const text of said) {
      expect(text).toMatch(
        new RegExp(`https://github\\.com/your-org/runai-auth/\\S+v1\\.1\\.0\\S*/docs/troubleshooting\\.md#${code}$`),
      );
    }
    // Without the file there is nowhere to write the code.
    const written = code === 'runner' ? [] : results.map(({ outputs }) => outputs['error-code']);
    expect(written).toEqual(written.map(() => code));
    if (said.length === 0) return;
    for (const text of said)
      expect(
        quotes.filter((quote) => patternOf(quote).test(text)),
        text,
      ).not.toEqual([]);
    for (const quote of quotes) expect(said.join('\n\n')).toMatch(patternOf(quote));
  });
});
