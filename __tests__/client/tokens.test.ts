import { describe, expect, it } from 'vitest';
import { authorize, signIn } from '../../src/modes/sign-in.ts';
import { createApplication, findApplication } from '../../src/runai/applications.ts';
import { type Grant, requestToken } from '../../src/runai/tokens.ts';
import type { Fault, Version } from '../simulator/simulator.ts';
import { answering } from '../support/answering.ts';
import { adminGrant, clientFor, connect, failure, type Setup, sent, testClock } from '../support/client.ts';
import { contextFor } from '../support/context.ts';

const name = 'ci-app';
const grants: [Grant['type'], Grant, string][] = [
  [
    'client_credentials',
    { type: 'client_credentials', clientId: 'ci', clientSecret: 'wrong' },
    'the client id and the client secret',
  ],
  ['password', { type: 'password', username: 'jo', password: 'wrong' }, 'did not accept username and password'],
  [
    'external_token_exchange',
    { type: 'external_token_exchange', externalToken: 'not.trusted.here' },
    'the tenant must trust the identity provider',
  ],
];

describe.each<Version>(['2.22', '2.24', '3.0', 'next'])('a grant on %s', (version) => {
  it('is made with each kind of credentials', async () => {
    const external = 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2lnbmF0dXJl';
    await using setup = await connect({}, { version, externalTokens: [external] });
    const { simulator, client } = setup;
    const { clientId, secret } = simulator.addApplication({ name });
    const given: Grant[] = [
      adminGrant(simulator),
      { type: 'client_credentials', clientId, clientSecret: secret },
      { type: 'external_token_exchange', externalToken: external },
    ];
    for (const one of given) {
      const { accessToken } = await requestToken(client, one);
      expect(simulator.isValidToken(accessToken)).toBe(true);
    }
    expect(simulator.requests.map(({ headers }) => headers['authorization'])).toEqual(
      simulator.requests.map(() => undefined),
    );
    expect(simulator.violations).toEqual([]);
  });

  it.each(grants)('that is refused names the credentials: %s', async (_type, grant, advice) => {
    await using setup = await connect({}, { version });
    const error = await failure(requestToken(setup.client, grant));
    expect(error.code).toBe('credentials');
    expect(error.hint).toContain(advice);
  });
});

describe('the credentials were judged, or not', () => {
  const [, [, grant]] = grants as [unknown, [unknown, Grant]];

  it.each([400, 401, 403])('a %i in JSON refuses them', async (status) => {
    await using server = await answering(() => ({ status, json: { message: 'no' } }));
    await using setup = clientFor(server.url);
    const error = await failure(requestToken(setup.client, grant));
    expect(error.code).toBe('credentials');
    expect(error.describe()).toMatch(/answered 40\d: "no".* \(1 attempt\).*did not accept username and password/);
  });

  const page = '<!doctype html><title>Blocked</title>';
  it.each<[number, string, Fault]>([
    [401, 'a page', { kind: 'html', status: 401 }],
    [403, 'a page', { kind: 'html', status: 403 }],
    [403, 'a page that calls itself a text', { kind: 'status', status: 403, body: page, contentType: 'text/plain' }],
  ])('a %i with %s comes from something in front, so nobody has to change them', async (_status, _what, fault) => {
    await using setup = await connect();
    setup.simulator.fault({ times: Infinity, fault });
    const error = await failure(requestToken(setup.client, adminGrant(setup.simulator)));
    expect(error.code).toBe('blocked');
    expect(error.hint).toContain('The credentials were not checked, so there is no need to change them.');
    expect(error.hint).not.toContain('did not accept');
  });
});

