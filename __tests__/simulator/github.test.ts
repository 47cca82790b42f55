import sodium from 'libsodium-wrappers';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';

import { createAuthority } from '../support/certificates.ts';
import { call, jsonOf, type Seen, type Sent } from './call.ts';
import type { Github, GithubOptions, Permissions, PlaceName } from './github.ts';
import { startGithub } from './github.ts';

const started: Github[] = [];

async function start(options?: GithubOptions): Promise<Github> {
  const github = await startGithub(options);
  started.push(github);
  return github;
}

beforeAll(() => sodium.ready);

afterEach(async () => {
  await Promise.all(started.splice(0).map((github) => github.close()));
});

const usual = {
  accept: 'application/vnd.github+json',
  'x-github-api-version': '2022-11-28',
  'user-agent': 'a test',
};

function ask(github: Github, path: string, sent: Sent = {}): Promise<Seen> {
  return call(`${github.url}${path}`, { token: github.token, ...sent, headers: { ...usual, ...sent.headers } });
}

const paths = {
  repository: '/repos/acme/app/actions/secrets',
  'environment:prod/eu': '/repos/acme/app/environments/prod%2Feu/secrets',
  organization: '/orgs/acme/actions/secrets',
};

type Tested = keyof typeof paths;
const places = Object.keys(paths) as Tested[];

function seal(value: string | Uint8Array, key: string): string {
  const sealed = sodium.crypto_box_seal(value, new Uint8Array(Buffer.from(key, 'base64')));
  return Buffer.from(sealed).toString('base64');
}

async function sealedFor(github: Github, place: Tested, value: string): Promise<Record<string, unknown>> {
  const { key_id, key } = jsonOf(await ask(github, `${paths[place]}/public-key`));
  return { encrypted_value: seal(value, key), key_id, ...(place === 'organization' && { visibility: 'private' }) };
}

async function store(github: Github, place: Tested, value: string, more: object = {}): Promise<Seen> {
  const json = { ...(await sealedFor(github, place, value)), ...more };
  return await ask(github, `${paths[place]}/RUNAI`, { method: 'PUT', json });
}

