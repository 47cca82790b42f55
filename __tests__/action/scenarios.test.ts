// What a step prints, writes, sends and stores, from beginning to end: one transcript for each thing that it can be asked to do.
import { createHash } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { modes } from '../../src/inputs.ts';
import type { GithubOptions } from '../simulator/github.ts';
import type { SimulatorOptions } from '../simulator/simulator.ts';
import { secretsIn } from '../support/promises.ts';
import { actionFile, type StepOptions } from '../support/runner.ts';
import { openStage, type Stage } from '../support/stage.ts';
import { transcript } from '../support/transcript.ts';

const admin = { username: 'admin@runai.example', password: 'Pa+ss w&rd%41=é"\\1' };
const byPassword = { username: admin.username, password: admin.password };
const application = { name: 'ci-app', clientId: 'ci-app', secret: 'Zt8+Vn3/Rb6=Jd1==o' };
const byApplication = { 'client-id': application.clientId, 'client-secret': application.secret };
const old = '2020-01-01T00:00:00Z';

interface Scenario {
  inputs: StepOptions['inputs'];
  options?: SimulatorOptions & { github?: GithubOptions };
  prepare?: (stage: Stage) => void;
  env?: (stage: Stage) => Record<string, string>;
  debug?: true;
}

const externalToken = 'e9XtR4q.b7Kw2mYz.u6Pj';
const create = { mode: 'create-app', 'app-name': 'new-app', ...byPassword };
const createUser = { mode: 'create-user', email: 'jo@example.com', ...byPassword };
const rotate = { mode: 'rotate-app', 'app-name': 'ci-app', ...byPassword };
const rules = 'ml ENGINEER @ project:4501234\n1 @ tenant:acme\n';
const withApplication = ({ simulator }: Stage) => void simulator.addApplication({ ...application, createdAt: old });
const withAdministrator = (stage: Stage) => {
  const { simulator } = stage;
  withApplication(stage);
  const role = simulator.roles.find(({ name }) => name === 'System administrator');
  const subjectType = simulator.version.startsWith('2') ? 'app' : 'service-account';
  const scope = { scopeType: 'tenant', scopeId: '1' };
  simulator.addAccessRule({ subjectId: application.clientId, subjectType, roleId: role?.id ?? 0, ...scope });
};
const withUser = ({ simulator }: Stage) => void simulator.addUser({ email: 'Jo@example.com', createdAt: old });

/** The input `github-token` is filled in with a token that may write everything. */
const store = { 'store-as': 'RUNAI_CREDENTIALS', 'github-token': 'of the stage' };
const withSecret =
  (daysAgo: number) =>
  ({ github }: Stage) =>
    void github.editSecret('repository', 'RUNAI_CREDENTIALS', { updatedAt: Date.now() - daysAgo * 86_400_000 });

// The names of applications that take turns hold the beginning of a hash of where their credentials are stored.
const tag = createHash('sha256').update('repository:1296269:RUNAI_CREDENTIALS').digest('hex').slice(0, 6);
const overlap = { ...rotate, 'app-name': 'shop', 'overlap-hours': '24', ...store };

/** A member of the family, made and last used so many days ago. */
function member({ simulator }: Stage, { made, used }: { made: number; used?: number }): string {
  const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();
  const stamp = daysAgo(made).slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
  const added = simulator.addApplication({ name: `shop-${tag}-${stamp}`, createdAt: daysAgo(made) });
  if (used !== undefined) added.lastLogin = daysAgo(used);
  return added.clientId;
}

