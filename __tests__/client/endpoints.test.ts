import { describe, expect, it } from 'vitest';
import { createApplication } from '../../src/runai/applications.ts';
import { requestToken } from '../../src/runai/tokens.ts';
import type { MissingEndpoint, Version } from '../simulator/simulator.ts';
import { adminGrant, connect, failure, type Setup, sent } from '../support/client.ts';

const name = 'ci-app';

async function createWith({ client, simulator }: Setup) {
  const { accessToken } = await requestToken(client, adminGrant(simulator));
  expect(simulator.isValidToken(accessToken)).toBe(true);
  client.authorize(accessToken);
  return createApplication(client, { name, ifExists: 'fail' });
}

describe('the endpoints of a version', () => {
  const missing: MissingEndpoint[] = ['json-404', 'html-200', 'html-404', '405', '410', '501'];
  const cases = missing.flatMap((missingEndpoint) =>
    (['2.20', '2.22', '2.24', '3.0', 'next'] as Version[]).map((version) => ({ version, missingEndpoint })),
  );

  it.each(cases)('of $version are found where missing ones answer $missingEndpoint', async (options) => {
    await using setup = await connect({}, options);
    const { clientId, clientSecret, created } = await createWith(setup);
    expect(created).toBe(true);
    expect(setup.simulator.isValidSecret(clientId!, clientSecret!)).toBe(true);
    expect(setup.simulator.violations).toEqual([]);
    const older = ['POST /api/v1/token', 'POST /api/v1/apps'];
    const wanted = {
      '2.20': older,
      '2.22': older,
      '2.24': older,
      '3.0': [...older, 'POST /api/v1/service-accounts'],
      next: ['POST /api/v1/token', 'POST /api/v2/token', 'POST /api/v1/service-accounts'],
    };
    expect(sent(setup)).toEqual(wanted[options.version]);
  });

  it('are looked for once: what was learned is used for the rest of the run', async () => {
    await using setup = await connect({}, { version: '3.0' });
    await createWith(setup);
    setup.simulator.requests.length = 0;
    await createApplication(setup.client, { name, ifExists: 'rotate' });
    expect(new Set(sent(setup).map((request) => request.split('/')[3]))).toEqual(new Set(['service-accounts']));
  });

  it('keep a path prefix', async () => {
    await using setup = await connect({}, { pathPrefix: '/runai' });
    await createWith(setup);
    expect(sent(setup)).toEqual(['POST /runai/api/v1/token', 'POST /runai/api/v1/apps']);
  });

  it('are tried again when a page came in place of an answer, which may pass', async () => {
    await using setup = await connect();
    setup.simulator.fault({ times: 2, fault: { kind: 'html', status: 200 } });
    await createWith(setup);
    expect(sent(setup).slice(0, 3)).toEqual(['POST /api/v1/token', 'POST /api/v2/token', 'POST /api/v1/token']);
  });
});

describe('a known endpoint that refuses', () => {
  const refuse = (setup: Setup, path: string) =>
    setup.simulator.fault({ method: 'POST', path, fault: { kind: 'status', status: 403 } });
  const rotate = ({ client }: Setup) => createApplication(client, { name: 'other', ifExists: 'fail' });

  it('is not the last word where a newer one lets the caller in', async () => {
    await using setup = await connect({}, { version: '2.24' });
    await createWith(setup);
    refuse(setup, '/apps');
    setup.simulator.requests.length = 0;
    expect(await rotate(setup)).toMatchObject({ created: true, name: 'other' });
    expect(sent(setup)).toEqual(['POST /api/v1/apps', 'POST /api/v1/service-accounts']);
  });

  it('is named together with a newer one that refuses as well', async () => {
    await using setup = await connect({}, { version: '2.24' });
    await createWith(setup);
    refuse(setup, '/apps');
    refuse(setup, '/service-accounts');
    const error = await failure(rotate(setup));
    expect(error.code).toBe('forbidden');
    expect(error.describe()).toMatch(/apps answered 403.*service-accounts answered 403 as well/);
  });

  it('counts more than a newer one that cannot be reached', async () => {
    await using setup = await connect({ budget: 2_000 }, { version: '2.24' });
    await createWith(setup);
    refuse(setup, '/apps');
    const down = { kind: 'status', status: 503, work: true } as const;
    setup.simulator.fault({ method: 'POST', path: '/service-accounts', times: Infinity, fault: down });
    const error = await failure(rotate(setup));
    expect(error).toMatchObject({ code: 'forbidden', status: 403 });
    expect(error.warning).toContain('may have created it anyway');
  });

  it('is the only one named where there is no newer one', async () => {
    await using setup = await connect({}, { version: '2.20' });
    await createWith(setup);
    refuse(setup, '/apps');
    const error = await failure(rotate(setup));
    expect(error.code).toBe('forbidden');
    expect(error.describe()).not.toContain('service-accounts');
  });
});

describe('no endpoint at all', () => {
  it('means that the url is not that of a control plane', async () => {
    await using setup = await connect();
    setup.simulator.fault({ times: Infinity, fault: { kind: 'status', status: 404 } });
    const error = await failure(createWith(setup));
    expect(error.code).toBe('not-run-ai');
    expect(error.describe()).toBe(
      `${setup.simulator.url} has neither /api/v1/token nor /api/v2/token (404). Either url is not the address of a Run:ai control plane (check its path, too), or its version is older than 2.20.`,
    );
    expect(sent(setup)).toEqual(['POST /api/v1/token', 'POST /api/v2/token']);
  });

  it('means something in front of it, once there was a token', async () => {
    await using setup = await connect();
    setup.simulator.fault({ path: '/users', times: Infinity, fault: { kind: 'status', status: 404 } });
    setup.client.authorize((await requestToken(setup.client, adminGrant(setup.simulator))).accessToken);
    const error = await failure(setup.client.ask('users', (path) => ({ method: 'GET', path, read: () => 1 })));
    expect(error.describe()).toMatch(/has no \/api\/v1\/users \(404\)\. Something in front of the control plane/);
  });

  it('but a page on each path is a login page', async () => {
    await using setup = await connect();
    setup.simulator.fault({ times: Infinity, fault: { kind: 'html', status: 200 } });
    const error = await failure(createWith(setup));
    expect(error.code).toBe('unreadable');
    expect(error.describe()).toMatch(
      /answered 200 with a web page on \/api\/v1\/token and \/api\/v2\/token\. .*whether a proxy or a login page is in front/,
    );
    expect(sent(setup)).toHaveLength(6);
  });
});
