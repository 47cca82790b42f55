import type { Simulator, SimulatorOptions, Version } from '../__tests__/simulator/simulator.ts';
import type { StepOptions } from '../__tests__/support/runner.ts';
import type { Target } from './front.ts';

/** What is lost when the answer to a request is lost. */
export type Kind = 'token' | 'create' | 'reset' | 'read' | 'delete' | 'rule';

/** One request that a mode makes, in a situation where the mode makes it. */
export interface Situation {
  name: string;
  kind: Kind;
  versions: readonly Version[];
  target: Target;
  /** No request goes before the target. */
  first?: true;
  /** How the run ends without any fault; success when left out. */
  ends?: 'error';
  simulator?: SimulatorOptions;
  /** Objects that are there beforehand. Told the time at which the run starts. */
  seed?: (simulator: Simulator) => void;
  inputs: (simulator: Simulator) => StepOptions['inputs'];
  env?: (simulator: Simulator) => Record<string, string>;
  /** A sentence for each promise of a successful run that was not kept. */
  check: (simulator: Simulator, outputs: Record<string, string>) => string[];
}

const app = 'torture-app';
const email = 'new.user@runai.example';
const older: readonly Version[] = ['2.20', '2.24'];
const newer: readonly Version[] = ['3.0', 'next'];
const hour = 3_600_000;

const post = (path: RegExp): Target => ({ method: 'POST', path });
const get = (path: RegExp): Target => ({ method: 'GET', path });
const tokenV1 = /^\/api\/v1\/token$/;
const tokenV2 = /^\/api\/v2\/token$/;
const apps = /^\/api\/v1\/apps$/;
const accounts = /^\/api\/v1\/service-accounts$/;
const eitherApps = /^\/api\/v1\/(apps|service-accounts)$/;
const secretOf = /^\/api\/v1\/(apps|service-accounts)\/[^/]+\/secret$/;
const oneApp = /^\/api\/v1\/(apps|service-accounts)\/[^/]+$/;
const users = /^\/api\/v1\/users$/;
const userList = /^\/api\/v1\/users\?/;
const passwordOf = /^\/api\/v1\/users\/[^/]+\/password$/;
const rules = /^\/api\/v1\/authorization\/access-rules$/;
const ruleList = /^\/api\/v1\/authorization\/access-rules\?/;

const asAdmin = ({ admin }: Simulator) => ({ username: admin.username, password: admin.password });
const seedApp = (simulator: Simulator) => {
  simulator.addApplication({ name: app, createdAt: Date.now() - hour });
};
const seedUser = (simulator: Simulator) => {
  simulator.addUser({ email, createdAt: Date.now() - hour });
};

function unless(holds: boolean | undefined, otherwise: string): string[] {
  return holds ? [] : [otherwise];
}

function checkToken(simulator: Simulator, outputs: Record<string, string>): string[] {
  return [
    ...unless(simulator.isValidToken(outputs['access-token'] ?? ''), 'the published access token does not work'),
    ...unless(!Number.isNaN(Date.parse(outputs['expires-at'] ?? '')), 'expires-at is missing'),
  ];
}

function checkApp(created: 'true' | 'false' | undefined) {
  return (simulator: Simulator, outputs: Record<string, string>): string[] => {
    const object = simulator.applications.find(({ name }) => name === app);
    const secret = outputs['client-secret'] ?? '';
    return [
      ...unless(object !== undefined && outputs['app-id'] === object.id, 'app-id is not that of the application'),
      ...unless(outputs['app-name'] === app, 'app-name is missing'),
      ...unless(simulator.isValidSecret(outputs['client-id'] ?? '', secret), 'the published secret does not work'),
      ...unless(outputs['created'] === created, `created is ${outputs['created']} instead of ${created}`),
    ];
  };
}

function checkUser(created: 'true' | 'false') {
  return (simulator: Simulator, outputs: Record<string, string>): string[] => {
    const user = simulator.users.find(({ username }) => username === email);
    const password = outputs['temporary-password'] ?? '';
    return [
      ...unless(user !== undefined && outputs['user-id'] === user.id, 'user-id is not that of the user'),
      ...unless(outputs['email'] === email, 'email is missing'),
      ...unless(simulator.isValidPassword(email, password), 'the published password does not work'),
      ...unless(outputs['created'] === created, `created is ${outputs['created']} instead of ${created}`),
    ];
  };
}

const roleId = 9;

function checkRules(simulator: Simulator): string[] {
  const made = simulator.accessRules.filter((rule) => rule.roleId === roleId && rule.scopeId === '4501234');
  return unless(made.length === 1, `${made.length} access rules were made instead of 1`);
}

