import type { Answer, RequestSeen } from './answers.ts';
import { splitPath } from './answers.ts';
import type { Span, Version } from './profiles.ts';
import { nearest, within } from './profiles.ts';

export type Shape =
  | { type: 'string'; nullable?: true; pattern?: RegExp; longest?: number; values?: Record<string, Span> }
  | { type: 'time'; nullable?: true }
  | { type: 'integer'; nullable?: true; least?: number; most?: number }
  | { type: 'boolean'; nullable?: true }
  | { type: 'list'; nullable?: true; items: Shape }
  | { type: 'object'; nullable?: true; fields: Record<string, Field> }
  | { type: 'either'; nullable?: true; shapes: Shape[] };

export type Field = Shape & Span & { required?: true };

type ObjectShape = Extract<Shape, { type: 'object' }>;

export interface RequestBody {
  contentType: 'application/json' | 'application/x-www-form-urlencoded';
  body: ObjectShape;
  /** Fields that one value of another field makes necessary. */
  needs?: { field: string; byValue: Record<string, string[]> };
}

export interface Endpoint extends Span {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  auth: boolean;
  query?: Record<string, Shape>;
  request?: RequestBody;
  /** Per status: the JSON that comes with it, or that nothing does. */
  answers: Record<number, Shape | 'empty'>;
}

