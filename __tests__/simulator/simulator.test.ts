import { describe, expect, test } from 'vitest';

import { createAuthority } from '../support/certificates.ts';
import { call, jsonOf, type Sent } from './call.ts';
import { checkAnswer } from './contract.ts';
import type { Version } from './simulator.ts';
import { grant, login, ruleFor, start } from './started.ts';

describe('versions', () => {
  const present: Record<string, Version[]> = {
    '/api/v1/token': ['2.20', '2.22', '2.24', '3.0'],
    '/api/v2/token': ['2.24', '3.0', 'next'],
    '/api/v1/apps': ['2.20', '2.22', '2.24'],
    '/api/v1/service-accounts': ['2.24', '3.0', 'next'],
    '/api/v1/users': ['2.20', '2.22', '2.24', '3.0', 'next'],
    '/api/v1/authorization/access-rules': ['2.20', '2.22', '2.24', '3.0', 'next'],
    '/api/v1/authorization/roles': ['2.20', '2.22', '2.24'],
    '/api/v2/authorization/roles': ['2.24', '3.0', 'next'],
    '/api/v1/org-unit/projects': ['2.20', '2.22', '2.24', '3.0', 'next'],
    '/api/v1/org-unit/departments': ['2.20', '2.22', '2.24', '3.0', 'next'],
    '/api/v1/clusters': ['2.20', '2.22', '2.24', '3.0', 'next'],
  };

  test.each<Version>(['2.20', '2.22', '2.24', '3.0', 'next'])('%s has its endpoints and no others', async (version) => {
    const simulator = await start({ version });
    const token = await login(simulator);
    const found: string[] = [];
    for (const path of Object.keys(present)) {
      const seen = await call(`${simulator.url}${path}`, { token });
      // A token endpoint is there when it minds the method.
      if (seen.status === 200 || seen.status === 405) found.push(path);
      else expect([seen.status, jsonOf(seen).code]).toEqual([404, 404]);
    }
    expect(found).toEqual(Object.keys(present).filter((path) => present[path]?.includes(version)));
  });

  test.each([
    ['json-404', 404, 'application/json; charset=utf-8'],
    ['html-200', 200, 'text/html; charset=utf-8'],
    ['html-404', 404, 'text/html; charset=utf-8'],
    ['405', 405, 'application/json; charset=utf-8'],
    ['410', 410, 'application/json; charset=utf-8'],
    ['501', 501, 'application/json; charset=utf-8'],
  ] as const)('a missing endpoint can answer with %s, and asking for it breaks no rule', async (kind, status, type) => {
    const simulator = await start({ version: '3.0', missingEndpoint: kind });
    const seen = await call(`${simulator.url}/api/v1/apps`, { token: await login(simulator), json: { name: 'app-1' } });
    expect([seen.status, seen.headers?.['content-type']]).toEqual([status, type]);
    expect(simulator.applications).toEqual([]);
    expect(simulator.violations).toEqual([]);
  });

  test.each<[Version, string, number]>([
    ['2.20', 'app', 201],
    ['2.20', 'service-account', 400],
    ['2.22', 'service-account', 400],
    ['2.24', 'app', 201],
    ['2.24', 'service-account', 201],
    ['3.0', 'app', 400],
    ['3.0', 'service-account', 201],
  ])('%s answers an access rule for the subject type %s with %i', async (version, subjectType, status) => {
    const simulator = await start({ version });
    simulator.addApplication({ name: 'app-1' });
    const json = { ...ruleFor('app-1'), subjectType };
    const url = `${simulator.url}/api/v1/authorization/access-rules`;
    expect((await call(url, { token: await login(simulator), json })).status).toBe(status);
  });

  test.each<[Version, string, number]>([
    ['2.20', 'v1', 400],
    ['2.22', 'v1', 200],
    ['2.24', 'v2', 400],
    ['3.0', 'v2', 200],
  ])('%s answers an external token on %s with %i', async (version, generation, status) => {
    const simulator = await start({ version, externalTokens: ['trusted'] });
    const sent =
      generation === 'v1'
        ? { json: { grantType: 'external_token_exchange', externalToken: 'trusted' } }
        : { form: { grant_type: 'external_token_exchange', external_token: 'trusted' } };
    const seen = await call(`${simulator.url}/api/${generation}/token`, sent);
    expect(seen.status).toBe(status);
    if (version === '2.24') expect(jsonOf(seen).error).toBe('unsupported_grant_type');
    expect(simulator.violations).toEqual([]);
  });
});

