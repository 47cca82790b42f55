import type { RequestFor } from '../inputs.ts';
import { deleteApplication } from '../runai/applications.ts';
import { publishApplication, summaryOf } from './application.ts';
import type { Context } from './context.ts';
import { authorize } from './sign-in.ts';

/** Deletes an application; one that is already gone is a success. */
export async function deleteApp(request: RequestFor<'delete-app'>, context: Context): Promise<void> {
  const { client, log, publish } = context;
  await authorize(context, request.credentials);
  const gone = await deleteApplication(client, request.key);
  const which = client.clean('id' in request.key ? request.key.id : request.key.name);
  if (!gone) {
    publish({ values: { deleted: false } });
    log.info(`There is no application ${which} on ${client.baseUrl}: nothing to delete`);
    return context.summarize('Run:ai application', { application: which, deleted: false });
  }
  publishApplication(context, { ...gone, clientSecret: undefined }, { deleted: gone.deleted });
  log.info(
    `${gone.deleted ? 'Deleted the application' : 'Somebody else has just deleted the application'} ${which} on ${client.baseUrl}`,
  );
  context.summarize('Run:ai application', summaryOf(gone, { deleted: gone.deleted }));
}
