import { RunaiError } from '../errors.ts';
import type { Store } from '../github/store.ts';
import type { Span } from '../http/clock.ts';
import { isoTime, spanOf } from '../http/clock.ts';
import type { InputsFor, Overlap } from '../inputs.ts';
import { lookUpRules, type Permission, rulesOf, subjectTypeOf } from '../runai/access-rules.ts';
import {
  createApplication,
  deleteApplication,
  type IssuedApplication,
  listApplications,
  unreadableRow,
} from '../runai/applications.ts';
import type { Client } from '../runai/client.ts';
import {
  type Assessment,
  assess,
  type Family,
  isMember,
  type Member,
  memberName,
  type Standing,
  tagOf,
} from '../runai/family.ts';
import { type Context, warnIfDisabled } from './context.ts';
import { deliver } from './deliver.ts';
import { authorize } from './sign-in.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

type OverlapInputs = InputsFor<'rotate-app'>;

/**
 * Rotates without downtime: creates the next application alongside the one in use, stores its credentials, and deletes
 * applications that nobody uses any more. What to delete is decided from the state at the start of the run, and deleted
 * last.
 */
export async function rotateOverlap(inputs: OverlapInputs, context: Context): Promise<void> {
  // The inputs were checked: there is no overlap without a store whose identity is known.
  const { overlap, store: target } = inputs as { overlap: Overlap; store: NonNullable<OverlapInputs['store']> };
  const family = { name: overlap.name, tag: tagOf(target.identity as string) };
  const store = await context.openStore(target);
  const secret = await store.read();
  await authorize(context, inputs.credentials);
  const assessment = await look(context, { inputs, family, store, updatedAt: secret?.updatedAt });
  const next = assessment.isDue
    ? await rotate(context, { overlap, family, store, example: assessment.example })
    : undefined;
  if (!next) leaveAlone(context, assessment);
  await retire(context, { assessment, next });
}

/** Reads the family, and works out its current state. */
async function look(
  { client, log }: Context,
  {
    inputs,
    family,
    store,
    updatedAt,
  }: { inputs: OverlapInputs; family: Family; store: Store; updatedAt: number | undefined },
): Promise<Assessment> {
  const { rows, odd } = await listApplications(client);
  const theirs = (time: number) => client.ourTime(spanOf(time)) ?? spanOf(time);
  const members = rows
    .filter((application) => isMember(family, application))
    .map((application): Member => {
      const { createdAt, lastLogin } = application;
      return {
        application,
        createdAt: createdAt === undefined ? undefined : theirs(createdAt),
        lastLogin: typeof lastLogin === 'number' ? theirs(lastLogin) : lastLogin,
      };
    });
  const written: Span | undefined = updatedAt === undefined ? undefined : spanOf(updatedAt);
  const storedAt = written && (store.ourTime(written) ?? written);
  const clocksKnown = Boolean(client.ourTime(spanOf(0)) && store.ourTime(spanOf(0)));
  const oddNames = odd
    .map((row) => (row as { name?: unknown } | null)?.name)
    .filter((name): name is string => isMember(family, { name }));
  const isWhole = oddNames.length === 0;
  if (rows.length === 0 && odd.length > 0) throw unreadableRow(client);
  if (!clocksKnown && members.length > 0) {
    log.warning('One of the servers does not send its time (no Date header), so no application is deleted.');
  }
  const assessment = assess({
    members,
    storedAt,
    now: client.now(),
    overlap: (inputs.overlap as Overlap).hours * HOUR,
    rotateAfter: inputs.rotateAfter === undefined ? undefined : inputs.rotateAfter * DAY,
    isCertain: clocksKnown && isWhole,
    signedInAs: client.callerId,
  });
  // The names end with the time: a newer one that cannot be read may be the one in use.
  const inUse = assessment.inUse?.application.name ?? '';
  const newer = oddNames.find((name) => name > inUse);
  if (newer !== undefined) throw unreadableRow(client, newer);
  if (!isWhole) log.warning('One of the applications cannot be read, so none is deleted.');
  return assessment;
}

/** Creates the next member, and stores its credentials. Returns its name. */
async function rotate(
  context: Context,
  { overlap, family, store, example }: { overlap: Overlap; family: Family; store: Store; example: Member | undefined },
): Promise<string> {
  const { client, log } = context;
  const rehearsed = await store.rehearse();
  const permissions = await permissionsFor(context, overlap, example);
  const issued = await createNext(client, family);
  const { name } = issued;
  log.info(`Created the application ${name} on ${client.baseUrl}`);
  if (permissions.length === 0) {
    log.warning(
      `The application ${name} has no permissions, so jobs that sign in with it can do nothing: grant it some in the control plane. Later applications get the same, or those in access-rules.`,
    );
  }
  await deliver(context, issued, {
    values: { rotated: true },
    permissions,
    store: rehearsed,
    oldIsDead: false,
    again: 'run this again',
  });
  return name;
}

/** How many names, one second apart, are tried. */
const NAMES = 5;

/**
 * Creates an application with a free name. A name that is taken belongs to another run in the same second, or to this
 * run, if the answer with the secret was lost. Its secret is not reset, since another run may have stored it by now.
 */
async function createNext(client: Client, family: Family): Promise<IssuedApplication> {
  for (let second = 1; ; second++) {
    const name = memberName(family, client.now() + (second - 1) * 1000);
    try {
      return await createApplication(client, { name, ifExists: 'refuse' });
    } catch (error) {
      if (!(error instanceof RunaiError) || error.code !== 'conflict') throw error;
      if (second === NAMES)
        throw error.with({ hint: 'Other runs are creating applications at the same time: run this again.' });
    }
  }
}