describe('tokens', () => {
  test('both generations answer in their own spelling, with what the options choose', async () => {
    const simulator = await start({ tokenFields: { idToken: true, refreshToken: false } });
    const { username, password } = simulator.admin;
    const json = { grantType: 'password', username, password };
    const first = jsonOf(await call(`${simulator.url}/api/v1/token`, { json }));
    const form = { grant_type: 'password', username, password };
    const second = jsonOf(await call(`${simulator.url}/api/v2/token`, { form }));
    expect(Object.keys(first)).toEqual(['accessToken', 'idToken', 'expiresIn']);
    expect(Object.keys(second)).toEqual(['access_token', 'token_type', 'expires_in', 'id_token']);
    expect(simulator.secretsIssued).toEqual(
      expect.arrayContaining([first.accessToken, first.idToken, second.access_token, second.id_token]),
    );
    expect(simulator.violations).toEqual([]);
  });

  test('a token is a JWT that the server accepts until its own clock says otherwise', async () => {
    let now = Date.UTC(2026, 0, 1);
    const simulator = await start({ now: () => now, tokenLifetime: 60 });
    const token = await login(simulator);
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    expect(claims).toMatchObject({ sub: simulator.admin.username, iat: now / 1000, exp: now / 1000 + 60 });
    now += 59_999;
    expect((await call(`${simulator.url}/api/v1/apps`, { token })).status).toBe(200);
    now += 1;
    const late = await call(`${simulator.url}/api/v1/apps`, { token });
    expect([late.status, late.headers?.date]).toEqual([401, 'Thu, 01 Jan 2026 00:01:00 GMT']);
    expect(simulator.isValidToken(token)).toBe(false);
  });

  test.each([400, 401] as const)('wrong credentials can come as %i', async (status) => {
    const simulator = await start({ wrongPasswordStatus: status });
    const seen = await grant(simulator, 'nobody', 'nothing');
    expect([seen.status, jsonOf(seen).code]).toEqual([status, status]);
    expect(simulator.violations).toEqual([]);
  });

  test('wrong credentials on the second generation are an OAuth error', async () => {
    const simulator = await start();
    const url = `${simulator.url}/api/v2/token`;
    const client = await call(url, {
      form: { grant_type: 'client_credentials', client_id: 'nobody', client_secret: 'x' },
    });
    const user = await call(url, { form: { grant_type: 'password', username: 'nobody', password: 'x' } });
    expect([client.status, jsonOf(client).error]).toEqual([401, 'invalid_client']);
    expect([user.status, jsonOf(user).error]).toEqual([400, 'invalid_grant']);
    expect(simulator.violations).toEqual([]);
  });

  test('an OIDC token for the right audience can be exchanged, one for another cannot', async () => {
    const simulator = await start({ oidcAudience: 'https://runai.example' });
    const { url, requestToken, audience } = simulator.oidc;
    const statuses: (number | undefined)[] = [];
    for (const wanted of [audience, 'somebody-else']) {
      const answer = jsonOf(await call(`${url}&audience=${encodeURIComponent(wanted)}`, { token: requestToken }));
      const claims = JSON.parse(Buffer.from(answer.value.split('.')[1], 'base64url').toString());
      expect(claims.aud).toBe(wanted);
      const json = { grantType: 'external_token_exchange', externalToken: answer.value };
      statuses.push((await call(`${simulator.url}/api/v1/token`, { json })).status);
    }
    expect(statuses).toEqual([200, 400]);
    expect((await call(url, { token: 'wrong' })).status).toBe(401);
    expect(simulator.requests[0]?.path).toBe('/_oidc/token?api-version=2.0&audience=https%3A%2F%2Frunai.example');
    expect(simulator.violations).toEqual([]);
  });
});

