import type { Answer, RequestSeen } from './answers.ts';
import { bearer, empty, json, splitPath } from './answers.ts';
import type { Target } from './github-contract.ts';
import { allows, fieldProblems, isSecretName, parseFields, targetOf } from './github-contract.ts';
import type { GithubStore, StoredSecret, Visibility } from './github-store.ts';

/** By GitHub's names for what an app or a fine-grained token may do. */
export interface Permissions {
  secrets?: 'read' | 'write';
  environments?: 'read' | 'write';
  organization_secrets?: 'read' | 'write';
}

/** A former name of the repository, with what it is answered with; 301 if omitted. */
export interface GithubRename {
  from: string;
  status?: 301 | 307;
}

export interface RateLimit {
  /** How long it lasts by GitHub's clock. */
  seconds: number;
  /** 403 if omitted. */
  status?: 403 | 429;
  /** Which header tells: `x-ratelimit-reset`, or `Retry-After` as for the secondary limits. */
  tells: 'reset' | 'retry-after';
}

export interface Token {
  permissions: Permissions;
  blind: boolean;
}

export interface Site {
  renamed?: GithubRename;
  ownedByPerson: boolean;
  now: () => number;
  store: GithubStore;
  tokens: Map<string, Token>;
  repository: string;
  organization: string;
  url: string;
  limit?: RateLimit & { until: number };
}

export const repositoryId = 1296269;

export function githubRefusal(status: number, message: string, details?: string): Answer {
  const errors = details === undefined ? {} : { errors: [details] };
  return json(status, { message, ...errors, documentation_url: 'https://docs.github.com/rest', status: `${status}` });
}

const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();

const permissionFor: Record<string, keyof Permissions> = {
  repository: 'secrets',
  environment: 'environments',
  organization: 'organization_secrets',
};

function permits({ permissions }: Token, { place }: Target, method: string): boolean {
  const kind = permissionFor[place.split(':')[0] ?? ''];
  const held = kind && permissions[kind];
  return held === 'write' || (held === 'read' && method === 'GET');
}

/** A refusal while the rate limit lasts. */
function limited({ limit, now }: Site): Answer | undefined {
  if (!limit || now() >= limit.until) return undefined;
  const { status = 403, tells, until } = limit;
  const refused = githubRefusal(
    status,
    `You have exceeded a ${tells === 'reset' ? 'primary' : 'secondary'} rate limit`,
  );
  const seconds = Math.ceil((until - now()) / 1000);
  const headers =
    tells === 'reset'
      ? { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': `${Math.ceil(until / 1000)}` }
      : { 'retry-after': `${seconds}` };
  return { ...refused, headers: { ...refused.headers, ...headers } };
}

/** What a former name of the repository redirects to: the same path with the repository's number. */
function redirected({ renamed, url }: Site, path: string): Answer | undefined {
  const start = `/repos/${renamed?.from}/`;
  if (!renamed || !same(path.slice(0, start.length), start)) return undefined;
  const location = `${url}/repositories/${repositoryId}/${path.slice(start.length)}`;
  const { status = 301 } = renamed;
  const moved = githubRefusal(status, 'Moved');
  return { ...moved, headers: { ...moved.headers, location } };
}

function exists({ store, repository, organization, ownedByPerson }: Site, { owner, place }: Target): boolean {
  if (place === 'organization') return same(owner, organization) && !ownedByPerson;
  return same(owner, repository) && store.has(place);
}

function view(site: Site, secret: StoredSecret): Record<string, unknown> {
  const { name, createdAt, updatedAt, visibility } = secret;
  const shown = { name, created_at: createdAt, updated_at: updatedAt, ...(visibility && { visibility }) };
  if (visibility !== 'selected') return shown;
  const list = `${site.url}/orgs/${site.organization}/actions/secrets/${name}/repositories`;
  return { ...shown, selected_repositories_url: list };
}

function put({ store }: Site, { place, name }: Target, request: RequestSeen): Answer {
  const fields = parseFields(request.body);
  const problems = fields ? fieldProblems(place, fields) : ['the body is not JSON'];
  if (!isSecretName(name)) problems.push('the secret has no valid name');
  if (!fields || problems.length > 0) return githubRefusal(422, 'Validation Failed', problems.join('; '));
  const opened = store.open(place, { encrypted: String(fields['encrypted_value']), keyId: String(fields['key_id']) });
  if ('problem' in opened) return githubRefusal(422, opened.problem);
  const ids = (fields['selected_repository_ids'] ?? []) as number[];
  const visibility = fields['visibility'] as Visibility | undefined;
  const kept = visibility === 'selected' ? { visibility, selectedRepositoryIds: ids } : visibility && { visibility };
  return store.write(place, name, { value: opened.value, ...kept }) === 'created' ? json(201, {}) : empty(204);
}

function repositoriesOf({ selectedRepositoryIds = [] }: StoredSecret, query: URLSearchParams): Answer {
  const size = Math.min(Number(query.get('per_page') ?? 30), 100);
  const first = (Number(query.get('page') ?? 1) - 1) * size;
  const shown = selectedRepositoryIds.slice(first, first + size);
  const repositories = shown.map((id) => ({ id, name: `repository-${id}` }));
  return json(200, { total_count: selectedRepositoryIds.length, repositories });
}

function carryOut(site: Site, target: Target, request: RequestSeen): Answer {
  const { store } = site;
  const { place, name, what } = target;
  if (what === 'public-key') return json(200, store.readKey(place));
  if (request.method === 'PUT') return put(site, target, request);
  const secret = store.find(place, name);
  if (!secret) return githubRefusal(404, 'Not Found');
  if (request.method === 'DELETE') {
    store.remove(place, name);
    return empty(204);
  }
  if (what === 'repositories') return repositoriesOf(secret, new URLSearchParams(splitPath(request.path).query));
  return json(200, view(site, secret));
}

function refuseOrCarryOut(site: Site, request: RequestSeen): Answer {
  if (!request.headers['user-agent']) return githubRefusal(403, 'The request has no User-Agent header');
  const token = site.tokens.get(bearer(request));
  if (!token) return githubRefusal(401, 'Bad credentials');
  const early = limited(site) ?? redirected(site, request.path);
  if (early) return early;
  const target = targetOf(request.path);
  if (!target || !allows(target, request.method) || token.blind || !exists(site, target))
    return githubRefusal(404, 'Not Found');
  if (!permits(token, target, request.method)) return githubRefusal(403, 'Resource not accessible by integration');
  return carryOut(site, target, request);
}

/** GitHub's answer, with the work done, and with the headers that it always adds. */
export function answerGithub(site: Site, request: RequestSeen): Answer {
  const given = refuseOrCarryOut(site, request);
  const reset = `${Math.floor(site.now() / 1000) + 3600}`;
  const limits = { 'x-ratelimit-limit': '5000', 'x-ratelimit-remaining': '4999', 'x-ratelimit-reset': reset };
  return { ...given, headers: { ...limits, ...given.headers } };
}
