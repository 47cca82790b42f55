// The client for one Actions secret, against the simulated GitHub, which opens what was sealed with libsodium.
import { describe, expect, it } from 'vitest';
import type { Place } from '../../src/github/place.ts';
import { Store } from '../../src/github/store.ts';
import { type Github, type GithubOptions, type Permissions, type PlaceName, startGithub } from '../simulator/github.ts';
import type { Fault } from '../simulator/simulator.ts';
import { answering } from '../support/answering.ts';
import { clientFor, failure, signedIn, type TestClock, testClock } from '../support/client.ts';

const name = 'RUNAI_CREDENTIALS';
const value = 'ci-runner:kZ7+pQ2&xW9';
const repository = 'acme/app';
const selectedIds = Array.from({ length: 230 }, (_, index) => 1000 + index);

interface Where {
  at: PlaceName;
  place: Place;
  path: string;
  permission: string;
  permissions: Permissions;
}

const places: Where[] = [
  {
    at: 'repository',
    place: { kind: 'repository', repository },
    path: '/repos/acme/app/actions/secrets',
    permission: 'repository "Secrets: write"',
    permissions: { secrets: 'write' },
  },
  {
    at: 'environment:prod/eu',
    place: { kind: 'environment', repository, environment: 'prod/eu' },
    path: '/repos/acme/app/environments/prod%2Feu/secrets',
    permission: 'repository "Environments: write"',
    permissions: { environments: 'write' },
  },
  {
    at: 'organization',
    place: { kind: 'organization', organization: 'acme' },
    path: '/orgs/acme/actions/secrets',
    permission: 'organization "Secrets: write"',
    permissions: { organization_secrets: 'write' },
  },
];
const [inRepository, inEnvironment, inOrganization] = places as [Where, Where, Where];

interface Setup extends AsyncDisposable {
  github: Github;
  store: Store;
  clock: TestClock;
  log: string[];
}

interface Given {
  token?: Parameters<Github['addToken']>[0] | string;
  options?: GithubOptions;
  budget?: number;
}

async function open({ place }: Where, { token, options = {}, budget = 60_000 }: Given = {}): Promise<Setup> {
  const clock = testClock();
  const secrets = { [name]: { visibility: 'selected' as const, selectedRepositoryIds: selectedIds } };
  const github = await startGithub({
    now: clock.now,
    environments: ['prod/eu'],
    organizationSecrets: secrets,
    ...options,
  });
  const githubToken = typeof token === 'string' ? token : token ? github.addToken(token) : github.token;
  const { transport, log } = clientFor('https://acme.run.ai', { clock, budget });
  const target = { name, place, githubToken, apiUrl: github.url, identity: undefined };
  const store = new Store(target, { transport, clean: (text) => text });
  return { github, store, clock, log, [Symbol.asyncDispose]: () => github.close() };
}

const sent = ({ github }: Setup) => github.requests.map(({ method, path }) => `${method} ${path}`);
const storeIt = async ({ store }: Pick<Setup, 'store'>, what = value) => (await store.rehearse()).write(what, {});

