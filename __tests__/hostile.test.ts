// What a hostile server, a busy tenant or a bad clock may do: each of these has once gone wrong.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { grantAccess } from '../src/runai/access-rules.ts';
import { createApplication, deleteApplication, findApplication } from '../src/runai/applications.ts';
import { systemClock } from '../src/runai/clock.ts';
import { signIn } from '../src/runai/tokens.ts';
import { findUser } from '../src/runai/users.ts';
import { createSecrets } from '../src/secrets.ts';
import { startSimulator } from './simulator/simulator.ts';
import { createAuthority } from './support/certificates.ts';
import { adminGrant, clientFor, connect, failure, testClock } from './support/client.ts';
import { runStep } from './support/runner.ts';

const open: (Server | TcpServer)[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

async function listening<S extends Server | TcpServer>(server: S): Promise<string> {
  open.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server that answers every request with the JSON that `answer` makes of its path. */
function answering(answer: (path: string, count: number) => { status?: number; json: unknown }): Promise<string> {
  let count = 0;
  const server = createServer((request, response) => {
    const { status = 200, json } = answer(request.url ?? '', count++);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json));
  });
  return listening(server);
}

const credentials = { 'client-id': 'ci', 'client-secret': 'kW3-pQ8_vN5.zT2r' };
const grant = { type: 'client_credentials' as const, clientId: 'ci', clientSecret: 'kW3-pQ8_vN5.zT2r' };
const name = 'ci-app';

describe('a step never ends without a word', () => {
  it('when a server switches protocols', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', () => socket.write('HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'));
    });
    const url = await listening(server);
    const result = await runStep({ inputs: { mode: 'token', url, ...credentials, 'timeout-seconds': '1' } });
    expect(result.exitCode).toBe(1);
    expect(result.errors).toEqual([expect.stringContaining('no whole answer came in time')]);
  });
});

describe('a deadline', () => {
  it('does not go by a clock that can be set', () => {
    const before = systemClock.now();
    const real = Date.now;
    try {
      Date.now = () => real() - 3_600_000;
      expect(systemClock.now()).toBeGreaterThanOrEqual(before);
    } finally {
      Date.now = real;
    }
  });

  it('is not spoiled by the search for secrets in what a server says', () => {
    const { mask, clean } = createSecrets(() => {});
    mask('x'.repeat(600_000));
    mask(Array.from({ length: 9_000 }, (_, at) => at.toString(36)).join('-'));
    const startedAt = performance.now();
    for (let count = 0; count < 200; count++) clean(`A role of the name ${count} `.repeat(100));
    // It took minutes once; what is measured here is only that it is not that.
    expect(performance.now() - startedAt).toBeLessThan(20_000);
  });

  it('is not needed to end a list that has no end', async () => {
    let page = 0;
    const url = await answering(() => ({ json: [{ id: `u${page}`, username: `user-${page++}@example.com` }] }));
    await using setup = clientFor(url, { clock: testClock() });
    const error = await failure(findUser(setup.client, 'jo@example.com'));
    expect(error.describe()).toContain('The control plane sent a list without an end');
    expect(page).toBe(200);
  });
});

describe('an application that somebody else makes between two attempts', () => {
  async function between(status: number) {
    const clock = testClock();
    const setup = await connect({ clock });
    await signIn(setup.client, adminGrant(setup.simulator));
    const { sleep } = clock;
    clock.sleep = async (ms) => {
      await sleep(ms);
      setup.simulator.addApplication({ name, secret: 'theirs', createdAt: clock.now() });
    };
    const headers = { 'retry-after': '5' };
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'status', status, headers } });
    return setup;
  }

  it.each([500, 502, 503])('is left alone after an answer of %i, which ended our own attempt', async (status) => {
    await using setup = await between(status);
    const error = await failure(createApplication(setup.client, { name, ifExists: 'fail' }));
    expect(error.code).toBe('conflict');
    expect(setup.simulator.isValidSecret(name, 'theirs')).toBe(true);
  });

  // The work may be done after a gateway has given up waiting for it, so there it cannot be told from our own.
  it.each([408, 504])('cannot be told from our own after %i', async (status) => {
    await using setup = await between(status);
    expect((await createApplication(setup.client, { name, ifExists: 'fail' })).created).toBe(true);
  });
});