describe('further grants', () => {
  test.each([
    ['app_token', '2.24', 200],
    ['app_token', '3.0', 400],
  ] as const)('%s, as the Python client sends it, gets %s to answer %i', async (grantType, version, status) => {
    const simulator = await start({ version });
    const { secret } = simulator.addApplication({ name: 'app-1' });
    const json = { grantType, AppId: 'app-1', AppSecret: secret };
    const seen = await call(`${simulator.url}/api/v1/token`, { json });
    expect(seen.status).toBe(status);
    expect(simulator.violations).toEqual([]);
  });

  test('app_token in the spelling of the documents, with a wrong secret too', async () => {
    const simulator = await start({ version: '2.20', wrongPasswordStatus: 401 });
    const { secret } = simulator.addApplication({ name: 'app-1' });
    const ask = async (appSecret: string) => {
      const json = { grantType: 'app_token', appID: 'app-1', appSecret };
      return (await call(`${simulator.url}/api/v1/token`, { json })).status;
    };
    expect([await ask(secret), await ask('wrong')]).toEqual([200, 401]);
  });

  test('a refresh token gets new tokens, on both generations, until it expires', async () => {
    let now = 0;
    const simulator = await start({ now: () => now, tokenLifetime: 60 });
    const { username, password } = simulator.admin;
    const first = jsonOf(
      await call(`${simulator.url}/api/v1/token`, { json: { grantType: 'password', username, password } }),
    );
    now = 599_000;
    const v1 = (refreshToken: string) =>
      call(`${simulator.url}/api/v1/token`, { json: { grantType: 'refresh_token', refreshToken } });
    const second = jsonOf(await v1(first.refreshToken));
    const form = { grant_type: 'refresh_token', refresh_token: second.refreshToken };
    const third = jsonOf(await call(`${simulator.url}/api/v2/token`, { form }));
    expect([second.accessToken, third.access_token].map((token) => simulator.isValidToken(token))).toEqual([
      true,
      true,
    ]);
    now = 600_000;
    expect((await v1(first.refreshToken)).status).toBe(400);
    expect((await v1(second.accessToken)).status).toBe(400);
    expect(simulator.violations).toEqual([]);
  });

  test.each([
    [undefined, 'repo:acme/app:ref:refs/heads/main'],
    ['ids', 'repo:acme@9919/app@1296269:ref:refs/heads/main'],
  ] as const)('the OIDC token (subject by %s) says %s, and has an end', async (oidcSubject, subject) => {
    let now = 0;
    const simulator = await start({ now: () => now, oidcLifetime: 5, ...(oidcSubject && { oidcSubject }) });
    const { url, requestToken, audience } = simulator.oidc;
    const { value } = jsonOf(await call(`${url}&audience=${audience}`, { token: requestToken }));
    const claims = JSON.parse(Buffer.from(value.split('.')[1], 'base64url').toString());
    expect(claims).toMatchObject({ sub: subject, iat: 0, exp: 5 });
    expect(simulator.oidc.subject).toBe(subject);
    const exchange = async () => {
      const json = { grantType: 'external_token_exchange', externalToken: value };
      return (await call(`${simulator.url}/api/v1/token`, { json })).status;
    };
    const statuses = [await exchange()];
    now = 5000;
    expect([...statuses, await exchange()]).toEqual([200, 400]);
  });
});

