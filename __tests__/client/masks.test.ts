// Secrets in answers are masked before anything is said of them. The forms of a mask are in unit/masks.test.ts.
import { describe, expect, it } from 'vitest';
import { createApplication, findApplication, resetSecret } from '../../src/runai/applications.ts';
import { requestToken } from '../../src/runai/tokens.ts';
import { createUser } from '../../src/runai/users.ts';
import { answering } from '../support/answering.ts';
import { adminGrant, clientFor, connect, failure, signedIn } from '../support/client.ts';

const name = 'ci-app';
const grant = { type: 'client_credentials' as const, clientId: 'ci', clientSecret: 'kW3-pQ8_vN5.zT2r' };
const secret = 'aX4mR9wQ2tB7nL5c';

describe('what is issued is masked', () => {
  it.each(['2.22', '2.24', '3.0', 'next'] as const)(
    'in the answer to a grant of %s, with all tokens',
    async (version) => {
      const fields = { idToken: true, refreshToken: true, externalToken: true };
      await using setup = await connect({}, { version, tokenFields: fields });
      const token = await requestToken(setup.client, adminGrant(setup.simulator));
      const { accessToken, idToken, refreshToken, externalToken } = token;
      const tokens = [accessToken, idToken, refreshToken, ...(version === '2.22' ? [externalToken] : [])];
      expect(setup.masks).toEqual(expect.arrayContaining(tokens));
    },
  );

  it.each(['2.22', '3.0'] as const)('in the answers to a create and a reset of %s', async (version) => {
    await using setup = await signedIn({}, { version });
    const { clientSecret } = await createApplication(setup.client, { name, ifExists: 'fail' });
    const reset = await resetSecret(setup.client, (await findApplication(setup.client, { name }))!);
    const user = { email: 'jo@example.com', resetPassword: false, notify: undefined };
    const created = await createUser(setup.client, { ...user, ifExists: 'fail' });
    const renewed = await createUser(setup.client, { ...user, ifExists: 'rotate' });
    const issued = [clientSecret, reset.clientSecret, created.temporaryPassword, renewed.temporaryPassword];
    expect(new Set(issued).size).toBe(4);
    expect(setup.masks).toEqual(expect.arrayContaining(issued));
  });

  it('even when it is a single character', async () => {
    await using server = await answering(() => ({ status: 201, json: { id: '1', secret: 'x' } }));
    await using setup = clientFor(server.url);
    await createApplication(setup.client, { name, ifExists: 'fail' });
    expect(setup.masks).toEqual(['x']);
  });
});

describe('a field that is called like a secret is masked', () => {
  it.each([
    ['in an answer that is not the one that was asked for', 200, { refreshToken: secret }],
    ['in an error', 400, { message: `no ${secret}`, accessToken: secret }],
    ['below other fields', 403, { details: [{ clientSecret: secret }], message: secret }],
    ['in whatever case its name is written', 400, { CLIENT_SECRET: secret, message: secret }],
    ['in a password', 400, { tempPassword: secret, message: secret }],
  ])('%s', async (_how, status, json) => {
    await using server = await answering(() => ({ status, json }));
    await using setup = clientFor(server.url);
    const error = await failure(requestToken(setup.client, grant));
    expect(setup.masks).toContain(secret);
    expect(error.describe()).not.toContain(secret.slice(0, 8));
  });

  it('although another field of the same answer is the one that is used', async () => {
    const json = { id: '1', clientSecret: 'the-one-that-counts', secret };
    await using server = await answering(() => ({ status: 201, json }));
    await using setup = clientFor(server.url);
    await createApplication(setup.client, { name, ifExists: 'fail' });
    expect(setup.masks).toEqual(expect.arrayContaining([secret, 'the-one-that-counts']));
  });
});

describe('a field that only sounds like a secret is not masked', () => {
  it.each([
    ['a short value', { nextPageToken: '1' }],
    ['a word', { hasSecret: 'true' }],
    ['seven characters', { token: '1234567' }],
    ['a number', { token: 12_345_678 }],
    ['a yes or no', { hasPassword: true }],
    ['a name that does not end like a secret', { tokenType: 'urn:bearer:token', secretName: 'a-long-name' }],
  ])('%s', async (_what, json) => {
    await using server = await answering(() => ({ status: 400, json }));
    await using setup = clientFor(server.url);
    await failure(requestToken(setup.client, grant));
    expect(setup.masks).toEqual([]);
  });

  it('from 8 characters on it is', async () => {
    await using server = await answering(() => ({ status: 400, json: { token: '12345678' } }));
    await using setup = clientFor(server.url);
    await failure(requestToken(setup.client, grant));
    expect(setup.masks).toEqual(['12345678']);
  });

  it('and ids never are', async () => {
    await using setup = await signedIn({}, { clientIdOf: () => 'client-of-ci-app' });
    const issued = await createApplication(setup.client, { name, ifExists: 'fail' });
    for (const id of [issued.id, issued.clientId, name]) expect(setup.masks).not.toContain(id);
  });
});

describe('what a server repeats of a secret is not shown', () => {
  it.each(['whole', 'halves', 'json', 'url', 'base64', 'commands', 'headers'] as const)('%s', async (style) => {
    await using setup = await connect();
    const clientSecret = 'kW3+pQ8&vN5/zT2r"xY7';
    setup.simulator.fault({ times: 9, fault: { kind: 'echo', status: 400, style } });
    const masked = clientFor(setup.simulator.url);
    masked.client.mask(clientSecret);
    const error = await failure(requestToken(masked.client, { ...grant, clientSecret }));
    const shown = [error.describe(), ...masked.log].join('\n');
    for (let at = 0; at + 8 <= clientSecret.length; at++) expect(shown).not.toContain(clientSecret.slice(at, at + 8));
    if (style !== 'headers') expect(shown).toContain('[left out: it repeats part of a secret]');
    expect(shown).not.toMatch(/::|##\[/);
  });
});