describe('a time of creation is not believed', () => {
  it.each([
    ['without a zone', (now: number) => new Date(now).toISOString().replace('Z', '')],
    ['in another form', (now: number) => new Date(now).toUTCString()],
    ['of the future', (now: number) => new Date(now + 60_000).toISOString()],
    ['that is no time', () => 'x 2099'],
  ])('%s', async (_how, createdAt) => {
    await using setup = await connect();
    await signIn(setup.client, adminGrant(setup.simulator));
    setup.simulator.addApplication({ name, secret: 'theirs', createdAt: createdAt(setup.clock.now()) });
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'reset', when: 'before-head' } });
    expect((await failure(createApplication(setup.client, { name, ifExists: 'fail' }))).code).toBe('conflict');
    expect(setup.simulator.isValidSecret(name, 'theirs')).toBe(true);
  });
});

describe('secrets in an answer are masked', () => {
  const token = 'aX4mR9wQ2tB7nL5c';
  it.each([
    ['that is not the one that was asked for', 200, { refreshToken: token }],
    ['of an error', 400, { message: `no ${token}`, accessToken: token }],
    ['below other fields', 403, { details: [{ clientSecret: token }], message: token }],
  ])('%s', async (_how, status, json) => {
    await using setup = clientFor(await answering(() => ({ status, json })), { clock: testClock() });
    const error = await failure(signIn(setup.client, grant));
    expect(setup.masks).toContain(token);
    expect(error.describe()).not.toContain(token.slice(0, 8));
  });

  it('although another field of the same answer is used', async () => {
    const json = { id: '1', clientSecret: 'the-one-that-counts', secret: token };
    await using setup = clientFor(await answering(() => ({ status: 201, json })), { clock: testClock() });
    await createApplication(setup.client, { name, ifExists: 'fail' });
    expect(setup.masks).toEqual(expect.arrayContaining([token, 'the-one-that-counts']));
  });
});

describe('an answer is refused', () => {
  const list = (application: object) => answering(() => ({ json: [{ name, ...application }] }));

  it.each(['..', '.', 'a b', 'a\nb', 'ä', '', 'x'.repeat(256), 7])(
    'with the id %j, which would become part of a path',
    async (id) => {
      await using setup = clientFor(await list({ id }), { clock: testClock() });
      expect((await failure(deleteApplication(setup.client, { name }))).code).toBe('unreadable');
    },
  );

  it.each(['$(id)\n::error::x', 'a b'])('with the client id %j', async (clientId) => {
    await using setup = clientFor(await list({ id: '1', clientId }), { clock: testClock() });
    expect((await failure(findApplication(setup.client, { name }))).code).toBe('unreadable');
  });

  it.each(['e\na\n0', 'tok en', 'ü'.repeat(9), 'x'.repeat(65_537)])(
    'with a token that no header can carry',
    async (accessToken) => {
      await using setup = clientFor(await answering(() => ({ json: { accessToken } })), { clock: testClock() });
      expect((await failure(signIn(setup.client, grant))).code).toBe('unreadable');
    },
  );

  it('but not for a name that it leaves out: it is the one that was asked for', async () => {
    const url = await answering(() => ({ status: 201, json: { id: '1', clientSecret: 's' } }));
    await using setup = clientFor(url, { clock: testClock() });
    const { application } = await createApplication(setup.client, { name, ifExists: 'fail' });
    expect(application).toMatchObject({ name, clientId: name });
  });
});

describe('a look-alike', () => {
  it('of an address is another user', async () => {
    const users = [{ id: '1', username: '\u212Aim@example.com' }];
    const url = await answering((path) => ({ json: path.includes('offset=0') ? users : [] }));
    await using setup = clientFor(url, { clock: testClock() });
    expect(await findUser(setup.client, 'kim@example.com')).toBeUndefined();
  });

  it('of a role is not the role', async () => {
    await using setup = await connect();
    const { client, simulator } = setup;
    await signIn(client, adminGrant(simulator));
    simulator.roles.unshift({ id: 666, name: 'ml engineer' });
    const user = { id: simulator.admin.username, kind: 'user' as const };
    const scope = { scopeType: 'project' as const, scopeId: '1' };
    await grantAccess(client, user, [{ role: 'ML engineer', ...scope }]);
    const wanted = simulator.roles.find((role) => role.name === 'ML engineer');
    expect(simulator.accessRules.map(({ roleId }) => roleId)).toEqual([wanted?.id]);
    const error = await failure(grantAccess(client, user, [{ role: 'Ml Engineer', ...scope }]));
    expect(error.describe()).toContain('there are several roles of the name Ml Engineer');
  });

  it('of a role id is no role id', async () => {
    await using setup = await connect();
    const { client, simulator } = setup;
    await signIn(client, adminGrant(simulator));
    const user = { id: simulator.admin.username, kind: 'user' as const };
    const wanted = [{ role: '9007199254740993', scopeType: 'project' as const, scopeId: '1' }];
    expect((await failure(grantAccess(client, user, wanted))).describe()).toContain('there is no role of the name');
  });
});

