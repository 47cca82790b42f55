// store-as: from Run:ai to a stored, working secret in one step, and every way in which that can fail.
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/errors.ts';
import type { GithubOptions } from '../simulator/github.ts';
import type { Fault } from '../simulator/simulator.ts';
import { openStage, type Stage, sent } from '../support/stage.ts';

type Inputs = Record<string, string>;

const name = 'RUNAI_CREDENTIALS';
const storedAs = ({ github }: Stage): Inputs => ({ 'store-as': name, 'github-token': github.token });
const secretOf = ({ github }: Stage) => github.secretValue('repository', name);
const leftovers = ({ github }: Stage) => github.secrets.filter((secret) => secret.name.endsWith('_REHEARSAL'));
const create = { mode: 'create-app', 'app-name': 'trainer' };
const rotate = { mode: 'rotate-app', 'app-name': 'trainer' };

/** Whether a stored value signs in. */
function works({ simulator }: Stage, value = ''): boolean {
  const at = value.indexOf(':');
  return simulator.isValidSecret(value.slice(0, at), value.slice(at + 1));
}

describe.concurrent('the credentials are stored, and work', () => {
  it.each<{ place: string; github?: GithubOptions; in: 'repository' | 'organization' | `environment:${string}` }>([
    { place: 'repository', in: 'repository' },
    { place: 'environment:production', github: { environments: ['production'] }, in: 'environment:production' },
    { place: 'environment:a/b %', github: { environments: ['a/b %'] }, in: 'environment:a/b %' },
    {
      place: 'organization',
      github: { organizationSecrets: { [name]: { visibility: 'private' } } },
      in: 'organization',
    },
    { place: 'repository', github: { pathPrefix: '/api/v3' }, in: 'repository' },
  ])('in $place ($github)', async ({ place, github, in: where }) => {
    await using stage = await openStage({ github: github ?? {} });
    const { exitCode, outputs } = await stage.run({ ...create, ...storedAs(stage), 'store-in': place });
    expect(exitCode).toBe(0);
    expect(outputs['stored']).toBe('true');
    const value = stage.github.secretValue(where, name);
    expect(value).toBe(outputs['credentials']);
    expect(works(stage, value)).toBe(true);
    expect(leftovers(stage)).toEqual([]);
  });

  it('under a name in capitals, whatever the input', async () => {
    await using stage = await openStage();
    const { exitCode } = await stage.run({ ...create, ...storedAs(stage), 'store-as': 'runai_Credentials' });
    expect(exitCode).toBe(0);
    expect(works(stage, secretOf(stage))).toBe(true);
  });

  it('over what was there before', async () => {
    await using stage = await openStage();
    stage.github.editSecret('repository', name, { value: 'old' });
    await stage.run({ ...create, ...storedAs(stage) });
    expect(works(stage, secretOf(stage))).toBe(true);
  });

  it('with the visibility and all the repositories of an organization’s secret', async () => {
    const selectedRepositoryIds = Array.from({ length: 250 }, (_, at) => at + 1);
    const organizationSecrets = { [name]: { visibility: 'selected' as const, selectedRepositoryIds } };
    await using stage = await openStage({ github: { organizationSecrets } });
    await stage.run({ ...create, ...storedAs(stage), 'store-in': 'organization' });
    expect(stage.github.secrets).toEqual([
      expect.objectContaining({ place: 'organization', visibility: 'selected', selectedRepositoryIds }),
    ]);
  });

  it('while a rehearsal is seen by no repository', async () => {
    await using stage = await openStage({ github: { organizationSecrets: { [name]: { visibility: 'all' } } } });
    await stage.run({ ...create, ...storedAs(stage), 'store-in': 'organization' });
    const [rehearsal] = sent(stage.github, 'PUT', /REHEARSAL$/);
    expect(JSON.parse(rehearsal?.body ?? '')).toMatchObject({ visibility: 'selected', selected_repository_ids: [] });
  });

  it('sealed for a new key, where the key has changed since the rehearsal', async () => {
    await using stage = await openStage();
    // The rehearsal's own write uses up one key.
    stage.github.fault({ method: 'PUT', path: /CREDENTIALS$/, fault: { kind: 'status', status: 422, body: {} } });
    const { exitCode } = await stage.run({ ...create, ...storedAs(stage) });
    expect(exitCode).toBe(0);
    expect(sent(stage.github, 'GET', 'public-key')).toHaveLength(2);
    expect(works(stage, secretOf(stage))).toBe(true);
  });

  it('although they take a moment until they work', async () => {
    await using stage = await openStage();
    const refused: Fault = { kind: 'status', status: 400, body: { message: 'Invalid client' } };
    stage.simulator.fault({ method: 'POST', path: '/token', skip: 1, fault: refused });
    const { exitCode } = await stage.run({ ...create, ...storedAs(stage) });
    expect(exitCode).toBe(0);
    expect(works(stage, secretOf(stage))).toBe(true);
  });

  it.each<[string, Fault]>([
    ['a limit', { kind: 'status', status: 403, headers: { 'retry-after': '1' } }],
    ['another limit', { kind: 'status', status: 429 }],
    ['a 502', { kind: 'status', status: 502 }],
    ['a lost answer', { kind: 'reset', when: 'before-head', work: true }],
  ])('after %s at each of GitHub’s requests', async (_what, fault) => {
    await using stage = await openStage();
    for (const [method, path] of [
      ['GET', 'key'],
      ['PUT', 'REHEARSAL'],
      ['DELETE', ''],
      ['PUT', /CREDENTIALS$/],
    ] as const) {
      stage.github.fault({ method, path, fault });
    }
    const { exitCode, outputs } = await stage.run({ ...create, ...storedAs(stage) });
    expect(exitCode).toBe(0);
    expect(secretOf(stage)).toBe(outputs['credentials']);
    expect(leftovers(stage)).toEqual([]);
  });
});

