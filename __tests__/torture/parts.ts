import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { Haystack } from '../support/haystack.ts';
import { startProxy } from '../support/proxy.ts';
import { runStep, type StepResult } from '../support/runner.ts';
import { type PartOptions, type PartResult, type Problem, pool, problem, table } from './report.ts';

/** A name that only a proxy of npm's knows, and one that every program on this machine knows. */
const hiddenName = 'runai.test';
const ownName = hostname();
const names = ['localhost', hiddenName, ownName];

interface Certificate {
  /** PEM. */
  cert: string;
  key: string;
}

const config = `
[ca]
default_ca = authority
[authority]
dir = .
database = ./index
new_certs_dir = ./issued
rand_serial = yes
default_md = sha256
default_days = 30
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[server]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth
[authorities]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[req]
distinguished_name = none
[none]
`;

/** A certificate authority as people create it with openssl's own commands. */
class Authority {
  readonly folder = mkdtempSync(join(tmpdir(), 'authority-'));
  readonly root: Certificate;

  constructor() {
    writeFileSync(join(this.folder, 'config'), config);
    writeFileSync(join(this.folder, 'index'), '');
    mkdirSync(join(this.folder, 'issued'));
    this.root = this.selfSigned('root', ['-extensions', 'authorities']);
  }

  /** Self-signed. */
  selfSigned(name: string, more: string[]): Certificate {
    this.#openssl('req', '-x509', ...this.#newKey(name), '-days', '30', '-out', `${name}.pem`, ...more);
    return this.#read(name);
  }

  issue(name: string, { by = 'root', more = [] }: { by?: string; more?: string[] } = {}): Certificate {
    const hosts = `subjectAltName=${names.map((host) => `DNS:${name === 'elsewhere' ? `not-${host}` : host}`).join()}`;
    const extensions = name === 'intermediate' ? 'authorities' : 'server';
    this.#openssl('req', '-new', ...this.#newKey(name), '-out', `${name}.csr`, '-addext', hosts);
    const signer = ['-cert', `${by}.pem`, '-keyfile', `${by}.key`, '-extensions', extensions];
    this.#openssl(
      'ca',
      '-config',
      'config',
      '-batch',
      '-notext',
      ...signer,
      ...more,
      '-in',
      `${name}.csr`,
      '-out',
      `${name}.pem`,
    );
    return this.#read(name);
  }

  #newKey(name: string): string[] {
    const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`];
    return ['-config', 'config', '-subj', `/CN=${name}`, ...key];
  }

  #openssl(...parameters: string[]): void {
    execFileSync('openssl', parameters, { cwd: this.folder, stdio: 'pipe' });
  }

  #read(name: string): Certificate {
    const [cert, key] = ['pem', 'key'].map((end) => readFileSync(join(this.folder, `${name}.${end}`), 'utf8'));
    return { cert: cert ?? '', key: key ?? '' };
  }

  close(): void {
    rmSync(this.folder, { recursive: true });
  }
}

interface Cell {
  name: string;
  /** Runs steps; says what is wrong, if anything is. */
  work(): Promise<string[]>;
}

interface Given {
  tls: Certificate;
  ca: string;
  /** What the error says; a success without it. */
  fails?: RegExp;
  host?: string;
  mode?: 'token' | 'create-app';
  env?: Record<string, string>;
}

interface Tried {
  step: StepResult;
  simulator: Simulator;
  problems: string[];
}

async function tryStep({ tls, ca, fails, host = 'localhost', mode = 'token', env = {} }: Given): Promise<Tried> {
  const simulator = await startSimulator({ tls });
  const { username, password } = simulator.admin;
  const url = `https://${host}:${simulator.port}`;
  const app = mode === 'create-app' ? { 'app-name': 'app-one' } : {};
  const inputs = { mode, url, username, password, 'ca-certificate': ca, 'timeout-seconds': '10', ...app };
  try {
    const step = await runStep({ inputs, env });
    return { step, simulator, problems: judge(step, { fails, simulator, mode }) };
  } finally {
    await simulator.close();
  }
}

function judge(
  step: StepResult,
  { fails, simulator, mode }: { fails: RegExp | undefined; simulator: Simulator; mode: string },
): string[] {
  const problems: string[] = [];
  const [error = ''] = step.errors;
  if (step.hung) problems.push('the step had to be killed');
  if (step.stderr) problems.push(`stderr: ${step.stderr}`);
  if (!fails) {
    if (step.exitCode !== 0) problems.push(`failed: ${error}`);
    const works =
      mode === 'token' ? simulator.isValidToken(step.outputs['access-token'] ?? '') : worksFor(simulator, step);
    if (step.exitCode === 0 && !works) problems.push('what was published does not work');
    return problems;
  }
  if (step.exitCode !== 1) problems.push(`exit code ${step.exitCode}, not 1`);
  if (!fails.test(error)) problems.push(`says: ${error}`);
  if (simulator.requests.length > 0) problems.push(`${simulator.requests.length} requests reached the control plane`);
  return problems;
}

