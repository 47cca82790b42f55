import { readIdToken, readTokens, type Tokens } from './answers.ts';
import type { Client, Endpoint } from './client.ts';
import { RunaiError } from './errors.ts';
import type { Answer } from './exchange.ts';
import { operationOf } from './http.ts';
import { inItsOwnWords } from './statuses.ts';

/** What a grant is made with, in Run:ai's own names for the grants. */
export type Grant =
  | { type: 'client_credentials'; clientId: string; clientSecret: string }
  | { type: 'password'; username: string; password: string }
  | { type: 'external_token_exchange'; externalToken: string };

export interface Token extends Tokens {
  /** When the token expires, in milliseconds since the epoch, if the server or the token itself says so. */
  expiresAt: number | undefined;
}

/**
 * Exchanges credentials for an access token, and uses it for the calls that follow.
 * Run:ai API 2.20 to 3.0: JSON to `/api/v1/token`; from 2.24 on also a form to `/api/v2/token` (RFC 6749).
 * @throws RunaiError `credentials` where the server does not accept them
 */
export async function signIn(client: Client, grant: Grant): Promise<Token> {
  const answer = await client.onEndpoint('token', (endpoint) => {
    return { method: 'POST', path: endpoint.path, read: readTokens, ...grantBody(grant, endpoint) };
  });
  if (answer.body.kind !== 'read') throw refusal(client, { answer, grant });
  const token = withExpiry(answer.body.value, client.now());
  client.authorize(token.accessToken);
  return token;
}

function grantBody(grant: Grant, { generation }: Endpoint): { json: unknown } | { form: URLSearchParams } {
  return generation === 'older' ? { json: jsonGrant(grant) } : { form: new URLSearchParams(formGrant(grant)) };
}

// The spelling of clientID is Run:ai's (2.20 to 3.0, Create an access token v1).
function jsonGrant(grant: Grant): Record<string, string> {
  switch (grant.type) {
    case 'client_credentials':
      return { grantType: grant.type, clientID: grant.clientId, clientSecret: grant.clientSecret };
    case 'password':
      return { grantType: grant.type, username: grant.username, password: grant.password };
    case 'external_token_exchange':
      return { grantType: grant.type, externalToken: grant.externalToken };
  }
}

function formGrant(grant: Grant): Record<string, string> {
  switch (grant.type) {
    case 'client_credentials':
      return { grant_type: grant.type, client_id: grant.clientId, client_secret: grant.clientSecret };
    case 'password':
      return { grant_type: grant.type, username: grant.username, password: grant.password };
    case 'external_token_exchange':
      return { grant_type: grant.type, external_token: grant.externalToken };
  }
}

const advice = {
  client_credentials: 'client-id and client-secret: check that they are current and belong to this url.',
  password: 'username and password: check that they are current and belong to this url.',
  external_token_exchange:
    'the external token (external-token, or the one fetched for oidc-audience): the tenant must trust the identity provider that issued it, and be of version 2.22 or later.',
} as const;

function refusal(client: Client, { answer, grant }: { answer: Answer<Tokens>; grant: Grant }): RunaiError {
  const problem = client.problem(answer, { method: 'POST', path: client.endpoint('token') });
  if (![400, 401, 403].includes(answer.status)) return problem;
  const hint = `The control plane did not accept ${advice[grant.type]}`;
  return problem.with({ code: 'credentials', hint });
}

/** The lifetime that the server names, or else the one that the token carries in its `exp` claim (RFC 7519, 4.1.4). */
function withExpiry(tokens: Tokens, now: number): Token {
  if (tokens.expiresIn !== undefined) return { ...tokens, expiresAt: now + tokens.expiresIn * 1000 };
  const expiresAt = expiryOf(tokens.accessToken);
  if (expiresAt === undefined) return { ...tokens, expiresAt };
  return { ...tokens, expiresAt, expiresIn: Math.max(0, Math.floor((expiresAt - now) / 1000)) };
}

/** The `exp` claim of a JWT in milliseconds since the epoch, or undefined for anything that has none. */
export function expiryOf(jwt: string): number | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8'));
    const exp = (claims as { exp?: unknown } | null)?.exp;
    return typeof exp === 'number' && exp > 0 && exp < 1e11 ? Math.floor(exp) * 1000 : undefined;
  } catch {
    return undefined;
  }
}

export interface TokenService {
  /** `ACTIONS_ID_TOKEN_REQUEST_URL` */
  url: string;
  /** `ACTIONS_ID_TOKEN_REQUEST_TOKEN` */
  requestToken: string;
  audience: string;
}

/**
 * Fetches the job's own OIDC token from GitHub. Not with the toolkit's `getIDToken()`, which has no deadline and waits
 * for ever on an answer that breaks off.
 * @throws RunaiError `oidc`
 */
export async function fetchIdToken(client: Client, { url, requestToken, audience }: TokenService): Promise<string> {
  const address = new URL(url);
  address.searchParams.set('audience', audience);
  const operation = operationOf({ method: 'GET', url: address.href }, client.clean);
  const read = (json: unknown) => readIdToken(json, client.mask);
  const headers = { authorization: `Bearer ${requestToken}` };
  const answer = await client.sendElsewhere({ method: 'GET', url: address.href, headers, read }).catch((error) => {
    throw notFromGitHub(error);
  });
  if (answer.body.kind === 'read') return answer.body.value;
  const { status, attempts } = answer;
  const hint = 'GitHub issued no OIDC token: does the job have permissions: id-token: write?';
  throw new RunaiError('oidc', inItsOwnWords(answer, client.clean), { operation, status, attempts, hint });
}

function notFromGitHub(error: unknown): unknown {
  if (!(error instanceof RunaiError)) return error;
  const hint =
    'That is the service from which a job gets its OIDC token, not the control plane: can this runner reach it?';
  // What is said of a certificate or a proxy fits here as well.
  return error.with(error.code === 'unreachable' ? { code: 'oidc', hint } : { code: 'oidc' });
}
