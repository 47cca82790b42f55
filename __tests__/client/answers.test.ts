// Answers that are odd, and answers that are meant to do harm.
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createApp } from '../../src/modes/create-app.ts';
import { createUser as createUserMode } from '../../src/modes/create-user.ts';
import { createApplication } from '../../src/runai/applications.ts';
import { requestToken } from '../../src/runai/tokens.ts';
import { createUser } from '../../src/runai/users.ts';
import { answering, type Reply } from '../support/answering.ts';
import { clientFor, failure, signedIn } from '../support/client.ts';
import { contextFor } from '../support/context.ts';

const name = 'ci-app';
const email = 'jo@example.com';
const grant = { type: 'client_credentials' as const, clientId: 'ci', clientSecret: 'kW3-pQ8_vN5.zT2r' };
const secret = 'aX4mR9wQ2tB7nL5c';

/** The client's view of one answer, to all requests. */
async function withAnswer<T>(reply: Reply, act: (setup: ReturnType<typeof clientFor>) => Promise<T>) {
  await using server = await answering(() => reply);
  await using setup = clientFor(server.url);
  const result = await act(setup);
  return { result, requests: server.requests, masks: setup.masks };
}

describe('an answer is read', () => {
  const json = JSON.stringify({ accessToken: 'a.b.c', expiresIn: 60 });
  const cases: [string, Reply][] = [
    ['with a byte order mark before it', { body: `\ufeff${json}` }],
    [
      'compressed with gzip, though nobody asked for it',
      { body: gzipSync(json), headers: { 'content-encoding': 'gzip' } },
    ],
    ['compressed with x-gzip', { body: gzipSync(json), headers: { 'content-encoding': 'X-GZIP' } }],
    ['compressed with deflate', { body: deflateSync(json), headers: { 'content-encoding': 'deflate' } }],
    ['compressed with brotli', { body: brotliCompressSync(json), headers: { 'content-encoding': 'br' } }],
    [
      'compressed, with a byte order mark',
      { body: gzipSync(`\ufeff${json}`), headers: { 'content-encoding': 'gzip' } },
    ],
    ['without a content type', { body: json, headers: { 'content-type': '' } }],
    ['that calls itself a page', { body: json, headers: { 'content-type': 'text/html' } }],
  ];

  it.each(cases)('%s', async (_how, reply) => {
    const { result } = await withAnswer(reply, ({ client }) => requestToken(client, grant));
    expect(result).toMatchObject({ accessToken: 'a.b.c', expiresIn: 60 });
  });

  it('also from the simulator, whose contract speaks about it', async () => {
    for (const kind of ['bom', 'gzip'] as const) {
      await using setup = await signedIn();
      setup.simulator.fault({ path: '/apps', fault: { kind } });
      expect((await createApplication(setup.client, { name, ifExists: 'fail' })).created).toBe(true);
      expect(setup.simulator.violations).toEqual([]);
    }
  });
});

describe('an answer cannot be read', () => {
  it.each<[string, Reply]>([
    ['because it is compressed, and broken', { body: 'not gzip', headers: { 'content-encoding': 'gzip' } }],
    [
      'because it is far too long once it is unpacked',
      { body: gzipSync(Buffer.alloc(3 * 1024 * 1024, ' ')), headers: { 'content-encoding': 'gzip' } },
    ],
    ['because a token in it has a line break', { json: { accessToken: 'e\na\n0' } }],
    ['because a token in it contains a space', { json: { accessToken: 'tok en' } }],
    ['because a token in it is not ASCII', { json: { accessToken: 'ü'.repeat(9) } }],
    ['because a token in it is too long for a header', { json: { accessToken: 'x'.repeat(65_537) } }],
  ])('%s', async (_why, reply) => {
    const { result } = await withAnswer(reply, ({ client }) => failure(requestToken(client, grant)));
    expect(result.code).toBe('unreadable');
  });

  it('and its text is never shown, though the parser quotes it', async () => {
    const { result } = await withAnswer({ body: `{"accessToken": ${secret}` }, ({ client }) =>
      failure(requestToken(client, grant)),
    );
    expect(result.describe()).toContain('a body that is not JSON');
    expect(result.describe()).not.toContain(secret.slice(0, 8));
  });
});

