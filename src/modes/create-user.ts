import { RunaiError } from '../errors.ts';
import type { InputsFor } from '../inputs.ts';
import { grantAccess, lookUpRules, type Permission } from '../runai/access-rules.ts';
import { createUser as create, type IssuedUser } from '../runai/users.ts';
import type { Context } from './context.ts';
import { authorize } from './sign-in.ts';

/** What happened to one address. */
interface Outcome {
  email: string;
  user?: IssuedUser & { created: boolean };
  rulesMade?: number;
  error?: unknown;
}

/** How many users are created at a time. */
const AT_ONCE = 5;

/**
 * Creates local users, publishes their ids and temporary passwords, and creates their access rules. A user that fails
 * does not stop the others.
 */
export async function createUser(inputs: InputsFor<'create-user'>, context: Context): Promise<void> {
  const { emails } = inputs;
  await authorize(context, inputs.credentials);
  const permissions = await lookUpRules(context.client, inputs.accessRules);
  const outcomes: Outcome[] = emails.map((email) => ({ email, ...(permissions.length === 0 && { rulesMade: 0 }) }));
  await forEach(context, outcomes, (outcome) => createOne(context, inputs, outcome));
  // Before anything else can go wrong.
  publishUsers(context, outcomes);
  report(context, outcomes);
  if (permissions.length > 0) {
    const created = outcomes.filter(({ user, error }) => user && error === undefined);
    await forEach(context, created, (outcome) => giveAccess(context, permissions, outcome));
    publishUsers(context, outcomes);
    reportRules(context, created);
  }
  const failed = outcomes.filter((outcome) => failureOf(outcome) !== undefined);
  if (failed.length > 0) throw problemOf(outcomes, failed);
  summarize(context, outcomes);
}

/**
 * Works on several addresses at a time, until no more are worth trying. An error is recorded in the outcome of its
 * address.
 */
async function forEach(
  { client }: Context,
  outcomes: Outcome[],
  work: (outcome: Outcome) => Promise<void>,
): Promise<void> {
  const queue = outcomes.values();
  const worker = async () => {
    for (const outcome of queue) {
      if (outcomes.some(endsTheRun) || client.remaining <= 0) return;
      await work(outcome).catch((error) => {
        outcome.error = error;
      });
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, outcomes.length) }, worker));
}

async function createOne({ client }: Context, inputs: InputsFor<'create-user'>, outcome: Outcome): Promise<void> {
  const { email } = outcome;
  const user = await create(client, { ...inputs, email });
  outcome.user = user;
  if (user.flaw) throw user.flaw;
}

async function giveAccess({ client }: Context, permissions: Permission[], outcome: Outcome): Promise<void> {
  const { email, user } = outcome;
  const made = await grantAccess(client, { id: user?.username ?? email, type: 'user' }, permissions);
  outcome.rulesMade = made;
}

// In the order of the input, although several were worked on at a time.
function report({ client, log }: Context, outcomes: Outcome[]): void {
  for (const { email, user } of outcomes) if (user) log.info(whatHappened(user, `${email} on ${client.baseUrl}`));
}

function reportRules({ log }: Context, outcomes: Outcome[]): void {
  for (const { email, rulesMade: made = 0 } of outcomes) {
    if (made > 0) log.info(`Created ${made} access ${made === 1 ? 'rule' : 'rules'} for the user ${email}`);
  }
}

const hopeless = new Set(['token-rejected', 'forbidden', 'blocked', 'interrupted', 'internal']);

/** Whether no other address is worth trying, for example because a permission is missing. */
function endsTheRun({ error }: Outcome): boolean {
  return error !== undefined && (!(error instanceof RunaiError) || hopeless.has(error.code));
}

function publishUsers({ publish }: Context, outcomes: Outcome[]): void {
  const passwords = outcomes.flatMap(({ email, user }) =>
    user?.temporaryPassword === undefined ? [] : [[email, user.temporaryPassword] as const],
  );
  const users = outcomes.map((outcome) => {
    const { email, user } = outcome;
    const error = failureOf(outcome);
    return { email, ...(user?.id && { id: user.id }), ...(user && { created: user.created }), ...(error && { error }) };
  });
  const [only] = outcomes.length === 1 ? outcomes : [];
  const list = JSON.stringify(Object.fromEntries(passwords));
  // Each password was masked when it was read.
  publish({
    secrets: { 'temporary-password': only?.user?.temporaryPassword },
    compounds: { 'temporary-passwords': passwords.length > 0 ? list : undefined },
    values: {
      'temporary-passwords': passwords.length > 0 ? undefined : list,
      users: JSON.stringify(users),
      ...(only?.user && {
        'user-id': only.user.id,
        email: only.email,
        'created-at': only.user.createdAt,
        created: only.user.created,
      }),
    },
  });
}

/** Why the work for an address was not completed; undefined if it was. */
function failureOf({ user, rulesMade, error }: Outcome): string | undefined {
  if (error !== undefined) return error instanceof RunaiError ? error.describe() : 'failed unexpectedly';
  if (!user) return 'not tried';
  return rulesMade === undefined ? 'the access rules were not tried' : undefined;
}

/** One error for all addresses that failed; with a single address, its own error. */
function problemOf(outcomes: Outcome[], failed: Outcome[]): unknown {
  const errors = failed.flatMap(({ error }) => (error === undefined ? [] : [error]));
  const first = errors.find((error) => error instanceof RunaiError) ?? errors[0];
  if (outcomes.length === 1 || !(first instanceof RunaiError)) return first;
  const list = failed.map((outcome) => `\n- ${outcome.email}: ${failureOf(outcome)}`);
  const message = `${failed.length} of ${outcomes.length} users failed:${list.join('')}\nThe outputs users and temporary-passwords show what was done`;
  return new RunaiError(first.code, message, { status: first.status, cause: first });
}

function summarize(context: Context, outcomes: Outcome[]): void {
  const lines = outcomes.map(({ email, user, rulesMade }) => [email, user?.id, user?.created, rulesMade]);
  context.summarize('Run:ai users', { head: ['email', 'id', 'created', 'access rules created'], lines });
}

function whatHappened({ created, temporaryPassword }: IssuedUser & { created: boolean }, which: string): string {
  if (created) return `Created the user ${which}`;
  if (temporaryPassword !== undefined) return `Issued a new temporary password for the existing user ${which}`;
  return `Left the existing user ${which} as it is, so no password is set`;
}