describe('secrets', () => {
  test.each(places)('one in %s is made, read, replaced and deleted', async (place) => {
    let now = Date.UTC(2026, 0, 1, 0, 0, 0, 900);
    const github = await start({ environments: ['prod/eu'], now: () => now });
    const one = `${paths[place]}/runai`;
    expect((await ask(github, one)).status).toBe(404);
    expect((await store(github, place, 'first ü')).status).toBe(201);
    now += 60_000;
    expect(await store(github, place, 'second')).toMatchObject({ status: 204, body: '' });
    expect(jsonOf(await ask(github, one))).toEqual({
      name: 'RUNAI',
      created_at: '2026-01-01T00:00:00Z',
      updated_at: '2026-01-01T00:01:00Z',
      ...(place === 'organization' && { visibility: 'private' }),
    });
    expect(github.secretValue(place, 'runai')).toBe('second');
    expect(github.writes.map(({ value }) => value)).toEqual(['first ü', 'second']);
    const statuses = [await ask(github, one, { method: 'DELETE' }), await ask(github, one, { method: 'DELETE' })];
    expect(statuses.map(({ status }) => status)).toEqual([204, 404]);
    expect([github.secretValue(place, 'RUNAI'), github.violations]).toEqual([undefined, []]);
  });

  test('each place has its own key', async () => {
    const github = await start({ environments: ['prod/eu'] });
    const json = await sealedFor(github, 'repository', 'value');
    const seen = await ask(github, `${paths['environment:prod/eu']}/RUNAI`, { method: 'PUT', json });
    expect([seen.status, github.secrets]).toEqual([422, []]);
  });

  test('a value that is not sealed for the key, and one of more than 48 KB, are refused', async () => {
    const github = await start();
    const { key_id, key } = jsonOf(await ask(github, `${paths.repository}/public-key`));
    const put = async (encrypted_value: string) =>
      (await ask(github, `${paths.repository}/RUNAI`, { method: 'PUT', json: { encrypted_value, key_id } })).status;
    const other = Buffer.from(sodium.crypto_box_keypair().publicKey).toString('base64');
    expect(await put(seal('value', other))).toBe(422);
    expect(await put(seal(new Uint8Array(48 * 1024 + 1), key))).toBe(422);
    expect(await put(seal(new Uint8Array(48 * 1024), key))).toBe(201);
    expect(github.violations).toEqual([]);
  });

  test.each<[string, (github: Github) => void, number]>([
    ['at once', (github) => github.rotateKey('repository'), 422],
    ['after the next read', (github) => github.rotateKeyAfterNextRead('repository'), 201],
  ])('a key that is changed %s makes what was sealed before it outdated', async (_, rotate, again) => {
    const github = await start();
    const path = `${paths.repository}/RUNAI`;
    const put = async (json: unknown) => (await ask(github, path, { method: 'PUT', json })).status;
    const early = await sealedFor(github, 'repository', 'early');
    rotate(github);
    expect(await put(early)).toBe(again);
    expect(await put(await sealedFor(github, 'repository', 'late'))).toBe(again === 422 ? 201 : 422);
    expect(await put(await sealedFor(github, 'repository', 'last'))).toBe(204);
  });

  test('people edit and delete', async () => {
    const github = await start({ now: () => Date.UTC(2026, 0, 2) });
    github.editSecret('repository', 'Mine', { value: 'old', createdAt: '2025-01-01T00:00:00Z' });
    expect(github.editSecret('repository', 'MINE', { value: 'new' })).toEqual({
      place: 'repository',
      name: 'MINE',
      value: 'new',
      createdAt: '2025-01-01T00:00:00Z',
      updatedAt: '2026-01-02T00:00:00Z',
    });
    expect([github.secretValue('repository', 'mine'), github.secrets.length]).toEqual(['new', 1]);
    expect(github.deleteSecret('repository', 'MINE')).toBe(true);
    expect(github.deleteSecret('repository', 'MINE')).toBe(false);
    expect(github.writes).toEqual([]);
  });
});

describe('an organization', () => {
  const selectedRepositoryIds = Array.from({ length: 150 }, (_, index) => index + 1);
  const organizationSecrets = { RUNAI: { visibility: 'selected' as const, selectedRepositoryIds } };

  test('shows visibility and selected repositories, page by page', async () => {
    const github = await start({ organizationSecrets });
    const secret = jsonOf(await ask(github, `${paths.organization}/RUNAI`));
    const list = `${paths.organization}/RUNAI/repositories`;
    expect(secret).toMatchObject({ visibility: 'selected', selected_repositories_url: `${github.url}${list}` });
    const ids: number[] = [];
    for (const page of [1, 2, 3]) {
      const answer = jsonOf(await ask(github, `${list}?per_page=100&page=${page}`));
      expect(answer.total_count).toBe(150);
      ids.push(...answer.repositories.map((one: { id: number }) => one.id));
    }
    expect([ids, github.violations]).toEqual([selectedRepositoryIds, []]);
  });

  test('what a write leaves out is lost', async () => {
    const github = await start({ organizationSecrets });
    await store(github, 'organization', 'kept', { visibility: 'selected', selected_repository_ids: [7] });
    expect(github.secrets[0]).toMatchObject({ visibility: 'selected', selectedRepositoryIds: [7] });
    await store(github, 'organization', 'lost', { visibility: 'selected' });
    expect(github.secrets[0]?.selectedRepositoryIds).toEqual([]);
    const without = await store(github, 'organization', 'none', { visibility: undefined });
    expect([without.status, github.secretValue('organization', 'RUNAI')]).toEqual([422, 'lost']);
    expect(github.violations.join()).toContain('visibility is missing');
  });

  test('a person has none', async () => {
    const github = await start({ ownedByPerson: true });
    expect((await ask(github, `${paths.organization}/public-key`)).status).toBe(404);
    expect((await ask(github, `${paths.repository}/public-key`)).status).toBe(200);
  });
});