describe('the environment', () => {
  it('cannot turn the check of certificates off', async () => {
    const authority = await createAuthority();
    const simulator = await startSimulator({ tls: await authority.issue({ hosts: ['localhost'] }) });
    const { url, admin } = simulator;
    const env = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
    const result = await runStep({ inputs: { mode: 'token', url, ...admin }, env });
    expect(result.errors).toEqual([expect.stringContaining('ca-certificate')]);
    expect(simulator.requests).toEqual([]);
    await simulator.close();
  });

  it.each(['http://192.0.2.2/token', 'ftp://127.0.0.1/token', 'file:///token', 'none'])(
    'cannot have the job’s token asked for at %s',
    async (address) => {
      const env = { ACTIONS_ID_TOKEN_REQUEST_URL: address, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-token' };
      const result = await runStep({
        inputs: { mode: 'token', url: 'https://acme.run.ai', 'oidc-audience': 'x' },
        env,
      });
      expect(result.errors).toEqual([expect.stringContaining('oidc-audience: GitHub offers this job no OIDC token')]);
    },
  );
});

describe('inputs that are far too long', () => {
  it('end in a short error, at once', async () => {
    const url = `https://acme.run.ai/${'/'.repeat(60_000)}a`;
    const rules = Array.from({ length: 3_000 }, (_, at) => `nonsense ${at}`).join('\n');
    const inputs = { mode: 'create-app', url, ...credentials, 'app-name': name, 'access-rules': rules };
    const result = await runStep({ inputs, patience: 15_000 });
    expect(result).toMatchObject({ hung: false, exitCode: 1 });
    expect(result.errors[0]?.length).toBeLessThan(6_000);
    expect(result.errors[0]).toContain('and 2981 more');
  });
});

describe('own work is recognised', () => {
  const cut = (json: unknown) =>
    (json as { createdAt: string }[]).map((item) => ({ ...item, createdAt: item.createdAt.replace(/\.\d+/, '') }));

  it('by a time that is cut to the second', async () => {
    await using setup = await connect();
    await signIn(setup.client, adminGrant(setup.simulator));
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'reset', when: 'before-head', work: true } });
    setup.simulator.fault({ method: 'GET', path: '/apps', fault: { kind: 'transform', change: cut } });
    expect((await createApplication(setup.client, { name, ifExists: 'fail' })).created).toBe(true);
  });

  it('whatever the clock of another server shows, such as the one that issues the job’s token', async () => {
    const ahead = createServer((_, response) => {
      response.setHeader('date', new Date(Date.now() + 86_400_000).toUTCString());
      response.end('{}');
    });
    const url = await listening(ahead);
    await using setup = await connect();
    await setup.client.sendElsewhere({ method: 'GET', url });
    await signIn(setup.client, adminGrant(setup.simulator));
    setup.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'reset', when: 'before-head', work: true } });
    expect((await createApplication(setup.client, { name, ifExists: 'fail' })).created).toBe(true);
  });

  it('never without the server’s own clock', async () => {
    let count = 0;
    const server = createServer((request, response) => {
      response.sendDate = false;
      if (request.method === 'POST' && count++ === 0) return response.destroy();
      const [status, json] =
        request.method === 'POST'
          ? [409, { code: 409, message: 'exists' }]
          : [200, [{ id: '1', name, createdAt: new Date().toISOString() }]];
      return response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json));
    });
    await using setup = clientFor(await listening(server), { clock: testClock() });
    expect((await failure(createApplication(setup.client, { name, ifExists: 'fail' }))).code).toBe('conflict');
  });
});

