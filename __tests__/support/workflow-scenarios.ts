import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Simulator } from '../simulator/simulator.ts';
import { root } from './runner.ts';
import type { Workflow } from './workflow.ts';
import { evaluate } from './workflow-expressions.ts';
import type { GitHub } from './workflow-github.ts';

/** The recipes. */
export const folder = join(root, 'examples');

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

/** A control plane, what GitHub remembers, and the recipe between them. */
export interface World {
  simulator: Simulator;
  github: GitHub;
  workflow: Workflow;
}

export interface Scenario {
  name: string;
  file: string;
  inputs?: Record<string, unknown>;
  /** Where another scenario breaks the same steps everywhere, it is enough to break this one after each. */
  breaks?: 'after steps';
  /** Whether every run has something to do; otherwise the second one changes nothing. */
  neverSettles?: true;
  /** What is there before the first run. */
  prepare(world: World): void;
  /** What must hold after every run that succeeded. */
  checkDone(world: World): void;
  /** What must hold after every run, even one that broke off. */
  checkAlways?(world: World): void;
}

const subjectType = ({ version }: Simulator) => (version === '3.0' ? 'service-account' : 'app');

function addAdministrator({ simulator, github }: World): void {
  const { clientId, secret } = simulator.addApplication({ name: 'platform-admin' });
  addRule(simulator, { subjectId: clientId, roleId: 1, scopeType: 'tenant', scopeId: '1001' });
  const place = { environment: 'runai-admin' };
  github.setVariable('RUNAI_URL', simulator.url);
  github.setVariable('RUNAI_ADMIN_CLIENT_ID', clientId, place);
  github.setSecret('RUNAI_ADMIN_CLIENT_SECRET', secret, place);
  github.setVariable('ROTATION_APP_CLIENT_ID', 'Iv23abcdef', place);
  github.setSecret('ROTATION_APP_PRIVATE_KEY', '-----BEGIN KEY-----\nbm90LWEtcmVhbC1rZXk\n-----END KEY-----\n', place);
}

function addRule(
  simulator: Simulator,
  rule: { subjectId: string; roleId: number; scopeType: string; scopeId: string },
): void {
  simulator.addAccessRule({ ...rule, subjectType: subjectType(simulator) });
}

const accessRules = 'ML engineer @ project:4501234\nviewer @ department:77';
const grantedRules = ['12 @ department:77', '9 @ project:4501234'];

function rulesOf({ simulator }: World, subjectId: string): string[] {
  const own = simulator.accessRules.filter((rule) => rule.subjectId === subjectId);
  return own.map(({ roleId, scopeType, scopeId }) => `${roleId} @ ${scopeType}:${scopeId}`).sort();
}

export const names = ({ simulator }: World) => simulator.applications.map(({ name }) => name).sort();

/** The value of an input as a comment in the recipe tells its users to write it. */
function asDocumented(file: string, input: string): string {
  const [, expression = ''] =
    new RegExp(`^# +${input}: \\$\\{\\{(.*)\\}\\}$`, 'm').exec(readFileSync(join(folder, file), 'utf8')) ?? [];
  return expression;
}

/** Whether a job that starts now, and gets its credentials as the recipe says, can get a token. */
function checkUsersServed({ simulator, github }: World): void {
  const contexts = { vars: github.variablesFor('production'), secrets: github.secretsFor('production') };
  const [clientId, clientSecret] = ['client-id', 'client-secret'].map((input) =>
    String(evaluate(asDocumented('rotate-without-downtime.yml', input), { contexts, status: 'success' })),
  );
  assert.ok(simulator.isValidSecret(clientId ?? '', clientSecret ?? ''), 'a job has no valid credentials');
}

/** An application of one of the two names, its credentials stored in its slot. */
export function addSlot({ simulator, github }: World, slot: 'A' | 'B'): void {
  const place = { environment: 'production' };
  const { clientId, secret } = simulator.addApplication({ name: `ci-runner-${slot.toLowerCase()}` });
  addRule(simulator, { subjectId: clientId, roleId: 9, scopeType: 'project', scopeId: '4501234' });
  addRule(simulator, { subjectId: clientId, roleId: 12, scopeType: 'department', scopeId: '77' });
  github.setVariable(`RUNAI_CLIENT_ID_${slot}`, clientId, place);
  github.setSecret(`RUNAI_CLIENT_SECRET_${slot}`, secret, place);
}

export function useSlot({ github }: World, slot: 'A' | 'B', age: number): void {
  github.setVariable('RUNAI_SLOT', slot, { environment: 'production', updatedAt: new Date(Date.now() - age) });
}

export function checkSlot(world: World, slot: 'A' | 'B'): void {
  assert.equal(world.github.variablesFor('production')['RUNAI_SLOT'], slot);
  checkUsersServed(world);
  assert.deepEqual(rulesOf(world, `ci-runner-${slot.toLowerCase()}`), grantedRules);
}

export function prepareTurns(world: World): void {
  addAdministrator(world);
  world.github.setVariable('RUNAI_ACCESS_RULES', accessRules);
}

function checkBootstrapped(world: World): void {
  const { simulator, github } = world;
  const clientId = github.variablesFor('production')['RUNAI_CLIENT_ID'] ?? '';
  assert.ok(
    simulator.isValidSecret(clientId, github.secretsFor('production')['RUNAI_CLIENT_SECRET'] ?? ''),
    'the stored secret is not valid',
  );
  assert.deepEqual(names(world), ['deploy-production', 'platform-admin']);
  assert.deepEqual(rulesOf(world, clientId), grantedRules);
  const people: string[] = JSON.parse(github.variablesFor()['RUNAI_USERS'] ?? '');
  assert.deepEqual(
    simulator.users.map(({ username }) => username).sort(),
    [simulator.admin.username, ...people].sort(),
  );
  for (const email of people) assert.deepEqual(rulesOf(world, email), ['12 @ department:77']);
}