describe('the lifetime of a token', () => {
  it.each<[string, object, number | undefined]>([
    ['is the older field', { accessToken: 'a', expiresIn: 900 }, 900],
    ['is the newer field', { access_token: 'a', expires_in: 900 }, 900],
    ['is no text', { access_token: 'a', expires_in: '900' }, undefined],
    ['is more than nothing', { access_token: 'a', expires_in: 0 }, undefined],
    ['is not less than nothing', { accessToken: 'a', expiresIn: -5 }, undefined],
    ['is that of the token when the field is none', { accessToken: 'a', expiresIn: 1e300 }, undefined],
  ])('%s', async (_name, json, expected) => {
    await using server = await answering(() => ({ json }));
    const clock = testClock();
    await using setup = clientFor(server.url, { clock });
    const token = await requestToken(setup.client, grants[0]![1]);
    expect(token.expiresIn).toBe(expected);
    if (expected === undefined) expect(token.expiresAt).toBeUndefined();
    else expect(Math.abs((token.expiresAt ?? 0) - clock.now() - 900_000)).toBeLessThan(10_000);
  });

  it('is counted to its exp claim where the server does not name it', async () => {
    await using setup = await connect({}, { version: '2.22', tokenLifetime: 600 });
    const token = await requestToken(setup.client, adminGrant(setup.simulator));
    expect(token.expiresIn).toBeGreaterThan(590);
    expect(token.expiresIn).toBeLessThanOrEqual(600);
  });
});

describe('a token that is no longer accepted', () => {
  /** Signed in by the inputs, with a token that the control plane has forgotten since. */
  async function outlived() {
    const setup = await connect({}, { tokenLifetime: 60 });
    const context = contextFor(setup);
    await authorize(context, { by: 'user', ...setup.simulator.admin });
    await setup.clock.sleep(61_000, new AbortController().signal);
    setup.simulator.requests.length = 0;
    return setup;
  }

  it('is renewed by one new sign-in, when this run got it itself', async () => {
    await using setup = await outlived();
    expect((await createApplication(setup.client, { name, ifExists: 'fail' })).created).toBe(true);
    expect(sent(setup)).toEqual(['POST /api/v1/apps', 'POST /api/v1/token', 'POST /api/v1/apps']);
    expect(setup.log).toContain('The access token is no longer accepted: signing in again');
  });

  it('is renewed once for two requests at the same time', async () => {
    await using setup = await outlived();
    await Promise.all([1, 2].map(() => findApplication(setup.client, { name })));
    expect(sent(setup).filter((request) => request.endsWith('/token'))).toHaveLength(1);
  });

  it('is not renewed a second time', async () => {
    await using setup = await outlived();
    setup.simulator.fault({ path: '/apps', times: Infinity, fault: { kind: 'status', status: 401 } });
    const error = await failure(createApplication(setup.client, { name, ifExists: 'fail' }));
    expect(error.code).toBe('token-rejected');
    expect(sent(setup)).toEqual(['POST /api/v1/apps', 'POST /api/v1/token', 'POST /api/v1/apps']);
  });

  it('is not renewed because of a firewall', async () => {
    await using setup = await outlived();
    setup.simulator.fault({ path: '/apps', times: Infinity, fault: { kind: 'html', status: 401 } });
    expect((await failure(createApplication(setup.client, { name, ifExists: 'fail' }))).code).toBe('blocked');
    expect(sent(setup)).toEqual(['POST /api/v1/apps']);
  });

  it('is an error when it came from an earlier step', async () => {
    await using setup = await connect();
    await authorize(contextFor(setup), { by: 'access-token', accessToken: 'from-another-tenant' });
    const error = await failure(createApplication(setup.client, { name, ifExists: 'fail' }));
    expect(error).toMatchObject({ code: 'token-rejected', status: 401 });
    expect(sent(setup)).toEqual(['POST /api/v1/apps']);
  });
});

it('a sign-in says where it got a token, how, and until when', async () => {
  await using setup: Setup = await connect();
  await signIn(contextFor(setup), { by: 'user', ...setup.simulator.admin });
  expect(setup.log.at(-1)).toMatch(
    /^Requested a token from http:\S+ with the password grant; it expires at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
  );
});