describe('applications', () => {
  test('what one says about itself: who created it, when it last got a token, whether it is enabled', async () => {
    let now = Date.UTC(2026, 0, 1);
    const simulator = await start({ now: () => now });
    const token = await login(simulator);
    const url = `${simulator.url}/api/v1/service-accounts`;
    const { id, clientSecret } = jsonOf(await call(url, { token, json: { name: 'app-1' } }));
    const read = async () => jsonOf(await call(`${url}/${id}`, { token }));
    expect(await read()).toMatchObject({ createdBy: simulator.admin.username, enabled: true, lastLogin: null });
    now += 1000;
    await grant(simulator, 'app-1', 'wrong');
    expect((await read()).lastLogin).toBeNull();
    const { accessToken } = jsonOf(await grant(simulator, 'app-1', clientSecret));
    expect((await read()).lastLogin).toBe('2026-01-01T00:00:01.000Z');
    const patched = await call(`${url}/${id}`, { method: 'PATCH', token, json: { enabled: false } });
    expect([patched.status, patched.body]).toEqual([200, '']);
    expect((await read()).enabled).toBe(false);
    expect((await grant(simulator, 'app-1', clientSecret)).status).toBe(400);
    expect(simulator.isValidToken(accessToken)).toBe(true);
    await call(`${simulator.url}/api/v1/apps/${id}`, { method: 'PATCH', token, json: { enabled: true } });
    expect((await grant(simulator, 'app-1', clientSecret)).status).toBe(200);
    expect(simulator.violations).toEqual([]);
  });

  test('a disabled one gets nothing for a refresh token', async () => {
    const simulator = await start({ tokenFields: { refreshToken: true } });
    const application = simulator.addApplication({ name: 'app-1' });
    const { refreshToken } = jsonOf(await grant(simulator, 'app-1', application.secret));
    application.enabled = false;
    const json = { grantType: 'refresh_token', refreshToken };
    expect((await call(`${simulator.url}/api/v1/token`, { json })).status).toBe(400);
  });

  test('two with the same name, and one without a time, can exist', async () => {
    const simulator = await start({ nullCreatedAt: true });
    const token = await login(simulator);
    simulator.addApplication({ name: 'app-1' });
    simulator.addApplication({ name: 'app-1', clientId: 'app-1-too' });
    await call(`${simulator.url}/api/v1/apps`, { token, json: { name: 'app-2' } });
    const listed = jsonOf(await call(`${simulator.url}/api/v1/apps`, { token }));
    expect(listed.map((one: { name: string }) => one.name)).toEqual(['app-1', 'app-1', 'app-2']);
    expect(listed[2].createdAt).toBeNull();
    expect(simulator.violations).toEqual([]);
  });

  test('a name is taken on both generations, which show the same objects', async () => {
    const simulator = await start();
    const token = await login(simulator);
    const create = (path: string) => call(`${simulator.url}/api/v1/${path}`, { token, json: { name: 'app-1' } });
    const first = jsonOf(await create('service-accounts'));
    expect(Object.keys(first)).toEqual(['id', 'name', 'clientSecret', 'clientId']);
    expect([(await create('apps')).status, (await create('service-accounts')).status]).toEqual([409, 409]);
    const listed = jsonOf(await call(`${simulator.url}/api/v1/apps`, { token }));
    expect(listed.map((one: { id: string }) => one.id)).toEqual([first.id]);
    expect(simulator.violations).toEqual([]);
  });

  test('only the newest secret works', async () => {
    const simulator = await start({ version: '2.20' });
    const token = await login(simulator);
    const created = jsonOf(await call(`${simulator.url}/api/v1/apps`, { token, json: { name: 'app-1' } }));
    expect((await grant(simulator, created.clientId, created.secret)).status).toBe(200);
    const reset = await call(`${simulator.url}/api/v1/apps/${created.id}/secret`, { method: 'POST', token });
    const { secret } = jsonOf(reset);
    expect((await grant(simulator, created.clientId, created.secret)).status).toBe(400);
    expect((await grant(simulator, created.clientId, secret)).status).toBe(200);
    expect(simulator.isValidSecret('app-1', created.secret)).toBe(false);
    expect(simulator.isValidSecret('app-1', secret)).toBe(true);
    expect(simulator.secretsIssued).toEqual(expect.arrayContaining([created.secret, secret]));
  });

  test('a deleted one is gone, with its tokens and access rules', async () => {
    const simulator = await start();
    const token = await login(simulator);
    const { id, secret } = simulator.addApplication({ name: 'app-1' });
    simulator.addAccessRule(ruleFor('app-1', 1));
    const own = jsonOf(await grant(simulator, 'app-1', secret)).accessToken;
    const remove = () => call(`${simulator.url}/api/v1/service-accounts/${id}`, { method: 'DELETE', token });
    const statuses = [(await remove()).status, (await remove()).status];
    expect(statuses).toEqual([204, 404]);
    expect([simulator.applications, simulator.accessRules]).toEqual([[], []]);
    expect((await call(`${simulator.url}/api/v1/apps`, { token: own })).status).toBe(401);
    expect(simulator.violations).toEqual([]);
  });

  test('the client id can be left out, or differ from the name', async () => {
    const without = await start({ omitClientId: true });
    const other = await start({ clientIdOf: (name) => `id-of-${name}` });
    const clientIds: (string | undefined)[] = [];
    for (const simulator of [without, other]) {
      const sent = { token: await login(simulator), json: { name: 'app-1' } };
      clientIds.push(jsonOf(await call(`${simulator.url}/api/v1/apps`, sent)).clientId);
    }
    expect(clientIds).toEqual([undefined, 'id-of-app-1']);
    expect(other.violations).toEqual([]);
    expect(without.violations).toEqual([]);
  });

  test('one without an access rule gets a token and nothing else', async () => {
    const simulator = await start();
    const { secret } = simulator.addApplication({ name: 'app-1' });
    const token = jsonOf(await grant(simulator, 'app-1', secret)).accessToken;
    const list = async () => (await call(`${simulator.url}/api/v1/users`, { token })).status;
    const statuses = [await list()];
    simulator.addAccessRule(ruleFor('app-1', 9));
    statuses.push(await list());
    simulator.addAccessRule(ruleFor('app-1', 1));
    statuses.push(await list());
    expect(statuses).toEqual([403, 403, 200]);
    expect(simulator.violations).toEqual([]);
  });
});

