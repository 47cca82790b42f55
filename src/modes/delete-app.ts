import type { InputsFor } from '../inputs.ts';
import { deleteApplication, findApplication } from '../runai/applications.ts';
import type { Context } from './context.ts';
import { authorize } from './sign-in.ts';

/** Deletes an application; one that is already gone is a success. */
export async function deleteApp({ key, credentials }: InputsFor<'delete-app'>, context: Context): Promise<void> {
  const { client, log, publish } = context;
  await authorize(context, credentials);
  const application = await findApplication(client, key);
  const which = client.clean('id' in key ? key.id : key.name);
  if (!application) {
    publish({ values: { deleted: false } });
    log.info(`There is no application ${which} on ${client.baseUrl}: nothing to delete`);
    return context.summarize('Run:ai application', { application: which, deleted: false });
  }
  const deleted = await deleteApplication(client, application);
  const { id, name, clientId } = application;
  publish({ values: { 'app-id': id, 'app-name': name, 'client-id': clientId, deleted } });
  const what = deleted ? 'Deleted the application' : 'Somebody else has just deleted the application';
  log.info(`${what} ${which} on ${client.baseUrl}`);
  context.summarize('Run:ai application', { name, id, 'client id': clientId, deleted });
}
