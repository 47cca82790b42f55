import type { RequestFor } from '../inputs.ts';
import { grantAccess } from '../runai/access-rules.ts';
import { createUser as create, type IssuedUser } from '../runai/users.ts';
import type { Context } from './context.ts';
import { authorize } from './sign-in.ts';

/** Creates a local user, publishes the id and temporary password, then gives the user the access rules. */
export async function createUser(request: RequestFor<'create-user'>, context: Context): Promise<void> {
  const { client, log } = context;
  await authorize(context, request.credentials);
  const user = await create(client, request);
  context.publish({
    secrets: { 'temporary-password': user.temporaryPassword },
    values: { 'user-id': user.id, email: request.email, 'created-at': user.createdAt, created: user.created },
  });
  log.info(`${whatHappened(user)} ${request.email} on ${client.baseUrl}`);
  const rules = await grantAccess(client, { id: request.email, kind: 'user' }, request.accessRules);
  if (rules > 0) log.info(`Gave the user ${rules} access ${rules === 1 ? 'rule' : 'rules'}`);
  await context.summarize('Run:ai user', {
    email: request.email,
    id: user.id,
    created: user.created,
    'access rules made': rules,
  });
}

function whatHappened({ created, temporaryPassword }: IssuedUser & { created: boolean }): string {
  if (created) return 'Created the user';
  return temporaryPassword === undefined
    ? 'Left the existing user as it is:'
    : 'Made a new temporary password for the existing user';
}
