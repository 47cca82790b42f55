import type { Answer, RequestSeen } from './answers.ts';
import { bearer, empty, json, page, refusal, splitPath, undocumented } from './answers.ts';
import type { Endpoint } from './contract.ts';
import { bodyProblems, matchesOf, parseBody } from './contract.ts';
import type { MissingEndpoint, Version } from './profiles.ts';
import { within } from './profiles.ts';
import type { AccessRule, Application, Role, State, Subject, User } from './state.ts';
import { jwt } from './state.ts';

/** Which of the optional fields a token answer carries. */
export interface TokenFields {
  idToken?: boolean;
  refreshToken?: boolean;
  /** Only up to 2.22. */
  externalToken?: boolean;
  /** Only from 2.24 on. */
  expiresIn?: boolean;
}

export interface Plane {
  version: Version;
  state: State;
  now: () => number;
  tokenLifetime: number;
  usersPageLimit: number;
  rolesPageLimit: number;
  ignoreUserFilter: boolean;
  guideShapes: boolean;
  omitClientId: boolean;
  wrongPasswordStatus: 400 | 401;
  missingEndpoint: MissingEndpoint;
  tokenFields: TokenFields;
  externalIsAdministrator: boolean;
  oidc: { requestToken: string; audience: string; subject: string; issuer: string };
}

interface Call {
  plane: Plane;
  endpoint: Endpoint;
  id: string;
  query: URLSearchParams;
  fields: Record<string, unknown>;
  /** Who asks, as `createdBy` shows it. */
  caller: string;
}

function oauthRefusal(status: number, error: string, description: string): Answer {
  return json(status, { error, error_description: description });
}

function missing(kind: MissingEndpoint): Answer {
  switch (kind) {
    case 'json-404':
      return undocumented(refusal(404, 'Not found'));
    case 'html-200':
      return page(200);
    case 'html-404':
      return page(404);
    default:
      return undocumented(refusal(Number(kind), 'No such endpoint'));
  }
}

interface Credentials {
  grant: string;
  clientId: string;
  clientSecret: string;
  username: string;
  password: string;
  externalToken: string;
}

/** The grant's own words for why it is refused. */
interface Refused {
  error: 'invalid_client' | 'invalid_grant';
  message: string;
}

function audienceFits(token: string, plane: Plane): boolean {
  const audience = plane.state.externalTokens.get(token)?.audience;
  return audience === undefined || audience === plane.oidc.audience;
}

function authenticate(plane: Plane, given: Credentials): Subject | Refused {
  const { state } = plane;
  if (given.grant === 'client_credentials') {
    if (state.isValidSecret(given.clientId, given.clientSecret)) return { type: 'app', id: given.clientId };
    return { error: 'invalid_client', message: 'Invalid client or invalid client credentials' };
  }
  if (given.grant === 'password') {
    const user = state.userNamed(given.username);
    if (user && state.isValidPassword(given.username, given.password)) return { type: 'user', id: user.username };
    return { error: 'invalid_grant', message: 'Invalid user credentials' };
  }
  const external = state.externalTokens.get(given.externalToken);
  if (!external) return { error: 'invalid_grant', message: 'The external token is not trusted' };
  if (!audienceFits(given.externalToken, plane))
    return { error: 'invalid_grant', message: 'The external token is for another audience' };
  return { type: 'external', id: external.subject };
}

const string = (value: unknown): string => (typeof value === 'string' ? value : '');

function wantsRefresh({ tokenFields }: Plane, grant: string): boolean {
  return tokenFields.refreshToken ?? grant === 'password';
}

