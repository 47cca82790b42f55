import { RunaiError } from '../errors.ts';
import type { Store } from '../github/store.ts';
import { grantAccess, type Permission, subjectTypeOf } from '../runai/access-rules.ts';
import type { IssuedApplication } from '../runai/applications.ts';
import { requestToken } from '../runai/tokens.ts';
import type { Context } from './context.ts';

export interface Delivery {
  /** Outputs beside those of the application. */
  values: Record<string, boolean>;
  permissions: Permission[];
  store: Store | undefined;
  /** Whether the secret before this one no longer works. */
  oldIsDead: boolean;
}

/** What was done with new credentials. */
export interface Delivered {
  rulesMade: number;
  stored: boolean;
}

/**
 * Brings what was issued to where it is used: publishes it, gives the application its access rules, tries the credentials,
 * and stores them. A step that fails ends this, but for one case: where the old secret is dead already, the new one is
 * stored all the same.
 * @throws RunaiError the first problem that there was
 */
export async function deliver(context: Context, issued: IssuedApplication, delivery: Delivery): Promise<Delivered> {
  const { permissions, store, oldIsDead } = delivery;
  const delivered: Delivered = { rulesMade: 0, stored: false };
  let problem: unknown = issued.flaw;
  const step = async (work: () => unknown) => {
    if (problem) return;
    try {
      await work();
    } catch (error) {
      problem = error;
    }
  };
  // Even an answer that is odd holds a secret that must not be lost.
  await attempt(
    () => publishApplication(context, issued, delivery),
    (error) => (problem ??= error),
  );
  await step(async () => {
    delivered.rulesMade = await giveAccess(context, issued, permissions);
  });
  const { clientId, clientSecret } = issued;
  if (store && clientId !== undefined && clientSecret !== undefined) {
    await step(() => verify(context, { clientId, clientSecret, enabled: issued.enabled }));
    if (problem && !oldIsDead) throw problem;
    await store.write(`${clientId}:${clientSecret}`, oldIsDead ? { whenCancelled: 'begin' } : {}).then(
      () => {
        delivered.stored = true;
        context.publish({ values: { stored: true } });
        context.log.info(`Stored the credentials as ${store.description}`);
      },
      (error) => {
        problem = notStored(error, { first: problem, description: store.description, oldIsDead });
      },
    );
  }
  if (problem) throw delivered.stored && problem instanceof RunaiError ? problem.warn(storedAnyway) : problem;
  return delivered;
}

const storedAnyway = 'The new credentials were stored anyway, because the old ones no longer work.';

async function attempt(work: () => void, onFailure: (error: unknown) => void): Promise<void> {
  try {
    work();
  } catch (error) {
    onFailure(error);
  }
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

/** Makes the access rules that are missing, and says how many. */
async function giveAccess(
  { client, log }: Context,
  { clientId, endpoint }: IssuedApplication,
  permissions: Permission[],
): Promise<number> {
  if (clientId === undefined) return 0;
  const made = await grantAccess(client, { id: clientId, type: subjectTypeOf({ endpoint }) }, permissions);
  if (made > 0) log.info(`Gave the application ${made} access ${made === 1 ? 'rule' : 'rules'}`);
  return made;
}

/** How long new credentials are tried, and how long apart, in milliseconds. */
const PATIENCE = 20_000;
const PAUSE = 1_000;

/**
 * Gets a token with new credentials. They may take a moment until they work.
 * @throws RunaiError `unverified`
 */
async function verify(
  { client, log }: Context,
  { clientId, clientSecret, enabled }: { clientId: string; clientSecret: string; enabled: boolean },
): Promise<void> {
  const until = client.now() + Math.min(PATIENCE, client.remaining / 2);
  for (;;) {
    try {
      await requestToken(client, { type: 'client_credentials', clientId, clientSecret });
      return log.info('The new credentials work');
    } catch (error) {
      if (!(error instanceof RunaiError) || error.code === 'interrupted') throw error;
      const isLast = error.code !== 'credentials' || client.now() + PAUSE >= until || !(await client.wait(PAUSE));
      if (isLast) throw unverified(error, enabled);
    }
  }
}

function unverified(error: RunaiError, enabled: boolean): RunaiError {
  const why = enabled
    ? 'The client secret is in the outputs. Find out why the control plane gives no token for it, then run this again.'
    : 'The application is disabled, so it gets no token: enable it in the control plane, then run this again.';
  return error.with({
    code: 'unverified',
    message: `the new credentials get no token: ${error.message}`,
    hint: why,
    warning: error.warning,
  });
}

function notStored(
  error: unknown,
  { first, description, oldIsDead }: { first: unknown; description: string; oldIsDead: boolean },
): unknown {
  if (!(error instanceof RunaiError)) return error;
  const dead = oldIsDead ? ' The credentials that are stored no longer work.' : '';
  const warning = `The new credentials are not stored as ${description}: the outputs of this step hold the only copy.${dead}`;
  if (first instanceof RunaiError) return first.warn(warning);
  return error.warn(warning);
}