describe('permissions', () => {
  test.each<[Permissions, PlaceName, number, number]>([
    [{}, 'repository', 403, 403],
    [{ secrets: 'read' }, 'repository', 200, 403],
    [{ secrets: 'write' }, 'repository', 200, 201],
    [{ secrets: 'write' }, 'environment:prod/eu', 403, 403],
    [{ environments: 'write' }, 'environment:prod/eu', 200, 201],
    [{ secrets: 'write', environments: 'write' }, 'organization', 403, 403],
    [{ organization_secrets: 'write' }, 'organization', 200, 201],
  ])('a token with %j in %s reads with %i and writes with %i', async (permissions, place, read, write) => {
    const github = await start({ environments: ['prod/eu'] });
    const path = paths[place as Tested];
    const json = await sealedFor(github, place as Tested, 'value');
    const token = github.addToken({ permissions });
    const seen = await ask(github, `${path}/public-key`, { token });
    const put = await ask(github, `${path}/RUNAI`, { token, method: 'PUT', json });
    expect([seen.status, put.status]).toEqual([read, write]);
    if (write === 403) expect(jsonOf(put).message).toBe('Resource not accessible by integration');
  });

  test.each<[string, Sent, string, number, string]>([
    ['an unknown token', { token: 'ghs_unknown' }, paths.repository, 401, 'Bad credentials'],
    ['no user agent', { headers: { 'user-agent': '' } }, paths.repository, 403, 'User-Agent'],
    ['another repository', {}, '/repos/acme/other/actions/secrets', 404, 'Not Found'],
    ['an environment that is not there', {}, '/repos/acme/app/environments/test/secrets', 404, 'Not Found'],
    ['another organization', {}, '/orgs/other/actions/secrets', 404, 'Not Found'],
    ['a path of nowhere', {}, '/repos/acme/app/secrets', 404, 'Not Found'],
  ])('%s is refused', async (_, sent, path, status, words) => {
    const github = await start();
    const seen = await ask(github, `${path}/public-key`, sent);
    expect(seen.status).toBe(status);
    expect(jsonOf(seen).message).toContain(words);
  });

  test('a token that cannot see the repository finds nothing', async () => {
    const github = await start();
    const token = github.addToken({ permissions: { secrets: 'write' }, blind: true });
    expect((await ask(github, `${paths.repository}/public-key`, { token })).status).toBe(404);
  });

  test('environments come and go', async () => {
    const github = await start();
    const status = async () => (await ask(github, `${paths['environment:prod/eu']}/public-key`)).status;
    const statuses = [await status()];
    github.addEnvironment('Prod/EU');
    statuses.push(await status());
    github.removeEnvironment('prod/eu');
    statuses.push(await status());
    expect(statuses).toEqual([404, 200, 404]);
  });
});

