import { describe, expect, it } from 'vitest';
import { createApplication } from '../../src/runai/applications.ts';
import { requestToken } from '../../src/runai/tokens.ts';
import { adminGrant, connect, failure, sent, signedIn } from '../support/client.ts';

describe('a redirect is not followed', () => {
  it.each([301, 302, 303, 307, 308] as const)('with %i, and its target is named as the url to use', async (status) => {
    await using elsewhere = await connect();
    await using setup = await connect();
    const location = `${elsewhere.simulator.url}/login?state=1`;
    setup.simulator.fault({ times: Infinity, fault: { kind: 'redirect', status, location } });
    const error = await failure(requestToken(setup.client, adminGrant(setup.simulator)));
    expect(error).toMatchObject({ code: 'redirect', status });
    expect(error.describe()).toContain(`If ${elsewhere.simulator.url} is your control plane, use it as url`);
    expect(error.describe()).not.toContain('login');
    expect(elsewhere.simulator.requests).toEqual([]);
    expect(sent(setup)).toHaveLength(1);
  });

  it('to another path of the same host, which is no url to use', async () => {
    await using setup = await connect();
    setup.simulator.fault({ fault: { kind: 'redirect', status: 302, location: '/elsewhere' } });
    const error = await failure(requestToken(setup.client, adminGrant(setup.simulator)));
    expect(error.describe()).toContain('Check url, including its path.');
  });

  it('and may be a server’s way to say that it has done the work, and the message says so', async () => {
    await using setup = await signedIn();
    const fault = { kind: 'redirect' as const, status: 303 as const, location: '/api/v1/apps/1', work: true };
    setup.simulator.fault({ path: '/apps', fault });
    const error = await failure(createApplication(setup.client, { name: 'ci-app', ifExists: 'fail' }));
    expect(error).toMatchObject({ code: 'redirect', warning: expect.stringContaining('may have created it anyway') });
  });
});