describe('users', () => {
  test('a new one gets a temporary password and keeps its name from others in whatever case', async () => {
    const simulator = await start();
    const token = await login(simulator);
    const create = (email: string) =>
      call(`${simulator.url}/api/v1/users`, { token, json: { email, resetPassword: true } });
    const created = await create('ada@runai.example');
    const { id, tempPassword } = jsonOf(created);
    expect(created.status).toBe(201);
    expect((await create('ADA@runai.example')).status).toBe(409);
    expect(simulator.users[1]).toMatchObject({ id, username: 'ada@runai.example', resetPassword: true });
    expect(simulator.isValidPassword('ada@runai.example', tempPassword)).toBe(true);
    const reset = await call(`${simulator.url}/api/v1/users/${id}/password`, { method: 'POST', token });
    expect(simulator.isValidPassword('ada@runai.example', tempPassword)).toBe(false);
    expect(simulator.isValidPassword('ada@runai.example', jsonOf(reset).tempPassword)).toBe(true);
    expect(simulator.violations).toEqual([]);
  });

  test('the shape of the multi-tenant guide has no password in it', async () => {
    const simulator = await start({ guideShapes: true, now: () => 0 });
    const json = { email: 'ada@runai.example', resetPassword: false };
    const seen = await call(`${simulator.url}/api/v1/users`, { token: await login(simulator), json });
    expect(jsonOf(seen)).toEqual({
      id: simulator.users[1]?.id,
      email: 'ada@runai.example',
      createdAt: '1970-01-01T00:00:00.000Z',
    });
    expect(simulator.violations).toEqual([]);
  });

  test('one that signs in through single sign-on has no password to reset', async () => {
    const simulator = await start();
    const { id } = simulator.addUser({ email: 'sso@runai.example', isLocal: false, createdAt: null });
    const url = `${simulator.url}/api/v1/users/${id}/password`;
    expect((await call(url, { method: 'POST', token: await login(simulator) })).status).toBe(400);
  });

  test.each([
    [false, '', ['ada@x.example', 'mada@x.example']],
    [false, '&offset=1', ['mada@x.example']],
    [true, '', ['admin@runai.example', 'bob@x.example']],
    [true, '&limit=1&offset=2', ['mada@x.example']],
  ])('the list (filter ignored: %s) with %j holds %j', async (ignoreUserFilter, query, expected) => {
    const simulator = await start({ ignoreUserFilter, usersPageLimit: 2 });
    for (const email of ['bob@x.example', 'mada@x.example', 'ada@x.example'].sort((a, b) => (a < b ? -1 : 1)))
      simulator.addUser({ email });
    if (ignoreUserFilter) simulator.users.splice(1, 1);
    const filter = encodeURIComponent('username==ADA@x.example');
    const url = `${simulator.url}/api/v1/users?filterBy=${filter}${query}`;
    const seen = await call(url, { token: await login(simulator) });
    expect(jsonOf(seen).map((one: { username: string }) => one.username)).toEqual(expected);
    expect(simulator.violations).toEqual([]);
  });
});

