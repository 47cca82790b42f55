import type { Answer, RequestSeen } from './answers.ts';
import { bearer, json, refusal, splitPath, undocumented } from './answers.ts';
import type { Call, Plane } from './plane.ts';
import { text } from './plane.ts';
import { within } from './profiles.ts';
import type { Subject } from './state.ts';
import { jwt } from './state.ts';

interface Credentials {
  grant: string;
  clientId: string;
  clientSecret: string;
  username: string;
  password: string;
  externalToken: string;
  refreshToken: string;
}

/** The grant's own message for a refusal. */
interface Refused {
  error: 'invalid_client' | 'invalid_grant';
  message: string;
}

const invalidGrant = (message: string): Refused => ({ error: 'invalid_grant', message });

function byExternalToken({ state, oidc, now }: Plane, token: string): Subject | Refused {
  const external = state.externalTokens.get(token);
  if (!external) return invalidGrant('The external token is not trusted');
  const { subject, audience = oidc.audience, expiresAt = Number.POSITIVE_INFINITY } = external;
  if (audience !== oidc.audience) return invalidGrant('The external token is for another audience');
  if (now() >= expiresAt) return invalidGrant('The external token has expired');
  return { type: 'external', id: subject };
}

function authenticate(plane: Plane, given: Credentials): Subject | Refused {
  const { state } = plane;
  switch (given.grant) {
    case 'client_credentials':
    case 'app_token':
      if (state.isValidSecret(given.clientId, given.clientSecret)) return { type: 'app', id: given.clientId };
      return { error: 'invalid_client', message: 'Invalid client or invalid client credentials' };
    case 'password': {
      const user = state.userNamed(given.username);
      if (user && state.isValidPassword(given.username, given.password)) return { type: 'user', id: user.username };
      return invalidGrant('Invalid user credentials');
    }
    case 'refresh_token':
      return state.subjectOfRefresh(given.refreshToken) ?? invalidGrant('The refresh token is unknown or expired');
    default:
      return byExternalToken(plane, given.externalToken);
  }
}

function wantsRefresh({ tokenFields }: Plane, grant: string): boolean {
  return tokenFields.refreshToken ?? ['password', 'refresh_token'].includes(grant);
}

function appCredentials(fields: Record<string, unknown>): { clientId: string; clientSecret: string } {
  return {
    clientId: text(fields['AppId'] ?? fields['appID']),
    clientSecret: text(fields['AppSecret'] ?? fields['appSecret']),
  };
}

export function tokenV1({ plane, fields }: Call): Answer {
  const grant = text(fields['grantType']);
  const subject = authenticate(plane, {
    grant,
    clientId: text(fields['clientID']),
    clientSecret: text(fields['clientSecret']),
    username: text(fields['username']),
    password: text(fields['password']),
    externalToken: text(fields['externalToken']),
    refreshToken: text(fields['refreshToken']),
    ...(grant === 'app_token' && appCredentials(fields)),
  });
  if ('error' in subject) return refusal(plane.wrongPasswordStatus, subject.message);
  const { state, tokenFields, version } = plane;
  state.noteLogin(subject);
  const answer: Record<string, unknown> = { accessToken: state.issue(subject, 'Bearer') };
  if (tokenFields.idToken) answer['idToken'] = state.issue(subject, 'ID');
  if (wantsRefresh(plane, grant)) answer['refreshToken'] = state.issue(subject, 'Refresh');
  if (tokenFields.externalToken && within(version, { until: '2.22' }))
    answer['externalToken'] = state.issue(subject, 'External');
  if ((tokenFields.expiresIn ?? true) && within(version, { from: '2.24' })) answer['expiresIn'] = plane.tokenLifetime;
  return json(200, answer);
}

export function oauthRefusal(status: number, error: string, description: string): Answer {
  return json(status, { error, error_description: description });
}

export function tokenV2({ plane, fields }: Call): Answer {
  const grant = text(fields['grant_type']);
  const subject = authenticate(plane, {
    grant,
    clientId: text(fields['client_id']),
    clientSecret: text(fields['client_secret']),
    username: text(fields['username']),
    password: text(fields['password']),
    externalToken: text(fields['external_token']),
    refreshToken: text(fields['refresh_token']),
  });
  if ('error' in subject)
    return oauthRefusal(subject.error === 'invalid_client' ? 401 : 400, subject.error, subject.message);
  const { state, tokenFields } = plane;
  state.noteLogin(subject);
  const answer: Record<string, unknown> = { access_token: state.issue(subject, 'Bearer'), token_type: 'Bearer' };
  if (tokenFields.expiresIn ?? true) answer['expires_in'] = plane.tokenLifetime;
  if (wantsRefresh(plane, grant)) answer['refresh_token'] = state.issue(subject, 'Refresh');
  if (tokenFields.idToken) answer['id_token'] = state.issue(subject, 'ID');
  return json(200, answer);
}

/** GitHub's endpoint for a job's own OIDC token. */
export function answerOidc(plane: Plane, request: RequestSeen): Answer {
  const { state, oidc } = plane;
  if (request.method !== 'GET' || bearer(request) !== oidc.requestToken)
    return undocumented(json(401, { message: 'Not authorized to request a token' }));
  const { query } = splitPath(request.path);
  const audience = new URLSearchParams(query).get('audience') ?? 'https://github.com/acme';
  const seconds = Math.floor(plane.now() / 1000);
  const claims = { iss: oidc.issuer, sub: oidc.subject, aud: audience, iat: seconds, exp: seconds + oidc.lifetime };
  const value = state.remember(jwt({ ...claims, repository: 'acme/app', ref: 'refs/heads/main' }));
  state.externalTokens.set(value, { subject: oidc.subject, audience, expiresAt: claims.exp * 1000 });
  return undocumented(json(200, { count: value.length, value }));
}