function worksFor(simulator: Simulator, { outputs }: StepResult): boolean {
  return simulator.isValidSecret(outputs['client-id'] ?? '', outputs['client-secret'] ?? '');
}

const refused = (code: string) => new RegExp(`${code}\\) \\(1 attempt\\)\\..*ca-certificate`);

function certificateCells(authority: Authority): Cell[] {
  const { root } = authority;
  const server = authority.issue('server');
  const intermediate = authority.issue('intermediate');
  const below = authority.issue('below', { by: 'intermediate' });
  const expired = authority.issue('expired', { more: ['-startdate', '200101000000Z', '-enddate', '200201000000Z'] });
  const elsewhere = authority.issue('elsewhere');
  const alone = authority.selfSigned('alone', ['-addext', 'subjectAltName=DNS:localhost']);
  const chain = { key: below.key, cert: below.cert + intermediate.cert };
  const [oldest, newest] = [
    { ...server, maxVersion: 'TLSv1.2' },
    { ...server, minVersion: 'TLSv1.3' },
  ] as const;
  const path = join(authority.folder, 'root.pem');
  const keyPath = join(authority.folder, 'root.key');
  const broken = join(authority.folder, 'broken.pem');
  writeFileSync(broken, root.cert.replace(/\n[^\n]{9}/, '\nQUFBQUFBQ'));
  const cells: Record<string, Given> = {
    'private root as text': { tls: server, ca: root.cert },
    'private root as a path': { tls: server, ca: path },
    'several certificates in one text': { tls: server, ca: alone.cert + root.cert },
    'TLS 1.2': { tls: oldest, ca: root.cert },
    'TLS 1.3': { tls: newest, ca: root.cert },
    'intermediate sent': { tls: chain, ca: root.cert },
    'intermediate missing': { tls: below, ca: root.cert, fails: refused('UNABLE_TO_VERIFY_LEAF_SIGNATURE') },
    'root not given': { tls: server, ca: '', fails: refused('UNABLE_TO_VERIFY_LEAF_SIGNATURE') },
    'another root given': { tls: server, ca: alone.cert, fails: refused('UNABLE_TO_VERIFY_LEAF_SIGNATURE') },
    'wrong name': { tls: elsewhere, ca: root.cert, fails: refused('ERR_TLS_CERT_ALTNAME_INVALID') },
    expired: { tls: expired, ca: root.cert, fails: refused('CERT_HAS_EXPIRED') },
    'self-signed': { tls: alone, ca: root.cert, fails: refused('DEPTH_ZERO_SELF_SIGNED_CERT') },
    'malformed file': { tls: server, ca: broken, fails: /ca-certificate: certificate number 1 cannot be read/ },
    'only a private key': { tls: server, ca: keyPath, fails: /ca-certificate contains no certificate/ },
  };
  return Object.entries(cells).map(([name, given]) => ({
    name: `certificate: ${name}`,
    work: async () => (await tryStep(given)).problems,
  }));
}

interface ProxyKind {
  name: string;
  /** The host name of the control plane that this proxy can resolve. */
  host: string;
  start(credentials?: { username: string; password: string }): Promise<{ port: number; close(): unknown }>;
}

const npmProxy: ProxyKind = {
  name: 'proxy (npm)',
  host: hiddenName,
  start: (credentials) => startProxy(credentials ? { credentials } : {}),
};

const tinyproxy: ProxyKind = {
  name: 'tinyproxy',
  host: ownName,
  async start(credentials) {
    const folder = mkdtempSync(join(tmpdir(), 'tinyproxy-'));
    const port = await freePort();
    const auth = credentials ? `BasicAuth ${credentials.username} ${credentials.password}\n` : '';
    writeFileSync(join(folder, 'conf'), `Port ${port}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\n${auth}`);
    const child = spawn('tinyproxy', ['-d', '-c', join(folder, 'conf')], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    await listening(port);
    return {
      port,
      async close() {
        child.kill('SIGKILL');
        await ended;
        rmSync(folder, { recursive: true });
      },
    };
  },
};

async function freePort(): Promise<number> {
  const server: Server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const socket = connect(port, '127.0.0.1');
    const open = await once(socket, 'connect').catch(() => undefined);
    socket.destroy();
    if (open) return;
    await sleep(50);
  }
  throw new Error(`nothing listens on port ${port}`);
}