describe('access rules and roles', () => {
  test('a rule is listed by its subject, page by page, and a duplicate is a second rule', async () => {
    const simulator = await start();
    const token = await login(simulator);
    simulator.addApplication({ name: 'app-1' });
    simulator.addApplication({ name: 'app-2' });
    simulator.addAccessRule(ruleFor('app-2'));
    const url = `${simulator.url}/api/v1/authorization/access-rules`;
    for (const _ of [1, 2]) expect((await call(url, { token, json: ruleFor('app-1') })).status).toBe(201);
    const query = '?subjectIds=app-1&subjectType=service-account&limit=1&offset=1';
    const listed = jsonOf(await call(`${url}${query}`, { token }));
    expect(listed).toMatchObject({ totalRecords: 2, displayRecords: 1, accessRules: [{ roleName: 'ML engineer' }] });
    const other = jsonOf(await call(`${url}?subjectIds=app-1&subjectType=user`, { token }));
    expect(other.totalRecords).toBe(0);
    expect(simulator.violations).toEqual([]);
  });

  test.each([
    ['an unknown role', { roleId: 999 }, 404, 0],
    ['a subject that does not exist', { subjectId: 'nobody' }, 400, 0],
    ['an unknown scope type', { scopeType: 'galaxy' }, 400, 1],
    ['a role by name', { roleId: 'Viewer' }, 400, 1],
    ['a scope by number', { scopeId: 4501234 }, 400, 1],
    ['a field of its own', { comment: 'hello' }, 400, 1],
  ])('%s is refused', async (_, change, status, violations) => {
    const simulator = await start();
    simulator.addApplication({ name: 'app-1' });
    const sent = { token: await login(simulator), json: { ...ruleFor('app-1'), ...change } };
    const seen = await call(`${simulator.url}/api/v1/authorization/access-rules`, sent);
    expect([seen.status, jsonOf(seen).code]).toEqual([status, status]);
    expect(simulator.accessRules).toEqual([]);
    expect(simulator.violations).toHaveLength(violations);
  });

  test('an existing rule can be refused', async () => {
    const simulator = await start({ refuseDuplicateRules: true });
    const token = await login(simulator);
    simulator.addApplication({ name: 'app-1' });
    const url = `${simulator.url}/api/v1/authorization/access-rules`;
    const statuses: (number | undefined)[] = [];
    for (const role of [9, 9, 8]) statuses.push((await call(url, { token, json: ruleFor('app-1', role) })).status);
    expect(statuses).toEqual([201, 409, 201]);
    expect(simulator.violations).toEqual([]);
  });

  test('the second generation pages until next is gone', async () => {
    const simulator = await start({ rolesPageLimit: 5 });
    const token = await login(simulator);
    const sizes: [number, number | undefined][] = [];
    let offset: number | undefined = 0;
    while (offset !== undefined) {
      const url = `${simulator.url}/api/v2/authorization/roles?limit=500&offset=${offset}`;
      const answer: { next?: number; roles: unknown[] } = jsonOf(await call(url, { token }));
      sizes.push([answer.roles.length, answer.next]);
      offset = answer.next;
    }
    expect(sizes).toEqual([
      [5, 5],
      [5, 10],
      [2, undefined],
    ]);
    expect(jsonOf(await call(`${simulator.url}/api/v1/authorization/roles`, { token }))).toHaveLength(12);
    expect(simulator.violations).toEqual([]);
  });
});

