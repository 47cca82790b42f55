import type { RequestSeen } from './answers.ts';
import { splitPath } from './answers.ts';
import type { PlaceName } from './github-store.ts';

/** What a path of GitHub's REST API refers to. */
export interface Target {
  /** `owner/name` of a repository, or the name of an organization. */
  owner: string;
  place: PlaceName;
  what: 'public-key' | 'secret' | 'repositories';
  /** The secret's name; empty for a public key. */
  name: string;
}

const inRepository = /^\/repos\/([^/]+\/[^/]+)\/(?:actions|environments\/([^/]+))\/secrets\/([^/]+)$/;
const inOrganization = /^\/orgs\/([^/]+)\/actions\/secrets\/([^/]+)(\/repositories)?$/;

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function targetIn(place: PlaceName, owner: string, last: string): Target {
  return last === 'public-key'
    ? { owner, place, what: 'public-key', name: '' }
    : { owner, place, what: 'secret', name: last };
}

export function targetOf(path: string): Target | undefined {
  const { pathname } = splitPath(path);
  const [, repository, environment, last] = inRepository.exec(pathname) ?? [];
  if (repository !== undefined && last !== undefined) {
    if (environment === undefined) return targetIn('repository', repository, last);
    const name = decoded(environment);
    return name === undefined ? undefined : targetIn(`environment:${name}`, repository, last);
  }
  const [, organization, name, repositories] = inOrganization.exec(pathname) ?? [];
  if (organization === undefined || name === undefined) return undefined;
  if (repositories === undefined) return targetIn('organization', organization, name);
  return { owner: organization, place: 'organization', what: 'repositories', name };
}

const methods: Record<Target['what'], string[]> = {
  'public-key': ['GET'],
  secret: ['GET', 'PUT', 'DELETE'],
  repositories: ['GET'],
};

export function allows(target: Target, method: string): boolean {
  return methods[target.what].includes(method);
}

/** GitHub's rules for the name of a secret. */
export function isSecretName(name: string): boolean {
  return /^[A-Z_][A-Z0-9_]*$/i.test(name) && !/^GITHUB_/i.test(name);
}

function headerProblems({ headers }: RequestSeen): string[] {
  const wanted: [string, RegExp][] = [
    ['authorization', /^Bearer [\x21-\x7e]+$/],
    ['accept', /^application\/vnd\.github\+json$/],
    ['x-github-api-version', /^2022-11-28$/],
    ['user-agent', /./],
  ];
  return wanted.flatMap(([name, pattern]) => {
    if (headers[name] === undefined) return [`${name} is missing`];
    return pattern.test(String(headers[name])) ? [] : [`${name} does not match ${pattern}`];
  });
}

export function parseFields(body: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

const isIntegers = (value: unknown) => Array.isArray(value) && value.every(Number.isInteger);

/** Why GitHub refuses the fields of a `PUT`, whatever is sealed in them. */
export function fieldProblems(place: PlaceName, fields: Record<string, unknown>): string[] {
  const { encrypted_value: value, key_id: keyId, visibility, selected_repository_ids: ids, ...others } = fields;
  const found = Object.keys(others).map((name) => `the field ${JSON.stringify(name)} is unknown`);
  if (typeof value !== 'string' || !/^[A-Za-z0-9+/]+={0,2}$/.test(value)) found.push('encrypted_value is not base64');
  if (typeof keyId !== 'string') found.push('key_id is not a string');
  if (place !== 'organization') {
    if (visibility !== undefined || ids !== undefined) found.push('only an organization has a visibility');
    return found;
  }
  if (!['all', 'private', 'selected'].includes(String(visibility))) found.push('visibility is missing or unknown');
  if (ids !== undefined && visibility !== 'selected') found.push('repositories are selected for another visibility');
  if (ids !== undefined && !isIntegers(ids)) found.push('selected_repository_ids are not integers');
  return found;
}

function bodyProblems(target: Target, request: RequestSeen): string[] {
  if (request.method !== 'PUT') return request.body === '' ? [] : ['a body was sent where none belongs'];
  const type = String(request.headers['content-type'] ?? '');
  const found = /^application\/json(; ?charset=utf-8)?$/i.test(type)
    ? []
    : ['the content type is not application/json'];
  const fields = parseFields(request.body);
  return [...found, ...(fields ? fieldProblems(target.place, fields) : ['the body is not JSON'])];
}

function queryProblems(target: Target, query: string): string[] {
  return [...new URLSearchParams(query)].flatMap(([name, value]) => {
    const known = target.what === 'repositories' && ['per_page', 'page'].includes(name);
    if (!known) return [`the query parameter ${JSON.stringify(name)} is unknown`];
    const number = Number(value);
    const fits = Number.isInteger(number) && number >= 1 && (name === 'page' || number <= 100);
    return fits ? [] : [`the query parameter ${name} is out of range`];
  });
}

/** One sentence for each violation of GitHub's documentation in a request. */
export function checkGithubRequest(request: RequestSeen): string[] {
  const { pathname, query } = splitPath(request.path);
  const target = targetOf(request.path);
  const name = `${request.method} ${pathname}`;
  if (!target || !allows(target, request.method)) return [`${name}: not in the contract`];
  const found = [...headerProblems(request), ...queryProblems(target, query), ...bodyProblems(target, request)];
  if (target.what !== 'public-key' && !isSecretName(target.name)) found.push('the secret has no valid name');
  return found.map((text) => `${name}: ${text}`);
}
