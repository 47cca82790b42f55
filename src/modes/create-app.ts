import type { RequestFor } from '../inputs.ts';
import { createApplication, type IssuedApplication } from '../runai/applications.ts';
import { giveAccess } from './access.ts';
import { publishApplication, summaryOf } from './application.ts';
import type { Context } from './context.ts';
import { authorize } from './sign-in.ts';

/** Creates an application, publishes its client id and secret, then gives it its access rules. */
export async function createApp(request: RequestFor<'create-app'>, context: Context): Promise<void> {
  const { client, log } = context;
  const { name, accessRules: rules } = request;
  await authorize(context, request.credentials);
  const issued = await createApplication(client, request);
  const { created } = issued;
  publishApplication(context, issued, { created });
  log.info(whatHappened(issued, `${name} on ${client.baseUrl}`));
  const made = await giveAccess(context, {
    subject: { id: issued.application.clientId, kind: 'application' },
    rules,
  });
  if (created && rules.length === 0) {
    log.notice(
      `The application ${name} has no permissions yet: give it some with access-rules, or in the control plane.`,
    );
  }
  context.summarize('Run:ai application', summaryOf(issued, { created, 'access rules made': made }));
}

function whatHappened({ created, clientSecret }: IssuedApplication & { created: boolean }, which: string): string {
  if (created) return `Created the application ${which}`;
  if (clientSecret !== undefined) return `Made a new client secret for the existing application ${which}`;
  return `Left the existing application ${which} as it is: its secret cannot be read, so client-secret is not set`;
}