function proxyCells(proxy: ProxyKind, { tls, ca }: { tls: Certificate; ca: string }): Cell[] {
  const good = { username: 'build-bot', password: 'Zq7vX2mKp9TnW4sL' };
  const bad = { username: 'build-bot', password: 'Jd8rY3bFh6GcN5tQ' };
  const through =
    (given: Partial<Given>, { wants, sends }: { wants?: typeof good; sends?: typeof good } = {}) =>
    async () => {
      const running = await proxy.start(wants);
      const user = sends ? `${sends.username}:${sends.password}@` : '';
      const env = { https_proxy: `http://${user}127.0.0.1:${running.port}` };
      try {
        const { step, problems } = await tryStep({ tls, ca, host: proxy.host, env, ...given });
        return [...problems, ...(sends ? secrecyOf(step, sends) : [])];
      } finally {
        await running.close();
      }
    };
  const fails = /answered 407 to CONNECT \(1 attempt\).*https_proxy/;
  const untrusted = refused('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  const cells: Record<string, () => Promise<string[]>> = {
    'no authentication': through({}),
    'token and create': through({ mode: 'create-app' }),
    'private root not given': through({ ca: '', fails: untrusted }),
    authentication: through({}, { wants: good, sends: good }),
    'authentication, token and create': through({ mode: 'create-app' }, { wants: good, sends: good }),
    'no credentials': through({ fails }, { wants: good }),
    'wrong credentials': through({ fails: /to CONNECT \(1 attempt\)/ }, { wants: good, sends: bad }),
  };
  return Object.entries(cells).map(([name, work]) => ({ name: `${proxy.name}: ${name}`, work }));
}

/** A proxy's password is masked in each form, and nothing of it is printed. */
function secrecyOf(step: StepResult, { username, password }: { username: string; password: string }): string[] {
  const pair = Buffer.from(`${username}:${password}`).toString('base64');
  const unmasked = [password, pair].filter((secret) => !step.masks.includes(secret));
  const shown = step.log.filter(({ command }) => command !== 'add-mask').map(({ text }) => text);
  const hit = new Haystack([...shown, step.stderr, step.summary, ...step.strayFiles]).find(password);
  return [
    ...unmasked.map(() => "the proxy's password is not masked"),
    ...(hit ? [`LEAK of the proxy's password: ${hit.form}`] : []),
  ];
}

const isInstalled = (program: string) => !spawnSync(program, ['-v']).error;

/** A proxy of Debian's finds the control plane by the name of this machine, where that leads back to it. */
async function whyNoTinyproxy(): Promise<string | undefined> {
  if (!isInstalled('tinyproxy')) return 'not installed';
  const { address } = await lookup(ownName, 4).catch(() => ({ address: 'unknown' }));
  return address.startsWith('127.') && ownName !== 'localhost' ? undefined : 'this machine does not know its own name';
}

async function verdictsOf(cells: readonly Cell[]): Promise<{ cell: Cell; problems: string[] }[]> {
  return pool(cells, { atOnce: 3, work: async (cell) => ({ cell, problems: await cell.work() }) });
}

function kindOf(text: string): Problem['kind'] {
  if (text.includes('LEAK')) return 'leak';
  if (text.includes('killed')) return 'hang';
  return text.includes('does not work') ? 'green and wrong' : 'other';
}

/** Runs the action against a certificate authority and proxies that other people have written. */
export async function run(_: PartOptions): Promise<PartResult> {
  const title = 'Real parts';
  if (!isInstalled('openssl')) {
    return { title, cells: 0, problems: [], lines: ['not run: openssl is not installed'] };
  }
  const authority = new Authority();
  try {
    const reach = { tls: authority.issue('behind'), ca: authority.root.cert };
    const missing = await whyNoTinyproxy();
    const proxies = missing ? [npmProxy] : [npmProxy, tinyproxy];
    const cells = [...certificateCells(authority), ...proxies.flatMap((proxy) => proxyCells(proxy, reach))];
    const verdicts = await verdictsOf(cells);
    const texts = verdicts.flatMap(({ cell, problems }) => problems.map((text) => `${cell.name}: ${text}`));
    const rows = verdicts.map(({ cell, problems }) => [cell.name, problems.length > 0 ? 'WRONG' : 'as it should be']);
    return {
      title,
      cells: cells.length,
      problems: texts.map((text) => problem(kindOf(text), text)),
      lines: [...table([['part', 'verdict'], ...rows]), ...(missing ? [`tinyproxy: not run (${missing})`] : [])],
    };
  } finally {
    authority.close();
  }
}
