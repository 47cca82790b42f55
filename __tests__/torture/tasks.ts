import { createHash } from 'node:crypto';
import { type Github, type PlaceName, startGithub } from '../simulator/github.ts';
import type { ServerOptions } from '../simulator/server.ts';
import {
  type Application,
  type Simulator,
  type SimulatorOptions,
  startSimulator,
  type Version,
} from '../simulator/simulator.ts';
import type { StepOptions } from '../support/runner.ts';

/** The two servers that a step talks to. */
export interface World {
  simulator: Simulator;
  github: Github;
}

export type Service = keyof World;

/** One task for a step, in its own situation. */
export interface Task {
  name: string;
  versions: readonly Version[];
  simulator?: SimulatorOptions;
  /** What exists beforehand. */
  seed?: (world: World) => void;
  inputs: (world: World) => Record<string, string>;
  env?: (world: World) => Record<string, string>;
  /** How it ends without a fault; successfully if omitted. */
  ends?: 'error';
  /** Outputs of a success without faults: the text, or whether there is one. */
  expects: Record<string, string | boolean>;
  /** The one access rule that the subject has in the end. */
  rule?: true;
  /** The names of what the step may give a new secret. */
  resets?: readonly string[];
  /** The names of what the step may delete. */
  deletes?: readonly string[];
  /** Where the credentials are to be stored. */
  place?: PlaceName;
}

export const appName = 'torture-app';
export const email = 'new.user@runai.example';
export const secretName = 'RUNAI_CREDENTIALS';
export const roleId = 9;
export const projectId = '4501234';

const all: readonly Version[] = ['2.20', '2.24', '3.0', 'next'];
const older: readonly Version[] = ['2.20', '2.24'];
const newer: readonly Version[] = ['3.0', 'next'];
const hour = 3_600_000;
const day = 24 * hour;

const asAdmin = ({ simulator: { admin } }: World) => ({ username: admin.username, password: admin.password });

/** An application with the task's name, created an hour ago. */
function seedApp({ simulator }: World): void {
  simulator.addApplication({ name: appName, createdAt: Date.now() - hour });
}

function seedUser({ simulator }: World): void {
  simulator.addUser({ email, createdAt: Date.now() - hour });
}

const rule = { rule: true as const };
const ruleByNames = { 'access-rules': 'ML engineer @ project:team-a' };
const ruleByIds = { 'access-rules': `${roleId} @ project:${projectId}` };

const step = (mode: string, more: Record<string, string> = {}) => ({
  inputs: (world: World) => ({ mode, ...asAdmin(world), ...more }),
});
const createApp = (more: Record<string, string> = {}) => step('create-app', { 'app-name': appName, ...more });
const createUser = (more: Record<string, string> = {}) => step('create-user', { email, ...more });

const newApp = { created: 'true', 'app-id': true, 'app-name': appName, 'client-id': true, 'client-secret': true };
const resetApp = { ...newApp, created: 'false' };
const newUser = { created: 'true', 'user-id': true, email, 'temporary-password': true, users: true };

/** The clock of the control plane, hours off. */
const skewed = (hours: number): SimulatorOptions => ({ now: () => Date.now() + hours * hour });

const tokens: Task[] = [
  {
    name: 'token, client secret',
    versions: all,
    seed: seedApp,
    inputs: ({ simulator }) => {
      const { clientId = '', secret = '' } = simulator.applications.find(({ name }) => name === appName) ?? {};
      return { mode: 'token', credentials: `${clientId}:${secret}` };
    },
    expects: { 'access-token': true, 'expires-at': true },
  },
  {
    name: 'token, OIDC',
    versions: newer,
    inputs: ({ simulator }) => ({ mode: 'token', 'oidc-audience': simulator.oidc.audience }),
    env: ({ simulator: { oidc } }) => ({
      ACTIONS_ID_TOKEN_REQUEST_URL: oidc.url,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: oidc.requestToken,
    }),
    expects: { 'access-token': true, 'expires-at': true },
  },
];

