import { errorCodes } from '../../src/errors.ts';
import type { Application, User } from '../simulator/simulator.ts';
import type { Trouble } from './faults.ts';
import { megabytes, type Problem, problemsOf, unless } from './report.ts';
import type { MeasuredResult } from './step.ts';
import type { Target } from './targets.ts';
import { appName, email, isMember, projectId, roleId, secretName, type Task, type World } from './tasks.ts';

/** What the two servers held when a run began. */
export interface Before {
  /** By id. */
  objects: Map<string, { name: string; secret: string | undefined }>;
  /** By place and name. */
  stored: Map<string, string>;
}

/** A run that has ended, whatever it met. */
export interface Ending {
  task: Task;
  world: World;
  before: Before;
  result: MeasuredResult;
}

const memoryLimit = 100e6;

const secretOf = (object: Application | User) => ('secret' in object ? object.secret : object.password);
const nameOf = (object: Application | User) => ('name' in object ? object.name : object.username);

function objectsOf({ simulator }: World): Before['objects'] {
  const objects = [...simulator.applications, ...simulator.users];
  return new Map(objects.map((object) => [object.id, { name: nameOf(object), secret: secretOf(object) }]));
}

export function snapshot(world: World): Before {
  const stored = world.github.secrets.map(({ place, name, value }) => [`${place} ${name}`, value] as const);
  return { objects: objectsOf(world), stored: new Map(stored) };
}

/** Everything that is wrong with a run, apart from how it ended. */
export function harmOf(ending: Ending, { isLate }: { isLate: boolean }): Problem[] {
  const { world, result } = ending;
  const memory = result.peakMemory ?? 0;
  return [
    ...problemsOf('leak', leaks(ending)),
    ...problemsOf('loss', [...takenFrom(ending), ...madeTwice(ending, isLate)]),
    ...problemsOf('other', [
      ...[...world.simulator.violations, ...world.github.violations].map((text) => `breach of the contract: ${text}`),
      ...unless(result.stderr === '', `on standard error: ${result.stderr.slice(0, 200)}`),
      ...unless(memory < memoryLimit, `${megabytes(memory)} of memory`),
    ]),
  ];
}

/** Secrets in the log, and secrets of one server in what the other one was sent. */
function leaks({ world: { simulator, github }, result }: Ending): string[] {
  const lines = result.log.filter(({ command }) => command !== 'add-mask').map(({ text }) => text);
  const said = [...lines, result.stderr, result.summary, ...result.strayFiles].join('\n');
  const halves = github.secrets.flatMap(({ value }) => value.split(':').slice(1));
  const own = [...simulator.secretsIssued, ...github.tokens, ...halves];
  const [toGithub, toPlane] = [github, simulator].map(({ requests }) =>
    requests.map(({ rawHeaders, path, body }) => [...rawHeaders, path, body].join('\n')).join('\n'),
  );
  return [
    ...unless(!own.some((secret) => said.includes(secret)), 'a secret was printed'),
    ...unless(!simulator.secretsIssued.some((one) => toGithub?.includes(one)), "GitHub was sent a secret of Run:ai's"),
    ...unless(!github.tokens.some((token) => toPlane?.includes(token)), 'the control plane was sent a token of GitHub'),
  ];
}

/** What the step must not touch: it belongs to somebody else, or is in use. */
function takenFrom({ task, world, before }: Ending): string[] {
  const now = objectsOf(world);
  const { resets = [], deletes = [], place } = task;
  const objects = [...before.objects].flatMap(([id, { name, secret }]) => {
    const left = now.get(id);
    if (!left) return unless(deletes.includes(name), `${name} was deleted`);
    return unless(left.secret === secret || resets.includes(name), `${name} got a new secret`);
  });
  const stored = snapshot(world).stored;
  const others = [...before.stored].filter(([key]) => key !== `${place} ${secretName}`);
  const changed = others.flatMap(([key, value]) => unless(stored.get(key) === value, `the secret ${key} was changed`));
  const worked = place && worksAt(world, before.stored.get(`${place} ${secretName}`), before);
  const broken = worked && resets.length === 0 && !storedWorks({ task, world });
  return [...objects, ...changed, ...unless(!broken, 'the stored value no longer works')];
}

function worksAt(world: World, value: string | undefined, before: Before): boolean {
  const [clientId, secret] = value?.split(':') ?? [];
  const known = world.simulator.applications.find((application) => application.clientId === clientId);
  return known !== undefined && before.objects.get(known.id)?.secret === secret;
}

export function storedWorks({ task, world }: Pick<Ending, 'task' | 'world'>): boolean {
  const value = task.place && world.github.secretValue(task.place, secretName);
  const [, clientId = '', secret = ''] = /^([^:]*):(.*)$/s.exec(value ?? '') ?? [];
  return world.simulator.isValidSecret(clientId, secret);
}

