import type { Answer, RequestSeen } from './answers.ts';
import { bearer, empty, json, page, refusal, splitPath, undocumented } from './answers.ts';
import { bodyProblems, matchesOf, parseBody } from './contract.ts';
import type { Endpoint } from './endpoints.ts';
import { oauthRefusal, tokenV1, tokenV2 } from './grants.ts';
import { listClusters, listDepartments, listProjects } from './org-units.ts';
import type { Call, Plane, Resource } from './plane.ts';
import { pageOf, text } from './plane.ts';
import type { MissingEndpoint } from './profiles.ts';
import { within } from './profiles.ts';
import type { AccessRule, AccessRuleSeed, Application, Role, Subject, User } from './state.ts';

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

const createdAt = ({ nullCreatedAt }: Plane) => (nullCreatedAt ? { createdAt: null } : {});

function createApplication({ plane, endpoint, fields, caller }: Call): Answer {
  const name = text(fields['name']);
  if (plane.state.applicationNamed(name)) return refusal(409, `An application named ${name} already exists`);
  const application = plane.state.addApplication({ name, createdBy: caller, ...createdAt(plane) });
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

function patchApplication(call: Call): Answer {
  return withApplication(call, (application) => {
    call.plane.state.setEnabled(application, call.fields['enabled'] === true);
    return empty(200);
  });
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

/** `==` on a username acts as a "contains": clients must not assume that the first hit is the right one. */
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
  const email = text(fields['email']);
  if (plane.state.userNamed(email)) return refusal(409, `A user ${email} already exists`);
  const { resetPassword, notify } = fields;
  const user = plane.state.addUser({
    email,
    resetPassword: resetPassword === true,
    createdBy: caller,
    ...createdAt(plane),
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

/** Whether exactly this rule exists. */
function isDuplicate({ state }: Plane, wanted: Omit<AccessRuleSeed, 'createdBy'>): boolean {
  const words = (rule: AccessRuleSeed) =>
    [rule.subjectId, rule.subjectType, rule.roleId, rule.scopeId, rule.scopeType].join(' ');
  return state.accessRules.some((rule) => words(rule) === words(wanted));
}

/** By default, a second rule with the same content is created, so that a client's duplicates show. */
function createRule({ plane, fields, caller }: Call): Answer {
  const subjectId = text(fields['subjectId']);
  const subjectType = text(fields['subjectType']);
  const roleId = Number(fields['roleId']);
  if (!plane.state.hasSubject(subjectType, subjectId)) return refusal(400, `No ${subjectType} ${subjectId} exists`);
  if (!plane.state.roles.some(({ id }) => id === roleId)) return refusal(404, `No role ${roleId} exists`);
  const scopeId = text(fields['scopeId']);
  if (scopeId === '') return refusal(400, 'The scope id is empty');
  const scopeType = text(fields['scopeType']);
  const seed = { subjectId, subjectType, roleId, scopeId, scopeType };
  if (plane.refuseDuplicateRules && isDuplicate(plane, seed))
    return undocumented(refusal(409, 'The rule exists already'));
  const rule = plane.state.addAccessRule({ ...seed, createdBy: caller });
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
  'GET /api/v1/org-unit/projects': listProjects,
  'GET /api/v1/org-unit/departments': listDepartments,
  'GET /api/v1/clusters': listClusters,
};

for (const path of ['/api/v1/apps', '/api/v1/service-accounts']) {
  handlers[`GET ${path}`] = listApplications;
  handlers[`POST ${path}`] = createApplication;
  handlers[`GET ${path}/{id}`] = getApplication;
  handlers[`PATCH ${path}/{id}`] = patchApplication;
  handlers[`DELETE ${path}/{id}`] = deleteApplication;
  handlers[`POST ${path}/{id}/secret`] = resetSecret;
}

const resources: Record<string, Resource> = {
  apps: 'apps',
  'service-accounts': 'service-account',
  users: 'users',
  'access-rules': 'access_rules',
  roles: 'roles',
  projects: 'project',
  departments: 'department',
  clusters: 'cluster',
};

function isForbidden({ forbidden }: Plane, { path }: Endpoint): boolean {
  return path.split('/').some((part) => Object.hasOwn(resources, part) && forbidden.has(resources[part]!));
}

/** The caller, or why the call is refused. */
function admit(plane: Plane, endpoint: Endpoint, request: RequestSeen): Subject | Answer {
  const subject = plane.state.subjectOf(bearer(request));
  if (!subject) return refusal(401, 'Unauthorized', 'The access token is missing, unknown or expired');
  const allowed = subject.type === 'external' ? plane.externalIsAdministrator : plane.state.isAdministrator(subject);
  if (isForbidden(plane, endpoint)) return refusal(403, 'Forbidden', `${subject.id} lacks the permission`);
  return allowed ? subject : refusal(403, 'Forbidden', `No access rule lets ${subject.id} do this`);
}

function refuseBody(endpoint: Endpoint, request: RequestSeen, problems: string[]): Answer {
  if (endpoint.path !== '/api/v2/token') return refusal(400, 'Bad request', problems.join('; '));
  const grant = new URLSearchParams(request.body).get('grant_type');
  const known = Object.keys(endpoint.request?.needs?.byValue ?? {});
  const unsupported = grant !== null && (!known.includes(grant) || problems.some((one) => one.includes('grant_type')));
  return oauthRefusal(400, unsupported ? 'unsupported_grant_type' : 'invalid_request', problems.join('; '));
}

/** The control plane's answer, with the work done. `path` excludes the prefix. */
export function answerRequest(plane: Plane, request: RequestSeen): Answer {
  const { pathname, query } = splitPath(request.path);
  const present = matchesOf(pathname).filter(({ endpoint }) => within(plane.version, endpoint));
  if (present.length === 0) return missing(plane.missingEndpoint);
  const match = present.find(({ endpoint }) => endpoint.method === request.method);
  if (!match) return undocumented(refusal(405, 'Method not allowed'));
  const { endpoint, id } = match;
  const caller = endpoint.auth ? admit(plane, endpoint, request) : undefined;
  if (caller && 'status' in caller) return caller;
  const problems = bodyProblems(plane.version, endpoint, request);
  if (problems.length > 0) return refuseBody(endpoint, request, problems);
  const fields = endpoint.request ? (parseBody(endpoint.request.contentType, request.body) ?? {}) : {};
  const handler = handlers[`${endpoint.method} ${endpoint.path}`];
  if (!handler) return refusal(500, 'The simulator has no such handler');
  return handler({ plane, endpoint, id, fields, query: new URLSearchParams(query), caller: caller?.id ?? '' });
}
