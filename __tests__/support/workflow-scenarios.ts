import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Github, type PlaceName, startGithub } from '../simulator/github.ts';
import { type Application, type Simulator, startSimulator, type Version } from '../simulator/simulator.ts';
import { root } from './runner.ts';
import { parseWorkflow, runWorkflow, type Variables, type Workflow, type WorkflowRun } from './workflow.ts';
import { type ProgramName, type Stores, writePrograms } from './workflow-stores.ts';

/** The recipes. */
export const folder = join(root, 'examples');
/** The reusable workflows. */
export const callable = ['bootstrap.yml', 'rotate.yml'];

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

/** A control plane, GitHub, three other stores, and what a repository has set up for a recipe. */
export interface World {
  simulator: Simulator;
  github: Github;
  variables: Variables;
  stores: Stores;
  /** The folder of the programs that write to the other stores. */
  programs: string;
}

export interface Scenario {
  name: string;
  /** Of the recipe, or of the reusable workflow. */
  file: string;
  /** Changes the workflow as its users are told to. */
  adapt?: (workflow: Workflow) => void;
  /** Whether every run has something to do; otherwise the second one changes nothing. */
  neverSettles?: true;
  /** What exists before the first run. */
  prepare(world: World): void;
  /** What must be true after every run that succeeded. */
  checkDone(world: World): void;
  /** The same if an earlier run was interrupted and may have left something behind. */
  checkHealed?(world: World): void;
  /** What must be true after every run, even an interrupted one. */
  checkAlways?(world: World): void;
}

/** The recipe itself, or a workflow made from the example call in a reusable workflow's first comment. */
export function textOf(file: string): string {
  if (!callable.includes(file)) return readFileSync(join(folder, file), 'utf8');
  const text = readFileSync(join(root, '.github/workflows', file), 'utf8');
  const [jobs = ''] = /^# {3}jobs:\n(# {3}.*\n)+/m.exec(text) ?? [];
  return `name: Call\non: workflow_dispatch\npermissions: {}\n${jobs.replace(/^# {3}/gm, '')}`;
}

export function workflowOf({ file, adapt }: Pick<Scenario, 'file' | 'adapt'>): Workflow {
  const workflow = parseWorkflow(textOf(file));
  adapt?.(workflow);
  return workflow;
}

/** Gives `use` its own world, and checks that everybody followed the API. */
export async function inWorld(version: Version, use: (world: World) => Promise<void>): Promise<void> {
  const temp = mkdtempSync(join(tmpdir(), 'recipe-'));
  let applications = 0;
  const simulator = await startSimulator({ version, clientIdOf: () => `client-${++applications}` });
  const github = await startGithub({ environments: ['runai-admin', 'production', 'ci'] });
  try {
    await use({ simulator, github, variables: {}, ...writePrograms(temp) });
    assert.deepEqual([...simulator.violations, ...github.violations], []);
  } finally {
    await Promise.all([simulator.close(), github.close()]);
    rmSync(temp, { recursive: true, force: true });
  }
}

export function run(world: World, workflow: Workflow, extras: Parameters<typeof runWorkflow>[1] = {}) {
  const { github, variables, programs, simulator } = world;
  return runWorkflow(workflow, { github, variables, programs, oidc: simulator.oidc, ...extras });
}

/** No secret of either service may be in a log, in a summary, or on a command line. */
export function checkNothingLeaks({ simulator, github, stores }: World, { shown, jobs }: WorkflowRun): void {
  const text = [...shown, ...jobs.map(({ summary }) => summary), ...stores.commandLines].join('\n');
  const kept = [...github.secrets.map(({ value }) => value), ...github.tokens, privateKey];
  const secrets = [...simulator.secretsIssued, ...kept].flatMap((secret) => secret.split('\n'));
  assert.deepEqual(
    secrets.filter((secret) => secret !== '' && text.includes(secret)),
    [],
    `secrets in:\n${text}`,
  );
}

const privateKey = '-----BEGIN KEY-----\nbm90LWEtcmVhbC1rZXk\n-----END KEY-----\n';
const admin = 'environment:runai-admin';
const production = 'environment:production';
const name = 'RUNAI_CREDENTIALS';

function setVariables({ variables }: World, values: Record<string, string>, place: PlaceName = 'repository'): void {
  variables[place] = { ...variables[place], ...values };
}