/** The answer to the create is lost, so that the run has to find what it created, and reset its secret. */
const loses =
  (what: 'apps' | 'users') =>
  ({ simulator }: World): void => {
    const accounts = what === 'apps' && newer.includes(simulator.version) ? 'service-accounts' : what;
    const path = new RegExp(`^/api/v1/${accounts}$`);
    simulator.fault({ method: 'POST', path, fault: { kind: 'reset', when: 'before-head', work: true } });
  };

const applications: Task[] = [
  {
    name: 'create-app, clock behind',
    versions: older,
    simulator: skewed(-30),
    ...createApp(ruleByNames),
    ...rule,
    expects: newApp,
  },
  {
    name: 'create-app, clock ahead',
    versions: newer,
    simulator: { ...skewed(30), clientIdOf: (name) => `client-${name}`, rolesPageLimit: 5 },
    ...createApp(ruleByNames),
    ...rule,
    expects: newApp,
  },
  {
    name: 'create-app, taken, fail',
    versions: ['2.20', 'next'],
    ends: 'error',
    seed: seedApp,
    ...createApp(),
    expects: {},
  },
  {
    name: 'create-app, taken, skip',
    versions: ['2.24', 'next'],
    seed: seedApp,
    ...createApp({ 'if-exists': 'skip', ...ruleByIds }),
    ...rule,
    expects: { ...resetApp, 'client-secret': false },
  },
  {
    name: 'create-app, taken, rotate',
    versions: ['2.20', '2.24', 'next'],
    seed: seedApp,
    ...createApp({ 'if-exists': 'rotate' }),
    resets: [appName],
    expects: resetApp,
  },
  { name: 'create-app, lost', versions: all, seed: loses('apps'), ...createApp(), expects: newApp },
  {
    name: 'rotate-app',
    versions: all,
    seed: seedApp,
    ...step('rotate-app', { 'app-name': appName }),
    resets: [appName],
    expects: { 'client-secret': true, rotated: 'true' },
  },
  {
    name: 'delete-app',
    versions: ['2.24', 'next'],
    seed: seedApp,
    ...step('delete-app', { 'app-name': appName }),
    deletes: [appName],
    expects: { deleted: 'true', 'app-id': true, 'app-name': appName },
  },
];

const people: Task[] = [
  {
    name: 'create-user',
    versions: ['2.20', '3.0', 'next'],
    simulator: skewed(7),
    ...createUser({ 'reset-password': 'true', ...ruleByIds }),
    ...rule,
    expects: newUser,
  },
  { name: 'create-user, taken, fail', versions: ['2.24'], ends: 'error', seed: seedUser, ...createUser(), expects: {} },
  {
    name: 'create-user, taken, rotate',
    versions: ['2.20', 'next'],
    simulator: { usersPageLimit: 1, ignoreUserFilter: true },
    seed: seedUser,
    ...createUser({ 'if-exists': 'rotate' }),
    resets: [email],
    expects: { ...newUser, created: 'false' },
  },
  { name: 'create-user, lost', versions: ['2.20', '3.0'], seed: loses('users'), ...createUser(), expects: newUser },
  {
    name: 'create-user, three',
    versions: ['2.24', '3.0'],
    seed: seedUser,
    ...step('create-user', { email: `a.${email}\n${email}\nb.${email}`, 'if-exists': 'skip' }),
    expects: { users: true, 'temporary-passwords': true, created: false },
  },
];

const storing = (place: PlaceName, more: Record<string, string>) => ({
  place,
  inputs: (world: World) => ({
    ...asAdmin(world),
    'app-name': appName,
    'store-as': secretName,
    'store-in': place,
    'github-token': world.github.token,
    ...more,
  }),
});

