import type { RequestFor } from '../inputs.ts';
import { createUser as create, type IssuedUser } from '../runai/users.ts';
import { giveAccess } from './access.ts';
import type { Context } from './context.ts';
import { authorize } from './sign-in.ts';

/** Creates a local user, publishes the id and temporary password, then gives the user the access rules. */
export async function createUser(request: RequestFor<'create-user'>, context: Context): Promise<void> {
  const { client, log } = context;
  const { email, accessRules: rules } = request;
  await authorize(context, request.credentials);
  const user = await create(client, request);
  const { id, username, createdAt, created, temporaryPassword } = user;
  context.publish({
    secrets: { 'temporary-password': temporaryPassword },
    values: { 'user-id': id, email, 'created-at': createdAt, created },
  });
  log.info(whatHappened(user, `${email} on ${client.baseUrl}`));
  const made = await giveAccess(context, { subject: { id: username, kind: 'user' }, rules });
  context.summarize('Run:ai user', { email, id, created, 'access rules made': made });
}

function whatHappened({ created, temporaryPassword }: IssuedUser & { created: boolean }, which: string): string {
  if (created) return `Created the user ${which}`;
  if (temporaryPassword !== undefined) return `Made a new temporary password for the existing user ${which}`;
  return `Left the existing user ${which} as it is, so temporary-password is not set`;
}
