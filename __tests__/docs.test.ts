import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { dirname, join, normalize } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { inputSpecs, modes } from '../src/inputs.ts';
import { errorCodes } from '../src/runai/errors.ts';
import { inWords } from '../src/runai/failures.ts';
import { type Simulator, startSimulator } from './simulator/simulator.ts';
import { createAuthority } from './support/certificates.ts';
import { actionFile, root, runStep, type StepOptions, startStep } from './support/runner.ts';
import { onWindows } from './support/system.ts';

const read = (path: string) => readFileSync(join(root, path), 'utf8');
const readme = read('README.md');
const documents = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md', 'CHANGELOG.md'];

describe('the tables of inputs and outputs', () => {
  it('say what action.yml says', () => {
    expect(() => execFileSync(process.execPath, [join(root, 'scripts/docs.ts'), '--check'])).not.toThrow();
  });
});

describe('links and names in the documents', () => {
  it.each(documents)('%s links to files and headings that exist', (document) => {
    const dead = [...read(document).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^https?:/.test(target))
      .filter((target) => !isAlive(document, target));
    expect(dead).toEqual([]);
  });

  it.each(documents)('%s names npm scripts that exist', (document) => {
    const { scripts } = JSON.parse(read('package.json'));
    const named = [...read(document).matchAll(/npm run ([\w:-]+)/g)].map(([, name = '']) => name);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });

  it('the map of the code names each file and folder of src, and nothing else', () => {
    const map = /```text\n(src\/[\s\S]*?)```/.exec(read('CONTRIBUTING.md'))?.[1] ?? '';
    const listed = [...map.matchAll(/^ *(\S+)/gm)].map(([, name = '']) => name.replace(/\/$/, '').split('/').at(-1));
    const files = execFileSync('git', ['ls-files', 'src'], { cwd: root, encoding: 'utf8' }).trim().split('\n');
    const parts = files.filter((file) => file.endsWith('.ts')).flatMap((file) => file.split('/'));
    expect(listed.toSorted()).toEqual([...new Set(parts)].toSorted());
  });
});

function isAlive(document: string, target: string): boolean {
  const [path = '', heading] = target.split('#');
  // A path above the project is a page of the repository on GitHub, such as ../../security.
  if (path.startsWith('../')) return true;
  const file = path === '' ? document : normalize(join(dirname(document), path));
  if (!existsSync(join(root, file))) return false;
  return heading === undefined || anchorsOf(read(file)).includes(heading);
}

function anchorsOf(markdown: string): string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```/gm, '');
  const headings = [...prose.matchAll(/^#+ (.+)$/gm)].map(([, text = '']) =>
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
  return [...headings, ...[...prose.matchAll(/<a id="([^"]+)">/g)].map(([, id = '']) => id)];
}

describe('the first screen', () => {
  it('has a whole workflow, every mode, and every recipe', () => {
    const [screen = ''] = readme.split('## The modes');
    for (const name of readdirSync(join(root, 'examples'))) expect(screen).toContain(`](examples/${name})`);
    for (const mode of modes) expect(screen).toContain(`| [\`${mode}\`](#${mode}) |`);
    expect(screen).toMatch(/^```yaml\nname: /m);
  });
});

describe('trying it by hand', () => {
  const local = (...options: string[]) => {
    const script = join(root, 'scripts/local.ts');
    const { PATH, SystemRoot } = process.env;
    const env = { PATH, ...(SystemRoot && { SystemRoot }) };
    const child = spawnSync(process.execPath, [script, '--inputs', 'none', ...options], { env, encoding: 'utf8' });
    return { exitCode: child.status, stdout: child.stdout };
  };

  it('knows each variable of .env.example as an input', () => {
    const variables = [...read('.env.example').matchAll(/^RUNAI_(\w+)=/gm)].map(([, name = '']) => name);
    expect(variables.length).toBeGreaterThan(5);
    for (const name of variables) expect(inputSpecs).toHaveProperty(name.toLowerCase().replaceAll('_', '-'));
  });

  it('prints the log and the outputs of a step, and hides its secrets', () => {
    const { exitCode, stdout } = local('--mode', 'create-app', '--app-name', 'ci');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^Created the application ci on /m);
    expect(stdout).toMatch(/^ {2}client-secret: \*\*\* \(32 characters; --show-secrets prints them\)$/m);
    expect(stdout).toMatch(/^ {2}created: true$/m);
  });

  it('prints them where that is wanted', () => {
    const { stdout } = local('--mode', 'create-app', '--app-name', 'ci', '--show-secrets');
    expect(stdout).toMatch(/^ {2}client-secret: \w{32}$/m);
  });

  it('fails where the step fails', () => {
    const { exitCode, stdout } = local('--mode', 'create-app', '--app-name', 'Not A Name');
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^Error: create-app: there is a problem with the inputs: app-name/m);
  });
});

describe('the runtime', () => {
  it('is the one of action.yml wherever it is named', () => {
    const major = /^node(\d+)$/.exec(actionFile.runs.using)?.[1] ?? '';
    expect(read('.nvmrc').trim()).toBe(major);
    const { optionalDependencies } = JSON.parse(read('package.json')) as { optionalDependencies: object };
    for (const version of Object.values(optionalDependencies)) expect(version).toMatch(new RegExp(`^${major}\\.`));
  });
});

describe('the issue forms', () => {
  it.each(['bug.yml', 'feature.yml'])('%s is a form that warns against pasting secrets', (name) => {
    const form = parse(read(`.github/ISSUE_TEMPLATE/${name}`));
    expect(form).toMatchObject({ name: expect.any(String), description: expect.any(String), body: expect.any(Array) });
    expect(JSON.stringify(form)).toMatch(/secret/i);
    for (const { type, id } of form.body) expect(type === 'markdown' || typeof id === 'string').toBe(true);
  });
});

interface Row {
  anchor: string;
  messages: string[];
  remedy: string;
}

/** The rows of the troubleshooting table: an anchor, messages as they are shown (`…` for what varies), a remedy. */
function troubleshooting(): Row[] {
  const section = /^## Troubleshooting$([\s\S]*?)^## /m.exec(readme)?.[1] ?? '';
  return [...section.matchAll(/^\| <a id="error-([a-z-]+)"><\/a>(.+?) \| (.+) \|$/gm)].map(
    ([, anchor = '', cell = '', remedy = '']) => ({
      anchor,
      messages: [...cell.matchAll(/`([^`]+)`/g)].map(([, message = '']) => message),
      remedy,
    }),
  );
}

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