const scenarios: Record<string, Scenario> = {
  'token by password, 2.20': { inputs: { mode: 'token', ...byPassword }, options: { version: '2.20' } },
  'token by password, 2.24': { inputs: { mode: 'token', ...byPassword } },
  'token by password, after v1 is gone': { inputs: { mode: 'token', ...byPassword }, options: { version: 'next' } },
  'token of an application, 2.22': {
    inputs: { mode: 'token', ...byApplication },
    options: { version: '2.22' },
    prepare: withApplication,
  },
  'token of an application, after v1 is gone': {
    inputs: { mode: 'token', ...byApplication },
    options: { version: 'next' },
    prepare: withApplication,
    debug: true,
  },
  'token by credentials': {
    inputs: { mode: 'token', credentials: `${application.clientId}:${application.secret}` },
    prepare: withApplication,
  },
  'token with every optional part': {
    inputs: { mode: 'token', ...byPassword },
    options: { version: '2.22', tokenFields: { idToken: true, refreshToken: true, externalToken: true } },
  },
  'token for an external token': {
    inputs: { mode: 'token', 'external-token': externalToken },
    options: { externalTokens: [externalToken] },
  },
  'token for an external token, after v1 is gone': {
    inputs: { mode: 'token', 'external-token': externalToken },
    options: { externalTokens: [externalToken], version: 'next' },
  },
  "token for the job's own OIDC token": {
    inputs: { mode: 'token', 'oidc-audience': 'runai' },
    options: { oidcAudience: 'runai' },
    env: ({ simulator: { oidc } }) => ({
      ACTIONS_ID_TOKEN_REQUEST_URL: oidc.url,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: oidc.requestToken,
    }),
  },
  'token below a path, with debug logging': {
    inputs: { mode: 'token', ...byPassword },
    options: { pathPrefix: '/runai' },
    debug: true,
  },
  'token with a wrong password': { inputs: { mode: 'token', ...byPassword, password: 'Xq7-Lm2_Wz9.Kp4u' } },
  'token with a wrong password, after v1 is gone': {
    inputs: { mode: 'token', ...byPassword, password: 'Xq7-Lm2_Wz9.Kp4u' },
    options: { version: 'next' },
  },
  'token with a wrong client secret': {
    inputs: { mode: 'token', ...byApplication, 'client-secret': 'Hy5~Gf8!Tc3@Ns6e' },
    prepare: withApplication,
  },
  'token with a secret that ends in a line break': {
    inputs: { mode: 'token', ...byApplication, 'client-secret': `${application.secret}\n` },
    prepare: withApplication,
  },
  'create-app, 2.22': { inputs: create, options: { version: '2.22' } },
  'create-app, 2.24': { inputs: create },
  'create-app, 3.0': { inputs: create, options: { version: '3.0' } },
  'create-app, after v1 is gone, with debug logging': { inputs: create, options: { version: 'next' }, debug: true },
  'create-app with access rules, 2.22': { inputs: { ...create, 'access-rules': rules }, options: { version: '2.22' } },
  'create-app with access rules, 3.0': { inputs: { ...create, 'access-rules': rules }, options: { version: '3.0' } },
  'create-app with a role that is not there': { inputs: { ...create, 'access-rules': 'Nobody @ tenant:1' } },
  'create-app by an application with the right to': {
    inputs: { mode: 'create-app', 'app-name': 'new-app', ...byApplication },
    prepare: withAdministrator,
  },
  'create-app by an application without the right to': {
    inputs: { mode: 'create-app', 'app-name': 'new-app', ...byApplication },
    prepare: withApplication,
  },
  'create-app with a foreign token': {
    inputs: { mode: 'create-app', 'app-name': 'new-app', 'access-token': 'f3Gh8Jk.q2Wx5Vb.n7Mt' },
  },
  'create-app that exists, fail': { inputs: { ...create, 'app-name': 'ci-app' }, prepare: withApplication },
  'create-app that exists, skip': {
    inputs: { ...create, 'app-name': 'ci-app', 'if-exists': 'skip' },
    prepare: withApplication,
  },
  'create-app that exists, rotate': {
    inputs: { ...create, 'app-name': 'ci-app', 'if-exists': 'rotate' },
    prepare: withApplication,
  },
  'create-app whose answer was lost': {
    inputs: create,
    prepare: ({ simulator }) =>
      simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'reset', when: 'before-head', work: true } }),
  },
  'create-user, 2.20': { inputs: createUser, options: { version: '2.20' } },
  'create-user, 3.0, with everything': {
    inputs: { ...createUser, 'reset-password': 'true', notify: 'true', 'access-rules': rules },
    options: { version: '3.0' },
  },
  'create-user as in the guide': { inputs: createUser, options: { guideShapes: true } },
  'create-user that exists, fail': { inputs: createUser, prepare: withUser },
  'create-user that exists, skip, with debug logging': {
    inputs: { ...createUser, 'if-exists': 'skip' },
    prepare: withUser,
    debug: true,
  },
  'create-user that exists, rotate': { inputs: { ...createUser, 'if-exists': 'rotate' }, prepare: withUser },
  'create-user whose answer was lost': {
    inputs: createUser,
    prepare: ({ simulator }) =>
      simulator.fault({ method: 'POST', path: '/users', fault: { kind: 'truncated', work: true } }),
  },
  'create-user for several, of whom one exists': {
    inputs: { ...createUser, email: 'jo@example.com\nkim@example.com' },
    prepare: withUser,
  },
  'create-app, stored in the repository': { inputs: { ...create, ...store } },
  'create-app, stored in an environment': {
    inputs: { ...create, ...store, 'store-in': 'environment:production', 'access-rules': rules },
    options: { github: { environments: ['production'] } },
  },
  'create-app, stored in the organization, for selected repositories': {
    inputs: { ...create, ...store, 'store-in': 'organization' },
    options: {
      github: {
        organizationSecrets: { RUNAI_CREDENTIALS: { visibility: 'selected', selectedRepositoryIds: [11, 12] } },
      },
    },
  },
  'create-app, not stored for want of a permission': {
    inputs: { ...create, ...store, 'github-token': 'without permissions' },
  },
  'create-app with repair, where there is no application': { inputs: { ...create, ...store, 'if-exists': 'repair' } },
  'create-app with repair, where the credentials are stored': {
    inputs: { ...create, 'app-name': 'ci-app', ...store, 'if-exists': 'repair' },
    prepare: (stage) => {
      withApplication(stage);
      withSecret(10)(stage);
    },
  },
  'create-app with repair, where the secret is older than the application': {
    inputs: { ...create, 'app-name': 'ci-app', ...store, 'if-exists': 'repair' },
    prepare: (stage) => {
      stage.simulator.addApplication({ name: 'ci-app' });
      withSecret(10)(stage);
    },
  },
  'rotate-app by name': { inputs: rotate, prepare: withApplication },
  'rotate-app that is not there': { inputs: { ...rotate, 'app-name': 'no-app' } },
  'rotate-app in place, stored': { inputs: { ...rotate, ...store }, prepare: withApplication },
  'rotate-app in place, due': {
    inputs: { ...rotate, ...store, 'rotate-after-days': '30' },
    prepare: (stage) => {
      withApplication(stage);
      withSecret(31)(stage);
    },
  },
  'rotate-app in place, not due': {
    inputs: { ...rotate, ...store, 'rotate-after-days': '30' },
    prepare: (stage) => {
      withApplication(stage);
      withSecret(29)(stage);
    },
  },
  'rotate-app with overlap, for the first time': { inputs: { ...overlap, 'access-rules': 'Viewer @ project:7' } },
  'rotate-app with overlap, not due': {
    inputs: { ...overlap, 'rotate-after-days': '30' },
    prepare: (stage) => {
      member(stage, { made: 7 });
      withSecret(7)(stage);
    },
  },
  'rotate-app with overlap, due, with the rules of the one in use': {
    inputs: overlap,
    prepare: (stage) => {
      const subjectId = member(stage, { made: 7 });
      stage.simulator.addAccessRule({
        subjectId,
        subjectType: 'app',
        roleId: 9,
        scopeType: 'project',
        scopeId: '4501234',
      });
      withSecret(7)(stage);
    },
  },
  'rotate-app with overlap, which retires those that nobody uses': {
    inputs: { ...overlap, 'rotate-after-days': '30' },
    prepare: (stage) => {
      member(stage, { made: 40, used: 9 });
      member(stage, { made: 20, used: 0.5 });
      member(stage, { made: 7, used: 3 });
      member(stage, { made: 1 });
      withSecret(6)(stage);
    },
  },
  'delete-app by name, 3.0': {
    inputs: { mode: 'delete-app', 'app-name': 'ci-app', ...byPassword },
    options: { version: '3.0' },
    prepare: withApplication,
  },
  'delete-app that is gone': { inputs: { mode: 'delete-app', 'app-name': 'no-app', ...byPassword } },
  'wrong inputs of every kind': {
    inputs: {
      mode: 'create-user',
      url: 'http://acme.run.ai',
      username: 'jo',
      'app-id': '7',
      notify: 'maybe',
      'store-as': 'x',
    },
  },
  'no inputs at all': { inputs: { url: '', username: '' } },
  'a redirect': {
    inputs: { mode: 'token', ...byPassword },
    prepare: ({ simulator }) =>
      simulator.fault({ fault: { kind: 'redirect', status: 302, location: 'https://login.example.com/?from=runai' } }),
  },
  'a login page': {
    inputs: { mode: 'token', ...byPassword },
    prepare: ({ simulator }) => simulator.fault({ times: Infinity, fault: { kind: 'html', status: 200 } }),
  },
  'something that is not a control plane': {
    inputs: { mode: 'token', ...byPassword },
    prepare: ({ simulator }) => simulator.fault({ times: Infinity, fault: { kind: 'html', status: 404 } }),
  },
  'a server that repeats the secret': {
    inputs: { mode: 'token', ...byPassword },
    prepare: ({ simulator }) =>
      simulator.fault({ times: Infinity, fault: { kind: 'echo', status: 400, style: 'commands' } }),
  },
  'a Retry-After past the deadline': {
    inputs: { mode: 'token', ...byPassword },
    prepare: ({ simulator }) =>
      simulator.fault({ fault: { kind: 'status', status: 429, headers: { 'retry-after': '3600' } } }),
  },
};

