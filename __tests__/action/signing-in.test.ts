// The ways to sign in: which grant each makes, on every version, and what happens when a token does not last.
import { describe, expect, it } from 'vitest';
import { createAuthority } from '../support/certificates.ts';
import { openStage, type Stage, sent } from '../support/stage.ts';

const secret = 'kW3-pQ8_vN5.zT2r';

/** Whether the step's token is one of the control plane's. */
const isValid = ({ simulator }: Stage, outputs: Record<string, string>) =>
  simulator.isValidToken(outputs['access-token'] ?? '');

describe.concurrent.each(['2.22', '2.24', '3.0', 'next'] as const)('on %s', (version) => {
  it('the two halves of an application’s credentials, and both in one value, are the same', async () => {
    await using stage = await openStage({ version });
    stage.simulator.addApplication({ name: 'ci', secret: `a:${secret}` });
    const one = await stage.run({ mode: 'token', 'client-id': 'ci', 'client-secret': `a:${secret}` });
    // Split at the first colon.
    const other = await stage.run({ mode: 'token', credentials: `ci:a:${secret}` });
    expect([isValid(stage, one.outputs), isValid(stage, other.outputs)]).toEqual([true, true]);
  });

  it('an external token is exchanged', async () => {
    const external = 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2lnbmF0dXJl';
    await using stage = await openStage({ version, externalTokens: [external] });
    const { outputs } = await stage.run({ mode: 'token', 'external-token': external });
    expect(isValid(stage, outputs)).toBe(true);
  });

  it.each(['names', 'ids'] as const)(
    "the job's own identity is exchanged, with %s in its subject",
    async (oidcSubject) => {
      await using stage = await openStage({ version, oidcSubject, oidcAudience: 'https://runai.acme.example/a b&c' });
      const { url, requestToken, audience } = stage.simulator.oidc;
      const env = { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken };
      const { outputs, masks } = await stage.run({ mode: 'token', 'oidc-audience': audience }, { env });
      expect(isValid(stage, outputs)).toBe(true);
      expect(masks).toContain(requestToken);
    },
  );

  it('an access token of an earlier step does for the whole life of an application', async () => {
    await using stage = await openStage({ version });
    const { simulator } = stage;
    const credentials = { 'access-token': (await stage.run({ mode: 'token' })).outputs['access-token'] ?? '' };
    const grants = sent(simulator, 'POST', '/token').length;
    const key = { ...credentials, 'app-name': 'trainer' };
    const made = await stage.run({ ...key, mode: 'create-app', 'access-rules': 'Viewer @ project:1' });
    const rotated = await stage.run({ ...key, mode: 'rotate-app' });
    expect(simulator.isValidSecret('trainer', rotated.outputs['client-secret'] ?? '')).toBe(true);
    expect(simulator.isValidSecret('trainer', made.outputs['client-secret'] ?? '')).toBe(false);
    const id = made.outputs['app-id'] ?? '';
    const deleted = await stage.run({ ...credentials, mode: 'delete-app', 'app-id': id });
    expect([made, rotated, deleted].map(({ exitCode }) => exitCode)).toEqual([0, 0, 0]);
    expect(simulator.applications).toEqual([]);
    expect(sent(simulator, 'POST', '/token')).toHaveLength(grants);
  });
});

describe.concurrent('a token that does not last', () => {
  it('is renewed once, where this step got it itself', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer' });
    stage.simulator.fault({ path: '/apps', fault: { kind: 'status', status: 401, body: { message: 'expired' } } });
    const { exitCode, log } = await stage.run({ mode: 'rotate-app', 'app-name': 'trainer' });
    expect(exitCode).toBe(0);
    expect(sent(stage.simulator, 'POST', '/token')).toHaveLength(2);
    expect(log.map(({ text }) => text)).toContain('The access token is no longer accepted: signing in again');
  });

  it('is not renewed forever', async () => {
    await using stage = await openStage();
    const fault = { kind: 'status', status: 401, body: { message: 'expired' } } as const;
    stage.simulator.fault({ path: '/apps', times: 99, fault });
    const { outputs } = await stage.run({ mode: 'rotate-app', 'app-name': 'trainer' });
    expect(outputs).toEqual({ 'error-code': 'token-rejected' });
    expect(sent(stage.simulator, 'POST', '/token')).toHaveLength(2);
  });
});

describe.concurrent('what is not accepted', () => {
  it.each([
    [{ 'external-token': 'not.trusted.here' }, /did not accept the external token.*must trust the identity provider/],
    [{ 'client-id': 'ci', 'client-secret': 'wrong-secret' }, /did not accept the client id and the client secret/],
    [{ credentials: 'ci:wrong-secret' }, /did not accept the client id and the client secret/],
    [{ username: 'jo', password: 'wrong-password' }, /did not accept username and password/],
  ])('%j is named by its input', async (credentials, says) => {
    await using stage = await openStage({ version: '3.0' });
    const { errors, outputs } = await stage.run({ mode: 'token', ...credentials });
    expect(outputs).toEqual({ 'error-code': 'credentials' });
    expect(errors[0]).toMatch(says);
  });

  it.each(['400', '401'] as const)('is the same whether /api/v1/token says %s', async (status) => {
    await using stage = await openStage({ wrongPasswordStatus: Number(status) as 400 | 401 });
    const { outputs } = await stage.run({ mode: 'token', username: 'jo', password: 'wrong-password' });
    expect(outputs).toEqual({ 'error-code': 'credentials' });
  });

  it('the environment cannot turn the check of certificates off', async () => {
    const authority = await createAuthority();
    await using stage = await openStage({ tls: await authority.issue({ hosts: ['localhost'] }) });
    const env = { NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_NO_WARNINGS: '1' };
    const { errors, outputs } = await stage.run({ mode: 'token' }, { env });
    expect(outputs).toEqual({ 'error-code': 'certificate' });
    expect(errors[0]).toContain('ca-certificate');
    expect(stage.simulator.requests).toEqual([]);
  });
});