describe('org units and clusters', () => {
  const names = (units: { name: string }[]) => units.map(({ name }) => name);

  test.each([
    ['projects', 'addProject'],
    ['departments', 'addDepartment'],
  ] as const)('%s are filtered by a part of the name, and come in short pages', async (plural, add) => {
    const simulator = await start({ orgUnitsPageLimit: 2 });
    const token = await login(simulator);
    const cluster = simulator.addCluster({ name: 'prod' });
    for (const name of ['team-a', 'other', 'Team-A-too', 'my-team-a']) simulator[add]({ name });
    const seen: string[] = [];
    let offset: number | undefined = 0;
    while (offset !== undefined) {
      const query = `filterBy=${encodeURIComponent('name==team-a')}&limit=500&offset=${offset}`;
      const answer = jsonOf(await call(`${simulator.url}/api/v1/org-unit/${plural}?${query}`, { token }));
      expect(answer[plural][0]).toMatchObject({ id: expect.stringMatching(/^\d+$/), clusterId: cluster.uuid });
      seen.push(...names(answer[plural]));
      offset = answer.next;
    }
    expect(seen).toEqual(['team-a', 'Team-A-too', 'my-team-a']);
    expect(simulator.violations).toEqual([]);
  });

  test('the filter can be ignored', async () => {
    const simulator = await start({ ignoreOrgUnitFilter: true });
    simulator.addProject({ name: 'one', id: '7', parentId: '3', clusterId: simulator.addCluster({ name: 'c' }).uuid });
    simulator.addProject({ name: 'two' });
    const url = `${simulator.url}/api/v1/org-unit/projects?filterBy=${encodeURIComponent('name==two')}`;
    const { projects } = jsonOf(await call(url, { token: await login(simulator) }));
    expect(names(projects)).toEqual(['one', 'two']);
    expect(projects[0]).toMatchObject({ id: '7', parentId: '3' });
  });

  test.each([false, true])('clusters come as a list, or in an object (%s)', async (clustersInObject) => {
    const simulator = await start({ clustersInObject });
    const cluster = simulator.addCluster({ name: 'prod' });
    const url = `${simulator.url}/api/v1/clusters?verbosity=metadata`;
    const answer = jsonOf(await call(url, { token: await login(simulator) }));
    expect(answer).toEqual(clustersInObject ? { clusters: [cluster] } : [cluster]);
    expect(simulator.violations).toEqual([]);
  });

  test('one kind of thing can be forbidden to everybody, while another is not', async () => {
    const simulator = await start({ forbid: ['apps'] });
    const token = await login(simulator);
    const statuses = async () => {
      const paths = ['apps', 'service-accounts', 'org-unit/projects'];
      const all = paths.map((path) => call(`${simulator.url}/api/v1/${path}`, { token }));
      return (await Promise.all(all)).map(({ status }) => status);
    };
    expect(await statuses()).toEqual([403, 200, 200]);
    simulator.forbidden.clear();
    simulator.forbidden.add('service-account').add('project');
    expect(await statuses()).toEqual([200, 403, 403]);
    expect(simulator.violations).toEqual([]);
  });
});

