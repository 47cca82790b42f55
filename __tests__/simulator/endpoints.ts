import type { Span } from './profiles.ts';
import type { Field, ObjectShape, Shape } from './shapes.ts';
import { flag, flagOrNull, integer, list, object, required, text, time, timeOrNull, upTo } from './shapes.ts';

export interface RequestBody {
  contentType: 'application/json' | 'application/x-www-form-urlencoded';
  body: ObjectShape;
  /** Fields that one value of another field makes necessary. */
  needs?: { field: string; byValue: Record<string, string[]> };
}

export interface Endpoint extends Span {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  path: string;
  auth: boolean;
  query?: Record<string, Shape>;
  request?: RequestBody;
  /** Per status: the JSON in the answer, or that there is none. */
  answers: Record<number, Shape | 'empty'>;
}

const always: Span = {};
const since22: Span = { from: '2.22' };
const since24: Span = { from: '2.24' };
const since30: Span = { from: '3.0' };
const until22: Span = { until: '2.22' };
const until24: Span = { until: '2.24' };

const problem = object({
  code: required({ type: 'integer', least: 100, most: 599 }),
  message: required(text),
  details: text,
});

function problems(...statuses: number[]): Record<number, Shape> {
  return Object.fromEntries([...statuses, 500, 503].map((status) => [status, problem]));
}

const oauthProblem = object({
  error: required({
    type: 'string',
    values: {
      invalid_request: always,
      invalid_client: always,
      invalid_grant: always,
      unauthorized_client: always,
      unsupported_grant_type: always,
      invalid_scope: always,
      server_error: always,
      temporarily_unavailable: always,
    },
  }),
  error_description: text,
  error_uri: text,
});

function appFields(id: string, secret: string): Record<string, Field> {
  return { [id]: { ...text, ...until24 }, [secret]: { ...text, ...until24 } };
}

const tokens: Endpoint[] = [
  {
    method: 'POST',
    path: '/api/v1/token',
    until: '3.0',
    auth: false,
    request: {
      contentType: 'application/json',
      body: object({
        grantType: required({
          type: 'string',
          values: {
            client_credentials: always,
            password: always,
            refresh_token: always,
            app_token: until24,
            external_token_exchange: since22,
          },
        }),
        clientID: upTo(255),
        clientSecret: upTo(500),
        username: upTo(255),
        password: upTo(255),
        refreshToken: text,
        externalToken: { ...upTo(4096), ...since22 },
        // The documents say `appID`, NVIDIA's own Python client `AppId`: the server takes either.
        ...appFields('appID', 'appSecret'),
        ...appFields('AppId', 'AppSecret'),
      }),
      needs: {
        field: 'grantType',
        byValue: {
          client_credentials: ['clientID', 'clientSecret'],
          password: ['username', 'password'],
          refresh_token: ['refreshToken'],
          external_token_exchange: ['externalToken'],
        },
      },
    },
    answers: {
      200: object({
        accessToken: required(text),
        idToken: text,
        refreshToken: text,
        externalToken: { ...text, ...until22 },
        expiresIn: { ...integer, ...since24 },
      }),
      // 401 is not documented here, but some control planes send it for a wrong password.
      ...problems(400, 401),
    },
  },
  {
    method: 'POST',
    path: '/api/v2/token',
    ...since24,
    auth: false,
    request: {
      contentType: 'application/x-www-form-urlencoded',
      body: object({
        grant_type: required({
          type: 'string',
          values: {
            client_credentials: always,
            password: always,
            refresh_token: always,
            external_token_exchange: since30,
          },
        }),
        client_id: upTo(255),
        client_secret: upTo(500),
        username: upTo(255),
        password: upTo(255),
        refresh_token: text,
        external_token: { ...upTo(4096), ...since30 },
      }),
      needs: {
        field: 'grant_type',
        byValue: {
          client_credentials: ['client_id', 'client_secret'],
          password: ['username', 'password'],
          refresh_token: ['refresh_token'],
          external_token_exchange: ['external_token'],
        },
      },
    },
    answers: {
      200: object({
        access_token: required(text),
        token_type: required(text),
        expires_in: integer,
        refresh_token: text,
        id_token: text,
      }),
      400: oauthProblem,
      401: oauthProblem,
      ...problems(),
    },
  },
];