/** What the table at the top of each recipe asks for. */
function setUp(world: World): void {
  const { simulator, github } = world;
  const { clientId, secret } = simulator.addApplication({ name: 'platform-admin' });
  addRule(world, { subjectId: clientId, roleId: 1, scopeType: 'tenant', scopeId: '1001' });
  simulator.addProject({ name: 'team-a', id: '4501234' });
  simulator.addDepartment({ name: 'research', id: '77' });
  setVariables(world, { RUNAI_URL: simulator.url, RUNAI_ACCESS_RULES: 'ML engineer @ project:team-a' });
  setVariables(world, { SECRETS_APP_CLIENT_ID: 'Iv23abcdef' }, admin);
  github.editSecret(admin, 'RUNAI_ADMIN_CREDENTIALS', { value: `${clientId}:${secret}` });
  github.editSecret(admin, 'SECRETS_APP_PRIVATE_KEY', { value: privateKey });
}

function addRule({ simulator }: World, rule: Omit<Parameters<Simulator['addAccessRule']>[0], 'subjectType'>): void {
  simulator.addAccessRule({ ...rule, subjectType: simulator.version === '3.0' ? 'service-account' : 'app' });
}

const engineer = ['9 @ project:4501234'];

function rulesOf({ simulator }: World, subjectId: string): string[] {
  const own = simulator.accessRules.filter((rule) => rule.subjectId === subjectId);
  return own.map(({ roleId, scopeType, scopeId }) => `${roleId} @ ${scopeType}:${scopeId}`).sort();
}

/** All applications except the administrator. */
export const names = ({ simulator }: World) =>
  simulator.applications.map((application) => application.name).filter((one) => one !== 'platform-admin');

/** The client id in credentials that can sign in. */
export function checkCredentials({ simulator }: World, credentials: string | undefined): string {
  const [, clientId = '', secret = ''] = /^([^:]*):(.*)$/s.exec(credentials ?? '') ?? [];
  assert.ok(simulator.isValidSecret(clientId, secret), 'the stored credentials do not work');
  return clientId;
}

export const checkStored = (world: World, place: PlaceName = production, secret = name) =>
  checkCredentials(world, world.github.secretValue(place, secret));

/** An application with the rules of a recipe, whose credentials are stored. */
export function addStored(world: World, appName: string, { place = production }: { place?: PlaceName } = {}): void {
  const { clientId, secret } = world.simulator.addApplication({ name: appName });
  addRule(world, { subjectId: clientId, roleId: 9, scopeType: 'project', scopeId: '4501234' });
  world.github.editSecret(place, name, { value: `${clientId}:${secret}` });
}

/** Nothing was created, and the recipe's own request succeeded. */
function checkTokenUsed(world: World): void {
  const { method, status } = world.simulator.requests.at(-1) ?? {};
  assert.deepEqual({ method, status }, { method: 'GET', status: 200 });
  assert.equal(world.simulator.users.length, 1);
}

const appFor = ({ github }: World, purpose: string) => `${purpose}-${github.repositoryId}-production`;

function checkPeople(world: World): void {
  const people = ['ada@acme.example', 'grace@acme.example'];
  const { users, admin: administrator } = world.simulator;
  assert.deepEqual(users.map(({ username }) => username).sort(), [administrator.username, ...people].sort());
  for (const email of people) assert.deepEqual(rulesOf(world, email), ['7 @ project:4501234']);
}

function checkBootstrapped(world: World): void {
  assert.deepEqual(names(world).sort(), [appFor(world, 'deploy'), appFor(world, 'monitor')]);
  const deploy = checkStored(world);
  const monitor = checkStored(world, production, 'RUNAI_MONITOR_CREDENTIALS');
  assert.deepEqual(rulesOf(world, deploy), engineer);
  assert.deepEqual(rulesOf(world, monitor), ['12 @ department:77', '12 @ project:4501234']);
  checkPeople(world);
}

function prepareBootstrap(world: World): void {
  setUp(world);
  setVariables(world, { RUNAI_USERS: 'ada@acme.example\ngrace@acme.example\n' });
}