function madeTwice({ task, world, before }: Ending, isLate: boolean): string[] {
  const made = [...objectsOf(world)].filter(([id]) => !before.objects.has(id)).map(([, { name }]) => name);
  // A rotation leaves behind what a lost create may have made: nobody uses it, and the next rotation deletes it.
  const most = /three|overlap/.test(task.name) ? 2 : 1;
  const rules = world.simulator.accessRules.map(({ subjectId, scopeId }) => `${subjectId} ${roleId} ${scopeId}`);
  // One that a gateway carries out behind our back, after the look, cannot be helped; and gives nobody anything more.
  const twice = !isLate && new Set(rules).size < rules.length;
  return [
    ...unless(made.length <= most, `${made.length} objects were made: ${made.join(', ')}`),
    ...unless(!twice, 'an access rule was made twice'),
  ];
}

/** What each mode promises when it succeeds. */
const promised: Record<string, readonly string[]> = {
  token: ['access-token'],
  'create-app': ['app-id', 'app-name', 'client-id', 'created'],
  'create-user': ['users'],
  'rotate-app': ['rotated'],
  'delete-app': ['deleted'],
};

/** What is not so, though a run that has succeeded says it. */
export function untruths({ task, world, before, result: { outputs } }: Ending): string[] {
  const { simulator } = world;
  const mode = task.inputs(world)['mode'] ?? '';
  const token = outputs['access-token'];
  return [
    ...(promised[mode] ?? []).flatMap((name) => unless(name in outputs, `there is no output ${name}`)),
    ...unless(token === undefined || simulator.isValidToken(token), 'the published access token does not work'),
    ...(mode === 'create-user' ? usersUntrue({ world, before, outputs }) : appUntrue({ mode, world, before, outputs })),
    ...(task.rule ? ruleMissing(world, outputs) : []),
    ...(task.place ? storeUntrue({ task, world }, outputs) : []),
  ];
}

type Outputs = Record<string, string>;
interface Claims {
  world: World;
  before: Before;
  outputs: Outputs;
}

function appUntrue({ mode, world: { simulator }, before, outputs }: Claims & { mode: string }): string[] {
  const { 'app-id': id, 'client-id': clientId = '', 'client-secret': secret, created, deleted, rotated } = outputs;
  const there = simulator.applications.find((application) => application.id === id);
  const isThere = (name: string) => simulator.applications.some((application) => application.name === name);
  const retired = outputs['retired-apps']?.split('\n').filter(Boolean) ?? [];
  return [
    ...unless(secret === undefined || simulator.isValidSecret(clientId, secret), 'the published secret does not work'),
    ...unless(mode === 'delete-app' || id === undefined || there !== undefined, 'app-id is that of no application'),
    ...unless(created !== 'true' || !before.objects.has(id ?? ''), 'created, though it was there'),
    ...unless(created !== 'false' || before.objects.has(id ?? ''), 'not created, though it was not there'),
    ...unless(deleted === undefined || !isThere(appName), `deleted is ${deleted}, and the application is there`),
    ...unless(rotated !== 'true' || secret !== undefined, 'rotated, and no secret is published'),
    ...retired.flatMap((name) => unless(!isThere(name), `${name} is retired, and still there`)),
  ];
}

function usersUntrue({ world: { simulator }, before, outputs }: Claims): string[] {
  const users: { email: string; id?: string; created?: boolean }[] = JSON.parse(outputs['users'] ?? '[]');
  const several: Outputs = JSON.parse(outputs['temporary-passwords'] ?? '{}');
  const single = outputs['temporary-password'];
  const passwords = Object.entries({ ...several, ...(single !== undefined && { [email]: single }) });
  return [
    ...users.flatMap(({ email: address, id, created }) => [
      ...unless(
        simulator.users.some((user) => user.id === id && user.username === address),
        `${address} is not there`,
      ),
      ...unless(created !== before.objects.has(id ?? ''), `created is ${created} of ${address}`),
    ]),
    ...passwords.flatMap(([address, password]) =>
      unless(simulator.isValidPassword(address, password), `the password of ${address} does not work`),
    ),
  ];
}

function ruleMissing({ simulator }: World, outputs: Outputs): string[] {
  const subject = outputs['client-id'] ?? outputs['email'];
  const made = simulator.accessRules.filter((rule) => {
    return rule.subjectId === subject && rule.roleId === roleId && rule.scopeId === projectId;
  });
  return unless(made.length > 0, 'the access rule was not made');
}

function storeUntrue({ task, world }: Pick<Ending, 'task' | 'world'>, outputs: Outputs): string[] {
  const secret = world.github.secrets.find(({ place, name }) => place === task.place && name === secretName);
  const isKept = secret?.place !== 'organization' || secret.selectedRepositoryIds?.join() === '5,17';
  const isOwn = outputs['stored'] !== 'true' || secret?.value === outputs['credentials'];
  return [
    ...unless('stored' in outputs, 'there is no output stored'),
    ...unless(isOwn, 'stored, but something else than was published'),
    ...unless(storedWorks({ task, world }), 'the stored value does not work'),
    ...unless(isKept, 'other repositories may read the secret of the organization now'),
  ];
}