const application = object({
  id: required(text),
  name: required(text),
  clientId: required(text),
  enabled: required(flag),
  createdBy: required(text),
  createdAt: required(timeOrNull),
  updatedAt: required(timeOrNull),
  lastLogin: required(timeOrNull),
  tenantId: text,
});

/** Both generations have the same endpoints, except for the path and the name of the secret. */
function applications(path: string, secret: string, span: Span): Endpoint[] {
  const refusals = problems(400, 401, 403, 404);
  const created = object({
    id: required(text),
    name: required(text),
    [secret]: required(text),
    clientId: text,
  });
  const name: Shape = { type: 'string', pattern: /^[a-z][-_a-z0-9]*[a-z0-9]$/, longest: 255 };
  return [
    { method: 'GET', path, ...span, auth: true, answers: { 200: list(application), ...refusals } },
    {
      method: 'POST',
      path,
      ...span,
      auth: true,
      request: { contentType: 'application/json', body: object({ name: required(name) }) },
      answers: { 201: created, 409: problem, ...refusals },
    },
    { method: 'GET', path: `${path}/{id}`, ...span, auth: true, answers: { 200: application, ...refusals } },
    {
      method: 'PATCH',
      path: `${path}/{id}`,
      ...span,
      auth: true,
      request: { contentType: 'application/json', body: object({ enabled: required(flag) }) },
      answers: { 200: 'empty', ...refusals },
    },
    { method: 'DELETE', path: `${path}/{id}`, ...span, auth: true, answers: { 204: 'empty', ...refusals } },
    {
      method: 'POST',
      path: `${path}/{id}/secret`,
      ...span,
      auth: true,
      answers: { 200: object({ [secret]: text }), ...refusals },
    },
  ];
}

const user = object({
  id: required(text),
  username: required(text),
  isLocal: required(flagOrNull),
  createdBy: required(text),
  createdAt: required(timeOrNull),
  updatedAt: required(timeOrNull),
  lastLogin: required(timeOrNull),
  groups: { type: 'list', nullable: true, items: text },
});

const limit: Shape = { type: 'integer', least: 1, most: 500 };
const offset: Shape = { type: 'integer', least: 0 };

const users: Endpoint[] = [
  {
    method: 'GET',
    path: '/api/v1/users',
    auth: true,
    query: {
      filterBy: {
        type: 'string',
        pattern: /^(username|createdBy|lastLogin|creationTime|lastUpdated|isLocal)(==|<=|>=|=@).+$/,
      },
      limit,
      offset,
    },
    answers: { 200: list(user), ...problems(400, 401, 403) },
  },
  {
    method: 'POST',
    path: '/api/v1/users',
    auth: true,
    request: {
      contentType: 'application/json',
      body: object({
        email: required({
          type: 'string',
          pattern: /^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$/,
          longest: 254,
        }),
        resetPassword: flagOrNull,
        notify: { ...flagOrNull, ...since24 },
        firstName: { ...text, ...since30 },
        lastName: { ...text, ...since30 },
      }),
    },
    answers: {
      201: {
        type: 'either',
        shapes: [
          object({ id: required(text), username: required(text), tempPassword: required(text) }),
          object({ id: required(text), email: required(text), createdAt: required(time) }),
        ],
      },
      ...problems(400, 401, 403, 409),
    },
  },
  {
    method: 'POST',
    path: '/api/v1/users/{id}/password',
    auth: true,
    answers: { 200: object({ tempPassword: text }), ...problems(400, 401, 403, 404) },
  },
  { method: 'GET', path: '/api/v1/users/{id}', auth: true, answers: { 200: user, ...problems(400, 401, 403, 404) } },
  {
    method: 'DELETE',
    path: '/api/v1/users/{id}',
    auth: true,
    answers: { 204: 'empty', ...problems(400, 401, 403, 404) },
  },
];