function checkRotated(world: World, { appName, place }: { appName: string; place?: PlaceName }): void {
  assert.deepEqual(names(world), [appName]);
  assert.deepEqual(rulesOf(world, checkStored(world, place)), engineer);
  assert.ok(world.simulator.requests.some(({ path }) => path.endsWith('/secret')));
}

/** The prefix of the names of a family, as the contract defines it. */
function familyOf({ github }: World): string {
  const text = `${production.replace(':', `:${github.repositoryId}:`)}:${name}`;
  return `ci-runner-${createHash('sha256').update(text).digest('hex').slice(0, 6)}-`;
}

const stampOf = (moment: Date) => moment.toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);

/** A member of the family, as created by a run this long ago. */
export function addMember(world: World, { age, unused }: { age: number; unused: number | null }): Application {
  const made = new Date(Date.now() - age);
  const member = world.simulator.addApplication({
    name: `${familyOf(world)}${stampOf(made)}`,
    createdAt: made.getTime(),
  });
  addRule(world, { subjectId: member.clientId, roleId: 9, scopeType: 'project', scopeId: '4501234' });
  member.lastLogin = unused === null ? null : new Date(Date.now() - unused).toISOString();
  return member;
}

/** Makes everything that has a time older, including the names of a family. */
export function letTimePass({ simulator, github }: World, milliseconds: number): void {
  const earlier = (moment: string) => new Date(Date.parse(moment) - milliseconds).toISOString();
  for (const { place, name: secret, createdAt, updatedAt } of [...github.secrets])
    github.editSecret(place, secret, { createdAt: earlier(createdAt), updatedAt: earlier(updatedAt) });
  for (const application of simulator.applications) {
    const { createdAt, lastLogin } = application;
    application.createdAt = createdAt && earlier(createdAt);
    application.lastLogin = lastLogin && earlier(lastLogin);
    const made = new Date(application.createdAt ?? '');
    application.name = application.name.replace(/\d{8}-\d{6}$/, stampOf(made));
  }
}

/** Somebody signs in with the stored credentials. */
export function signIn(world: World): void {
  const clientId = checkStored(world);
  const inUse = world.simulator.applications.find((application) => application.clientId === clientId);
  if (inUse) inUse.lastLogin = new Date().toISOString();
}

/** Stores the credentials of a member, a minute after it was created. */
function store(world: World, { clientId, secret, createdAt }: Application): void {
  const updatedAt = Date.parse(createdAt ?? '') + 60_000;
  world.github.editSecret(production, name, { value: `${clientId}:${secret}`, createdAt: updatedAt, updatedAt });
}

/** This many members are left, and the newest one is in use, with the access that it needs. */
export function checkFamily(world: World, members: number): void {
  assert.equal(names(world).length, members, names(world).join(', '));
  checkInUse(world);
}

/** The newest member is in use: one that an interrupted run has left behind is older. */
function checkInUse(world: World): void {
  const family = names(world).sort();
  for (const one of family) assert.ok(one.startsWith(familyOf(world)), one);
  const inUse = world.simulator.applications.find(({ clientId }) => clientId === checkStored(world));
  assert.equal(inUse?.name, family.at(-1));
  assert.deepEqual(rulesOf(world, inUse?.clientId ?? ''), engineer);
}

const otherStores: Record<string, ProgramName> = { 'ci-vault': 'vault', 'ci-aws': 'aws', 'ci-kubernetes': 'kubectl' };

function checkOtherStores(world: World): void {
  assert.deepEqual(names(world), Object.keys(otherStores));
  for (const [appName, program] of Object.entries(otherStores)) {
    const clientId = checkCredentials(world, world.stores.value(program));
    assert.equal(world.simulator.applications.find((one) => one.clientId === clientId)?.name, appName);
  }
}

/** Passes other values to the one job of a call. */
function withInputs(values: Record<string, unknown>) {
  return ({ jobs }: Workflow): void => {
    for (const job of Object.values(jobs)) {
      const all = Object.entries({ ...job.with, ...values });
      job.with = Object.fromEntries(all.filter(([, value]) => value !== undefined));
    }
  };
}

const inPlace = { 'overlap-hours': undefined, 'access-rules': undefined };