/** The rules that the inputs ask for, or otherwise those of an existing member. */
async function permissionsFor(
  { client }: Context,
  { accessRules }: Overlap,
  example: Member | undefined,
): Promise<Permission[]> {
  if (accessRules) return lookUpRules(client, accessRules);
  if (!example) return [];
  const { application } = example;
  const subject = { id: application.clientId, type: subjectTypeOf(application) };
  const { rules, odd } = await rulesOf(client, subject);
  if (odd > 0) {
    const name = client.clean(application.name);
    throw new RunaiError('unreadable', `the access rules of the application ${name} cannot all be read`, {
      hint: 'Nothing was changed. Use access-rules to say which ones the next application should get.',
    });
  }
  return rules.map(({ roleId, scopeType, scopeId }) => {
    const text = client.clean(`${roleId} @ ${scopeType}:${scopeId}`);
    return { roleId, scopeType: scopeType as Permission['scopeType'], scopeId, text };
  });
}

function leaveAlone(context: Context, { inUse }: Assessment): void {
  const { client, log, publish } = context;
  const { id, name, clientId, enabled } = (inUse as Member).application;
  publish({ values: { 'app-id': id, 'app-name': name, 'client-id': clientId, rotated: false, stored: false } });
  log.info(`No rotation is due: the application ${client.clean(name)} stays in use`);
  warnIfDisabled(context, { name, enabled });
}

/** Deletes the members that are no longer needed, one by one. A deletion that fails does not stop the rest. */
async function retire(
  context: Context,
  { assessment, next }: { assessment: Assessment; next: string | undefined },
): Promise<void> {
  const { client, log, publish } = context;
  const gone = new Map<string, 'deleted' | 'was already gone'>();
  const failures: { name: string; error: RunaiError }[] = [];
  for (const { member, retire: goes } of assessment.standings) {
    if (!goes) continue;
    const { name } = member.application;
    try {
      const isOurs = await deleteApplication(client, member.application);
      gone.set(name, isOurs ? 'deleted' : 'was already gone');
      const which = `the application ${client.clean(name)}, which nobody uses any more`;
      log.info(isOurs ? `Deleted ${which}` : `Somebody else has deleted ${which}`);
    } catch (error) {
      if (!(error instanceof RunaiError)) throw error;
      failures.push({ name, error });
      if (error.code === 'interrupted') break;
    }
  }
  const retired = [...gone].filter(([, how]) => how === 'deleted').map(([name]) => name);
  publish({ values: { 'retired-apps': retired.join('\n') } });
  report(context, { assessment, next, gone });
  const [first] = failures;
  if (!first) return;
  const list = failures.map(({ name, error }) => `\n- ${client.clean(name)}: ${error.describe()}`).join('');
  throw first.error.with({
    operation: undefined,
    attempts: undefined,
    message: `the deletion of ${failures.length} of the applications that nobody uses any more failed, or could not be confirmed:${list}`,
    warning: undefined,
    hint: `${first.error.code === 'interrupted' ? '' : 'Everything else is done. '}The next run will try again.`,
  });
}

/** How many members the log and the summary show. */
const SHOWN = 20;

/** Reports the role and the fate of each member in the log and in the summary. */
function report(
  { client, log, summarize }: Context,
  { assessment, next, gone }: { assessment: Assessment; next: string | undefined; gone: ReadonlyMap<string, string> },
): void {
  const shown = assessment.standings.slice(0, SHOWN);
  const lines = shown.map((standing) => {
    const { member, role } = standing;
    const { name, createdAt, lastLogin } = member.application;
    const fate = gone.get(name) ?? fateOf(standing, { isReplaced: next !== undefined });
    return [client.clean(name), role, inWords(createdAt), inWords(lastLogin), fate];
  });
  for (const [name, role, made, used, fate] of lines) {
    log.info(`${name}: ${role}, created ${made}, last used ${used}; ${fate}`);
  }
  const rest = assessment.standings.length - shown.length;
  if (rest > 0) log.notice(`Older applications that are not listed: ${rest}.`);
  const kept = shown.filter(({ member, role }) => role === 'previous' && !gone.has(member.application.name));
  for (const { member, reason } of kept) {
    const { name, lastLogin } = member.application;
    log.notice(`The application ${client.clean(name)} ${keptBecause(reason)} (last used: ${inWords(lastLogin)})`);
  }
  if (next) lines.unshift([next, 'next', isoTime(client.now()), 'never', 'in use from now on']);
  summarize('Run:ai applications', { head: ['application', 'role', 'created', 'last used', 'what happens'], lines });
}

function inWords(time: number | 'never' | undefined): string {
  return typeof time === 'number' ? isoTime(time) : (time ?? 'unknown');
}

const keptBecause = (reason: string | undefined) =>
  reason ? `is kept: ${reason}` : 'may still exist: it was not deleted, or its deletion could not be confirmed';

function fateOf({ role, reason }: Standing, { isReplaced }: { isReplaced: boolean }): string {
  if (role === 'left behind') return 'not the stored one; deleted once nobody uses it';
  if (role === 'in use') return isReplaced ? 'replaced; kept for jobs that still use it' : 'stays';
  return keptBecause(reason);
}