/** Past every deadline, so that no test has to wait for one. */
const down: Fault = { kind: 'status', status: 503, headers: { 'retry-after': '900' } };

/** The ways in which a secret is issued and stored. */
interface Way {
  way: string;
  inputs: Inputs;
  /** The application is there before, and has a secret. */
  exists: boolean;
  /** The old secret is dead once the new one is issued. */
  oldIsDead: boolean;
}

const ways: Way[] = [
  { way: 'create-app', inputs: create, exists: false, oldIsDead: false },
  { way: 'create-app, rotate', inputs: { ...create, 'if-exists': 'rotate' }, exists: true, oldIsDead: true },
  { way: 'create-app, repair', inputs: { ...create, 'if-exists': 'repair' }, exists: true, oldIsDead: true },
  { way: 'rotate-app', inputs: rotate, exists: true, oldIsDead: true },
  { way: 'rotate-app, overlap', inputs: { ...rotate, 'overlap-hours': '1' }, exists: false, oldIsDead: false },
];

const refusals: {
  what: string;
  once?: true;
  code: ErrorCode;
  says: RegExp;
  prepare: (stage: Stage) => Inputs | undefined;
}[] = [
  {
    what: 'a token that is not accepted',
    code: 'token-rejected',
    says: /answered 401.*GitHub did not accept github-token/,
    prepare: () => ({ 'github-token': 'ghs_which-was-revoked-long-ago' }),
  },
  {
    what: "the job's own token",
    code: 'forbidden',
    says: /answered 403.*repository "Secrets: write".*GITHUB_TOKEN can never write secrets/,
    prepare: ({ github }) => ({ 'github-token': github.addToken({ permissions: {} }) }),
  },
  {
    what: 'a token that may only read',
    once: true,
    code: 'forbidden',
    says: /PUT \S+_REHEARSAL answered 403/,
    prepare: ({ github }) => ({ 'github-token': github.addToken({ permissions: { secrets: 'read' } }) }),
  },
  {
    what: 'a token that sees nothing of the repository',
    code: 'not-found',
    says: /answered 404.*GitHub does not show acme\/app to this token/,
    prepare: ({ github }) => ({ 'github-token': github.addToken({ permissions: {}, blind: true }) }),
  },
  {
    what: 'an environment that is not there',
    once: true,
    code: 'not-found',
    says: /answered 404.*the environment staging of acme\/app/,
    prepare: () => ({ 'store-in': 'environment:staging' }),
  },
  {
    what: 'GitHub down',
    code: 'unavailable',
    says: /answered 503.*it asks to wait 900 s/,
    prepare: ({ github }) => void github.fault({ times: 99, fault: down }),
  },
  {
    what: 'a page in place of GitHub',
    once: true,
    code: 'blocked',
    says: /answered 403.*Something in front of GitHub's API refused the request/,
    prepare: ({ github }) => void github.fault({ times: 99, fault: { kind: 'html', status: 403 } }),
  },
  {
    what: 'a limit that lasts past the deadline',
    once: true,
    code: 'unavailable',
    says: /answered 403.*it asks to wait \d+ s/,
    prepare: ({ github }) => void github.limitRate({ seconds: 3000, tells: 'reset' }),
  },
];