it('a date in Retry-After is read by the server’s clock, which may be another', async () => {
  const clock = testClock();
  const now = () => clock.now() + 3_600_000;
  await using setup = await connect({ clock }, { now });
  const headers = { 'retry-after': new Date(now() + 10_000).toUTCString() };
  setup.simulator.fault({ fault: { kind: 'status', status: 503, headers } });
  await signIn(setup.client, adminGrant(setup.simulator));
  expect(clock.pauses[0]).toBeLessThanOrEqual(11_500);
});

it.each([400, 401, 403])('a grant that answers %i names the credentials', async (status) => {
  await using setup = clientFor(await answering(() => ({ status, json: { message: 'no' } })), { clock: testClock() });
  const error = await failure(signIn(setup.client, grant));
  expect(error.code).toBe('credentials');
  expect(error.describe()).toContain('did not accept client-id and client-secret');
});

describe('a list of applications', () => {
  const application = (count: number) => ({ id: `id-${count}`, name: `app-${count}`, filler: 'x'.repeat(200) });

  it('may be as large as that of a very large tenant', async () => {
    const json = Array.from({ length: 7_500 }, (_, count) => application(count));
    await using setup = clientFor(await answering(() => ({ json })), { clock: testClock() });
    expect(await findApplication(setup.client, { name: 'app-7499' })).toMatchObject({ id: 'id-7499' });
  });

  it('is not read for ever', async () => {
    const json = Array.from({ length: 9_000 }, (_, count) => application(count));
    await using setup = clientFor(await answering(() => ({ json })), { clock: testClock() });
    const error = await failure(findApplication(setup.client, { name }));
    expect(error.describe()).toContain('answered 200 with a body of more than 2 MiB');
  });
});

it('what a server says cannot become part of the page that the job summary is', async () => {
  const app = { id: '1', name: '<img src=x>\u2028# Title', clientId: 'a&b' };
  const url = await answering((path) => {
    if (path.endsWith('/token')) return { json: { accessToken: 'a.b.c' } };
    return { json: path.endsWith('/secret') ? { secret: 'new-secret' } : [app] };
  });
  const result = await runStep({ inputs: { mode: 'rotate-app', 'app-id': '1', url, ...credentials } });
  expect(result.exitCode).toBe(0);
  expect(result.summary).toContain('&#60;img src=x&#62; # Title');
  expect(result.summary).toContain('a&#38;b');
});

it('a token service whose certificate is not trusted needs ca-certificate as well', async () => {
  const authority = await createAuthority();
  const simulator = await startSimulator({ tls: await authority.issue({ hosts: ['localhost'] }) });
  const { url: address, requestToken } = simulator.oidc;
  const env = { ACTIONS_ID_TOKEN_REQUEST_URL: address, ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken };
  const result = await runStep({ inputs: { mode: 'token', url: simulator.url, 'oidc-audience': 'runai' }, env });
  expect(result.errors).toEqual([expect.stringContaining('ca-certificate')]);
  await simulator.close();
});

