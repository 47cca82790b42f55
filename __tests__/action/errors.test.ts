// How a step fails: the words, the code, the link, and that nothing is lost on the way to the log.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import type { Fault, SimulatorOptions } from '../simulator/simulator.ts';
import { createAuthority } from '../support/certificates.ts';
import { runStep, startStep } from '../support/runner.ts';
import { openStage, received, type Stage, sent } from '../support/stage.ts';
import { onWindows } from '../support/system.ts';

const open: (Server | TcpServer)[] = [];
afterAll(() => {
  for (const server of open) server.close();
});

/** The URL of a server of its own. */
async function listening(server: Server | TcpServer): Promise<string> {
  open.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const create = { mode: 'create-app', 'app-name': 'trainer' };
const token = { mode: 'token' };
const identity = ({ simulator: { oidc } }: Stage) => ({
  env: { ACTIONS_ID_TOKEN_REQUEST_URL: oidc.url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: oidc.requestToken },
});
const page = (status: number): Fault => ({ kind: 'html', status });
const answer = (status: number, body: unknown): Fault => ({ kind: 'status', status, body });

interface Case {
  what: string;
  inputs: Record<string, string>;
  options?: SimulatorOptions;
  fault?: { path?: string | RegExp; method?: string; fault: Fault };
  prepare?: (stage: Stage) => void;
  code: ErrorCode;
  says: RegExp[];
  not?: RegExp;
}

const cases: Case[] = [
  ...[401, 403].map((status) => ({
    what: `a page with ${status} in place of a grant: the credentials were not judged`,
    inputs: token,
    fault: { fault: page(status) },
    code: 'blocked' as const,
    says: [/answered 40[13]/, /in front of the control plane refused the request/, /credentials were not checked/],
    not: /did not accept username/,
  })),
  {
    what: 'a page with 403 in place of a create',
    inputs: create,
    options: { version: '2.22' },
    fault: { path: /apps$/, fault: page(403) },
    code: 'blocked',
    says: [/POST \S+\/apps answered 403/, /firewall, a gateway or a login page/],
    not: /permission/,
  },
  {
    what: 'a missing permission, by its name in the UI, and for whom',
    inputs: { ...create, ...{ 'client-id': 'ci', 'client-secret': 'kW3-pQ8_vN5.zT2r' } },
    prepare: ({ simulator }) => void simulator.addApplication({ name: 'ci', secret: 'kW3-pQ8_vN5.zT2r' }),
    options: { version: '2.22' },
    code: 'forbidden',
    says: [/answered 403/, /the application ci needs a role with the permission Create for Applications/],
  },
  {
    what: 'a permission that is missing at both endpoints of 2.24: both are named',
    inputs: create,
    options: { version: '2.24', forbid: ['apps', 'service-account'] },
    code: 'forbidden',
    says: [/POST \S+\/api\/v1\/apps answered 403/, /\/api\/v1\/service-accounts answered 403 as well/],
  },
  {
    what: 'a permission to delete',
    inputs: { mode: 'delete-app', 'app-name': 'trainer' },
    prepare: ({ simulator }) => void simulator.addApplication({ name: 'trainer' }),
    fault: { method: 'DELETE', fault: answer(403, { message: 'no' }) },
    code: 'forbidden',
    says: [/DELETE \S+ answered 403: "no"/, /Delete for Applications/],
  },
  {
    what: 'a 429 without room to wait',
    inputs: token,
    fault: { fault: { kind: 'status', status: 429, headers: { 'retry-after': '3600' } } },
    code: 'unavailable',
    says: [/answered 429/, /it asks to wait 3600 s/, /run the job again later, or raise timeout-seconds/],
  },
  {
    what: 'a foreign access token: where to get one',
    inputs: { ...create, 'access-token': 'f3Gh8Jk.q2Wx5Vb.n7Mt' },
    code: 'token-rejected',
    says: [/answered 401/, /Get a new one for access-token, with a mode: token step in the same job/],
  },
  {
    what: 'the application that the step signs in with is not rotated',
    inputs: { mode: 'rotate-app', 'app-name': 'ci', credentials: 'ci:kW3-pQ8_vN5.zT2r' },
    prepare: (stage) => {
      const { simulator } = stage;
      simulator.addApplication({ name: 'ci', secret: 'kW3-pQ8_vN5.zT2r' });
      const scope = { scopeType: 'tenant', scopeId: '1' };
      simulator.addAccessRule({ subjectId: 'ci', subjectType: 'app', roleId: 1, ...scope });
    },
    code: 'rejected',
    says: [/the application ci is the one that this step signs in with/, /Nothing was changed/],
  },
  {
    what: 'a name that is taken',
    inputs: create,
    prepare: ({ simulator }) => void simulator.addApplication({ name: 'trainer' }),
    code: 'conflict',
    says: [/answered 409/, /set if-exists to skip to keep it, or to rotate/],
  },
  {
    what: 'two applications of one name, with both ids',
    inputs: { mode: 'rotate-app', 'app-name': 'trainer' },
    prepare: ({ simulator }) => {
      simulator.addApplication({ name: 'trainer', id: 'id-1' });
      simulator.addApplication({ name: 'trainer', id: 'id-2' });
    },
    code: 'conflict',
    says: [/several applications named trainer/, /id-1, id-2/, /use app-id/],
  },
  {
    what: 'a user of single sign-on has no password',
    inputs: { mode: 'create-user', email: 'ada@acme.example', 'if-exists': 'rotate' },
    prepare: ({ simulator }) => void simulator.addUser({ email: 'ada@acme.example', isLocal: false }),
    code: 'single-sign-on',
    says: [/ada@acme.example signs in through an identity provider/, /use if-exists: skip/],
  },
  {
    what: 'a server that is not Run:ai',
    inputs: token,
    fault: { fault: page(404) },
    code: 'not-run-ai',
    says: [/has neither \/api\/v1\/token nor \/api\/v2\/token \(404\)/],
  },
  {
    what: 'a redirect, by its target',
    inputs: token,
    fault: { fault: { kind: 'redirect', status: 302, location: 'https://acme.run.ai/login' } },
    code: 'redirect',
    says: [/answered 302, a redirect/, /If https:\/\/acme\.run\.ai is your control plane, use it as url/],
  },
];

describe.concurrent('an error says what failed, and what to do', () => {
  it.each(cases)('$what', async ({ inputs, options, fault, prepare, code, says, not }) => {
    await using stage = await openStage(options);
    prepare?.(stage);
    if (fault) stage.simulator.fault({ times: 99, ...fault });
    const { exitCode, errors, outputs } = await stage.run(inputs);
    expect(exitCode).toBe(1);
    expect(outputs['error-code']).toBe(code);
    for (const part of says) expect(errors[0]).toMatch(part);
    if (not) expect(errors[0]).not.toMatch(not);
    expect(errors[0]).toContain(`${inputs['mode']}: `);
  });
});

describe.concurrent("the job's own identity", () => {
  const oidc = { mode: 'token', 'oidc-audience': 'runai', 'timeout-seconds': '2' };

  it.each<{ what: string; fault: Fault; says: RegExp }>([
    { what: 'answers with a page', fault: page(200), says: /answered 200 with a web page/ },
    { what: 'refuses with a page', fault: page(403), says: /answered 403/ },
    { what: 'refuses', fault: answer(401, { message: 'No token for you' }), says: /answered 401: "No token for you"/ },
    { what: 'is down', fault: answer(503, {}), says: /answered 503/ },
    { what: 'is silent', fault: { kind: 'stall', when: 'before-head' }, says: /no complete answer came in time/ },
    { what: 'answers without a token', fault: answer(200, {}), says: /answered 200 with JSON without value/ },
  ])("names GitHub's token service, which $what", async ({ fault, says }) => {
    await using stage = await openStage();
    stage.simulator.fault({ path: '_oidc', times: 99, fault });
    const { errors, outputs } = await stage.run(oidc, identity(stage));
    expect(outputs['error-code']).toBe('oidc');
    expect(errors[0]).toMatch(says);
    expect(errors[0]).toContain("GitHub's token service");
    expect(errors[0]).not.toMatch(/\burl\b/);
    expect(sent(stage.simulator, 'POST')).toEqual([]);
  });

  it("names GitHub's token service, which cannot be reached", async () => {
    const gone = await listening(createServer());
    open.pop()?.close();
    const env = { ACTIONS_ID_TOKEN_REQUEST_URL: `${gone}/token`, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-token' };
    const { errors } = await runStep({ inputs: { ...oidc, url: 'https://acme.run.ai', 'timeout-seconds': '1' }, env });
    expect(errors).toEqual([expect.stringContaining("This is GitHub's token service")]);
  });

  it('is shown by issuer, audience and subject where the control plane does not trust it', async () => {
    await using stage = await openStage({ oidcAudience: 'another', oidcSubject: 'ids' });
    const { errors, outputs } = await stage.run(oidc, identity(stage));
    expect(outputs['error-code']).toBe('credentials');
    expect(errors[0]).toContain('the tenant must trust the identity provider that issued it');
    expect(errors[0]).toContain('iss https://token.actions.githubusercontent.com, aud runai');
    expect(errors[0]).toContain('sub repo:acme@9919/app@1296269:ref:refs/heads/main');
  });

  it('is fetched again if it has expired while the control plane was down', async () => {
    await using stage = await openStage({ oidcLifetime: 3 });
    const fault: Fault = { kind: 'status', status: 503, headers: { 'retry-after': '4' } };
    stage.simulator.fault({ path: /api\/v1\/token$/, fault });
    const { exitCode } = await stage.run({ ...oidc, 'timeout-seconds': '20' }, identity(stage));
    expect(exitCode).toBe(0);
    expect(sent(stage.simulator, 'GET', '_oidc')).toHaveLength(2);
  });

  it('needs a permission, without which nothing is requested', async () => {
    await using stage = await openStage();
    const { errors } = await stage.run(oidc);
    expect(errors[0]).toContain('id-token: write');
    expect(stage.simulator.requests).toEqual([]);
  });

  it.each(['http://192.0.2.2/token', 'ftp://127.0.0.1/token', 'file:///token', 'none'])(
    'is never asked for at %s',
    async (address) => {
      const env = { ACTIONS_ID_TOKEN_REQUEST_URL: address, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-token' };
      const { errors } = await runStep({ inputs: { ...oidc, url: 'https://acme.run.ai' }, env });
      expect(errors).toEqual([expect.stringContaining('oidc-audience: GitHub offers this job no OIDC token')]);
    },
  );

  it('needs ca-certificate where the certificate of the token service is not trusted', async () => {
    const authority = await createAuthority();
    await using stage = await openStage({ tls: await authority.issue({ hosts: ['localhost'] }) });
    const { errors, outputs } = await stage.run(oidc, identity(stage));
    expect(outputs['error-code']).toBe('certificate');
    expect(errors[0]).toContain('ca-certificate');
  });
});

describe.concurrent('wrong inputs', () => {
  const url = 'https://acme.run.ai';
  const app = { 'client-id': 'ci', 'client-secret': 'kW3-pQ8_vN5.zT2r' };

  it.each([
    ['url with the path of the API', { ...token, url: `${url}/api/v1` }, 'url must end before /api/v1'],
    [
      'several addresses in one line',
      { mode: 'create-user', url, email: 'a@acme.example, b@acme.example' },
      'email contains several addresses on one line: write one address per line',
    ],
    ['a name in capitals', { mode: 'create-app', url, 'app-name': 'CI-Runner' }, 'ci-runner would do'],
    ['a file that is not there', { ...token, url, 'ca-certificate': '/none/ca.pem' }, 'ENOENT'],
    ['a mode that does not use it', { ...token, url, 'app-name': 'x1' }, 'app-name is not used by mode token'],
    ['a secret that is empty', { ...token, url, 'client-secret': '' }, 'client-secret is empty'],
  ])('are explained by the hint for exactly that case: %s', async (_what, inputs, says) => {
    const { exitCode, errors, outputs } = await runStep({ inputs: { ...app, ...inputs } });
    expect(exitCode).toBe(1);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain(says);
    expect(outputs).toEqual({ 'error-code': 'inputs' });
  });

  it('that are far too long end in a short error, at once', async () => {
    const rules = Array.from({ length: 3_000 }, (_, at) => `nonsense ${at}`).join('\n');
    const long = { ...create, ...app, url: `${url}/${'/'.repeat(60_000)}a`, 'access-rules': rules };
    const { hung, exitCode, errors } = await runStep({ inputs: long, patience: 15_000 });
    expect({ hung, exitCode }).toEqual({ hung: false, exitCode: 1 });
    expect(errors[0]?.length).toBeLessThan(6_000);
    expect(errors[0]).toContain('and 2981 more');
  });
});

describe.concurrent('an error ends with a link to what it means, in this action at this version', () => {
  const origin = {
    GITHUB_SERVER_URL: 'https://github.example.com',
    GITHUB_ACTION_REPOSITORY: 'your-org/runai-auth',
    GITHUB_ACTION_REF: 'v1.2.3',
  };
  const docs = 'https://github.example.com/your-org/runai-auth/blob/v1.2.3/docs/troubleshooting.md';

  it.each([
    ['inputs', { mode: 'create-app' }],
    ['credentials', { mode: 'token', username: 'jo', password: 'wrong-password' }],
    ['not-found', { mode: 'rotate-app', 'app-name': 'trainer' }],
  ])('%s', async (code, inputs) => {
    await using stage = await openStage();
    const { errors, outputs } = await stage.run(inputs, { env: origin });
    expect(outputs['error-code']).toBe(code);
    expect(errors[0]).toMatch(new RegExp(` See ${docs.replaceAll('.', '\\.')}#${code}$`));
  });

  it.each(Object.keys(origin))('and has none without %s', async (name) => {
    await using stage = await openStage();
    const { errors } = await stage.run(
      { mode: 'rotate-app', 'app-name': 'trainer' },
      { env: { ...origin, [name]: '' } },
    );
    expect(errors[0]).not.toContain('See ');
  });

  it('but not in the output users', async () => {
    await using stage = await openStage();
    stage.simulator.addUser({ email: 'ada@acme.example' });
    const { errors, outputs } = await stage.run({ mode: 'create-user', email: 'ada@acme.example' }, { env: origin });
    expect(errors[0]).toContain(`${docs}#conflict`);
    const [user] = JSON.parse(outputs['users'] ?? '');
    expect(user).toEqual({ email: 'ada@acme.example', error: expect.stringContaining('answered 409') });
    expect(user.error).not.toContain('See ');
  });
});

describe.concurrent('the first time that a request is tried again', () => {
  it('the log says so, and until when, once', async () => {
    await using stage = await openStage();
    stage.simulator.fault({ times: 3, fault: { kind: 'status', status: 503 } });
    const begin = Date.now();
    const { exitCode, log } = await stage.run(token);
    expect(exitCode).toBe(0);
    const lines = log.filter(({ text }) => text.includes('trying again until'));
    expect(lines).toHaveLength(1);
    const [, until = ''] = /answered 503.*; trying again until (\S+)$/.exec(lines[0]?.text ?? '') ?? [];
    expect(Math.abs(Date.parse(until) - begin - 60_000)).toBeLessThan(5_000);
  });
});

describe.concurrent('a step ends by its deadline, and with a word', () => {
  const quick = { 'timeout-seconds': '1' };

  it.each<[string, Fault]>([
    ['is silent', { kind: 'stall', when: 'before-head' }],
    ['is silent in the middle', { kind: 'stall', when: 'in-body' }],
    ['sends a byte now and then', { kind: 'drip', ms: 200 }],
  ])('where the server %s', async (_how, fault) => {
    await using stage = await openStage();
    stage.simulator.fault({ times: 99, fault });
    const { errors, outputs, duration } = await stage.run({ ...token, ...quick });
    expect(outputs['error-code']).toBe('unreachable');
    expect(errors[0]).toMatch(/no complete answer came in time .* the deadline of 1 s/);
    // One attempt may take five seconds, but not longer than the run.
    expect(duration).toBeLessThan(4_500);
  });

  it('where the server switches protocols', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => socket.write('HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'));
    });
    const inputs = { ...token, url: await listening(server), username: 'jo', password: 'kW3-pQ8_vN5', ...quick };
    const { exitCode, errors } = await runStep({ inputs });
    expect(exitCode).toBe(1);
    expect(errors).toEqual([expect.stringContaining('no complete answer came in time')]);
  });
});