const seen = { modes: new Set<string>(), outputs: new Set<string>() };

/** Inputs that name a token of GitHub get one. */
function complete(inputs: StepOptions['inputs'], { simulator, github }: Stage): StepOptions['inputs'] {
  const tokens: Record<string, () => string> = {
    'of the stage': () => github.token,
    'without permissions': () => github.addToken({ permissions: {} }),
  };
  const token = tokens[inputs['github-token'] ?? '']?.();
  return { url: simulator.url, ...inputs, ...(token && { 'github-token': token }) };
}

describe.concurrent('a step with the committed bundle', () => {
  it.for(Object.entries(scenarios))('%s', async ([name, { inputs, options, prepare, env, debug }], { expect: own }) => {
    await using stage = await openStage({ admin, ...options });
    prepare?.(stage);
    const given = complete(inputs, stage);
    const result = await stage.run(given, { env: env?.(stage) ?? {}, ...(debug && { debug }) });
    if (given.mode) seen.modes.add(given.mode);
    for (const output of Object.keys(result.outputs)) seen.outputs.add(output);
    const { simulator, github } = stage;
    const shown = transcript(result, { simulator, github, secrets: secretsIn(given) });
    await own(shown).toMatchFileSnapshot(`__snapshots__/${name}.txt`);
  });

  afterAll(() => {
    expect([...seen.modes].sort()).toEqual([...modes].sort());
    expect([...seen.outputs].sort()).toEqual(Object.keys(actionFile.outputs).sort());
  });
});