describe('a good secret in an odd answer is published, and the create is not sent again', () => {
  const credentials = { by: 'access-token' as const, accessToken: 'a.b.c' };
  const common = { url: 'https://acme.run.ai', credentials, roots: undefined, timeoutSeconds: 60 };

  it.each<[string, object, object]>([
    [
      'a numeric id',
      { id: 7, clientId: 'c1', clientSecret: secret },
      { 'client-id': 'c1', credentials: `c1:${secret}` },
    ],
    ['an id that is no part of a path', { id: '..', secret }, { 'client-id': name, credentials: `${name}:${secret}` }],
    ['no id', { secret }, { 'client-id': name, credentials: `${name}:${secret}` }],
    ['a client id with a space', { id: '1', clientId: 'a b', secret }, { 'app-id': '1' }],
  ])('of an application with %s', async (_how, json, outputs) => {
    const { result, requests, masks } = await withAnswer({ status: 201, json }, async (setup) => {
      const context = contextFor(setup);
      const inputs = {
        ...common,
        mode: 'create-app' as const,
        name,
        ifExists: 'fail' as const,
        accessRules: [],
        store: undefined,
      };
      const error = await failure(createApp(inputs, context));
      return { error, outputs: context.outputs };
    });
    expect(result.outputs).toEqual({ 'client-secret': secret, 'app-name': name, created: true, ...outputs });
    expect(result.error).toMatchObject({
      code: 'unreadable',
      message: 'the control plane created the application, but its answer cannot be used',
      hint: expect.stringContaining('The client secret was published and is valid.'),
    });
    expect(requests).toEqual(['POST /api/v1/apps']);
    expect(masks).toContain(secret);
  });

  it.each([
    ['without an id', { username: email, tempPassword: secret }],
    ['with a numeric id', { id: 7, username: email, tempPassword: secret }],
    ['with nothing but the password', { tempPassword: secret }],
  ])('of a user %s', async (_how, json) => {
    const { result, requests, masks } = await withAnswer({ status: 201, json }, async (setup) => {
      const context = contextFor(setup);
      const user = {
        emails: [email],
        resetPassword: false,
        notify: undefined,
        ifExists: 'fail' as const,
        accessRules: [],
      };
      const error = await failure(createUserMode({ ...common, mode: 'create-user', ...user }, context));
      return { error, outputs: context.outputs };
    });
    expect(result.outputs).toMatchObject({
      'temporary-password': secret,
      created: true,
      email,
      'temporary-passwords': JSON.stringify({ [email]: secret }),
    });
    expect(result.outputs).not.toHaveProperty('user-id');
    expect(result.error.message).toBe('the control plane created the user, but its answer cannot be used');
    expect(result.error.hint).toContain('The temporary password was published and is valid.');
    expect(requests).toEqual(['POST /api/v1/users']);
    expect(masks).toContain(secret);
  });
});

describe('fields that may be missing', () => {
  it('the client id of an application is then its name', async () => {
    await using setup = await signedIn({}, { omitClientId: true });
    expect((await createApplication(setup.client, { name, ifExists: 'fail' })).clientId).toBe(name);
  });

  it('the name of an application is the requested one', async () => {
    const { result } = await withAnswer({ status: 201, json: { id: '1', clientSecret: secret } }, ({ client }) =>
      createApplication(client, { name, ifExists: 'fail' }),
    );
    expect(result).toMatchObject({ name, clientId: name, id: '1', flaw: undefined });
  });

  it('the password of a user, as in the guide', async () => {
    await using setup = await signedIn({}, { guideShapes: true });
    const user = { email, resetPassword: false, notify: undefined, ifExists: 'fail' as const };
    expect(await createUser(setup.client, user)).toMatchObject({
      created: true,
      temporaryPassword: undefined,
      createdAt: expect.stringMatching(/^\d{4}-/),
      flaw: undefined,
    });
  });
});

describe('a hostile answer costs a bounded amount of work', () => {
  const limit = 2 * 1024 * 1024;
  const fields = (length: number) => {
    const count = Math.floor((limit - 100) / (length + 20));
    return Array.from({ length: count }, (_, at) => ({ token: `${at}`.padStart(8, '0').padEnd(length, 'x') }));
  };

  it.each([
    ['as many as fit', 8],
    ['some hundreds of long ones', 8_000],
    ['fifty of forty thousand characters', 40_000],
  ])('and a bounded number of masks: an error of 2 MiB of fields called token, %s', async (_how, length) => {
    const json = { message: 'no', details: fields(length) };
    const before = process.cpuUsage();
    const { result, masks } = await withAnswer({ status: 400, json }, ({ client }) =>
      failure(requestToken(client, grant)),
    );
    expect(result.code).toBe('credentials');
    expect(masks.length).toBeGreaterThan(0);
    expect(masks.length).toBeLessThanOrEqual(50);
    expect(masks.reduce((sum, mask) => sum + mask.length, 0)).toBeLessThanOrEqual(128 * 1024);
    // It took 9 to 41 seconds of CPU once: this tells that from well under a second, whatever else the machine does.
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(5);
  });

  it('also when it is nested as deeply as it can be', async () => {
    const depth = 200_000;
    const body = `${'{"a":'.repeat(depth)}{"token":"${secret}"}${'}'.repeat(depth)}`;
    const { result, masks } = await withAnswer({ status: 400, body }, ({ client }) =>
      failure(requestToken(client, grant)),
    );
    expect(result.code).toBe('credentials');
    expect(masks.length).toBeLessThanOrEqual(50);
  });
});