describe.concurrent.each(ways)('before anything is issued by $way', ({ inputs, exists }) => {
  it.each(refusals.filter(({ once }) => !once || inputs === create))(
    '$what ends the step with nothing done',
    async ({ code, says, prepare }) => {
      await using stage = await openStage();
      const before = exists ? stage.simulator.addApplication({ name: 'trainer' }).secret : undefined;
      const given = { ...inputs, ...storedAs(stage), ...prepare(stage) };
      const { exitCode, errors, outputs } = await stage.run(given);
      expect(exitCode).toBe(1);
      expect(outputs).toEqual({ 'error-code': code });
      expect(errors[0]).toMatch(says);
      expect(errors[0]).not.toMatch(/\burl\b/);
      expect(stage.simulator.applications.map(({ secret }) => secret)).toEqual(before === undefined ? [] : [before]);
      expect(stage.github.secrets).toEqual([]);
      // In place, GitHub is asked before the control plane; a family is read first.
      if (!inputs['overlap-hours']) expect(stage.simulator.requests).toEqual([]);
    },
  );
});

const troubles: { what: string; once?: true; mayBeStored?: true; says: RegExp; fault: (stage: Stage) => void }[] = [
  {
    what: 'a store that refuses',
    says: /PUT \S+\/RUNAI_CREDENTIALS answered 403/,
    fault: ({ github }) =>
      github.fault({ method: 'PUT', path: /CREDENTIALS$/, times: 99, fault: { kind: 'status', status: 403 } }),
  },
  {
    what: 'a store that takes no key',
    once: true,
    says: /PUT \S+\/RUNAI_CREDENTIALS answered 422/,
    fault: ({ github }) =>
      github.fault({ method: 'PUT', path: /CREDENTIALS$/, times: 99, fault: { kind: 'status', status: 422 } }),
  },
  {
    what: 'a store that limits past the deadline',
    once: true,
    says: /answered 403.*it asks to wait 900 s/,
    fault: ({ github }) => {
      const fault: Fault = { kind: 'status', status: 403, headers: { 'retry-after': '900' } };
      github.fault({ method: 'PUT', path: /CREDENTIALS$/, times: 99, fault });
    },
  },
  {
    what: 'a store that is down',
    mayBeStored: true,
    says: /PUT \S+\/RUNAI_CREDENTIALS answered 503/,
    fault: ({ github }) => github.fault({ method: 'PUT', path: /CREDENTIALS$/, times: 99, fault: down }),
  },
];

