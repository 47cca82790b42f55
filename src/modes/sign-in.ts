import { RunaiError } from '../errors.ts';
import { isoTime } from '../http/clock.ts';
import type { Credentials } from '../inputs.ts';
import { claimsOf, type Grant, requestToken, type Token } from '../runai/tokens.ts';
import type { Context } from './context.ts';

type OidcCredentials = Extract<Credentials, { by: 'oidc' }>;

/** Prepares the client for calls, with the given access token or with a new one, which is renewed when needed. */
export async function authorize(context: Context, credentials: Credentials): Promise<void> {
  const { client } = context;
  if (credentials.by === 'access-token') return client.authorize(credentials.accessToken);
  const { accessToken } = await signIn(context, credentials);
  client.authorize(accessToken, async () => (await signIn(context, credentials)).accessToken);
}

/** Requests a token with the grant that matches the credentials, and logs it. */
export async function signIn(
  context: Context,
  credentials: Exclude<Credentials, { by: 'access-token' }>,
): Promise<Token> {
  const { client, log } = context;
  const token =
    credentials.by === 'oidc'
      ? await exchangeIdToken(context, credentials)
      : await requestToken(client, grantFor(credentials));
  const expiry =
    token.expiresAt === undefined ? 'it does not say when it expires' : `it expires at ${isoTime(token.expiresAt)}`;
  log.info(`Requested a token from ${client.baseUrl} with the ${grantNames[credentials.by]} grant; ${expiry}`);
  return token;
}

const grantNames: Record<Exclude<Credentials['by'], 'access-token'>, Grant['type']> = {
  application: 'client_credentials',
  user: 'password',
  'external-token': 'external_token_exchange',
  oidc: 'external_token_exchange',
};

function grantFor(credentials: Exclude<Credentials, { by: 'access-token' } | OidcCredentials>): Grant {
  switch (credentials.by) {
    case 'application':
      return { type: 'client_credentials', clientId: credentials.clientId, clientSecret: credentials.clientSecret };
    case 'user':
      return { type: 'password', username: credentials.username, password: credentials.password };
    case 'external-token':
      return { type: 'external_token_exchange', externalToken: credentials.externalToken };
  }
}

/** Exchanges the job's own OIDC token. If it expired while the control plane was down, a new one is fetched, once. */
async function exchangeIdToken(context: Context, credentials: OidcCredentials): Promise<Token> {
  const { client } = context;
  const fetch = async () => ({ idToken: await context.fetchIdToken(credentials), since: client.now() });
  const exchange = (idToken: string) =>
    requestToken(client, { type: 'external_token_exchange', externalToken: idToken }).catch((error) => {
      throw withClaims(context, { error, idToken });
    });
  const { idToken, since } = await fetch();
  try {
    return await exchange(idToken);
  } catch (error) {
    const isRefused = error instanceof RunaiError && error.code === 'credentials';
    if (!isRefused || client.now() - since < lifetimeOf(idToken)) throw error;
    return exchange((await fetch()).idToken);
  }
}

/** In milliseconds; infinite if the token does not say. */
function lifetimeOf(idToken: string): number {
  const { iat, exp } = claimsOf(idToken);
  return typeof iat === 'number' && typeof exp === 'number' ? (exp - iat) * 1000 : Number.POSITIVE_INFINITY;
}

/** Adds to a refusal the claims that the tenant has to be set up to trust. They are not secret. */
function withClaims({ client }: Context, { error, idToken }: { error: unknown; idToken: string }): unknown {
  if (!(error instanceof RunaiError) || error.code !== 'credentials') return error;
  const claims = claimsOf(idToken);
  const said = ['iss', 'aud', 'sub'].map((name) => {
    const claim = claims[name];
    return `${name} ${typeof claim === 'string' ? client.clean(claim) : 'not a string'}`;
  });
  return error.with({ hint: `${error.hint} The job's token says: ${said.join(', ')}.` });
}