function tokenV1({ plane, fields }: Call): Answer {
  const grant = string(fields['grantType']);
  const subject = authenticate(plane, {
    grant,
    clientId: string(fields['clientID']),
    clientSecret: string(fields['clientSecret']),
    username: string(fields['username']),
    password: string(fields['password']),
    externalToken: string(fields['externalToken']),
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

function tokenV2({ plane, fields }: Call): Answer {
  const grant = string(fields['grant_type']);
  const subject = authenticate(plane, {
    grant,
    clientId: string(fields['client_id']),
    clientSecret: string(fields['client_secret']),
    username: string(fields['username']),
    password: string(fields['password']),
    externalToken: string(fields['external_token']),
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

const tenantId = 1001;

function applicationView({ secret: _, ...shown }: Application): Record<string, unknown> {
  return { ...shown, tenantId: String(tenantId) };
}

function secretName(endpoint: Endpoint): string {
  return endpoint.path.startsWith('/api/v1/apps') ? 'secret' : 'clientSecret';
}

function listApplications({ plane }: Call): Answer {
  return json(200, plane.state.applications.map(applicationView));
}

function createApplication({ plane, endpoint, fields, caller }: Call): Answer {
  const name = string(fields['name']);
  if (plane.state.applicationNamed(name)) return refusal(409, `An application named ${name} already exists`);
  const application = plane.state.addApplication({ name, createdBy: caller });
  const answer: Record<string, unknown> = {
    id: application.id,
    name,
    [secretName(endpoint)]: application.secret,
  };
  if (!plane.omitClientId) answer['clientId'] = application.clientId;
  return json(201, answer);
}

function withApplication(call: Call, use: (application: Application) => Answer): Answer {
  const application = call.plane.state.applications.find(({ id }) => id === call.id);
  return application ? use(application) : refusal(404, 'Application not found');
}

function getApplication(call: Call): Answer {
  return withApplication(call, (application) => json(200, applicationView(application)));
}

function deleteApplication(call: Call): Answer {
  return withApplication(call, (application) => {
    call.plane.state.removeApplication(application);
    return empty(204);
  });
}

function resetSecret(call: Call): Answer {
  return withApplication(call, (application) =>
    json(200, { [secretName(call.endpoint)]: call.plane.state.resetSecret(application) }),
  );
}

function userView({ password: _, resetPassword: __, notify: ___, ...shown }: User): Record<string, unknown> {
  return shown;
}

interface Page {
  limit: number;
  offset: number;
}

function pageOf(query: URLSearchParams, { usual, most }: { usual: number; most: number }): Page {
  const limit = Number(query.get('limit') ?? usual);
  const offset = Number(query.get('offset') ?? 0);
  return { limit: Math.min(limit > 0 ? limit : usual, most), offset: offset > 0 ? offset : 0 };
}

/** `==` on a username acts as a "contains": clients must not take the first hit for the right one. */
function filteredUsers({ plane, query }: Call): User[] {
  const [, field, operator, value] = /^(\w+)(==|=@)(.+)$/.exec(query.get('filterBy') ?? '') ?? [];
  if (plane.ignoreUserFilter || field === undefined || value === undefined) return plane.state.users;
  const wanted = value.toLowerCase();
  if (field === 'username') return plane.state.users.filter((user) => user.username.toLowerCase().includes(wanted));
  if (field === 'isLocal' && operator === '==')
    return plane.state.users.filter((user) => String(user.isLocal) === wanted);
  return plane.state.users;
}

function listUsers(call: Call): Answer {
  const { limit, offset } = pageOf(call.query, { usual: 500, most: call.plane.usersPageLimit });
  return json(
    200,
    filteredUsers(call)
      .slice(offset, offset + limit)
      .map(userView),
  );
}

function createUser({ plane, fields, caller }: Call): Answer {
  const email = string(fields['email']);
  if (plane.state.userNamed(email)) return refusal(409, `A user ${email} already exists`);
  const { resetPassword, notify } = fields;
  const user = plane.state.addUser({
    email,
    resetPassword: resetPassword === true,
    createdBy: caller,
    ...(typeof notify === 'boolean' ? { notify } : {}),
  });
  if (plane.guideShapes) return json(201, { id: user.id, email, createdAt: user.createdAt });
  return json(201, { id: user.id, username: user.username, tempPassword: user.password });
}

function withUser(call: Call, use: (user: User) => Answer): Answer {
  const user = call.plane.state.users.find(({ id }) => id === call.id);
  return user ? use(user) : refusal(404, 'User not found');
}

function getUser(call: Call): Answer {
  return withUser(call, (user) => json(200, userView(user)));
}

function deleteUser(call: Call): Answer {
  return withUser(call, (user) => {
    call.plane.state.removeUser(user);
    return empty(204);
  });
}

function setPassword(call: Call): Answer {
  return withUser(call, (user) => {
    if (!user.isLocal) return refusal(400, 'The user signs in through single sign-on and has no password');
    return json(200, { tempPassword: call.plane.state.setNewPassword(user) });
  });
}

function ruleView(rule: AccessRule, { state, version }: Plane): Record<string, unknown> {
  const roleName = state.roles.find(({ id }) => id === rule.roleId)?.name ?? '';
  const shown = { ...rule, roleName, scopeName: `${rule.scopeType} ${rule.scopeId}`, tenantId };
  return within(version, { from: '2.22' }) ? { ...shown, status: { phase: 'Ready' } } : shown;
}

function listRules({ plane, query }: Call): Answer {
  const ids = query.get('subjectIds')?.split(',');
  const type = query.get('subjectType');
  const found = plane.state.accessRules.filter(
    (rule) => (!ids || ids.includes(rule.subjectId)) && (type === null || rule.subjectType === type),
  );
  const { limit, offset } = pageOf(query, { usual: 50, most: 500 });
  const shown = found.slice(offset, offset + limit).map((rule) => ruleView(rule, plane));
  return json(200, { totalRecords: found.length, displayRecords: shown.length, accessRules: shown });
}

/** A second rule with the same words is made without complaint, so that a client's duplicates show. */
function createRule({ plane, fields, caller }: Call): Answer {
  const subjectId = string(fields['subjectId']);
  const subjectType = string(fields['subjectType']);
  const roleId = Number(fields['roleId']);
  if (!plane.state.hasSubject(subjectType, subjectId)) return refusal(400, `No ${subjectType} ${subjectId} exists`);
  if (!plane.state.roles.some(({ id }) => id === roleId)) return refusal(404, `No role ${roleId} exists`);
  const scopeId = string(fields['scopeId']);
  if (scopeId === '') return refusal(400, 'The scope id is empty');
  const scopeType = string(fields['scopeType']);
  const rule = plane.state.addAccessRule({ subjectId, subjectType, roleId, scopeId, scopeType, createdBy: caller });
  return json(201, ruleView(rule, plane));
}

function roleView(role: Role): Record<string, unknown> {
  const then = '2024-01-01T00:00:00Z';
  return { ...role, description: `Can act as ${role.name}`, createdAt: then, updatedAt: then, createdBy: 'system' };
}

function listRolesV1({ plane }: Call): Answer {
  const permissions = [
    { resourceType: 'project', displayName: 'Projects', groupId: 'organization', actions: ['read'] },
  ];
  const later = within(plane.version, { from: '2.22' }) ? { custom: false, effectiveEnabled: true } : {};
  return json(
    200,
    plane.state.roles.map((role) => ({ ...roleView(role), permissions, ...later })),
  );
}

function listRolesV2({ plane, query }: Call): Answer {
  const { limit, offset } = pageOf(query, { usual: 50, most: plane.rolesPageLimit });
  const next = offset + limit;
  const roles = plane.state.roles.slice(offset, next).map(roleView);
  return json(200, next < plane.state.roles.length ? { next, roles } : { roles });
}

const handlers: Record<string, (call: Call) => Answer> = {
  'POST /api/v1/token': tokenV1,
  'POST /api/v2/token': tokenV2,
  'GET /api/v1/users': listUsers,
  'POST /api/v1/users': createUser,
  'GET /api/v1/users/{id}': getUser,
  'DELETE /api/v1/users/{id}': deleteUser,
  'POST /api/v1/users/{id}/password': setPassword,
  'GET /api/v1/authorization/access-rules': listRules,
  'POST /api/v1/authorization/access-rules': createRule,
  'GET /api/v1/authorization/roles': listRolesV1,
  'GET /api/v2/authorization/roles': listRolesV2,
};

for (const path of ['/api/v1/apps', '/api/v1/service-accounts']) {
  handlers[`GET ${path}`] = listApplications;
  handlers[`POST ${path}`] = createApplication;
  handlers[`GET ${path}/{id}`] = getApplication;
  handlers[`DELETE ${path}/{id}`] = deleteApplication;
  handlers[`POST ${path}/{id}/secret`] = resetSecret;
}

/** Who calls, or why they may not. */
function admit(plane: Plane, request: RequestSeen): Subject | Answer {
  const subject = plane.state.subjectOf(bearer(request));
  if (!subject) return refusal(401, 'Unauthorized', 'The access token is missing, unknown or expired');
  const allowed = subject.type === 'external' ? plane.externalIsAdministrator : plane.state.isAdministrator(subject);
  return allowed ? subject : refusal(403, 'Forbidden', `No access rule lets ${subject.id} do this`);
}

function refuseBody(endpoint: Endpoint, request: RequestSeen, problems: string[]): Answer {
  if (endpoint.path !== '/api/v2/token') return refusal(400, 'Bad request', problems.join('; '));
  const grant = new URLSearchParams(request.body).get('grant_type');
  const known = Object.keys(endpoint.request?.needs?.byValue ?? {});
  const unsupported = grant !== null && (!known.includes(grant) || problems.some((one) => one.includes('grant_type')));
  return oauthRefusal(400, unsupported ? 'unsupported_grant_type' : 'invalid_request', problems.join('; '));
}

/** What the control plane answers, with the work done. `path` comes without the prefix. */
export function answerRequest(plane: Plane, request: RequestSeen): Answer {
  const { pathname, query } = splitPath(request.path);
  const present = matchesOf(pathname).filter(({ endpoint }) => within(plane.version, endpoint));
  if (present.length === 0) return missing(plane.missingEndpoint);
  const match = present.find(({ endpoint }) => endpoint.method === request.method);
  if (!match) return undocumented(refusal(405, 'Method not allowed'));
  const { endpoint, id } = match;
  const caller = endpoint.auth ? admit(plane, request) : undefined;
  if (caller && 'status' in caller) return caller;
  const problems = bodyProblems(plane.version, endpoint, request);
  if (problems.length > 0) return refuseBody(endpoint, request, problems);
  const fields = endpoint.request ? (parseBody(endpoint.request.contentType, request.body) ?? {}) : {};
  const handler = handlers[`${endpoint.method} ${endpoint.path}`];
  if (!handler) return refusal(500, 'The simulator has no such handler');
  return handler({ plane, endpoint, id, fields, query: new URLSearchParams(query), caller: caller?.id ?? '' });
}

/** GitHub's endpoint for a job's own OIDC token. */
export function answerOidc(plane: Plane, request: RequestSeen): Answer {
  const { state, oidc } = plane;
  if (request.method !== 'GET' || bearer(request) !== oidc.requestToken)
    return undocumented(json(401, { message: 'Not authorized to request a token' }));
  const { query } = splitPath(request.path);
  const audience = new URLSearchParams(query).get('audience') ?? 'https://github.com/acme';
  const seconds = Math.floor(plane.now() / 1000);
  const claims = { iss: oidc.issuer, sub: oidc.subject, aud: audience, iat: seconds, exp: seconds + 300 };
  const value = state.remember(jwt({ ...claims, repository: 'acme/app', ref: 'refs/heads/main' }));
  state.externalTokens.set(value, { subject: oidc.subject, audience });
  return undocumented(json(200, { count: value.length, value }));
}