describe.concurrent.each(ways)('after something was issued by $way', ({ inputs, exists, oldIsDead }) => {
  const prepared = (stage: Stage): Inputs => {
    if (exists) stage.simulator.addApplication({ name: 'trainer' });
    return { ...inputs, ...storedAs(stage) };
  };
  const expectPublished = ({ simulator }: Stage, outputs: Inputs) =>
    expect(simulator.isValidSecret(outputs['client-id'] ?? '', outputs['client-secret'] ?? '')).toBe(true);

  it.each(troubles.filter(({ once }) => !once || inputs === create))(
    '$what leaves the only copy in the outputs, and says so',
    async ({ says, mayBeStored, fault }) => {
      await using stage = await openStage();
      const given = prepared(stage);
      fault(stage);
      const { exitCode, errors, outputs } = await stage.run(given);
      expect(exitCode).toBe(1);
      expect(outputs['error-code']).toBe('store');
      expectPublished(stage, outputs);
      expect(outputs['stored']).toBe('false');
      expect(errors[0]).toMatch(says);
      const fate = mayBeStored
        ? 'GitHub may have stored the new credentials anyway. If it has not,'
        : `The new credentials are not stored as the secret ${name} of acme/app:`;
      const dead = oldIsDead ? '; the credentials that are stored no longer work' : '';
      expect(errors[0]).toContain(`${fate} the outputs of this step hold the only copy${dead}.`);
      expect(secretOf(stage)).toBeUndefined();
      expect(leftovers(stage)).toEqual([]);
    },
  );

  it('credentials whose store answers nothing may be stored, and the step says so', async () => {
    await using stage = await openStage();
    const given = { ...prepared(stage), 'timeout-seconds': '4' };
    const lost: Fault = { kind: 'reset', when: 'before-head', work: true };
    stage.github.fault({ method: 'PUT', path: /CREDENTIALS$/, times: 99, fault: lost });
    const { exitCode, errors, outputs } = await stage.run(given);
    expect(exitCode).toBe(1);
    expect(outputs).toMatchObject({ 'error-code': 'store', stored: 'false' });
    expect(secretOf(stage)).toBe(outputs['credentials']);
    expect(errors[0]).toContain('GitHub may have stored the new credentials anyway. If it has not, the outputs');
    expect(errors[0]).not.toContain('are not stored');
  });

  it('new credentials that get no token are stored only if the old ones no longer work', async () => {
    await using stage = await openStage();
    // They are tried for half of what is left of the deadline.
    const given = { ...prepared(stage), 'timeout-seconds': '6' };
    const refused: Fault = { kind: 'status', status: 400, body: { message: 'Invalid client' } };
    stage.simulator.fault({ method: 'POST', path: '/token', skip: 1, times: 99, fault: refused });
    const { exitCode, errors, outputs } = await stage.run(given);
    expect(exitCode).toBe(1);
    expect(outputs).toMatchObject({ 'error-code': 'unverified', stored: String(oldIsDead) });
    expectPublished(stage, outputs);
    expect(secretOf(stage)).toBe(oldIsDead ? outputs['credentials'] : undefined);
    expect(errors[0]).toContain('the new credentials did not get a token');
    expect(errors[0]).toContain(oldIsDead ? 'were stored anyway' : 'hold the only copy');
  });

  it.runIf(inputs !== rotate)('a rule that is refused ends the step, and what is dead is replaced', async () => {
    await using stage = await openStage();
    const given = { ...prepared(stage), 'access-rules': '12 @ project:1' };
    stage.simulator.fault({ method: 'POST', path: 'access-rules', fault: { kind: 'status', status: 403 } });
    const { exitCode, errors, outputs } = await stage.run(given);
    expect(exitCode).toBe(1);
    expect(outputs).toMatchObject({ 'error-code': 'forbidden', stored: String(oldIsDead) });
    expectPublished(stage, outputs);
    expect(secretOf(stage)).toBe(oldIsDead ? outputs['credentials'] : undefined);
    expect(errors[0]).toContain('access rule "12 @ project:1" could not be created');
  });
});