/** The credentials of the task's application are stored, by a write this many minutes after it was created. */
const seedStored =
  (place: PlaceName, minutes: number) =>
  (world: World): void => {
    seedApp(world);
    const { clientId, secret, createdAt } = world.simulator.applications.find(
      ({ name }) => name === appName,
    ) as Application;
    const at = Date.parse(createdAt ?? '') + minutes * 60_000;
    const more = place === 'organization' ? { visibility: 'selected' as const, selectedRepositoryIds: [5, 17] } : {};
    world.github.editSecret(place, secretName, {
      value: `${clientId}:${secret}`,
      createdAt: at,
      updatedAt: at,
      ...more,
    });
  };

const production = 'environment:production';
const isStored = { stored: 'true', credentials: true };

const stores: Task[] = [
  {
    name: 'create-app, store',
    versions: ['2.20', '3.0'],
    ...storing('repository', { mode: 'create-app', ...ruleByIds }),
    ...rule,
    expects: { ...newApp, ...isStored },
  },
  {
    name: 'create-app, rotate, store',
    versions: ['2.24'],
    seed: seedStored(production, 1),
    ...storing(production, { mode: 'create-app', 'if-exists': 'rotate' }),
    resets: [appName],
    expects: { ...resetApp, ...isStored },
  },
  {
    name: 'create-app, repair, not stored',
    versions: ['3.0'],
    seed: seedApp,
    ...storing(production, { mode: 'create-app', 'if-exists': 'repair' }),
    resets: [appName],
    expects: { ...resetApp, ...isStored },
  },
  {
    name: 'create-app, repair, stale',
    versions: ['2.24'],
    seed: seedStored('repository', -10),
    ...storing('repository', { mode: 'create-app', 'if-exists': 'repair' }),
    resets: [appName],
    expects: { ...resetApp, ...isStored },
  },
  {
    name: 'create-app, repair, stored',
    versions: ['next'],
    seed: seedStored(production, 1),
    ...storing(production, { mode: 'create-app', 'if-exists': 'repair' }),
    // What a page that lies about the list can bring about harms nobody: the new secret is stored.
    resets: [appName],
    expects: { ...resetApp, 'client-secret': false, stored: 'false' },
  },
  {
    name: 'rotate-app, store',
    versions: ['2.20', 'next'],
    seed: seedStored('organization', 1),
    ...storing('organization', { mode: 'rotate-app' }),
    resets: [appName],
    expects: { rotated: 'true', 'client-secret': true, ...isStored },
  },
  {
    name: 'rotate-app, store, too early',
    versions: ['2.24'],
    seed: seedStored('repository', 1),
    ...storing('repository', { mode: 'rotate-app', 'rotate-after-days': '30' }),
    resets: [appName],
    expects: { rotated: 'false', stored: 'false', 'client-secret': false },
  },
];

const tag = createHash('sha256').update(`environment:1296269:production:${secretName}`).digest('hex').slice(0, 6);

/** The name of a member of the family that was created this many days ago. */
function memberName(days: number): string {
  const digits = new Date(Date.now() - days * day).toISOString().replace(/\D/g, '');
  return `${appName}-${tag}-${digits.slice(0, 8)}-${digits.slice(8, 14)}`;
}

const family = { previous: memberName(60), inUse: memberName(40), leftBehind: memberName(20) };

/** Whether a name is that of a member of the family. */
export const isMember = (name: string): boolean => name.startsWith(`${appName}-${tag}-`);