function prepareBootstrap(world: World, { users }: { users: string[] }): void {
  addAdministrator(world);
  world.github.setVariable('RUNAI_ACCESS_RULES', accessRules);
  world.github.setVariable('RUNAI_USER_ACCESS_RULES', 'Viewer @ department:77');
  world.github.setVariable('RUNAI_USERS', JSON.stringify(users));
}

/** The application that rotate-in-place.yml rotates, its secret stored where the variable says. */
export function prepareRotation(world: World, place: Parameters<GitHub['setSecret']>[2] = {}): void {
  addAdministrator(world);
  const { simulator, github } = world;
  const { secret } = simulator.addApplication({ name: 'ci-runner' });
  addRule(simulator, { subjectId: 'ci-runner', roleId: 9, scopeType: 'project', scopeId: '4501234' });
  github.setVariable('RUNAI_APP_NAME', 'ci-runner');
  github.setSecret('RUNAI_CLIENT_SECRET', secret, place);
}

/** The one application that rotate-in-place.yml is about has the stored secret. */
export function checkStored(world: World): void {
  const { simulator, github } = world;
  assert.ok(
    simulator.isValidSecret('ci-runner', github.secretsFor()['RUNAI_CLIENT_SECRET'] ?? ''),
    'the stored secret is not valid',
  );
  assert.deepEqual(names(world), ['ci-runner', 'platform-admin']);
  assert.deepEqual(rulesOf(world, 'ci-runner'), ['9 @ project:4501234']);
}

function checkRotated(world: World): void {
  checkStored(world);
  assert.ok(world.simulator.requests.some(({ path }) => path.endsWith('/secret')));
}

/** Nothing was made, and the recipe's own request was answered well. */
function checkTokenUsed({ simulator }: World): void {
  const { method, status } = simulator.requests.at(-1) ?? {};
  assert.deepEqual({ method, status }, { method: 'GET', status: 200 });
  assert.equal(simulator.users.length, 1);
}

export const scenarios: Scenario[] = [
  {
    name: 'ci-token.yml',
    file: 'ci-token.yml',
    prepare({ simulator, github }) {
      const { clientId, secret } = simulator.addApplication({ name: 'ci' });
      addRule(simulator, { subjectId: clientId, roleId: 1, scopeType: 'tenant', scopeId: '1001' });
      github.setVariable('RUNAI_URL', simulator.url);
      github.setVariable('RUNAI_CLIENT_ID', clientId);
      github.setSecret('RUNAI_CLIENT_SECRET', secret);
    },
    checkDone: checkTokenUsed,
  },
  {
    name: 'keyless.yml',
    file: 'keyless.yml',
    prepare({ simulator, github }) {
      const place = { environment: 'production' };
      github.setVariable('RUNAI_URL', simulator.url, place);
      github.setVariable('RUNAI_OIDC_AUDIENCE', simulator.oidc.audience, place);
    },
    checkDone: checkTokenUsed,
  },
  {
    name: 'bootstrap-environment.yml in an empty tenant',
    file: 'bootstrap-environment.yml',
    inputs: { environment: 'production' },
    prepare: (world) => prepareBootstrap(world, { users: ['ada@acme.example', 'grace@acme.example'] }),
    checkDone: checkBootstrapped,
  },
  {
    name: 'bootstrap-environment.yml over a stored secret that no longer works',
    file: 'bootstrap-environment.yml',
    inputs: { environment: 'production' },
    breaks: 'after steps',
    prepare(world) {
      prepareBootstrap(world, { users: ['ada@acme.example'] });
      world.simulator.addApplication({ name: 'deploy-production' });
      const place = { environment: 'production' };
      world.github.setVariable('RUNAI_CLIENT_ID', 'deploy-production', place);
      world.github.setSecret('RUNAI_CLIENT_SECRET', 'a-secret-from-another-time', place);
    },
    checkDone: checkBootstrapped,
  },
  {
    name: 'rotate-in-place.yml',
    file: 'rotate-in-place.yml',
    neverSettles: true,
    prepare: (world) => prepareRotation(world),
    checkDone: checkRotated,
  },
  {
    name: 'rotate-without-downtime.yml for the first time',
    file: 'rotate-without-downtime.yml',
    breaks: 'after steps',
    prepare: prepareTurns,
    checkDone(world) {
      assert.deepEqual(names(world), ['ci-runner-a', 'platform-admin']);
      checkSlot(world, 'A');
    },
  },
  {
    name: 'rotate-without-downtime.yml when a rotation is due',
    file: 'rotate-without-downtime.yml',
    prepare(world) {
      prepareTurns(world);
      addSlot(world, 'A');
      useSlot(world, 'A', 31 * DAY);
    },
    checkDone(world) {
      assert.deepEqual(names(world), ['ci-runner-a', 'ci-runner-b', 'platform-admin']);
      checkSlot(world, 'B');
    },
    checkAlways: checkUsersServed,
  },
  {
    name: 'rotate-without-downtime.yml after the grace period',
    file: 'rotate-without-downtime.yml',
    prepare(world) {
      prepareTurns(world);
      addSlot(world, 'A');
      addSlot(world, 'B');
      useSlot(world, 'B', 73 * HOUR);
    },
    checkDone(world) {
      assert.deepEqual(names(world), ['ci-runner-b', 'platform-admin']);
      checkSlot(world, 'B');
    },
    checkAlways: checkUsersServed,
  },
];