/** The two rotations without downtime: as a recipe, and as a reusable workflow. */
const withoutDowntime = ['rotate-without-downtime.yml', 'rotate.yml'].flatMap((file): Scenario[] => [
  {
    name: `${file} for the first time`,
    file,
    prepare: setUp,
    checkDone: (world) => checkFamily(world, 1),
    checkHealed: checkInUse,
  },
  {
    name: `${file} when a rotation is due`,
    file,
    prepare(world) {
      setUp(world);
      store(world, addMember(world, { age: 31 * DAY, unused: HOUR }));
    },
    checkDone: (world) => checkFamily(world, 2),
    checkHealed: checkInUse,
    checkAlways: checkStored,
  },
  {
    name: `${file} after the overlap`,
    file,
    prepare(world) {
      setUp(world);
      addMember(world, { age: 40 * DAY, unused: 80 * HOUR });
      store(world, addMember(world, { age: 73 * HOUR, unused: 60_000 }));
    },
    ...(file === 'rotate.yml' && { adapt: withInputs({ 'rotate-after-days': 30 }) }),
    checkDone: (world) => checkFamily(world, 1),
    checkAlways: checkStored,
  },
]);

export const scenarios: Scenario[] = [
  {
    name: 'ci-token.yml',
    file: 'ci-token.yml',
    prepare(world) {
      const { clientId, secret } = world.simulator.addApplication({ name: 'ci' });
      addRule(world, { subjectId: clientId, roleId: 1, scopeType: 'tenant', scopeId: '1001' });
      setVariables(world, { RUNAI_URL: world.simulator.url });
      world.github.editSecret('environment:ci', name, { value: `${clientId}:${secret}` });
    },
    checkDone: checkTokenUsed,
  },
  {
    name: 'keyless.yml',
    file: 'keyless.yml',
    prepare(world) {
      const { url, oidc } = world.simulator;
      setVariables(world, { RUNAI_URL: url, RUNAI_OIDC_AUDIENCE: oidc.audience }, production);
    },
    checkDone: checkTokenUsed,
  },
  {
    name: 'bootstrap-environment.yml in an empty tenant',
    file: 'bootstrap-environment.yml',
    prepare: prepareBootstrap,
    checkDone: checkBootstrapped,
  },
  {
    name: 'bootstrap-environment.yml where a secret was lost and rules are missing',
    file: 'bootstrap-environment.yml',
    prepare(world) {
      prepareBootstrap(world);
      const createdAt = Date.now() - DAY;
      world.simulator.addApplication({ name: appFor(world, 'deploy'), createdAt });
      const { clientId, secret } = world.simulator.addApplication({ name: appFor(world, 'monitor'), createdAt });
      const value = `${clientId}:${secret}`;
      world.github.editSecret(production, 'RUNAI_MONITOR_CREDENTIALS', { value, createdAt: createdAt + 60_000 });
      world.simulator.addUser({ email: 'grace@acme.example' });
    },
    checkDone: checkBootstrapped,
  },
  {
    name: 'bootstrap.yml in an empty tenant',
    file: 'bootstrap.yml',
    prepare: prepareBootstrap,
    checkDone(world) {
      assert.deepEqual(names(world), [appFor(world, 'deploy')]);
      assert.deepEqual(rulesOf(world, checkStored(world)), engineer);
      checkPeople(world);
    },
  },
  {
    name: 'rotate-in-place.yml',
    file: 'rotate-in-place.yml',
    neverSettles: true,
    prepare(world) {
      setUp(world);
      addStored(world, appFor(world, 'deploy'));
    },
    checkDone: (world) => checkRotated(world, { appName: appFor(world, 'deploy') }),
  },
  ...(['repository', 'organization'] as const).map(
    (place): Scenario => ({
      name: `rotate.yml in place, in the ${place}`,
      file: 'rotate.yml',
      adapt: withInputs({ ...inPlace, 'store-in': place }),
      neverSettles: true,
      prepare(world) {
        setUp(world);
        addStored(world, 'ci-runner', { place });
      },
      checkDone: (world) => checkRotated(world, { appName: 'ci-runner', place }),
    }),
  ),
  ...withoutDowntime,
  {
    name: 'other-stores.yml',
    file: 'other-stores.yml',
    neverSettles: true,
    prepare(world) {
      setUp(world);
      for (const appName of Object.keys(otherStores)) world.simulator.addApplication({ name: appName });
    },
    checkDone: checkOtherStores,
  },
];