function checkDeleted(simulator: Simulator, outputs: Record<string, string>): string[] {
  return [
    ...unless(simulator.applications.length === 0, 'the application is still there'),
    ...unless(outputs['deleted'] === 'true', `deleted is ${outputs['deleted']} instead of true`),
    ...unless(outputs['app-name'] === app && Boolean(outputs['app-id']), 'app-id or app-name is missing'),
  ];
}

const checkSkipped = (simulator: Simulator, outputs: Record<string, string>): string[] => [
  ...unless(outputs['created'] === 'false', `created is ${outputs['created']} instead of false`),
  ...unless(outputs['client-secret'] === undefined, 'there is a client secret'),
  ...unless(outputs['app-id'] === simulator.applications[0]?.id, 'app-id is not that of the application'),
];

const createApp = (more: Record<string, string> = {}) => ({
  inputs: (simulator: Simulator) => ({ mode: 'create-app', 'app-name': app, ...asAdmin(simulator), ...more }),
});
const createUser = (more: Record<string, string> = {}) => ({
  inputs: (simulator: Simulator) => ({ mode: 'create-user', email, ...asAdmin(simulator), ...more }),
});
const onApp = (mode: 'rotate-app' | 'delete-app') => ({
  seed: seedApp,
  inputs: (simulator: Simulator) => ({ mode, 'app-name': app, ...asAdmin(simulator) }),
});
const tokenFor = {
  seed: seedApp,
  inputs: ({ applications: [application] }: Simulator) => ({
    mode: 'token',
    'client-id': application?.clientId ?? '',
    'client-secret': application?.secret ?? '',
  }),
  check: checkToken,
};

const byId = { 'access-rules': `${roleId} @ project:4501234` };
const byName = { 'access-rules': 'ML engineer @ project:4501234' };
const withRules = (check: Situation['check']) => (simulator: Simulator, outputs: Record<string, string>) => [
  ...check(simulator, outputs),
  ...checkRules(simulator),
];

/** The clock of the control plane, hours off. */
const skewed = (hours: number): SimulatorOptions => ({ now: () => Date.now() + hours * hour });

const tokens: Situation[] = [
  {
    name: 'token v1',
    kind: 'token',
    versions: ['2.20', '2.24', '3.0'],
    target: post(tokenV1),
    first: true,
    ...tokenFor,
  },
  { name: 'token v1, not there', kind: 'token', versions: ['next'], target: post(tokenV1), first: true, ...tokenFor },
  { name: 'token v2', kind: 'token', versions: ['next'], target: post(tokenV2), ...tokenFor },
  {
    name: 'OIDC token',
    kind: 'token',
    versions: ['3.0', 'next'],
    target: get(/^\/_oidc\/token/),
    first: true,
    inputs: ({ oidc }) => ({ mode: 'token', 'oidc-audience': oidc.audience }),
    env: ({ oidc }) => ({
      ACTIONS_ID_TOKEN_REQUEST_URL: oidc.url,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: oidc.requestToken,
    }),
    check: checkToken,
  },
];

const applications: Situation[] = [
  {
    name: 'create app, old',
    kind: 'create',
    versions: older,
    target: post(apps),
    simulator: skewed(-30),
    ...createApp(),
    check: checkApp('true'),
  },
  {
    name: 'create app, new',
    kind: 'create',
    versions: newer,
    target: post(accounts),
    simulator: { ...skewed(30), clientIdOf: (name) => `client-${name}` },
    ...createApp(),
    check: checkApp('true'),
  },
  {
    name: 'create app, old not there',
    kind: 'create',
    versions: ['3.0'],
    target: post(apps),
    ...createApp(),
    check: checkApp('true'),
  },
  {
    name: 'create app, taken, fail',
    kind: 'read',
    versions: ['2.20', 'next'],
    ends: 'error',
    target: post(eitherApps),
    seed: seedApp,
    ...createApp(),
    check: () => [],
  },
  {
    name: 'create app, taken, skip',
    kind: 'read',
    versions: ['2.24', 'next'],
    target: post(eitherApps),
    seed: seedApp,
    ...createApp({ 'if-exists': 'skip' }),
    check: checkSkipped,
  },
  {
    name: 'list apps to take over',
    kind: 'read',
    versions: ['2.24', 'next'],
    target: get(eitherApps),
    seed: seedApp,
    ...createApp({ 'if-exists': 'rotate' }),
    check: checkApp('false'),
  },
  {
    name: 'list apps to rotate',
    kind: 'read',
    versions: ['2.20', '3.0'],
    target: get(eitherApps),
    ...onApp('rotate-app'),
    check: checkApp(undefined),
  },
  {
    name: 'list apps to delete',
    kind: 'read',
    versions: ['2.24', 'next'],
    target: get(eitherApps),
    ...onApp('delete-app'),
    check: checkDeleted,
  },
  {
    name: 'reset secret, rotate',
    kind: 'reset',
    versions: ['2.20', '2.24', '3.0', 'next'],
    target: post(secretOf),
    ...onApp('rotate-app'),
    check: checkApp(undefined),
  },
  {
    name: 'reset secret, create',
    kind: 'reset',
    versions: ['2.20', 'next'],
    target: post(secretOf),
    seed: seedApp,
    ...createApp({ 'if-exists': 'rotate' }),
    check: checkApp('false'),
  },
  {
    name: 'delete app',
    kind: 'delete',
    versions: ['2.24', 'next'],
    target: { method: 'DELETE', path: oneApp },
    ...onApp('delete-app'),
    check: checkDeleted,
  },
];

