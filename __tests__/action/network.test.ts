import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Simulator, type SimulatorOptions, startSimulator } from '../simulator/simulator.ts';
import { type Authority, type Certificate, createAuthority } from '../support/certificates.ts';
import { type ProxyOptions, type RunningProxy, startProxy } from '../support/proxy.ts';
import { runStep, type StepResult } from '../support/runner.ts';
import { onWindows } from '../support/system.ts';

const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  await Promise.all(cleanUps.splice(0).map((cleanUp) => cleanUp()));
});

async function plane(options: SimulatorOptions = {}): Promise<Simulator> {
  const simulator = await startSimulator(options);
  cleanUps.push(simulator.close);
  return simulator;
}

async function proxyServer(options: ProxyOptions = {}): Promise<RunningProxy> {
  const proxy = await startProxy(options);
  cleanUps.push(proxy.close);
  return proxy;
}

function file(content: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'network-'));
  cleanUps.push(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'roots.pem'), content);
  return join(folder, 'roots.pem');
}

interface Target {
  simulator: Simulator;
  url: string;
  ca?: string;
  env?: Record<string, string>;
  inputs?: Record<string, string>;
}

function signIn({ simulator, url, ca = '', env = {}, inputs = {} }: Target): Promise<StepResult> {
  const { username, password } = simulator.admin;
  return runStep({ inputs: { mode: 'token', url, username, password, 'ca-certificate': ca, ...inputs }, env });
}

function expectSuccess(step: StepResult): void {
  expect(step.errors).toEqual([]);
  expect(step.exitCode).toBe(0);
  expect(step.stderr).toBe('');
}

function expectFailure(step: StepResult, pattern: RegExp): void {
  expect(step.exitCode).toBe(1);
  expect(step.errors).toHaveLength(1);
  expect(step.errors[0]).toMatch(pattern);
  expect(step.stderr).toBe('');
}

let authority: Authority;
/** For `localhost`, as the simulator calls itself. */
let local: Certificate;

beforeAll(async () => {
  authority = await createAuthority('Private root');
  local = await authority.issue({ hosts: ['localhost', '127.0.0.1', '::1', '0.0.0.0', '::ffff:7f00:1', 'runai.test'] });
});

interface Trust {
  tls: Certificate & { minVersion?: string; maxVersion?: string };
  ca: string;
}

describe('a certificate is trusted', () => {
  const cases: Record<string, () => Trust | Promise<Trust>> = {
    'with its private root as PEM text': () => ({ tls: local, ca: authority.cert }),
    'with its private root as the path of a file': () => ({ tls: local, ca: file(authority.cert) }),
  };

  test.each(Object.entries(cases))('%s', async (_, make) => {
    const { tls, ca } = await make();
    const simulator = await plane({ tls });
    expectSuccess(await signIn({ simulator, url: simulator.url, ca }));
    expect(simulator.connections).toBe(1);
  });
});

describe('a certificate is refused at once, with a word about ca-certificate', () => {
  const cases: Record<string, () => Promise<Trust & { code: string }>> = {
    'when its root is not given': async () => ({ tls: local, ca: '', code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }),
  };

  test.each(Object.entries(cases))('%s', async (_, make) => {
    const { tls, ca, code } = await make();
    const simulator = await plane({ tls });
    const step = await signIn({ simulator, url: simulator.url, ca });
    expectFailure(
      step,
      new RegExp(`^token: POST ${simulator.url}/api/v1/token .*${code}.*\\(1 attempt\\).*ca-certificate`),
    );
    expect(step.errors[0]).not.toMatch(/NODE_TLS|unauthorized|insecure|verify=|skip/i);
    expect([simulator.connections, simulator.requests]).toEqual([1, []]);
  });
});

/** The control plane by a name that only the proxy knows; without a proxy there is no way to it. */
async function hidden(options: SimulatorOptions = {}): Promise<Target> {
  const simulator = await plane({ tls: local, ...options });
  return { simulator, url: `https://runai.test:${simulator.port}`, ca: authority.cert };
}

// An address of this machine that the HTTP library does not take for a loopback address. Windows connects to no 0.0.0.0.
const openHost = onWindows ? '[::ffff:7f00:1]' : '0.0.0.0';

/** The control plane by an address that a proxy is used for. */
async function open(): Promise<Target> {
  const simulator = await plane({ tls: local });
  return { simulator, url: `https://${openHost}:${simulator.port}`, ca: authority.cert };
}