describe.concurrent('GitHub', () => {
  it('that cannot be reached is named, and not the control plane', async () => {
    await using stage = await openStage();
    const { url } = stage.github;
    await stage.github.close();
    const env = { GITHUB_API_URL: url };
    const { errors, outputs } = await stage.run({ ...create, ...storedAs(stage), 'timeout-seconds': '2' }, { env });
    expect(outputs).toEqual({ 'error-code': 'unreachable' });
    expect(errors[0]).toContain("This is GitHub's API, not the control plane");
    expect(stage.simulator.requests).toEqual([]);
  });

  it.each([301, 307] as const)('that answers %i for a repository that was renamed is not followed', async (status) => {
    await using stage = await openStage({ github: { renamed: { from: 'acme/old', status } } });
    const env = { GITHUB_REPOSITORY: 'acme/old' };
    const { errors, outputs } = await stage.run({ ...create, ...storedAs(stage) }, { env });
    expect(outputs).toEqual({ 'error-code': 'redirect' });
    expect(errors[0]).toContain('GitHub answers like this for a repository that was renamed or moved');
    expect(stage.github.requests).toHaveLength(1);
  });

  it('that has no such secret of an organization says that it must exist', async () => {
    await using stage = await openStage();
    const { errors, outputs } = await stage.run({ ...create, ...storedAs(stage), 'store-in': 'organization' });
    expect(outputs).toEqual({ 'error-code': 'not-found' });
    expect(errors[0]).toContain("An organization's secret must exist");
    expect(stage.simulator.requests).toEqual([]);
  });
});

describe.concurrent('store-as asks for what it needs', () => {
  it.each([
    [{ 'github-token': '' }, /github-token is missing/],
    [{ 'store-as': '' }, /github-token is set without store-as/],
    [{ 'store-as': 'GITHUB_X' }, /or with GITHUB_/],
    [{ 'store-as': '1X' }, /not starting with a digit/],
    [{ 'store-in': 'nowhere' }, /store-in is "nowhere"/],
  ])('%j', async (change, says) => {
    await using stage = await openStage();
    const { errors, outputs } = await stage.run({ ...create, ...storedAs(stage), ...change });
    expect(outputs).toEqual({ 'error-code': 'inputs' });
    expect(errors[0]).toMatch(says);
    expect([...stage.simulator.requests, ...stage.github.requests]).toEqual([]);
  });
});

