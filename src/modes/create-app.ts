import type { RequestFor } from '../inputs.ts';
import type { Rows } from '../publish.ts';
import { grantAccess } from '../runai/access-rules.ts';
import { createApplication, type IssuedApplication } from '../runai/applications.ts';
import type { Context } from './context.ts';
import { authorize } from './sign-in.ts';

/** Creates an application, publishes its client id and secret, then gives it its access rules. */
export async function createApp(request: RequestFor<'create-app'>, context: Context): Promise<void> {
  const { client, log } = context;
  await authorize(context, request.credentials);
  const issued = await createApplication(client, request);
  publishApplication(context, issued, { created: issued.created });
  log.info(`${whatHappened(issued)} ${request.name} on ${client.baseUrl}`);
  const rules = await grantAccess(
    client,
    { id: issued.application.clientId, kind: 'application' },
    request.accessRules,
  );
  if (rules > 0) log.info(`Gave the application ${rules} access ${rules === 1 ? 'rule' : 'rules'}`);
  if (issued.created && request.accessRules.length === 0) {
    log.notice(
      `The application ${request.name} has no permissions yet: give it some with access-rules, or in the control plane.`,
    );
  }
  await context.summarize(
    'Run:ai application',
    summaryOf(issued, { created: issued.created, 'access rules made': rules }),
  );
}

function whatHappened({ created, clientSecret }: IssuedApplication & { created: boolean }): string {
  if (created) return 'Created the application';
  return clientSecret === undefined
    ? 'Left the existing application as it is, and its secret unknown to this step:'
    : 'Made a new client secret for the existing application';
}

/** The outputs of an application, as far as they are known. */
export function publishApplication(
  { publish }: Context,
  { application, clientSecret }: IssuedApplication,
  values: Record<string, boolean>,
): void {
  publish({
    secrets: { 'client-secret': clientSecret },
    values: { 'app-id': application.id, 'app-name': application.name, 'client-id': application.clientId, ...values },
  });
}

/** The rows of the job summary for an application. */
export function summaryOf({ application }: Pick<IssuedApplication, 'application'>, rows: Rows): Rows {
  return { name: application.name, id: application.id, 'client id': application.clientId, ...rows };
}
