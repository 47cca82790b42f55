// What a proxy setting means is in unit/proxy.test.ts; here the connections are real.
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { httpsProxy } from '../../src/http/proxy.ts';
import { createApplication } from '../../src/runai/applications.ts';
import { requestToken } from '../../src/runai/tokens.ts';
import type { SimulatorOptions } from '../simulator/simulator.ts';
import { type Authority, type Certificate, createAuthority, selfSigned } from '../support/certificates.ts';
import { adminGrant, clientFor, connect, failure, type Setup, signIn, testClock } from '../support/client.ts';
import { type ProxyOptions, type RunningProxy, startProxy } from '../support/proxy.ts';

let authority: Authority;
let certificate: Certificate;

beforeAll(async () => {
  authority = await createAuthority('Private root');
  certificate = await authority.issue({ hosts: ['localhost', '127.0.0.1', '0.0.0.0', '::ffff:7f00:1', 'runai.test'] });
});

const proxies: RunningProxy[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
});

async function proxyServer(options: ProxyOptions = {}): Promise<RunningProxy> {
  const proxy = await startProxy(options);
  proxies.push(proxy);
  return proxy;
}

// An address of this machine that the HTTP library does not take for a loopback address. Windows connects to no 0.0.0.0.
const openHost = process.platform === 'win32' ? '[::ffff:7f00:1]' : '0.0.0.0';

interface Way {
  /** A name that only the proxy knows, or an address that can be reached without one. */
  host?: string;
  setting: string;
  budget?: number;
  options?: SimulatorOptions;
}

async function behind({ host = 'runai.test', setting, budget = 60_000, options = {} }: Way) {
  const setup = await connect({}, { tls: certificate, ...options });
  const url = `https://${host}:${setup.simulator.port}`;
  const masks: string[] = [];
  const proxy = httpsProxy([new URL(url)], { env: { https_proxy: setting }, mask: (mask) => masks.push(mask) });
  const clock = testClock();
  const inner = clientFor(url, { clock, budget, roots: [authority.cert], proxy });
  return { ...setup, ...inner, clock, masks, [Symbol.asyncDispose]: setup[Symbol.asyncDispose] };
}

const token = ({ client, simulator }: Setup) => requestToken(client, adminGrant(simulator));