describe.concurrent('if-exists: repair', () => {
  const repair = { ...create, 'if-exists': 'repair', 'access-rules': '12 @ project:1' };
  const hoursAgo = (hours: number) => Date.now() - hours * 3_600_000;
  const inputsFor = (stage: Stage) => ({ ...repair, ...storedAs(stage) });

  it('creates and stores what is not there', async () => {
    await using stage = await openStage();
    const { outputs } = await stage.run(inputsFor(stage));
    expect(outputs).toMatchObject({ created: 'true', stored: 'true' });
    expect(works(stage, secretOf(stage))).toBe(true);
  });

  it('creates and stores what is not there, over a secret of an application that is gone', async () => {
    await using stage = await openStage();
    stage.github.editSecret('repository', name, { updatedAt: hoursAgo(5) });
    const { outputs } = await stage.run(inputsFor(stage));
    expect(outputs).toMatchObject({ created: 'true', stored: 'true' });
    expect(works(stage, secretOf(stage))).toBe(true);
    // Nothing was issued before the rehearsal.
    const rehearsed = sent(stage.github, 'PUT', /REHEARSAL$/)[0]?.at ?? Number.POSITIVE_INFINITY;
    expect(sent(stage.simulator, 'POST', /apps$/)[0]?.at).toBeGreaterThan(rehearsed);
  });

  it.each([
    ['after the application was made', 5],
    ['in the second in which it was made', 6],
  ])('leaves alone what was stored %s, and makes its rules', async (_when, written) => {
    await using stage = await openStage();
    const { secret } = stage.simulator.addApplication({ name: 'trainer', createdAt: hoursAgo(6) });
    stage.github.editSecret('repository', name, { updatedAt: hoursAgo(written) });
    const { exitCode, outputs } = await stage.run(inputsFor(stage));
    expect(exitCode).toBe(0);
    expect(outputs).toMatchObject({ created: 'false', stored: 'false' });
    expect(outputs).not.toHaveProperty('client-secret');
    expect(stage.simulator.isValidSecret('trainer', secret)).toBe(true);
    expect(stage.simulator.accessRules).toHaveLength(1);
    expect(stage.github.writes).toEqual([]);
  });

  it('makes a new secret for an application that is younger than what is stored', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer', createdAt: hoursAgo(4) });
    stage.github.editSecret('repository', name, { updatedAt: hoursAgo(5) });
    const { outputs } = await stage.run(inputsFor(stage));
    expect(outputs).toMatchObject({ created: 'false', stored: 'true' });
    expect(works(stage, secretOf(stage))).toBe(true);
  });

  it('makes a new secret where none is stored', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer' });
    const { outputs } = await stage.run(inputsFor(stage));
    expect(outputs).toMatchObject({ created: 'false', stored: 'true' });
    expect(works(stage, secretOf(stage))).toBe(true);
  });

  it('leaves both unchanged if the creation time of the application is unknown', async () => {
    await using stage = await openStage();
    const { secret } = stage.simulator.addApplication({ name: 'trainer', createdAt: null });
    stage.github.editSecret('repository', name, { updatedAt: hoursAgo(5) });
    const { outputs, warnings } = await stage.run(inputsFor(stage));
    expect(outputs).toMatchObject({ created: 'false', stored: 'false' });
    expect(warnings[0]).toContain('left both unchanged');
    expect(stage.simulator.isValidSecret('trainer', secret)).toBe(true);
  });

  it('uses each server’s own clock', async () => {
    await using stage = await openStage({ github: { now: () => Date.now() - 7_200_000 } });
    stage.simulator.addApplication({ name: 'trainer', createdAt: hoursAgo(1) });
    // An hour before the application was made by the clocks on the wall, an hour after by the servers' own.
    stage.github.editSecret('repository', name, { updatedAt: hoursAgo(2) });
    const { outputs } = await stage.run(inputsFor(stage));
    expect(outputs).toMatchObject({ created: 'false', stored: 'false' });
  });

  it('stores no secret that a lost reset may still replace, so that the next run issues another', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer' });
    const late: Fault = { kind: 'status', status: 504, workAfter: 2_000 };
    stage.simulator.fault({ method: 'POST', path: '/secret', fault: late });
    const first = await stage.run({ ...inputsFor(stage), 'timeout-seconds': '5' });
    expect(first.outputs).toMatchObject({ 'error-code': 'unverified', created: 'false', stored: 'false' });
    expect(first.errors[0]).toContain('The answer to an earlier reset was lost');
    expect(first.errors[0]).toContain('The new credentials are not stored as');
    expect(first.errors[0]).toContain('To issue and store new ones, run this again.');
    expect(secretOf(stage)).toBeUndefined();
    await stage.simulator.settled();
    const second = await stage.run(inputsFor(stage));
    expect(second.outputs).toMatchObject({ created: 'false', stored: 'true' });
    expect(works(stage, secretOf(stage))).toBe(true);
  });

  it('twice in a row changes nothing the second time', async () => {
    await using stage = await openStage();
    const first = await stage.run(inputsFor(stage));
    const second = await stage.run(inputsFor(stage));
    expect(second.outputs).toMatchObject({ created: 'false', stored: 'false' });
    expect(secretOf(stage)).toBe(first.outputs['credentials']);
  });
});