describe.each(places)('a secret of the $at', ({ at, ...rest }) => {
  const where = { at, ...rest };
  const { path, permission } = rest;

  it('is rehearsed, and then written with one request', async () => {
    await using setup = await open(where);
    const { github, store } = setup;
    const rehearsed = await store.rehearse();
    expect(github.secrets.filter((secret) => secret.name !== name)).toEqual([]);
    const before = sent(setup);
    await rehearsed.write(value, {});
    expect(github.secretValue(at, name)).toBe(value);
    expect(before.slice(-3)).toEqual([
      `GET ${path}/public-key`,
      `PUT ${path}/${name}_REHEARSAL`,
      `DELETE ${path}/${name}_REHEARSAL`,
    ]);
    expect(sent(setup).slice(before.length)).toEqual([`PUT ${path}/${name}`]);
    expect(github.violations).toEqual([]);
  });

  it('is sent sealed, with a token in the header and nowhere else', async () => {
    await using setup = await open(where);
    await storeIt(setup);
    const everything = JSON.stringify(setup.github.requests.map(({ path, body }) => [path, body]));
    expect(everything).not.toContain(value);
    expect(everything).not.toContain(setup.github.token);
    expect(everything).not.toContain(Buffer.from(value).toString('base64').slice(0, 12));
    for (const { headers } of setup.github.requests) {
      expect(headers).toMatchObject({
        authorization: `Bearer ${setup.github.token}`,
        accept: 'application/vnd.github+json',
        'x-github-api-version': '2022-11-28',
        'user-agent': 'runai-auth/test',
      });
    }
  });

  it('needs a permission that is named, and no more than that', async () => {
    await using enough = await open(where, { token: { permissions: rest.permissions } });
    await storeIt(enough);
    for (const permissions of [{}, { secrets: 'read', environments: 'read', organization_secrets: 'read' } as const]) {
      await using setup = await open(where, { token: { permissions } });
      const error = await failure(setup.store.rehearse());
      expect(error).toMatchObject({ code: 'forbidden', status: 403 });
      expect(error.describe()).toContain('answered 403: "Resource not accessible by integration" (1 attempt).');
      expect(error.hint).toBe(
        `github-token needs the permission ${permission}. The job's own GITHUB_TOKEN can never write secrets: use a GitHub App or a fine-grained token.`,
      );
      expect(setup.github.writes).toEqual([]);
    }
  });

  it('that the token cannot see is reported with the place and the permission', async () => {
    await using setup = await open(where, { token: { permissions: rest.permissions, blind: true } });
    const error = await failure(setup.store.rehearse());
    expect(error.code).toBe('not-found');
    if (at !== 'organization') expect(error.hint).toContain(permission);
  });

  it('is sealed again if the key has changed since the rehearsal', async () => {
    await using setup = await open(where);
    const rehearsed = await setup.store.rehearse();
    setup.github.rotateKey(at);
    const before = sent(setup).length;
    await rehearsed.write(value, {});
    expect(setup.github.secretValue(at, name)).toBe(value);
    expect(sent(setup).slice(before)).toEqual([`PUT ${path}/${name}`, `GET ${path}/public-key`, `PUT ${path}/${name}`]);
  });

  it('is known with the time of its last write', async () => {
    await using setup = await open(where);
    const updatedAt = Date.parse('2026-01-02T03:04:05Z');
    setup.github.editSecret(at, name, { updatedAt });
    expect(await setup.store.read()).toMatchObject({ updatedAt });
    setup.github.deleteSecret(at, name);
    expect(await setup.store.read()).toBeUndefined();
  });
});

describe('an organization’s secret', () => {
  const visible = (setup: Setup) => {
    const { visibility, selectedRepositoryIds } = setup.github.secrets.find((secret) => secret.name === name)!;
    return { visibility, selectedRepositoryIds };
  };

  it('keeps its visibility, and its repositories on every page', async () => {
    await using setup = await open(inOrganization);
    await storeIt(setup);
    expect(visible(setup)).toEqual({ visibility: 'selected', selectedRepositoryIds: selectedIds });
    expect(sent(setup).filter((request) => request.includes('/repositories?'))).toHaveLength(3);
  });

  it('keeps its repositories even if one is removed between two pages, or is not written', async () => {
    await using setup = await open(inOrganization);
    // The list moves up by one, so the 101st repository is on neither page.
    const change = (json: unknown) => {
      const { total_count, repositories } = json as { total_count: number; repositories: unknown[] };
      return { total_count: total_count - 1, repositories: repositories.slice(1) };
    };
    for (const page of ['page=2', 'page=3']) {
      setup.github.fault({ method: 'GET', path: page, fault: { kind: 'transform', change } });
    }
    const error = await failure(storeIt(setup));
    expect(error.message).toContain('lists fewer repositories');
    expect(setup.github.writes).toEqual([]);
  });

  it.each(['all', 'private'] as const)('with the visibility %s keeps that', async (visibility) => {
    await using setup = await open(inOrganization, { options: { organizationSecrets: { [name]: { visibility } } } });
    await storeIt(setup);
    expect(visible(setup)).toEqual({ visibility, selectedRepositoryIds: undefined });
  });

  it('of no repository keeps none', async () => {
    const secrets = { [name]: { visibility: 'selected' as const, selectedRepositoryIds: [] } };
    await using setup = await open(inOrganization, { options: { organizationSecrets: secrets } });
    await storeIt(setup);
    expect(visible(setup)).toEqual({ visibility: 'selected', selectedRepositoryIds: [] });
  });

  it('is rehearsed where no repository can read it', async () => {
    await using setup = await open(inOrganization);
    await setup.store.rehearse();
    const put = setup.github.requests.find(({ method }) => method === 'PUT');
    expect(JSON.parse(put!.body)).toMatchObject({ visibility: 'selected', selected_repository_ids: [] });
  });

  it('must exist', async () => {
    await using setup = await open(inOrganization, { options: { organizationSecrets: {} } });
    const error = await failure(setup.store.rehearse());
    expect(error.code).toBe('not-found');
    expect(error.describe()).toBe(
      "there is no secret RUNAI_CREDENTIALS of the organization acme, or the token cannot see it. Nothing was issued, and the stored secret is unchanged. An organization's secret must exist, so that it is clear which repositories may read it: create it once by hand, with any value. If the application exists already, issue the first credentials with if-exists: rotate, or with rotate-app without rotate-after-days: any other run would take that value for them.",
    );
    expect(setup.github.writes).toEqual([]);
  });
});