it('a token service that cannot be reached is not taken for the control plane', async () => {
  const gone = await listening(createServer());
  open.pop()?.close();
  const env = { ACTIONS_ID_TOKEN_REQUEST_URL: `${gone}/token`, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-token' };
  const inputs = { mode: 'token', url: 'https://acme.run.ai', 'oidc-audience': 'x', 'timeout-seconds': '1' };
  const result = await runStep({ inputs, env });
  expect(result.errors).toEqual([expect.stringContaining('the service from which a job gets its OIDC token')]);
});

describe('access rules', () => {
  const wanted = [{ role: 'ML engineer', scopeType: 'project' as const, scopeId: '1' }];
  const rule = { subjectId: name, roleId: 9, scopeType: 'project', scopeId: '1' };
  const subject = { id: name, kind: 'application' as const };

  async function withApplication(version: '2.24' | '3.0') {
    const setup = await connect({}, { version });
    await signIn(setup.client, adminGrant(setup.simulator));
    await createApplication(setup.client, { name, ifExists: 'fail' });
    return setup;
  }

  it('of the time when service accounts were applications are still theirs', async () => {
    await using setup = await withApplication('3.0');
    setup.simulator.addAccessRule({ ...rule, subjectType: 'app' });
    expect(await grantAccess(setup.client, subject, wanted)).toBe(0);
  });

  it('are found on the second page as well', async () => {
    await using setup = await withApplication('2.24');
    for (let scope = 1000; scope < 1501; scope++) {
      setup.simulator.addAccessRule({ ...rule, subjectType: 'app', scopeId: String(scope) });
    }
    setup.simulator.addAccessRule({ ...rule, subjectType: 'app' });
    expect(await grantAccess(setup.client, subject, wanted)).toBe(0);
  });

  it('of others do not count, though the server lists them', async () => {
    await using setup = await withApplication('2.24');
    const others = [
      { ...rule, subjectId: 'other', subjectType: 'app' },
      { ...rule, subjectType: 'user' },
    ];
    const change = () => ({ totalRecords: 2, displayRecords: 2, accessRules: others });
    setup.simulator.fault({ method: 'GET', path: 'access-rules', fault: { kind: 'transform', change } });
    expect(await grantAccess(setup.client, subject, wanted)).toBe(1);
  });

  it('need the whole name of a role', async () => {
    await using setup = await withApplication('2.24');
    const error = await failure(grantAccess(setup.client, subject, [{ ...wanted[0]!, role: 'L1' }]));
    expect(error.describe()).toContain('there is no role of the name L1');
  });

  it('of a user go by the address as the server writes it', async () => {
    const simulator = await startSimulator();
    simulator.addUser({ email: 'Jo@Example.com' });
    const inputs = { mode: 'create-user', url: simulator.url, ...simulator.admin, 'if-exists': 'skip' };
    for (const email of ['jo@example.com', 'JO@example.com']) {
      const result = await runStep({ inputs: { ...inputs, email, 'access-rules': 'Viewer @ project:1' } });
      expect(result.errors).toEqual([]);
    }
    expect(simulator.accessRules.map(({ subjectId }) => subjectId)).toEqual(['Jo@Example.com']);
    await simulator.close();
  });
});

describe('what a conflict means', () => {
  const conflict = { status: 409, json: { message: 'exists' } };

  it.each(['skip', 'rotate'] as const)('for something that is not in the list, with %s', async (ifExists) => {
    const url = await answering((_path, count) => (count === 0 ? conflict : { json: [] }));
    await using setup = clientFor(url, { clock: testClock() });
    const error = await failure(createApplication(setup.client, { name, ifExists }));
    expect(error).toMatchObject({ code: 'conflict', warning: undefined });
    expect(error.hint).toContain('is not in the list that these credentials can see');
  });

  it('for something that exists, and no other choice was made', async () => {
    await using setup = clientFor(await answering(() => conflict), { clock: testClock() });
    const error = await failure(createApplication(setup.client, { name, ifExists: 'fail' }));
    expect(error).toMatchObject({ code: 'conflict', warning: undefined });
    expect(error.hint).toContain('set if-exists to skip to keep it');
  });

  it.each([
    ['the look-up is refused', '/apps', 'An attempt may have created it all the same'],
    ['the reset is refused', '/secret', 'An attempt may have created it all the same'],
  ])('after a lost answer, when %s', async (_how, path, warning) => {
    await using setup = await connect();
    await signIn(setup.client, adminGrant(setup.simulator));
    const { simulator, client } = setup;
    simulator.fault({ method: 'POST', path: /apps$/, fault: { kind: 'reset', when: 'before-head', work: true } });
    simulator.fault({ method: path === '/secret' ? 'POST' : 'GET', path, fault: { kind: 'status', status: 403 } });
    const error = await failure(createApplication(client, { name, ifExists: 'fail' }));
    expect(error.describe()).toContain(warning);
    expect(error.describe().match(/all the same/g)).toHaveLength(1);
  });

  it('is said once, by what was done last', async () => {
    await using setup = await connect();
    await signIn(setup.client, adminGrant(setup.simulator));
    const { simulator, client } = setup;
    simulator.fault({ method: 'POST', path: /apps$/, fault: { kind: 'reset', when: 'before-head', work: true } });
    simulator.fault({ method: 'POST', path: '/secret', fault: { kind: 'status', status: 502, work: true } });
    simulator.fault({ method: 'POST', path: '/secret', fault: { kind: 'status', status: 403 } });
    const error = await failure(createApplication(client, { name, ifExists: 'fail' }));
    expect(error.warning).toContain('may have made a new secret all the same');
    expect(error.describe().match(/all the same/g)).toHaveLength(1);
  });
});