function patternOf(message: string): RegExp {
  return new RegExp(message.split('…').map(escaped).join('[^]+?'));
}

const app = { mode: 'create-app', 'app-name': 'ci' };
let simulator: Simulator;
let admin: { username: string; password: string };

beforeAll(async () => {
  simulator = await startSimulator();
  admin = simulator.admin;
});
afterAll(() => simulator.close());

/** The error of one step, as a person sees it. It is another step each time: faults of an earlier one are gone. */
async function errorOf(inputs: Record<string, string>, options: Partial<StepOptions> = {}): Promise<string> {
  const { errors, exitCode } = await runStep({ inputs: { url: simulator.url, ...inputs }, ...options });
  simulator.clearFaults();
  expect(exitCode).not.toBe(0);
  return errors.join('\n');
}

/** The same for a step that meets a fault again and again. */
function errorAfter(fault: Parameters<Simulator['fault']>[0]['fault'], inputs: Record<string, string> = {}) {
  simulator.fault({ fault, times: 1000 });
  return errorOf({ mode: 'token', ...admin, 'timeout-seconds': '2', ...inputs });
}

async function behindProxy(answer: string | undefined): Promise<string> {
  const server = createServer().on('connect', (_request, socket: Socket) => socket.end(answer ?? ''));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  if (answer === undefined) server.close();
  const env = { https_proxy: `http://127.0.0.1:${port}` };
  const inputs = { mode: 'token', ...admin, url: 'https://console.example.com', 'timeout-seconds': '1' };
  const error = await errorOf(inputs, { env });
  server.close();
  return error;
}

/** A step that waits for an answer, and is stopped or broken there. */
async function stalled(options: Partial<StepOptions>, act?: (kill: () => void) => Promise<void>): Promise<string> {
  simulator.fault({ fault: { kind: 'stall', when: 'before-head' } });
  const before = simulator.requests.length;
  const step = startStep({ inputs: { url: simulator.url, ...admin, ...app }, ...options });
  if (act) {
    await expect.poll(() => simulator.requests.length, { timeout: 20_000 }).toBeGreaterThan(before);
    await act(() => step.child.kill('SIGTERM'));
  }
  const { errors, exitCode } = await step.result;
  simulator.clearFaults();
  expect(exitCode).toBeGreaterThan(0);
  return errors.join('\n');
}

/** What throws in the middle of a run, where nothing expects it. */
const ambush = `process.on('newListener', (event) => {
  if (event === 'SIGTERM') setImmediate(() => { throw new TypeError('boom'); });
});`;