describe('an environment', () => {
  it('that does not exist is reported by name', async () => {
    await using setup = await open(inEnvironment, { options: { environments: [] } });
    const error = await failure(setup.store.rehearse());
    expect(error).toMatchObject({ code: 'not-found', status: 404 });
    expect(error.hint).toContain('GitHub does not show the environment prod/eu of acme/app to this token');
  });

  it('that is deleted after the rehearsal fails the write', async () => {
    await using setup = await open(inEnvironment);
    const rehearsed = await setup.store.rehearse();
    setup.github.removeEnvironment('prod/eu');
    expect(await failure(rehearsed.write(value, {}))).toMatchObject({ code: 'store', status: 404 });
  });
});

describe('the rate limit', () => {
  it.each([
    [403, 'reset'],
    [429, 'reset'],
    [403, 'retry-after'],
    [429, 'retry-after'],
  ] as const)('of a %i is waited for, as %s says, by GitHub’s clock', async (status, tells) => {
    await using setup = await open(inRepository);
    setup.github.limitRate({ status, tells, seconds: 20 });
    await storeIt(setup);
    expect(setup.github.secretValue('repository', name)).toBe(value);
    expect(setup.clock.pauses).toHaveLength(1);
    expect(setup.clock.pauses[0]).toBeGreaterThan(18_000);
    expect(setup.clock.pauses[0]).toBeLessThan(23_000);
    expect(setup.log.join('\n')).toContain('trying again until');
  });

  it('that lasts longer than the run is reported, and the message names GitHub', async () => {
    await using setup = await open(inRepository);
    setup.github.limitRate({ tells: 'reset', seconds: 3_000 });
    const error = await failure(setup.store.rehearse());
    expect(error).toMatchObject({ code: 'unavailable', status: 403, attempts: 1 });
    expect(error.message).toMatch(/exceeded a primary rate limit.*it asks to wait (3000|2999|3001) s/);
    expect(setup.clock.pauses).toEqual([]);
  });

  it('that does not say when it ends counts as a minute', async () => {
    const headers = { 'x-ratelimit-remaining': '0' };
    await using setup = await open(inRepository, { budget: 300_000 });
    setup.github.fault({ fault: { kind: 'status', status: 403, headers: { ...headers, 'x-ratelimit-reset': '' } } });
    await storeIt(setup);
    expect(setup.clock.pauses).toEqual([60_500]);
  });
});

describe('a renamed repository', () => {
  it.each([301, 307] as const)('answers %i, which is not followed, and the message says what to do', async (status) => {
    await using setup = await open(
      { ...inRepository, place: { kind: 'repository', repository: 'acme/old-name' } },
      { options: { renamed: { from: 'acme/old-name', status } } },
    );
    const error = await failure(setup.store.rehearse());
    expect(error).toMatchObject({ code: 'redirect', status });
    expect(error.hint).toContain(
      'GitHub answers like this for a repository that was renamed or moved: run the workflow again from the repository under its new name.',
    );
    expect(error.hint).not.toMatch(/\burl\b/);
    expect(setup.github.requests).toHaveLength(1);
  });
});

describe('before anything is issued, an error has the code of its cause', () => {
  it.each<[string, Fault, string]>([
    ['a token that has expired', { kind: 'status', status: 401 }, 'token-rejected'],
    ['a firewall', { kind: 'html', status: 403 }, 'blocked'],
    ['an API that is away', { kind: 'status', status: 503 }, 'unavailable'],
    ['a page', { kind: 'html', status: 200 }, 'unreadable'],
    ['a key that is none', { kind: 'transform', change: () => ({ key_id: '1', key: 'AAAA' }) }, 'unreadable'],
    ['a name that GitHub does not take', { kind: 'status', status: 422 }, 'rejected'],
  ])('%s', async (_what, fault, code) => {
    await using setup = await open(inRepository, { budget: 5_000 });
    setup.github.fault({ times: Infinity, fault });
    const error = await failure(setup.store.rehearse());
    expect(error.code).toBe(code);
    expect(error.operation).toBe(`GET ${setup.github.url}/repos/acme/app/actions/secrets/public-key`);
    expect(error.hint).toMatch(/GitHub/);
    expect(error.hint).not.toMatch(/\burl\b/);
  });
});