describe.concurrent('an error of 2 MiB, full of fields that are called like a secret', () => {
  /** As many different values as fit. */
  const fields = (size: number) => {
    const value = (at: number) =>
      at
        .toString(36)
        .padStart(6, '0')
        .repeat(Math.ceil(size / 6))
        .slice(0, size);
    const list = Array.from({ length: Math.floor(2_000_000 / (size + 14)) }, (_, at) => ({ token: value(at) }));
    return { message: 'no', list };
  };

  it.each([8, 40, 40_000])('of %i characters each is masked within bounds, and in time', async (size) => {
    await using stage = await openStage();
    stage.simulator.fault({ times: 99, fault: answer(503, fields(size)) });
    const { exitCode, masks, duration } = await stage.run({ ...token, 'timeout-seconds': '5' });
    expect(exitCode).toBe(1);
    expect(duration).toBeLessThan(8_000);
    expect(masks.length).toBeLessThan(2_000);
  });

  it.skipIf(onWindows)('does not make a run deaf to signals', async () => {
    await using stage = await openStage();
    stage.simulator.fault({ times: 99, fault: answer(503, fields(40)) });
    const step = stage.start({ ...token, 'timeout-seconds': '60' });
    await received(stage.simulator, 'POST', '/token', 2);
    const since = performance.now();
    step.child.kill('SIGTERM');
    expect((await step.result).exitCode).toBe(143);
    expect(performance.now() - since).toBeLessThan(3_000);
  });

  it('ends with its last line, whole, where the log is read slowly', async () => {
    await using stage = await openStage();
    // Its masks are larger than any buffer between two processes.
    stage.simulator.fault({ times: 99, fault: answer(400, { message: 'no', token: `"\u00e9'(`.repeat(15_000) }) });
    const { url, admin } = stage.simulator;
    const step = startStep({ inputs: { ...token, url, ...admin } });
    step.child.stdout?.pause();
    await received(stage.simulator, 'POST', '/token');
    await sleep(1_500);
    step.child.stdout?.resume();
    const { exitCode, log, stdout } = await step.result;
    expect(exitCode).toBe(1);
    expect(stdout.length).toBeGreaterThan(1_000_000);
    expect(log.at(-1)).toEqual({
      command: 'error',
      text: expect.stringMatching(/check that they are current and belong to this url\.$/),
    });
  });
});