/** The one in use was stored 40 days ago; the one before has not signed in for 50, and a broken run left another. */
function seedFamily({ simulator, github }: World): void {
  const add = (name: string, { made, used }: { made: number; used: number | undefined }) => {
    const member = simulator.addApplication({ name, createdAt: Date.now() - made * day });
    member.lastLogin = used === undefined ? null : new Date(Date.now() - used * day).toISOString();
    return member;
  };
  add(family.previous, { made: 60, used: 50 });
  const { clientId, secret } = add(family.inUse, { made: 40, used: 0.1 });
  add(family.leftBehind, { made: 20, used: undefined });
  const subjectType = newer.includes(simulator.version) ? 'service-account' : 'app';
  simulator.addAccessRule({ subjectId: clientId, subjectType, roleId, scopeId: projectId, scopeType: 'project' });
  const updatedAt = Date.now() - 40 * day + 60_000;
  github.editSecret(production, secretName, { value: `${clientId}:${secret}`, createdAt: updatedAt, updatedAt });
}

const overlap = (more: Record<string, string> = {}) =>
  storing(production, { mode: 'rotate-app', 'overlap-hours': '24', ...more });
const nextMember = { rotated: 'true', 'client-secret': true, 'app-name': true, ...isStored };

const rotations: Task[] = [
  { name: 'overlap, first', versions: ['2.24', '3.0'], ...overlap(ruleByIds), ...rule, expects: nextMember },
  {
    name: 'overlap, due',
    versions: ['2.20', 'next'],
    seed: seedFamily,
    ...overlap(),
    ...rule,
    deletes: [family.previous],
    expects: { ...nextMember, 'retired-apps': family.previous },
  },
  {
    name: 'overlap, not due',
    versions: ['3.0'],
    seed: seedFamily,
    ...overlap({ 'rotate-after-days': '365' }),
    deletes: [family.previous],
    expects: { rotated: 'false', stored: 'false', 'retired-apps': family.previous, 'app-name': family.inUse },
  },
];

export const tasks: readonly Task[] = [...tokens, ...applications, ...people, ...stores, ...rotations];

/** What else a server does than in the task. */
export interface Oddities {
  simulator?: SimulatorOptions;
  github?: ServerOptions;
}

interface Opening {
  task: Task;
  version: Version;
  oddities?: Oddities;
  /** Faults come before those of the task itself. */
  arm?: (world: World) => void;
}

/** Starts both servers, with somebody else's things in them and what the task wants. */
export async function openWorld({ task, version, oddities = {}, arm }: Opening): Promise<World> {
  const simulator = await startSimulator({ version, ...task.simulator, ...oddities.simulator });
  const github = await startGithub({ environments: ['production'], ...oddities.github });
  const world = { simulator, github };
  const createdAt = Date.now() - day;
  simulator.addProject({ name: 'team-a', id: projectId });
  simulator.addApplication({ name: `${appName}-of-somebody-else`, createdAt });
  simulator.addUser({ email: `not.a.${email}`, createdAt });
  github.editSecret('repository', 'SOMETHING_ELSE', { value: 'of somebody else' });
  arm?.(world);
  task.seed?.(world);
  return world;
}

export async function closeWorld({ simulator, github }: World): Promise<void> {
  await Promise.all([simulator.close(), github.close()]);
}

/** What the step is given; `urls` are the addresses of the two servers where they are not their own. */
export function stepFor(
  world: World,
  { task, timeout, urls = {} }: { task: Task; timeout: number; urls?: Partial<Record<Service, string>> },
): StepOptions {
  const { simulator, github } = world;
  const url = urls.simulator ?? simulator.url;
  // The service that issues the job's own token stands at the same address.
  const own = Object.entries(task.env?.(world) ?? {}).map(([name, value]) => [name, value.replace(simulator.url, url)]);
  return {
    inputs: { url, 'timeout-seconds': String(timeout), ...task.inputs(world) },
    env: {
      GITHUB_API_URL: urls.github ?? github.url,
      GITHUB_REPOSITORY: github.repository,
      GITHUB_REPOSITORY_ID: String(github.repositoryId),
      GITHUB_REPOSITORY_OWNER: github.organization,
      GITHUB_REPOSITORY_OWNER_ID: '9919',
      ...Object.fromEntries(own),
    },
    patience: (timeout + 10) * 1000,
  };
}