describe('the actual write', () => {
  it.each<[string, Fault]>([
    ['a token that has expired meanwhile', { kind: 'status', status: 401 }],
    ['a permission that was taken away', { kind: 'status', status: 403 }],
    ['an API that is away', { kind: 'status', status: 503 }],
    ['a key that never fits', { kind: 'status', status: 422 }],
    ['a page in place of the answer', { kind: 'html', status: 200 }],
    ['a success that GitHub never gives', { kind: 'empty', status: 200 }],
  ])('fails with the code store: %s', async (_what, fault) => {
    await using setup = await open(inRepository, { budget: 5_000 });
    const rehearsed = await setup.store.rehearse();
    setup.github.fault({ method: 'PUT', times: Infinity, fault });
    expect(await failure(rehearsed.write(value, {}))).toMatchObject({ code: 'store' });
    expect(setup.github.secretValue('repository', name)).toBeUndefined();
  });

  it('is done again after a lost answer, which does no harm', async () => {
    await using setup = await open(inRepository);
    const rehearsed = await setup.store.rehearse();
    setup.github.fault({ method: 'PUT', fault: { kind: 'reset', when: 'before-head', work: true } });
    await rehearsed.write(value, {});
    expect(setup.github.secretValue('repository', name)).toBe(value);
  });

  it('is tried with three keys at most', async () => {
    await using setup = await open(inRepository);
    const rehearsed = await setup.store.rehearse();
    setup.github.fault({ method: 'PUT', times: Infinity, fault: { kind: 'status', status: 422 } });
    const before = sent(setup).length;
    expect(await failure(rehearsed.write(value, {}))).toMatchObject({ code: 'store', status: 422 });
    expect(
      sent(setup)
        .slice(before)
        .filter((request) => request.startsWith('PUT')),
    ).toHaveLength(3);
  });

  it('may hold as much as GitHub stores, and no more', async () => {
    await using setup = await open(inRepository);
    const most = 'x'.repeat(48 * 1024);
    await storeIt(setup, most);
    expect(setup.github.secretValue('repository', name)).toBe(most);
    expect(await failure(storeIt(setup, `${most}x`))).toMatchObject({ code: 'store', status: 422 });
  });
});

it('a rehearsal that somebody else has cleaned up is good enough', async () => {
  await using setup = await open(inRepository);
  setup.github.fault({ method: 'DELETE', fault: { kind: 'status', status: 404, work: true } });
  await storeIt(setup);
  expect(setup.github.secretValue('repository', name)).toBe(value);
});

it('GitHub Enterprise Server has its API below a path', async () => {
  await using setup = await open(inRepository, { options: { pathPrefix: '/api/v3' } });
  await storeIt(setup);
  expect(sent(setup)[0]).toBe('GET /api/v3/repos/acme/app/actions/secrets/public-key');
  expect(setup.github.violations).toEqual([]);
});

it('the clocks of the two services are kept apart', async () => {
  const [day, clock] = [86_400_000, testClock()];
  const github = await startGithub({ now: () => clock.now() + day });
  await using plane = await signedIn({ clock }, { now: () => clock.now() - day });
  const target = {
    name,
    place: inRepository.place,
    githubToken: github.token,
    apiUrl: github.url,
    identity: undefined,
  };
  const store = new Store(target, { transport: plane.transport, clean: (text) => text });
  await store.rehearse();
  const span = (time: number) => ({ earliest: time, latest: time });
  const [stored, made] = [store.ourTime(span(clock.now() + day)), plane.client.ourTime(span(clock.now() - day))];
  for (const ours of [stored, made]) expect(Math.abs(ours!.earliest - clock.now())).toBeLessThan(10_000);
  await github.close();
});

it('a service that sends no Date has no time of ours', async () => {
  await using setup = await open(inRepository, { options: { omitDate: true } });
  await setup.store.rehearse();
  expect(setup.store.ourTime({ earliest: 0, latest: 0 })).toBeUndefined();
});

it('names it in the message', async () => {
  const described = [];
  for (const where of places) {
    await using setup = await open(where);
    described.push(setup.store.description);
  }
  expect(described).toEqual([
    'the secret RUNAI_CREDENTIALS of acme/app',
    'the secret RUNAI_CREDENTIALS of the environment prod/eu of acme/app',
    'the secret RUNAI_CREDENTIALS of the organization acme',
  ]);
});

it('a list of repositories that is shorter than it says is rejected: a repository left out of the write would lose access', async () => {
  await using server = await answering(({ path }) => {
    if (path.includes('/repositories')) return { json: { total_count: 1e9, repositories: [] } };
    if (path.endsWith('public-key')) return { json: { key_id: '1', key: Buffer.alloc(32, 1).toString('base64') } };
    return { json: { name, updated_at: '2026-01-01T00:00:00Z', visibility: 'selected' } };
  });
  const { transport } = clientFor('https://acme.run.ai');
  const place = inOrganization.place;
  const target = { name, place, githubToken: 'ghs_x', apiUrl: server.url, identity: undefined };
  const rehearsed = new Store(target, { transport, clean: (text) => text }).rehearse();
  await expect(rehearsed).rejects.toMatchObject({ code: 'unreadable' });
  expect(server.requests.filter((request) => request.includes('/repositories'))).toHaveLength(1);
});
