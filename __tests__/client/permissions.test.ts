import { describe, expect, it } from 'vitest';
import { createApplication, deleteApplication, findApplication, resetSecret } from '../../src/runai/applications.ts';
import { requestToken } from '../../src/runai/tokens.ts';
import { createUser } from '../../src/runai/users.ts';
import { connect, failure, type Setup, sent, signedIn } from '../support/client.ts';

const name = 'ci-app';
const create = ({ client }: Setup) => createApplication(client, { name, ifExists: 'fail' });

describe('a 403 for applications on 2.24, where both endpoints are there', () => {
  it('on the older one makes the run try the newer one, and use it from then on', async () => {
    await using setup = await signedIn({}, { version: '2.24', forbid: ['apps'] });
    const issued = await create(setup);
    expect(setup.simulator.isValidSecret(issued.clientId!, issued.clientSecret!)).toBe(true);
    expect(await findApplication(setup.client, { name })).toMatchObject({ endpoint: '/api/v1/service-accounts' });
    expect(sent(setup)).toEqual(['POST /api/v1/apps', 'POST /api/v1/service-accounts', 'GET /api/v1/service-accounts']);
  });

  it('on both names both, with the permission of the first and who needs it', async () => {
    await using setup = await signedIn({}, { version: '2.24', forbid: ['apps', 'service-account'] });
    const error = await failure(create(setup));
    expect(error).toMatchObject({ code: 'forbidden', status: 403 });
    expect(error.describe()).toContain(
      `POST ${setup.simulator.url}/api/v1/apps answered 403: "Forbidden; admin@runai.example lacks the permission"; /api/v1/service-accounts answered 403 as well (1 attempt).`,
    );
    expect(error.hint).toContain('the user admin needs a role with the permission Create for Applications');
    expect(setup.simulator.applications).toEqual([]);
  });

  it('on the newer one alone is never met', async () => {
    await using setup = await signedIn({}, { version: '2.24', forbid: ['service-account'] });
    expect((await create(setup)).created).toBe(true);
  });
});

it.each(['2.22', '3.0'] as const)('a 403 on %s, with one endpoint, names that one', async (version) => {
  await using setup = await signedIn({}, { version, forbid: ['apps', 'service-account'] });
  const error = await failure(create(setup));
  expect(error.describe()).toContain(`answered 403: "Forbidden; admin@runai.example lacks the permission" (1 attempt)`);
  expect(error.hint).toContain(version === '3.0' ? 'Create for Service accounts' : 'Create for Applications');
});

describe('an application without rights of its own', () => {
  async function asApplication() {
    const setup = await connect({ callerId: name });
    const { clientId, secret } = setup.simulator.addApplication({ name });
    const grant = { type: 'client_credentials' as const, clientId, clientSecret: secret };
    setup.client.authorize((await requestToken(setup.client, grant)).accessToken);
    return setup;
  }

  it.each<[string, (setup: Setup) => Promise<unknown>, string]>([
    [
      'create another',
      ({ client }) => createApplication(client, { name: 'x2', ifExists: 'fail' }),
      'Create for Applications',
    ],
    ['read the list', ({ client }) => findApplication(client, { name }), 'View for Applications'],
    [
      'create a user',
      ({ client }) =>
        createUser(client, { email: 'jo@example.com', resetPassword: false, notify: undefined, ifExists: 'fail' }),
      'Create for Users',
    ],
  ])('cannot %s, and is named with the permission', async (_what, act, permission) => {
    await using setup = await asApplication();
    const error = await failure(act(setup));
    expect(error.code).toBe('forbidden');
    expect(error.hint).toContain(`the application ci-app needs a role with the permission ${permission}`);
  });
});

it.each([
  ['reset a secret', 'POST', 'Edit for Applications'],
  ['delete it', 'DELETE', 'Delete for Applications'],
])('who may read an application may not therefore %s', async (_what, method, permission) => {
  await using setup = await signedIn();
  const { secret } = setup.simulator.addApplication({ name });
  const application = (await findApplication(setup.client, { name }))!;
  setup.simulator.fault({ method, fault: { kind: 'status', status: 403 } });
  const act = method === 'POST' ? resetSecret : deleteApplication;
  const error = await failure(act(setup.client, application));
  expect(error).toMatchObject({ code: 'forbidden', hint: expect.stringContaining(permission) });
  expect(setup.simulator.isValidSecret(name, secret)).toBe(true);
});
