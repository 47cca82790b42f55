import type { Store } from '../github/store.ts';
import { isoTime, spanOf } from '../http/clock.ts';
import type { InputsFor } from '../inputs.ts';
import { getApplication, resetSecret } from '../runai/applications.ts';
import { type Context, warnIfDisabled } from './context.ts';
import { deliver } from './deliver.ts';
import { authorize } from './sign-in.ts';

const DAY = 86_400_000;

/** Gives an existing application a new client secret, and stores it. The old one stops working at once. */
export async function rotateApp(inputs: InputsFor<'rotate-app'>, context: Context): Promise<void> {
  const { client, log } = context;
  if (inputs.overlap) return (await import('./storing.ts')).rotateOverlap(inputs, context);
  const store = inputs.store && (await context.openStore(inputs.store));
  if (store && inputs.rotateAfter && (await isTooEarly(context, store, inputs.rotateAfter))) {
    return context.publish({ values: { rotated: false, stored: false } });
  }
  const rehearsed = await store?.rehearse();
  await authorize(context, inputs.credentials);
  const issued = await resetSecret(client, await getApplication(client, inputs.key));
  log.info(`Issued a new client secret for the application ${client.clean(issued.name)}; the old one no longer works`);
  const delivery = {
    values: { rotated: true },
    permissions: [],
    store: rehearsed,
    oldIsDead: true,
    again: 'run this again',
  };
  const { stored } = await deliver(context, issued, delivery);
  warnIfDisabled(context, issued);
  context.summarize('Run:ai application', {
    name: issued.name,
    id: issued.id,
    'client id': issued.clientId,
    'client secret': 'rotated',
    stored: store && stored,
  });
}

/** Whether the stored secret was written less than `days` ago, by GitHub's clock if it is known. */
async function isTooEarly({ client, log }: Context, store: Store, days: number): Promise<boolean> {
  const secret = await store.read();
  if (!secret) return false;
  const written = spanOf(secret.updatedAt);
  const { earliest } = store.ourTime(written) ?? written;
  const due = earliest + days * DAY;
  if (client.now() >= due) return false;
  log.info(`Nothing to do before ${isoTime(due)}: ${store.description} was written at ${isoTime(secret.updatedAt)}`);
  return true;
}