describe('a proxy is used', () => {
  const settings: Record<string, (port: number) => Record<string, string>> = {
    'from https_proxy': (port) => ({ https_proxy: `http://127.0.0.1:${port}` }),
    'from HTTPS_PROXY': (port) => ({ HTTPS_PROXY: `http://127.0.0.1:${port}` }),
  };

  test.each(Object.entries(settings))('%s', async (_, env) => {
    const target = await hidden();
    const proxy = await proxyServer();
    expectSuccess(await signIn({ ...target, env: env(proxy.port) }));
    expect(proxy.targets).toEqual([`runai.test:${target.simulator.port}`]);
    expect(proxy.authorizations).toEqual([undefined]);
  });

  test.skipIf(onWindows)('from https_proxy rather than HTTPS_PROXY, where these are two variables', async () => {
    const target = await hidden();
    const proxy = await proxyServer();
    const env = { https_proxy: `http://127.0.0.1:${proxy.port}`, HTTPS_PROXY: 'http://127.0.0.1:9' };
    expectSuccess(await signIn({ ...target, env }));
    expect(proxy.targets).toHaveLength(1);
  });

  test('for a token and for the work after it', async () => {
    const target = await hidden();
    const proxy = await proxyServer();
    const inputs = { mode: 'create-app', 'app-name': 'app-one', 'access-rules': 'Viewer @ project:1' };
    const step = await signIn({ ...target, inputs, env: { https_proxy: `http://127.0.0.1:${proxy.port}` } });
    expectSuccess(step);
    expect(target.simulator.isValidSecret('app-one', step.outputs['client-secret'] ?? '')).toBe(true);
    expect(target.simulator.accessRules).toHaveLength(1);
    expect(new Set(proxy.targets)).toEqual(new Set([`runai.test:${target.simulator.port}`]));
  });
});

describe('a proxy that requires credentials', () => {
  const credentials = { username: 'build bot', password: 'p@ss:w%rd/Ω"x' };
  const raw = encodeURIComponent(credentials.password);
  const user = encodeURIComponent(credentials.username);
  const pair = Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64');

  test.each([
    ['', 'http://'],
    [' without a scheme', ''],
  ])('gets them from the setting%s, masked in every form and printed in none', async (_, scheme) => {
    const target = await hidden();
    const proxy = await proxyServer({ credentials });
    const env = { https_proxy: `${scheme}${user}:${raw}@127.0.0.1:${proxy.port}` };
    const step = await signIn({ ...target, env });
    expectSuccess(step);
    expect(proxy.authorizations).toEqual([`Basic ${pair}`]);
    expect(step.masks).toEqual(expect.arrayContaining([raw, credentials.password, pair]));
    const visible = step.log.filter(({ command }) => command !== 'add-mask').map(({ text }) => text);
    for (const form of [raw, credentials.password, pair]) expect(visible.join('\n')).not.toContain(form);
  });
});

describe('no proxy is used', () => {
  test.each([
    ['no_proxy', openHost],
    ['NO_PROXY', openHost],
  ])('of a host that %s lists as %s', async (name, list) => {
    const target = await open();
    const proxy = await proxyServer();
    const env = { https_proxy: `http://127.0.0.1:${proxy.port}`, [name]: list };
    expectSuccess(await signIn({ ...target, env }));
    expect(proxy.targets).toEqual([]);
  });

  test('of a loopback host', async () => {
    const simulator = await plane();
    const env = { https_proxy: 'http://127.0.0.1:9', http_proxy: 'http://127.0.0.1:9' };
    expectSuccess(await signIn({ simulator, url: simulator.url, env }));
  });
});

describe('a proxy that cannot be used is never passed by', () => {
  test.each(['socks5://127.0.0.1:1080', 'http://name:p%ZZ@127.0.0.1:3128'])(
    'when it is written as %s',
    async (setting) => {
      // Where names ignore case, the two are one variable, and the first spelling that is asked for finds it.
      for (const name of ['https_proxy', ...(onWindows ? [] : ['HTTPS_PROXY'])]) {
        const target = await open();
        const step = await signIn({ ...target, env: { [name]: setting } });
        expectFailure(step, new RegExp(`environment variable ${name} is not the URL of a proxy`));
        expect(step.errors[0]).not.toContain('p%ZZ');
        expect(target.simulator.connections).toBe(0);
      }
    },
  );

  test('when only the token service of GitHub lies behind it', async () => {
    const { simulator, url, ca = '' } = await open();
    const env = {
      https_proxy: 'http://127.0.0.1:99999',
      ACTIONS_ID_TOKEN_REQUEST_URL: simulator.oidc.url.replace(simulator.url, url),
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: simulator.oidc.requestToken,
    };
    const inputs = {
      mode: 'token',
      url: simulator.url,
      'oidc-audience': simulator.oidc.audience,
      'ca-certificate': ca,
    };
    expectFailure(await runStep({ inputs, env }), /environment variable https_proxy is not the URL of a proxy/);
    expect(simulator.connections).toBe(0);
  });
});

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));

describe.skipIf(!hasIpv6)('an IPv6 address works as url (skipped: no IPv6)', () => {
  test.each(['http', 'https'])('over %s', async (scheme) => {
    const simulator = await plane(scheme === 'https' ? { tls: local } : {});
    const door = createServer((socket) => {
      const inside = connect(simulator.port, '127.0.0.1');
      socket.on('error', () => inside.destroy());
      inside.on('error', () => socket.destroy());
      socket.pipe(inside).pipe(socket);
    }).listen(0, '::1');
    cleanUps.push(() => door.close());
    await once(door, 'listening');
    const url = `${scheme}://[::1]:${(door.address() as AddressInfo).port}`;
    expectSuccess(await signIn({ simulator, url, ...(scheme === 'https' && { ca: authority.cert }) }));
  });
});
