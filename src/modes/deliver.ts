import { RunaiError } from '../errors.ts';
import type { Rehearsed } from '../github/store.ts';
import { splitCredentials } from '../inputs/reader.ts';
import { grantAccess, type Permission, subjectTypeOf } from '../runai/access-rules.ts';
import type { IssuedApplication } from '../runai/applications.ts';
import { requestToken } from '../runai/tokens.ts';
import type { Context } from './context.ts';

export interface Delivery {
  /** Outputs in addition to those of the application. */
  values: Record<string, boolean>;
  permissions: Permission[];
  store: Rehearsed | undefined;
  /** Whether the previous secret no longer works. */
  oldIsDead: boolean;
  /** What to do if these credentials cannot be used or stored: the end of a sentence. */
  again: string;
}

/** What was done with the new credentials. */
export interface Delivered {
  rulesMade: number;
  stored: boolean;
  /** Whether GitHub may have stored them although the write failed. */
  mayBeStored: boolean;
}

/**
 * Delivers what was issued: publishes it, creates the application's access rules, tries the credentials, and stores
 * them. The first problem ends this, with two exceptions: credentials that could not be published are still stored; and
 * if the old secret no longer works, the new one is stored whatever happened.
 * @throws RunaiError the first problem
 */
export async function deliver(context: Context, issued: IssuedApplication, delivery: Delivery): Promise<Delivered> {
  const { permissions, store, oldIsDead } = delivery;
  const delivered: Delivered = { rulesMade: 0, stored: false, mayBeStored: false };
  const unpublished = await failureOf(() => publishApplication(context, issued, delivery));
  let problem = issued.flaw ?? (store ? undefined : unpublished);
  problem ??= await failureOf(async () => {
    delivered.rulesMade = await giveAccess(context, issued, permissions);
  });
  if (store && issued.clientSecret !== undefined) {
    const stores = () => keep(context, { issued, delivery, delivered });
    // Jobs cannot sign in until it is stored; and a secret that is tried but then not stored would look like one in
    // use.
    if (oldIsDead) problem = first(problem, await failureOf(stores));
    problem ??= await failureOf(() => verify(context, issued, delivery));
    if (!oldIsDead) problem ??= await failureOf(stores);
    problem = withFate(first(problem, unpublished), { delivery, delivered, isPublished: unpublished === undefined });
  }
  if (problem) throw problem;
  return delivered;
}

const first = (earlier: unknown, later: unknown) => earlier ?? later;

async function failureOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error;
  }
}

const ifLost = 'GitHub may have stored the new credentials anyway.';

/** Adds to a problem what happened to the credentials. */
function withFate(
  problem: unknown,
  { delivery, delivered, isPublished }: { delivery: Delivery; delivered: Delivered; isPublished: boolean },
): unknown {
  if (problem === undefined) return undefined;
  const { store, oldIsDead, again } = delivery;
  const why = oldIsDead ? ', because the old ones no longer work' : '';
  const known =
    problem instanceof RunaiError
      ? problem
      : new RunaiError('internal', 'failed unexpectedly; this is a bug', { cause: problem });
  if (delivered.stored) return known.warn(`The new credentials were stored anyway${why}.`);
  const copy = isPublished ? 'the outputs of this step hold the only copy' : 'they are lost';
  const dead = oldIsDead ? '; the credentials that are stored no longer work' : '';
  const next = !known.hint?.includes(again) && `To issue and store new ones, ${again}.`;
  const hint = [known.hint, next].filter(Boolean).join(' ');
  const fate = delivered.mayBeStored
    ? `If it has not, ${copy}${dead}.`
    : `The new credentials are not stored as ${store?.description}: ${copy}${dead}.`;
  return (delivered.mayBeStored ? known.warn(ifLost) : known).warn(fate).with({ hint });
}

async function keep(
  { publish, log }: Context,
  { issued, delivery, delivered }: { issued: IssuedApplication; delivery: Delivery; delivered: Delivered },
): Promise<void> {
  const { clientId, clientSecret } = issued;
  const { store, oldIsDead } = delivery;
  if (!store || clientId === undefined) return;
  // If the old secret no longer works, the new one has to be stored, even if the run is cancelled.
  const whenCancelled = oldIsDead ? ('begin' as const) : ('finish' as const);
  await store.write(`${clientId}:${clientSecret}`, { ifLost, whenCancelled }).catch((error) => {
    delivered.mayBeStored = error instanceof RunaiError && error.warning?.includes(ifLost) === true;
    throw error;
  });
  delivered.stored = true;
  log.info(`Stored the credentials as ${store.description}`);
  publish({ values: { stored: true } });
}

function publishApplication(
  context: Context,
  { id, name, clientId, clientSecret }: IssuedApplication,
  { values, store }: Delivery,
): void {
  const credentials = clientId !== undefined && clientSecret !== undefined ? `${clientId}:${clientSecret}` : undefined;
  context.publish({
    secrets: { 'client-secret': clientSecret },
    compounds: { credentials },
    values: { 'app-id': id, 'app-name': name, 'client-id': clientId, ...values, ...(store && { stored: false }) },
  });
}

/** Creates the missing access rules, and returns how many it created. */
async function giveAccess(
  { client, log }: Context,
  { clientId, endpoint }: IssuedApplication,
  permissions: Permission[],
): Promise<number> {
  if (clientId === undefined) return 0;
  const made = await grantAccess(client, { id: clientId, type: subjectTypeOf({ endpoint }) }, permissions);
  if (made > 0) log.info(`Created ${made} access ${made === 1 ? 'rule' : 'rules'} for the application`);
  return made;
}

/** How long new credentials are tried, and the pause between attempts, in milliseconds. */
const PATIENCE = 20_000;
const PAUSE = 1_000;

/**
 * Gets a token with the new credentials, which may take a moment to become valid.
 * @throws RunaiError `unverified`
 */
async function verify({ client, log }: Context, issued: IssuedApplication, delivery: Delivery): Promise<void> {
  // Split exactly as a reader of the stored value splits it.
  const [clientId = '', clientSecret = ''] = splitCredentials(`${issued.clientId}:${issued.clientSecret}`);
  const until = client.now() + Math.min(PATIENCE, client.remaining / 2);
  for (;;) {
    try {
      await requestToken(client, { type: 'client_credentials', clientId, clientSecret });
      return log.info('The new credentials work');
    } catch (error) {
      if (!(error instanceof RunaiError) || error.code === 'interrupted') throw error;
      const isLast = error.code !== 'credentials' || client.now() + PAUSE >= until || !(await client.wait(PAUSE));
      if (isLast) throw unverified(error, issued.enabled, delivery);
    }
  }
}

function unverified(error: RunaiError, enabled: boolean, { oldIsDead, again }: Delivery): RunaiError {
  const cause = enabled
    ? 'Find out why the control plane issues no token for them'
    : 'The application is disabled, so it gets no token: enable it in the control plane';
  // What is stored is new: another run would leave it alone.
  const next = oldIsDead
    ? '. If they still do not work then, rotate again, with mode rotate-app and without rotate-after-days.'
    : `, then ${again}.`;
  return error.with({
    code: 'unverified',
    operation: undefined,
    attempts: undefined,
    message: `the new credentials did not get a token: ${error.operation ?? ''} ${error.message}`,
    hint: cause + next,
  });
}
