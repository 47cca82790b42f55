import type { RunaiError } from '../errors.ts';
import { missing, object, optionalText, secret } from '../http/shapes.ts';
import type { ApiCall, Client, Found } from './client.ts';
import { isBlocked } from './refusals.ts';

/** The credentials for a grant, under Run:ai's own name for the grant. */
export type Grant =
  | { type: 'client_credentials'; clientId: string; clientSecret: string }
  | { type: 'password'; username: string; password: string }
  | { type: 'external_token_exchange'; externalToken: string };

export interface Tokens {
  accessToken: string;
  idToken: string | undefined;
  refreshToken: string | undefined;
  externalToken: string | undefined;
  /** Seconds. */
  expiresIn: number | undefined;
}

export interface Token extends Tokens {
  /** When the token expires, in milliseconds since the epoch, if the server or the token itself says so. */
  expiresAt: number | undefined;
}

/**
 * Exchanges credentials for an access token.
 * Run:ai API 2.20 to 3.0: JSON to `/api/v1/token`; since 2.24 also a form to `/api/v2/token` (RFC 6749).
 * @throws RunaiError `credentials` if the server does not accept them
 */
export async function requestToken(client: Client, grant: Grant): Promise<Token> {
  const found = await client.find('token', (path): ApiCall<Tokens> => {
    const content = path.startsWith('/api/v1/') ? { json: jsonGrant(grant) } : { form: formGrant(grant) };
    return { method: 'POST', path, anonymous: true, read: (json) => readTokens(json, client.mask), ...content };
  });
  if (found.answer.body.kind !== 'read') throw refusal(client, found, grant);
  return withExpiry(found.answer.body.value, client.now());
}

/** Both generations: `accessToken` of `/api/v1/token`, `access_token` of `/api/v2/token`. */
function readTokens(json: unknown, mask: (secret: string) => void): Tokens {
  const fields = object(json);
  const [idToken, refreshToken, externalToken] = ['id', 'refresh', 'external'].map((kind) =>
    secret(optionalText(fields, `${kind}Token`) ?? optionalText(fields, `${kind}_token`), mask),
  );
  const accessToken = secret(optionalText(fields, 'accessToken') ?? optionalText(fields, 'access_token'), mask) ?? '';
  // A header must be able to carry it.
  if (!/^[\x21-\x7e]{1,65536}$/.test(accessToken)) throw missing('accessToken or access_token');
  const expiresIn = [fields['expiresIn'], fields['expires_in']].find(isLifetime);
  return { accessToken, idToken, refreshToken, externalToken, expiresIn };
}

function isLifetime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0 && (value as number) < 1e9;
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

function formGrant(grant: Grant): URLSearchParams {
  switch (grant.type) {
    case 'client_credentials':
      return new URLSearchParams({
        grant_type: grant.type,
        client_id: grant.clientId,
        client_secret: grant.clientSecret,
      });
    case 'password':
      return new URLSearchParams({ grant_type: grant.type, username: grant.username, password: grant.password });
    case 'external_token_exchange':
      return new URLSearchParams({ grant_type: grant.type, external_token: grant.externalToken });
  }
}

const advice = {
  client_credentials:
    'The control plane did not accept the client id and the client secret: check that they are current, belong to this url, and that the application is enabled.',
  password:
    'The control plane did not accept username and password: check that they are current and belong to this url.',
  external_token_exchange:
    'The control plane did not accept the external token (external-token, or the one fetched for oidc-audience): the tenant must trust the identity provider that issued it, and run Run:ai 2.22 or later.',
} as const;

function refusal(client: Client, { answer, others }: Found<Tokens>, grant: Grant): RunaiError {
  const problem = client.refusal(answer, others);
  if (isBlocked(answer) || ![400, 401, 403].includes(answer.status)) return problem;
  return problem.with({ code: 'credentials', hint: advice[grant.type] });
}

/** Adds the expiry that the server gives, or otherwise the one in the token's `exp` claim (RFC 7519, 4.1.4). */
function withExpiry(tokens: Tokens, now: number): Token {
  if (tokens.expiresIn !== undefined) return { ...tokens, expiresAt: now + tokens.expiresIn * 1000 };
  const expiresAt = expiryOf(tokens.accessToken);
  if (expiresAt === undefined) return { ...tokens, expiresAt };
  return { ...tokens, expiresAt, expiresIn: Math.max(0, Math.floor((expiresAt - now) / 1000)) };
}

/** The `exp` claim of a JWT in milliseconds since the epoch, or undefined for anything that has none. */
export function expiryOf(jwt: string): number | undefined {
  const { exp } = claimsOf(jwt);
  return typeof exp === 'number' && exp > 0 && exp < 1e11 ? Math.floor(exp) * 1000 : undefined;
}

/** The claims of a JWT, unverified; none for anything that is not a JWT. */
export function claimsOf(jwt: string): Record<string, unknown> {
  try {
    const claims: unknown = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