describe('obstacles', () => {
  test.each<[Parameters<Github['limitRate']>[0], number, Record<string, string | undefined>]>([
    [{ seconds: 30, tells: 'reset' }, 403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1030' }],
    [{ seconds: 30, tells: 'retry-after' }, 403, { 'retry-after': '30' }],
    [{ seconds: 30, tells: 'retry-after', status: 429 }, 429, { 'retry-after': '30' }],
  ])('a rate limit of %j', async (limit, status, headers) => {
    let now = 1_000_000;
    const github = await start({ now: () => now });
    const read = () => ask(github, `${paths.repository}/public-key`);
    expect((await read()).headers?.['x-ratelimit-remaining']).toBe('4999');
    github.limitRate(limit);
    expect(await read()).toMatchObject({ status, headers });
    now += 30_000;
    expect((await read()).status).toBe(200);
  });

  test.each([301, 307] as const)('a renamed repository answers with %i', async (status) => {
    const github = await start({ renamed: { from: 'acme/old', status }, pathPrefix: '/api/v3' });
    const seen = await ask(github, '/repos/acme/old/actions/secrets/public-key');
    const location = `${github.url}/repositories/${github.repositoryId}/actions/secrets/public-key`;
    expect([seen.status, seen.headers?.location]).toEqual([status, location]);
  });

  test('it fails as the control plane does', async () => {
    const github = await start();
    const path = `${paths.repository}/public-key`;
    github.fault({ path: 'public-key', fault: { kind: 'status', status: 502 } });
    expect(jsonOf(await ask(github, path))).toMatchObject({ message: 'A scripted 502', status: '502' });
    github.fault({ fault: { kind: 'html', status: 403 } });
    expect((await ask(github, path)).headers?.['content-type']).toContain('text/html');
    github.fault({ method: 'PUT', fault: { kind: 'reset', when: 'before-head', work: true } });
    expect((await store(github, 'repository', 'kept all the same')).error).toBe('read ECONNRESET');
    expect(github.secretValue('repository', 'RUNAI')).toBe('kept all the same');
  });

  test('it has its own clock, or none', async () => {
    const read = async (options: GithubOptions) =>
      (await ask(await start(options), `${paths.repository}/public-key`)).headers?.date;
    expect(await read({ now: () => 0 })).toBe('Thu, 01 Jan 1970 00:00:00 GMT');
    expect(await read({ omitDate: true })).toBeUndefined();
  });

  test('a prefix, and HTTPS', async () => {
    const authority = await createAuthority();
    const github = await start({ pathPrefix: '/api/v3', tls: await authority.issue({ hosts: ['localhost'] }) });
    expect(github.url).toMatch(/^https:\/\/localhost:\d+\/api\/v3$/);
    const path = `${paths.repository}/public-key`;
    expect((await ask(github, path, { ca: authority.cert })).status).toBe(200);
    expect(github.requests[0]?.path).toBe(`/api/v3${path}`);
    expect(github.violations).toEqual([]);
  });
});

describe('the contract', () => {
  const good = { encrypted_value: 'AAAA', key_id: '1' };

  test.each<[string, string, Sent, string]>([
    ['no Accept', '', { headers: { accept: '' } }, 'accept does not match'],
    ['no version', '', { headers: { 'x-github-api-version': '' } }, 'x-github-api-version does not'],
    ['another scheme', '', { headers: { authorization: 'token x' } }, 'authorization does not'],
    ['a query', '?per_page=1', {}, 'query parameter "per_page" is unknown'],
    ['a body on a read', '', { method: 'GET', json: {} }, 'a body was sent'],
    ['a name with a dash', '-2', { method: 'DELETE' }, 'no valid name'],
    ['a field of its own', '', { method: 'PUT', json: { ...good, value: 'x' } }, 'field "value" is unknown'],
    ['no key', '', { method: 'PUT', json: { ...good, key_id: 1 } }, 'key_id is not a string'],
    ['base64url', '', { method: 'PUT', json: { ...good, encrypted_value: 'A-_A' } }, 'not base64'],
    ['a visibility', '', { method: 'PUT', json: { ...good, visibility: 'all' } }, 'only an organization'],
    ['a form', '', { method: 'PUT', form: good }, 'content type'],
    ['another method', '', { method: 'POST', json: good }, 'not in the contract'],
  ])('%s is noted', async (_, more, sent, words) => {
    const github = await start();
    await ask(github, `${paths.repository}/RUNAI${more}`, sent);
    expect(github.violations.join('\n')).toContain(words);
  });

  test('names that GitHub keeps for itself are refused', async () => {
    const github = await start();
    const json = await sealedFor(github, 'repository', 'value');
    for (const name of ['GITHUB_X', '1X', 'A-B'])
      expect((await ask(github, `${paths.repository}/${name}`, { method: 'PUT', json })).status).toBe(422);
    expect(github.violations).toHaveLength(3);
  });

  test('a request outside of the prefix is not for GitHub', async () => {
    const github = await start({ pathPrefix: '/api/v3' });
    const seen = await call(`${github.url.replace('/api/v3', '')}/user`, { headers: usual });
    expect([seen.status, github.violations]).toEqual([404, ['GET /user: outside of /api/v3']]);
  });
});