const text: Shape = { type: 'string' };
const time: Shape = { type: 'time' };
const timeOrNull: Shape = { type: 'time', nullable: true };
const integer: Shape = { type: 'integer' };
const flag: Shape = { type: 'boolean' };
const flagOrNull: Shape = { type: 'boolean', nullable: true };
const upTo = (longest: number): Shape => ({ type: 'string', longest });
const object = (fields: Record<string, Field>): ObjectShape => ({ type: 'object', fields });
const list = (items: Shape): Shape => ({ type: 'list', items });
const required = (shape: Shape, span: Span = {}): Field => ({ ...shape, ...span, required: true });

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
          values: { client_credentials: always, password: always, external_token_exchange: since22 },
        }),
        clientID: upTo(255),
        clientSecret: upTo(500),
        username: upTo(255),
        password: upTo(255),
        externalToken: { ...upTo(4096), ...since22 },
      }),
      needs: {
        field: 'grantType',
        byValue: {
          client_credentials: ['clientID', 'clientSecret'],
          password: ['username', 'password'],
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
      // 401 is not documented here, but is what some control planes say to a wrong password.
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
          values: { client_credentials: always, password: always, external_token_exchange: since30 },
        }),
        client_id: upTo(255),
        client_secret: upTo(500),
        username: upTo(255),
        password: upTo(255),
        external_token: { ...upTo(4096), ...since30 },
      }),
      needs: {
        field: 'grant_type',
        byValue: {
          client_credentials: ['client_id', 'client_secret'],
          password: ['username', 'password'],
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

/** Both generations are the same endpoints but for the path and the name of the secret. */
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

/** Every endpoint that a client of this project may use, over all versions. */
export const endpoints: readonly Endpoint[] = [
  ...tokens,
  ...applications('/api/v1/apps', 'secret', until24),
  ...applications('/api/v1/service-accounts', 'clientSecret', since24),
  ...users,
  ...accessRules,
  ...roles,
];

export interface Match {
  endpoint: Endpoint;
  /** What stands in the place of `{id}`, decoded. */
  id: string;
}

function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

function matchPath(template: string, pathname: string): string | undefined {
  const wanted = template.split('/');
  const given = pathname.split('/');
  if (wanted.length !== given.length) return undefined;
  let id = '';
  for (const [index, segment] of wanted.entries()) {
    const actual = given[index] ?? '';
    if (segment !== '{id}') {
      if (segment !== actual) return undefined;
      continue;
    }
    const value = decoded(actual);
    if (!value) return undefined;
    id = value;
  }
  return id;
}

/** The endpoints behind a path, whatever the method and the version. */
export function matchesOf(pathname: string): Match[] {
  return endpoints.flatMap((endpoint) => {
    const id = matchPath(endpoint.path, pathname);
    return id === undefined ? [] : [{ endpoint, id }];
  });
}

type AnswerSeen = Omit<Answer, 'documented'>;

/** `breach`: the client is wrong in every version. Otherwise only this version refuses it, which no client can foresee. */
interface Finding {
  breach: boolean;
  text: string;
}

const breach = (text: string): Finding => ({ breach: true, text });

function checkString(shape: Extract<Shape, { type: 'string' }>, value: string, place: Place): Finding[] {
  const { where, version } = place;
  const found: Finding[] = [];
  if (shape.pattern && !shape.pattern.test(value)) found.push(breach(`${where} does not match ${shape.pattern}`));
  if (shape.longest !== undefined && value.length > shape.longest)
    found.push(breach(`${where} is longer than ${shape.longest} characters`));
  const span = shape.values?.[value];
  if (shape.values && !span) found.push(breach(`${where} is none of ${Object.keys(shape.values).join(', ')}`));
  else if (span && !within(version, span))
    found.push({ breach: false, text: `${where} cannot be ${value} in ${version}` });
  return found;
}

interface Place {
  where: string;
  version: Version;
}

function checkObject(shape: ObjectShape, value: Record<string, unknown>, { where, version }: Place): Finding[] {
  const found: Finding[] = [];
  for (const name of Object.keys(value)) {
    const field = Object.hasOwn(shape.fields, name) ? shape.fields[name] : undefined;
    if (!field) found.push(breach(`${where} has the unknown field ${JSON.stringify(name)}`));
    else if (!within(version, field))
      found.push({ breach: false, text: `${where} has the field ${name}, which ${version} does not know` });
    else found.push(...check(field, value[name], { where: `${where}.${name}`, version }));
  }
  for (const [name, field] of Object.entries(shape.fields)) {
    if (field.required && within(version, field) && value[name] === undefined)
      found.push(breach(`${where} lacks the field ${name}`));
  }
  return found;
}

const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

function checkInteger(shape: Extract<Shape, { type: 'integer' }>, value: unknown, where: string): Finding[] {
  if (!Number.isInteger(value)) return [breach(`${where} is not an integer`)];
  const number = value as number;
  const tooSmall = shape.least !== undefined && number < shape.least;
  const tooLarge = shape.most !== undefined && number > shape.most;
  return tooSmall || tooLarge ? [breach(`${where} is out of range`)] : [];
}

function check(shape: Shape, value: unknown, place: Place): Finding[] {
  const { where, version } = place;
  if (value === null) return shape.nullable ? [] : [breach(`${where} is null`)];
  switch (shape.type) {
    case 'string':
      return typeof value === 'string' ? checkString(shape, value, place) : [breach(`${where} is not a string`)];
    case 'time':
      return typeof value === 'string' && timePattern.test(value) ? [] : [breach(`${where} is not a date and time`)];
    case 'integer':
      return checkInteger(shape, value, where);
    case 'boolean':
      return typeof value === 'boolean' ? [] : [breach(`${where} is not a boolean`)];
    case 'list':
      if (!Array.isArray(value)) return [breach(`${where} is not a list`)];
      return value.flatMap((item, index) => check(shape.items, item, { where: `${where}[${index}]`, version }));
    case 'object':
      if (typeof value !== 'object' || Array.isArray(value)) return [breach(`${where} is not an object`)];
      return checkObject(shape, value as Record<string, unknown>, place);
    case 'either': {
      const attempts = shape.shapes.map((one) => check(one, value, place));
      return attempts.find((found) => found.length === 0) ?? attempts[0] ?? [];
    }
  }
}

/** A body by its content type; `undefined` when it cannot be read that way. */
export function parseBody(contentType: RequestBody['contentType'], body: string): Record<string, unknown> | undefined {
  if (contentType === 'application/x-www-form-urlencoded') {
    const pairs = [...new URLSearchParams(body)];
    const fields = Object.fromEntries(pairs);
    return Object.keys(fields).length === pairs.length ? fields : undefined;
  }
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function mediaType(header: string | string[] | undefined): string {
  return String(header ?? '')
    .toLowerCase()
    .replace(/; ?charset=utf-8$/, '');
}

function checkNeeds(request: RequestBody, fields: Record<string, unknown>): Finding[] {
  const { needs } = request;
  if (!needs) return [];
  const wanted = needs.byValue[String(fields[needs.field])] ?? [];
  return wanted
    .filter((name) => fields[name] === undefined || fields[name] === '')
    .map((name) => breach(`the body lacks the field ${name}`));
}

function findInBody(version: Version, endpoint: Endpoint, request: RequestSeen): Finding[] {
  const expected = endpoint.request;
  if (!expected) return request.body === '' ? [] : [breach('a body was sent where none belongs')];
  const found: Finding[] = [];
  if (mediaType(request.headers['content-type']) !== expected.contentType)
    found.push(breach(`the content type is not ${expected.contentType}`));
  const fields = parseBody(expected.contentType, request.body);
  if (!fields) return [...found, breach(`the body cannot be read as ${expected.contentType}`)];
  // An absent endpoint is judged by the closest version that has it: asking is how a client finds out the version.
  const place = { where: 'the body', version: nearest(version, endpoint) };
  return [...found, ...check(expected.body, fields, place), ...checkNeeds(expected, fields)];
}

/** Why this version answers 400 to a body; empty when it takes it. */
export function bodyProblems(version: Version, endpoint: Endpoint, request: RequestSeen): string[] {
  return findInBody(version, endpoint, request).map(({ text }) => text);
}

function checkQuery(endpoint: Endpoint, query: string, version: Version): Finding[] {
  const found: Finding[] = [];
  if (query.includes('+')) found.push(breach('the query holds a bare +, which means a space'));
  const seen = new Set<string>();
  for (const [name, value] of new URLSearchParams(query)) {
    const known = endpoint.query ?? {};
    const shape = Object.hasOwn(known, name) ? known[name] : undefined;
    const where = `the query parameter ${JSON.stringify(name)}`;
    if (!shape) found.push(breach(`${where} is unknown`));
    else if (seen.has(name)) found.push(breach(`${where} is given twice`));
    else if (shape.type === 'integer' && !/^\d+$/.test(value)) found.push(breach(`${where} is not an integer`));
    else found.push(...check(shape, shape.type === 'integer' ? Number(value) : value, { where, version }));
    seen.add(name);
  }
  return found;
}

function checkAuthorization(endpoint: Endpoint, header: string | string[] | undefined): Finding[] {
  if (!endpoint.auth) return header === undefined ? [] : [breach('Authorization was sent with a grant')];
  if (header === undefined) return [breach('Authorization is missing')];
  return /^Bearer [\w.~+/-]+=*$/.test(String(header)) ? [] : [breach('Authorization is not a bearer token')];
}

/** One sentence for each breach of the contract in a request. */
export function checkRequest(version: Version, request: RequestSeen): string[] {
  const { pathname, query } = splitPath(request.path);
  const name = `${request.method} ${pathname}`;
  const match = matchesOf(pathname).find(({ endpoint }) => endpoint.method === request.method);
  if (!match) return [`${name}: not in the contract`];
  const { endpoint } = match;
  return [
    ...checkAuthorization(endpoint, request.headers['authorization']),
    ...checkQuery(endpoint, query, version),
    ...findInBody(version, endpoint, request),
  ]
    .filter((finding) => finding.breach)
    .map((finding) => `${name}: ${finding.text}`);
}

function findInAnswer(version: Version, expected: Shape | 'empty', answer: AnswerSeen): string[] {
  if (expected === 'empty') return answer.body === '' ? [] : ['it has a body'];
  if (mediaType(answer.headers['content-type']) !== 'application/json') return ['it is not JSON by its content type'];
  try {
    const value: unknown = JSON.parse(answer.body);
    return check(expected, value, { where: 'it', version }).map(({ text }) => text);
  } catch {
    return ['it is not JSON'];
  }
}

/** One sentence for each breach of the contract in an answer to a request that the version knows. */
export function checkAnswer(
  version: Version,
  request: Pick<RequestSeen, 'method' | 'path'>,
  answer: AnswerSeen,
): string[] {
  const { pathname } = splitPath(request.path);
  const name = `the answer ${answer.status} to ${request.method} ${pathname}`;
  const match = matchesOf(pathname).find(
    ({ endpoint }) => endpoint.method === request.method && within(version, endpoint),
  );
  if (!match) return [`${name}: ${version} has no such endpoint`];
  const expected = match.endpoint.answers[answer.status];
  if (!expected) return [`${name}: the status is not documented`];
  return findInAnswer(version, expected, answer).map((text) => `${name}: ${text}`);
}