const ruleFields: Record<string, Field> = {
  subjectId: required(text),
  subjectType: required({
    type: 'string',
    values: { user: always, group: always, app: until24, 'service-account': since24 },
  }),
  roleId: required(integer),
  scopeId: required(text),
  scopeType: required({
    type: 'string',
    values: { system: always, tenant: always, cluster: always, department: always, project: always },
  }),
  clusterId: text,
};

const accessRule = object({
  ...ruleFields,
  roleName: required(text),
  scopeName: required(text),
  id: required(integer),
  createdAt: required(time),
  updatedAt: required(time),
  deletedAt: timeOrNull,
  createdBy: required(text),
  tenantId: required(integer),
  status: { ...object({ phase: text, message: text, details: text }), ...since22 },
});

const accessRules: Endpoint[] = [
  {
    method: 'GET',
    path: '/api/v1/authorization/access-rules',
    auth: true,
    query: { subjectIds: text, subjectType: text, limit, offset },
    answers: {
      200: object({
        totalRecords: required(integer),
        displayRecords: required(integer),
        accessRules: required(list(accessRule)),
      }),
      ...problems(401, 403),
    },
  },
  {
    method: 'POST',
    path: '/api/v1/authorization/access-rules',
    auth: true,
    request: { contentType: 'application/json', body: object(ruleFields) },
    answers: { 201: accessRule, ...problems(400, 401, 403, 404) },
  },
];

const roleFields: Record<string, Field> = {
  id: required(integer),
  name: required(text),
  description: required(text),
  createdAt: required(time),
  updatedAt: required(time),
  deletedAt: timeOrNull,
  createdBy: required(text),
};

const permission = object({
  resourceType: required(text),
  displayName: required(text),
  groupId: required(text),
  actions: required(list(text)),
});

const roles: Endpoint[] = [
  {
    method: 'GET',
    path: '/api/v1/authorization/roles',
    ...until24,
    auth: true,
    answers: {
      200: list(
        object({
          ...roleFields,
          permissions: required(list(permission)),
          custom: required(flag, since22),
          effectiveEnabled: required(flag, since22),
        }),
      ),
      ...problems(400, 401, 403),
    },
  },
  {
    method: 'GET',
    path: '/api/v2/authorization/roles',
    ...since24,
    auth: true,
    query: { limit, offset },
    answers: {
      200: object({ next: integer, roles: required(list(object(roleFields))) }),
      ...problems(400, 401, 403),
    },
  },
];

/** Projects or departments, in pages; the last page has no `next`. */
function orgUnits(plural: string, fields: Record<string, Field>): Endpoint {
  const unit = object({ id: required(digits), name: required(text), clusterId: required(uuid), ...fields });
  return {
    method: 'GET',
    path: `/api/v1/org-unit/${plural}`,
    auth: true,
    query: { filterBy: { type: 'string', pattern: /^(name|id|clusterId)(==|=@).+$/ }, limit, offset },
    answers: { 200: object({ [plural]: required(list(unit)), next: integer }), ...problems(400, 401, 403) },
  };
}

const digits: Shape = { type: 'string', pattern: /^\d+$/ };
const uuid: Shape = { type: 'string', pattern: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/ };
const clusterList = list(object({ uuid: required(uuid), name: required(text) }));

const scopes: Endpoint[] = [
  orgUnits('projects', { parentId: required(digits) }),
  orgUnits('departments', {}),
  {
    method: 'GET',
    path: '/api/v1/clusters',
    auth: true,
    query: { verbosity: { type: 'string', values: { metadata: always, full: always } } },
    answers: {
      // A bare list by one description, an object by another.
      200: { type: 'either', shapes: [clusterList, object({ clusters: required(clusterList) })] },
      ...problems(400, 401, 403),
    },
  },
];

/** Every endpoint that a client of this project may use, over all versions. */
export const endpoints: readonly Endpoint[] = [
  ...tokens,
  ...applications('/api/v1/apps', 'secret', until24),
  ...applications('/api/v1/service-accounts', 'clientSecret', since24),
  ...users,
  ...accessRules,
  ...roles,
  ...scopes,
];