const people: Situation[] = [
  {
    name: 'create user',
    kind: 'create',
    versions: ['2.20', 'next'],
    target: post(users),
    simulator: skewed(7),
    ...createUser({ 'reset-password': 'true' }),
    check: checkUser('true'),
  },
  {
    name: 'create user, taken, fail',
    kind: 'read',
    versions: ['2.24', '3.0'],
    ends: 'error',
    target: post(users),
    seed: seedUser,
    ...createUser(),
    check: () => [],
  },
  {
    name: 'list users',
    kind: 'read',
    versions: ['2.20', 'next'],
    target: get(userList),
    simulator: { usersPageLimit: 1, ignoreUserFilter: true },
    seed: seedUser,
    ...createUser({ 'if-exists': 'rotate' }),
    check: checkUser('false'),
  },
  {
    name: 'reset password',
    kind: 'reset',
    versions: ['2.24', '3.0'],
    target: post(passwordOf),
    seed: seedUser,
    ...createUser({ 'if-exists': 'rotate' }),
    check: checkUser('false'),
  },
];

/** The answer to the create is lost each time, so that the run has to find what it made, and to reset its secret. */
const loses = (what: 'application' | 'user') => (simulator: Simulator) => {
  const path = what === 'user' ? users : older.includes(simulator.version) ? apps : accounts;
  simulator.fault({ method: 'POST', path, fault: { kind: 'reset', when: 'before-head', work: true } });
};
const recoveries: Situation[] = [
  {
    name: 'list apps, create lost',
    kind: 'create',
    versions: ['2.20', 'next'],
    target: get(eitherApps),
    ...createApp(),
    seed: loses('application'),
    check: checkApp('true'),
  },
  {
    name: 'reset secret, create lost',
    kind: 'create',
    versions: ['2.24', '3.0'],
    target: post(secretOf),
    ...createApp(),
    seed: loses('application'),
    check: checkApp('true'),
  },
  {
    name: 'list users, create lost',
    kind: 'create',
    versions: ['2.24', 'next'],
    target: get(userList),
    ...createUser(),
    seed: loses('user'),
    check: checkUser('true'),
  },
  {
    name: 'reset password, create lost',
    kind: 'create',
    versions: ['2.20', '3.0'],
    target: post(passwordOf),
    ...createUser(),
    seed: loses('user'),
    check: checkUser('true'),
  },
];

const access: Situation[] = [
  {
    name: 'list access rules',
    kind: 'read',
    versions: ['2.20', 'next'],
    target: get(ruleList),
    ...createApp(byId),
    check: withRules(checkApp('true')),
  },
  {
    name: 'create access rule, app',
    kind: 'rule',
    versions: ['2.20', 'next'],
    target: post(rules),
    ...createApp(byId),
    check: withRules(checkApp('true')),
  },
  {
    name: 'create access rule, user',
    kind: 'rule',
    versions: ['2.24', '3.0'],
    target: post(rules),
    ...createUser(byId),
    check: withRules(checkUser('true')),
  },
  {
    name: 'roles v1',
    kind: 'read',
    versions: ['2.20'],
    target: get(/^\/api\/v1\/authorization\/roles/),
    ...createUser(byName),
    check: withRules(checkUser('true')),
  },
  {
    name: 'roles v2, first page',
    kind: 'read',
    versions: ['3.0', 'next'],
    target: get(/^\/api\/v2\/authorization\/roles/),
    simulator: { rolesPageLimit: 5 },
    ...createApp(byName),
    check: withRules(checkApp('true')),
  },
  {
    name: 'roles v2, second page',
    kind: 'read',
    versions: ['next'],
    target: { ...get(/^\/api\/v2\/authorization\/roles/), skip: 1 },
    simulator: { rolesPageLimit: 5 },
    ...createApp(byName),
    check: withRules(checkApp('true')),
  },
];

export const situations: readonly Situation[] = [...tokens, ...applications, ...people, ...recoveries, ...access];