describe('the contract', () => {
  test.each<[string, string, Sent, number, string]>([
    ['an unknown field', '/api/v1/apps', { json: { name: 'app-1', owner: 'me' } }, 400, 'unknown field "owner"'],
    ['a missing field', '/api/v1/users', { json: { resetPassword: false } }, 400, 'lacks the field email'],
    ['a wrong type', '/api/v1/users', { json: { email: 'a@b.io', resetPassword: 'no' } }, 400, 'not a boolean'],
    ['a bad name', '/api/v1/apps', { json: { name: 'App 1' } }, 400, 'does not match'],
    [
      'a bad content type',
      '/api/v1/apps',
      { json: { name: 'app-1' }, headers: { 'content-type': 'text/plain' } },
      400,
      'content type',
    ],
    ['a form for JSON', '/api/v1/apps', { form: { name: 'app-1' } }, 400, 'content type'],
    ['an unknown query parameter', '/api/v1/users?page=2', {}, 200, 'query parameter "page" is unknown'],
    ['too large a page', '/api/v1/users?limit=501', {}, 200, 'out of range'],
    ['a bare plus', '/api/v1/users?filterBy=username==a+b@c.io', {}, 200, 'bare +'],
    [
      'a time to patch',
      '/api/v1/apps/1',
      { method: 'PATCH', json: { lastLogin: null } },
      400,
      'lacks the field enabled',
    ],
    ['a filter of its own', '/api/v1/org-unit/projects?filterBy=owner%3D%3Dme', {}, 200, 'does not match'],
    ['no authorization', '/api/v1/apps', { headers: { authorization: '' } }, 401, 'not a bearer token'],
    ['a path of nowhere', '/api/v1/applications', {}, 404, 'not in the contract'],
    ['a method of nowhere', '/api/v1/apps', { method: 'DELETE' }, 405, 'not in the contract'],
    [
      'authorization on a grant',
      '/api/v1/token',
      { json: { grantType: 'client_credentials', clientID: 'a', clientSecret: 'b' } },
      400,
      'with a grant',
    ],
  ])('%s is noted', async (_, path, sent, status, words) => {
    const simulator = await start();
    const token = await login(simulator);
    expect(simulator.violations).toEqual([]);
    const seen = await call(`${simulator.url}${path}`, { token, ...sent });
    expect(seen.status).toBe(status);
    expect(simulator.violations.join('\n')).toContain(words);
  });

  const role = { id: 1, name: 'Viewer', description: 'Looks', createdBy: 'system' };

  test.each<[string, string, number, unknown, string]>([
    ['an extra field', 'POST /api/v1/token', 200, { accessToken: 'a', token: 'b' }, 'unknown field "token"'],
    [
      'a field of another version',
      'POST /api/v1/token',
      200,
      { accessToken: 'a', externalToken: 'b' },
      '2.24 does not',
    ],
    ['a missing field', 'POST /api/v1/apps', 201, { id: '1', name: 'app-1' }, 'lacks the field secret'],
    ['a wrong type', 'POST /api/v1/users/7/password', 200, { tempPassword: 7 }, 'tempPassword is not a string'],
    ['a null', 'GET /api/v1/authorization/roles', 200, null, 'is null'],
    ['an object for a list', 'GET /api/v1/apps', 200, {}, 'is not a list'],
    ['a body on nothing', 'DELETE /api/v1/apps/1', 204, {}, 'has a body'],
    ['an unlikely code', 'GET /api/v1/apps', 404, { code: 7, message: 'No' }, 'code is out of range'],
    ['an undocumented status', 'DELETE /api/v1/apps/1', 200, {}, 'not documented'],
    ['an error of its own', 'POST /api/v2/token', 401, { error: 'oops' }, 'error is none of'],
    ['an endpoint of another version', 'GET /api/v3/apps', 200, [], 'no such endpoint'],
    [
      'a time of its own',
      'GET /api/v2/authorization/roles',
      200,
      { roles: [{ ...role, createdAt: 'today', updatedAt: '2026-01-01T00:00:00Z' }] },
      'createdAt is not a date',
    ],
  ])('%s in an answer is found', (_, request, status, value, words) => {
    const [method = '', path = ''] = request.split(' ');
    const answer = { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
    expect(checkAnswer('2.24', { method, path }, answer).join('\n')).toContain(words);
  });

  test('requests are recorded as they were sent', async () => {
    const simulator = await start({ pathPrefix: '/runai' });
    const json = { grantType: 'client_credentials', clientID: 'a', clientSecret: 'b' };
    await call(`${simulator.url}/api/v1/token`, { json, headers: { 'X-Mixed': 'Case' } });
    await call(`${simulator.url.replace('/runai', '')}/api/v1/token`, { json });
    expect(simulator.requests[0]).toMatchObject({
      method: 'POST',
      path: '/runai/api/v1/token',
      headers: { 'x-mixed': 'Case', 'content-type': 'application/json' },
      body: JSON.stringify(json),
      connection: 1,
      status: 400,
    });
    expect(simulator.requests[0]?.rawHeaders).toContain('X-Mixed');
    expect(simulator.requests[1]).toMatchObject({ connection: 2, status: 404 });
    expect(simulator.violations).toEqual(['POST /api/v1/token: outside of /runai']);
    expect(simulator.connections).toBe(2);
  });

  test('requests beyond the rate limit are deferred', async () => {
    let now = 0;
    const simulator = await start({ rateLimit: 2, now: () => now });
    const token = await login(simulator);
    const list = () => call(`${simulator.url}/api/v1/apps`, { token });
    const statuses = [(await list()).status];
    const refused = await list();
    now += 1000;
    statuses.push(refused.status, (await list()).status);
    expect(statuses).toEqual([200, 429, 200]);
    expect(refused.headers?.['retry-after']).toBe('1');
  });
});

describe('TLS', () => {
  test('the same over HTTPS, down to a reset', async () => {
    const authority = await createAuthority();
    const simulator = await start({ tls: await authority.issue({ hosts: ['localhost'] }) });
    const ca = authority.cert;
    expect(simulator.url).toMatch(/^https:\/\/localhost:\d+$/);
    const token = await login(simulator, ca);
    expect((await call(`${simulator.url}/api/v1/apps`, { token, ca })).body).toBe('[]');
    simulator.fault({ fault: { kind: 'reset', when: 'in-body', work: true } });
    expect(await call(`${simulator.url}/api/v1/apps`, { token, ca })).toMatchObject({
      error: 'read ECONNRESET',
      body: '[',
    });
    expect((await call(`${simulator.url}/api/v1/apps`, { token })).error).toMatch(/certificate/);
    expect(simulator.violations).toEqual([]);
  });
});