describe('a proxy is used', () => {
  it('for a token and for the work after it', async () => {
    const proxy = await proxyServer();
    await using setup = await behind({ setting: `http://127.0.0.1:${proxy.port}` });
    await signIn(setup.client, setup.simulator);
    const { clientId, clientSecret } = await createApplication(setup.client, { name: 'app-one', ifExists: 'fail' });
    expect(setup.simulator.isValidSecret(clientId!, clientSecret!)).toBe(true);
    expect(proxy.targets).toEqual(Array(2).fill(`runai.test:${setup.simulator.port}`));
    expect(proxy.authorizations).toEqual([undefined, undefined]);
  });

  it.each([429, 502, 503])('again after it has answered %i', async (status) => {
    const proxy = await proxyServer({ script: [status] });
    await using setup = await behind({ setting: `127.0.0.1:${proxy.port}` });
    await token(setup);
    expect(proxy.targets).toHaveLength(2);
  });

  it('again after it was silent', async () => {
    const proxy = await proxyServer({ script: ['silence'] });
    await using setup = await behind({ setting: `localhost:${proxy.port}` });
    await token(setup);
    expect(proxy.targets).toHaveLength(2);
  });

  it('over TLS, with a certificate of the same private authority', async () => {
    const proxy = await proxyServer({ tls: await authority.issue({ hosts: ['localhost'] }) });
    await using setup = await behind({ setting: `https://localhost:${proxy.port}` });
    await token(setup);
    expect(proxy.targets).toEqual([`runai.test:${setup.simulator.port}`]);
  });

  it('and the certificate behind it is checked', async () => {
    const proxy = await proxyServer();
    const options = { tls: await authority.issue({ hosts: ['elsewhere.test'] }) };
    await using setup = await behind({ setting: `http://127.0.0.1:${proxy.port}`, options });
    const error = await failure(token(setup));
    expect(error).toMatchObject({ code: 'certificate', attempts: 1 });
    expect(error.describe()).toMatch(/ERR_TLS_CERT_ALTNAME_INVALID.*ca-certificate/);
    expect([proxy.targets.length, setup.simulator.requests]).toEqual([1, []]);
  });

  it.each<[string, () => Promise<Certificate>]>([
    ['that nobody vouches for', () => selfSigned({ hosts: ['localhost'] })],
    ['of the control plane instead of its own', () => authority.issue({ hosts: ['runai.test'] })],
  ])('but not with a certificate %s', async (_, make) => {
    const proxy = await proxyServer({ tls: await make() });
    await using setup = await behind({ setting: `https://localhost:${proxy.port}` });
    const error = await failure(token(setup));
    expect(error).toMatchObject({ code: 'certificate', attempts: 1 });
    expect(error.describe()).toMatch(/\(proxy localhost:\d+, .*ca-certificate/);
    expect([proxy.targets, setup.simulator.connections]).toEqual([[], 0]);
  });
});

describe('a proxy that requires credentials', () => {
  const credentials = { username: 'build bot', password: 'p@ss:w%rd/Ω"x' };
  const raw = encodeURIComponent(credentials.password);
  const user = encodeURIComponent(credentials.username);
  const pair = Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64');

  it.each(['http://', ''])('gets them from the setting, %suser:password@host', async (scheme) => {
    const proxy = await proxyServer({ credentials });
    await using setup = await behind({ setting: `${scheme}${user}:${raw}@127.0.0.1:${proxy.port}` });
    await token(setup);
    expect(proxy.authorizations).toEqual([`Basic ${pair}`]);
    expect(setup.masks).toEqual([raw, credentials.password, pair]);
  });

  it.each([
    ['none are given', ''],
    ['they are wrong', 'build%20bot:wrong-password@'],
  ])('refuses at once when %s', async (_, userInfo) => {
    const proxy = await proxyServer({ credentials });
    await using setup = await behind({ setting: `http://${userInfo}127.0.0.1:${proxy.port}` });
    const error = await failure(token(setup));
    expect(error.describe()).toMatch(/proxy 127\.0\.0\.1:\d+ answered 407 to CONNECT \(1 attempt\).*https_proxy/);
    expect(error.describe()).not.toContain('wrong-password');
    expect([proxy.targets.length, setup.simulator.connections]).toEqual([1, 0]);
  });
});

describe('no proxy is used', () => {
  it.each([
    ['no_proxy', openHost],
    ['NO_PROXY', `example.com, ${openHost} ,.test`],
    ['NO_PROXY', '*'],
  ])('of a host that %s lists as %s', async (variable, list) => {
    vi.stubEnv('no_proxy', '');
    vi.stubEnv(variable, list);
    const proxy = await proxyServer();
    await using setup = await behind({ host: openHost, setting: `http://127.0.0.1:${proxy.port}` });
    await token(setup);
    expect(proxy.targets).toEqual([]);
  });

  it('of a loopback host', async () => {
    await using setup = await behind({ host: 'localhost', setting: 'http://127.0.0.1:9' });
    await token(setup);
  });
});

describe('a proxy that cannot be used is never bypassed', () => {
  it('and the address of these tests could be reached without one', async () => {
    await using setup = await behind({ host: openHost, setting: '' });
    await token(setup);
  });

  const refused = async (options: ProxyOptions, budget = 1_000) => {
    const proxy = await proxyServer(options);
    await using setup = await behind({ host: openHost, setting: `http://127.0.0.1:${proxy.port}`, budget });
    const error = await failure(token(setup));
    expect(setup.simulator.connections).toBe(0);
    return error;
  };

  it('when nothing listens there', async () => {
    const gone = await startProxy();
    await gone.close();
    await using setup = await behind({ host: openHost, setting: `http://127.0.0.1:${gone.port}`, budget: 1_000 });
    const error = await failure(token(setup));
    expect(error).toMatchObject({ code: 'proxy' });
    expect(error.describe()).toMatch(/connection was refused \(proxy 127\.0\.0\.1:\d+, ECONNREFUSED\).*https_proxy/);
    expect(setup.simulator.connections).toBe(0);
  });

  it('when it never answers: the deadline ends the run', async () => {
    const error = await refused({ script: Array(9).fill('silence') });
    expect(error.describe()).toMatch(/no complete answer came in time \(proxy 127\.0\.0\.1:\d+/);
  });

  it('when it forbids the host', async () => {
    const error = await refused({ script: [403] });
    expect(error.describe()).toMatch(/answered 403 to CONNECT \(1 attempt\).*no_proxy/);
  });

  it('when it speaks something else', async () => {
    const error = await refused({ script: Array(9).fill({ answer: 'SSH-2.0-OpenSSH\r\n\r\n' }) });
    expect(error.code).toBe('proxy');
  });
});
