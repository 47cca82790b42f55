import type { Answer, RequestSeen } from './answers.ts';
import { splitPath } from './answers.ts';
import type { Endpoint, RequestBody } from './endpoints.ts';
import { endpoints } from './endpoints.ts';
import type { Version } from './profiles.ts';
import { nearest, within } from './profiles.ts';
import type { Finding, Shape } from './shapes.ts';
import { breach, check } from './shapes.ts';

type AnswerSeen = Omit<Answer, 'documented'>;

export interface Match {
  endpoint: Endpoint;
  /** The value of `{id}`, decoded. */
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

/** A body, parsed by its content type; `undefined` if it cannot be parsed. */
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

/** Why this version answers 400 to a body; empty if it accepts the body. */
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

/** One sentence for each violation of the contract in a request. */
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

/** One sentence for each violation of the contract in an answer to a request that the version supports. */
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
