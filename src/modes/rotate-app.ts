import type { RequestFor } from '../inputs.ts';
import { rotateApplication } from '../runai/applications.ts';
import { publishApplication, summaryOf } from './application.ts';
import type { Context } from './context.ts';
import { authorize } from './sign-in.ts';

/** Gives an existing application a new client secret; the old one stops working at once. */
export async function rotateApp(request: RequestFor<'rotate-app'>, context: Context): Promise<void> {
  await authorize(context, request.credentials);
  const issued = await rotateApplication(context.client, request.key);
  publishApplication(context, issued, {});
  context.log.info(
    `Made a new client secret for the application ${context.client.clean(issued.application.name)}; the old one no longer works`,
  );
  context.summarize('Run:ai application', summaryOf(issued, { 'client secret': 'rotated' }));
}
