import type { Credentials } from '../inputs.ts';
import type { Client } from '../runai/client.ts';
import { RunaiError } from '../runai/errors.ts';
import { fetchIdToken, type Grant, signIn, type Token } from '../runai/tokens.ts';
import type { Context } from './context.ts';

/** Makes the grant that the credentials call for, and says so in the log. */
export async function requestToken({ client, log }: Context, credentials: Credentials): Promise<Token> {
  const grant = await grantFor(client, credentials);
  const token = await signIn(client, grant);
  const expiry =
    token.expiresAt === undefined ? 'it does not say when it expires' : `it expires at ${isoTime(token.expiresAt)}`;
  log.info(`Requested a token from ${client.baseUrl} with the ${grant.type} grant; ${expiry}`);
  return token;
}

/** Makes the client ready for calls: with the given access token, or with one of its own. */
export async function authorize(context: Context, credentials: Credentials): Promise<void> {
  if (credentials.by === 'access-token') context.client.authorize(credentials.accessToken);
  else await requestToken(context, credentials);
}

async function grantFor(client: Client, credentials: Credentials): Promise<Grant> {
  switch (credentials.by) {
    case 'application':
      return { type: 'client_credentials', clientId: credentials.clientId, clientSecret: credentials.clientSecret };
    case 'user':
      return { type: 'password', username: credentials.username, password: credentials.password };
    case 'external-token':
      return { type: 'external_token_exchange', externalToken: credentials.externalToken };
    case 'oidc':
      return { type: 'external_token_exchange', externalToken: await fetchIdToken(client, credentials) };
    case 'access-token':
      throw new RunaiError('internal', 'An access token is not exchanged for another');
  }
}

/** ISO 8601 in UTC, to the second. */
export function isoTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