/** Secrets that were issued and reached nobody: what has one now that is neither published nor stored. */
export function lostSecrets({ task, world, before, result: { outputs } }: Ending): string[] {
  const stored = task.place ? world.github.secretValue(task.place, secretName) : undefined;
  const several: Outputs = JSON.parse(outputs['temporary-passwords'] ?? '{}');
  const known = [outputs['client-secret'], outputs['temporary-password'], ...Object.values(several)];
  return [...objectsOf(world)].flatMap(([id, { name, secret }]) => {
    if (secret === undefined || before.objects.get(id)?.secret === secret) return [];
    const isLeftBehind = isMember(name) && outputs['app-name'] !== undefined && outputs['app-name'] !== name;
    if (isLeftBehind) return [];
    return unless(known.includes(secret) || stored?.endsWith(`:${secret}`), `the new secret of ${name} reached nobody`);
  });
}

/** An error after which nobody knows a secret: what may have happened, and how to get another one. */
export function saysWhatToDo({ errors }: MeasuredResult): boolean {
  return /\bmay\b.*\bagain\b|if-exists to skip.*rotate|nobody uses it|left behind/s.test(errors.join());
}

/** What one cell of the matrix is, and how its run ended. */
export interface Evidence extends Ending {
  target: Target;
  trouble: Trouble;
  lasting: boolean;
}

export type Expected = 'ok' | 'error' | 'either';

export function expectedOf({
  target: { task },
  trouble,
  lasting,
}: Pick<Evidence, 'target' | 'trouble' | 'lasting'>): Expected {
  if (lasting || trouble.once === 'either') return 'either';
  return trouble.once === 'ends' ? 'error' : (task.ends ?? 'ok');
}

/** Everything that is wrong with how a run ended. */
export function endProblems(evidence: Evidence): Problem[] {
  const { exitCode } = evidence.result;
  const lost = lostSecrets(evidence);
  if (exitCode === 0) {
    const wrong = [...untruths(evidence), ...lost];
    return [...problemsOf('green and wrong', wrong), ...problemsOf('other', successProblems(evidence))];
  }
  const isLost = lost.length > 0 && (expectedOf(evidence) === 'ok' || !saysWhatToDo(evidence.result));
  const losses = isLost ? lost.map((text) => `${text}: ${evidence.result.errors.join()}`) : [];
  return [...problemsOf('loss', losses), ...problemsOf('other', failureProblems(evidence))];
}

function successProblems(evidence: Evidence): string[] {
  const { task, result } = evidence;
  const expected = expectedOf(evidence);
  return [
    ...unless(result.errors.length === 0, 'exit code 0 with an error'),
    ...unless(expected !== 'error', 'the run succeeded anyway'),
    ...(expected === 'ok' ? unexpected(task, result.outputs) : []),
  ];
}

export function unexpected({ expects }: Task, outputs: Outputs): string[] {
  return Object.entries(expects).flatMap(([name, wanted]) => {
    const value = outputs[name];
    const fits = typeof wanted === 'string' ? value === wanted : (value !== undefined) === wanted;
    return unless(fits, `the output ${name} is ${value?.slice(0, 40)} instead of ${wanted}`);
  });
}

/** What a failure must say, whatever it is: one error, its code, a request or a host. */
export function misreported({ world, result }: Pick<Ending, 'world' | 'result'>): string[] {
  const [error = '', ...more] = result.errors;
  const code = result.outputs['error-code'] ?? '';
  const hosts = [world.simulator, world.github].map(({ url }) => new URL(url).host);
  const request =
    /(GET|POST|PUT|DELETE) https?:\/\/|access rule "|secret [A-Z]|the access rules of |the control plane created /;
  const names = request.test(error) || hosts.some((host) => error.includes(host));
  return [
    ...unless(error !== '' && more.length === 0, `${result.errors.length} errors instead of 1`),
    ...unless(errorCodes.some((known) => known === code) && code !== 'internal', `error-code is ${code}`),
    ...unless(names || /interrupted|unverified/.test(code), 'the error names no request, no host and no rule'),
  ];
}

function failureProblems(evidence: Evidence): string[] {
  const { result, trouble, target } = evidence;
  const [error = ''] = result.errors;
  const reason = target.task.ends === 'error' ? new RegExp(`409|${trouble.says.source}`, 's') : trouble.says;
  const isStore = result.outputs['error-code'] === 'store';
  const wrong = [
    ...misreported(evidence),
    ...unless(result.exitCode === 1, `exit code ${result.exitCode}, signal ${result.signal}`),
    ...unless(reason.test(error), `the error does not name the cause, ${trouble.says}`),
    ...unless(expectedOf(evidence) !== 'ok', 'the run failed after one passing fault'),
    // After something was issued, a workflow can tell from the code that the outputs hold the only copy.
    ...unless(isStore === (target.service === 'github' && 'client-secret' in result.outputs), `store: ${isStore}`),
  ];
  return wrong.map((text) => `${text}: ${error}`);
}