/** One way into each kind of failure: what the step then says. */
const scenarios: Record<string, () => Promise<string | string[]>> = {
  inputs: () => errorOf({ mode: 'token', ...admin, 'app-name': 'ci' }),
  'inputs-empty': async () => [
    await errorOf({ mode: 'token', 'client-id': 'ci' }),
    await errorOf({ mode: 'token' }),
    await errorOf({ mode: 'token', ...admin, url: '' }),
  ],
  'inputs-oidc': () => errorOf({ mode: 'token', 'oidc-audience': 'runai' }),
  'inputs-access-token': () => errorOf({ ...app, 'access-token': 'eyJ\neyJ' }),
  runner: () => errorOf({ mode: 'token', ...admin }, { env: { GITHUB_OUTPUT: '' } }),
  credentials: () => errorOf({ mode: 'token', ...admin, password: 'wrong' }),
  'credentials-external': () => errorOf({ mode: 'token', 'external-token': 'nobody-knows-it' }),
  'token-rejected': () => errorOf({ ...app, 'access-token': 'eyJ.eyJ.x' }),
  forbidden: () => {
    const { clientId, secret } = simulator.addApplication({ name: 'powerless' });
    return errorOf({ ...app, 'client-id': clientId, 'client-secret': secret });
  },
  'not-run-ai': () => errorOf({ mode: 'token', ...admin, url: `${simulator.url}/elsewhere` }),
  conflict: () => {
    simulator.addApplication({ name: 'twice' });
    return errorOf({ ...app, ...admin, 'app-name': 'twice' });
  },
  rejected: () => {
    const body = { code: 422, message: 'the name is reserved' };
    simulator.fault({ path: '/api/v1/apps', times: 2, fault: { kind: 'status', status: 422, body } });
    return errorOf({ ...app, ...admin });
  },
  redirect: () => errorAfter({ kind: 'redirect', status: 302, location: 'https://login.example.com/' }),
  unreadable: async () => [
    await errorAfter({ kind: 'html', status: 200 }),
    await errorAfter({ kind: 'status', status: 200, body: {} }, { 'timeout-seconds': '20' }),
  ],
  certificate: async () => {
    const tls = await (await createAuthority()).issue({ hosts: ['localhost'] });
    const secure = await startSimulator({ tls });
    return errorOf({ mode: 'token', ...admin, url: secure.url }).finally(() => secure.close());
  },
  proxy: () =>
    errorOf(
      { mode: 'token', ...admin, url: 'https://console.example.com' },
      { env: { https_proxy: 'socks5://proxy.example.com' } },
    ),
  'proxy-credentials': () => behindProxy('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'),
  'proxy-forbidden': () => behindProxy('HTTP/1.1 403 Forbidden\r\n\r\n'),
  'proxy-down': () => behindProxy(undefined),
  unreachable: async () => {
    const gone = await startSimulator();
    await gone.close();
    const refused = await errorOf({ mode: 'token', ...admin, url: gone.url, 'timeout-seconds': '1' });
    const others = ['unknown-host', 'no-route', 'reset', 'timeout', 'protocol', 'tls'] as const;
    return [refused, ...others.map((failure) => inWords(failure, { peer: 'console.example.com:443', code: 'X' }))];
  },
  unavailable: () => errorAfter({ kind: 'status', status: 503 }),
  'unavailable-wait': () => errorAfter({ kind: 'status', status: 429, headers: { 'retry-after': '120' } }),
  'not-found': () => errorOf({ mode: 'rotate-app', 'app-name': 'nobody', ...admin }),
  'single-sign-on': () => {
    simulator.addUser({ email: 'sso@example.com', isLocal: false });
    return errorOf({ mode: 'create-user', email: 'sso@example.com', 'if-exists': 'rotate', ...admin });
  },
  'access-rule': () => errorOf({ ...app, ...admin, 'app-name': 'ruled', 'access-rules': 'Emperor @ project:4501234' }),
  oidc: () => {
    simulator.fault({ path: '/_oidc/', fault: { kind: 'status', status: 403, body: { message: 'forbidden' } } });
    const { url, requestToken } = simulator.oidc;
    const env = { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken };
    return errorOf({ mode: 'token', 'oidc-audience': 'runai' }, { env });
  },
  // Windows knows no such signals: there, a process is ended without being asked.
  ...(!onWindows && { interrupted: () => stalled({}, async (kill) => kill()) }),
  internal: () => stalled({ env: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(ambush)}` } }),
};

describe('the troubleshooting table', () => {
  const rows = troubleshooting();

  it('has a row for each way in which a run can fail', () => {
    const codes = rows.map(({ anchor }) =>
      errorCodes.findLast((code) => anchor === code || anchor.startsWith(`${code}-`)),
    );
    expect(new Set(codes)).toEqual(new Set(errorCodes));
  });

  it('has no row that is not tried here', () => {
    const skipped = onWindows ? ['interrupted'] : [];
    expect([...Object.keys(scenarios), ...skipped].toSorted()).toEqual(rows.map(({ anchor }) => anchor).toSorted());
  });

  it.each(Object.keys(scenarios))('quotes what a step says: %s', async (anchor) => {
    const said = [await scenarios[anchor]?.()].flat() as string[];
    const { messages, remedy } = rows.find((row) => row.anchor === anchor) ?? { messages: [], remedy: '' };
    expect(messages.length).toBeGreaterThan(0);
    expect(remedy.length).toBeGreaterThan(20);
    for (const message of messages) expect(said.join('\n\n')).toMatch(patternOf(message));
    for (const text of said) expect(messages.some((message) => patternOf(message).test(text))).toBe(true);
  });
});
