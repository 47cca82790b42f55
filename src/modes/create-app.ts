import type { Store } from '../github/store.ts';
import { spanOf } from '../http/clock.ts';
import type { InputsFor } from '../inputs.ts';
import { lookUpRules } from '../runai/access-rules.ts';
import { type Application, createApplication, findApplication, type IssuedApplication } from '../runai/applications.ts';
import { type Context, warnIfDisabled } from './context.ts';
import { deliver } from './deliver.ts';
import { authorize } from './sign-in.ts';

/**
 * Creates an application, publishes its client id and secret, gives it its access rules, and stores the credentials.
 */
export async function createApp(inputs: InputsFor<'create-app'>, context: Context): Promise<void> {
  const { client, log } = context;
  const { name, accessRules } = inputs;
  const store = inputs.store && (await context.openStore(inputs.store));
  const stored = inputs.ifExists === 'repair' ? await store?.read() : undefined;
  let rehearsed = stored ? undefined : await store?.rehearse();
  await authorize(context, inputs.credentials);
  const permissions = await lookUpRules(client, accessRules);
  const kept = store && stored && (await findStored(context, { name, store, updatedAt: stored.updatedAt }));
  if (stored && !kept) rehearsed = await store?.rehearse();
  const ifExists = inputs.ifExists === 'repair' ? 'rotate' : inputs.ifExists;
  const issued = kept ? leftAlone(kept.application) : await createApplication(client, { name, ifExists });
  const { created, clientSecret } = issued;
  log.info(whatHappened(issued, { which: `${name} on ${client.baseUrl}`, kept }));
  // If a lost reset may still replace the new secret, the next repair has to see that nothing valid is stored.
  const isDoubtful = inputs.ifExists === 'repair' && issued.flaw !== undefined;
  const oldIsDead = !created && clientSecret !== undefined && !isDoubtful;
  // Set even if nothing was rehearsed because the existing credentials are already stored.
  const values = { created, ...(store && { stored: false }) };
  const again = `run this again${ifExists === 'rotate' ? '' : ' with if-exists: repair'}`;
  const delivered = await deliver(context, issued, { values, permissions, store: rehearsed, oldIsDead, again });
  warnIfDisabled(context, issued);
  if (created && accessRules.length === 0) {
    log.notice(
      `The application ${name} has no permissions yet: grant it some with access-rules, or in the control plane.`,
    );
  }
  context.summarize('Run:ai application', {
    name,
    id: issued.id,
    'client id': issued.clientId,
    created,
    'access rules created': delivered.rulesMade,
    stored: store && delivered.stored,
  });
}

interface Kept {
  application: Application;
  /** Whether the two times could be compared. */
  isStored: boolean;
}

/**
 * The existing application, if its credentials are stored, which means that the secret was written after the
 * application was created. If the two times are too close to tell apart, the credentials count as stored, since a new
 * application's credentials are stored within seconds.
 */
async function findStored(
  { client, log }: Context,
  { name, store, updatedAt }: { name: string; store: Store; updatedAt: number },
): Promise<Kept | undefined> {
  const existing = await findApplication(client, { name });
  if (!existing) return undefined;
  const written = store.ourTime(spanOf(updatedAt));
  const made = existing.createdAt === undefined ? undefined : client.ourTime(spanOf(existing.createdAt));
  if (made && written) return written.latest >= made.earliest ? { application: existing, isStored: true } : undefined;
  log.warning(
    `It cannot be determined whether the application ${name} is older than ${store.description}: left both unchanged`,
  );
  return { application: existing, isStored: false };
}

function leftAlone(application: Application): IssuedApplication & { created: boolean } {
  return { ...application, clientSecret: undefined, created: false, flaw: undefined };
}

function whatHappened(
  { created, clientSecret }: IssuedApplication & { created: boolean },
  { which, kept }: { which: string; kept: Kept | undefined },
): string {
  if (created) return `Created the application ${which}`;
  if (clientSecret !== undefined) return `Issued a new client secret for the existing application ${which}`;
  if (kept) {
    const why = kept.isStored ? ': what is stored for it was written after it was created' : '';
    return `Left the existing application ${which} as it is${why}`;
  }
  return `Left the existing application ${which} as it is: its secret cannot be read, so client-secret is not set`;
}
