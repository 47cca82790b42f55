import { randomBytes } from 'node:crypto';
import sodium from 'libsodium-wrappers';
import { page } from './answers.ts';
import type { FaultRule } from './faults.ts';
import { checkGithubRequest } from './github-contract.ts';
import type { GithubRename, Permissions, RateLimit, Site } from './github-routes.ts';
import { answerGithub, githubRefusal, repositoryId } from './github-routes.ts';
import type { PlaceName, SecretChange, StoredSecret, Write } from './github-store.ts';
import { GithubStore } from './github-store.ts';
import type { Log, LoopbackServer, Received, RecordedRequest, ServerOptions } from './server.ts';
import { startServer } from './server.ts';

export type { GithubRename, Permissions, RateLimit } from './github-routes.ts';
export type { PlaceName, SecretChange, StoredSecret, Visibility, Write } from './github-store.ts';

export interface GithubOptions extends ServerOptions {
  /** `owner/name`; `acme/app` if omitted. The owner is the organization. */
  repository?: string;
  renamed?: GithubRename;
  /** The owner is a person, so there are no organization secrets. */
  ownedByPerson?: boolean;
  /** The environments that exist. */
  environments?: string[];
  organizationSecrets?: Record<string, SecretChange>;
  /** Called with each value that a request has stored. */
  onWrite?: (write: Write) => void;
  /** Such as `/api/v3`, as on GitHub Enterprise Server. */
  pathPrefix?: string;
}

export interface Github {
  /** For `GITHUB_API_URL`, without a trailing slash. */
  url: string;
  port: number;
  repository: string;
  repositoryId: number;
  organization: string;
  /** May do everything. */
  token: string;
  /** Every token that GitHub knows. */
  readonly tokens: string[];
  requests: RecordedRequest[];
  violations: string[];
  readonly connections: number;
  /** As they are now; `value` is opened. */
  secrets: readonly StoredSecret[];
  /** What requests have stored, in order. */
  writes: readonly Write[];
  /** One without permissions acts like the job's own `GITHUB_TOKEN`; a `blind` one does not even see the repository. */
  addToken(token: { permissions: Permissions; blind?: boolean }): string;
  addEnvironment(name: string): void;
  removeEnvironment(name: string): void;
  /** The plain text; nothing when there is no such secret. */
  secretValue(place: PlaceName, name: string): string | undefined;
  /** What a person does on GitHub's pages. */
  editSecret(place: PlaceName, name: string, change?: SecretChange): StoredSecret;
  deleteSecret(place: PlaceName, name: string): boolean;
  /** What was sealed for the old key is refused. */
  rotateKey(place: PlaceName): void;
  /** Whoever reads the key next gets one that is outdated by the time it is used. */
  rotateKeyAfterNextRead(place: PlaceName): void;
  /** Refuses every request from now on until the limit is over. */
  limitRate(limit: RateLimit): void;
  fault(rule: FaultRule): void;
  clearFaults(): void;
  /** Resolves once no delayed work (`workAfter`) is left. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

interface Running extends Log {
  site: Site;
  prefix: string;
}

function receive({ site, prefix, violations }: Running, recorded: RecordedRequest): Received {
  if (!recorded.path.startsWith(`${prefix}/`)) {
    violations.push(`${recorded.method} ${recorded.path}: outside of ${prefix}`);
    return { request: recorded, work: () => page(404) };
  }
  const request = { ...recorded, path: recorded.path.slice(prefix.length) };
  violations.push(...checkGithubRequest(request));
  return { request, work: () => answerGithub(site, request) };
}

function siteOf(options: GithubOptions): Site {
  const now = options.now ?? Date.now;
  const repository = options.repository ?? 'acme/app';
  const site: Site = {
    ownedByPerson: options.ownedByPerson ?? false,
    ...(options.renamed && { renamed: options.renamed }),
    now,
    store: new GithubStore(now, options.onWrite),
    tokens: new Map(),
    repository,
    organization: repository.split('/')[0] ?? '',
    url: '',
  };
  for (const name of options.environments ?? []) site.store.addPlace(`environment:${name}`);
  for (const [name, secret] of Object.entries(options.organizationSecrets ?? {}))
    site.store.edit('organization', name, secret);
  return site;
}

function addToken(
  { tokens }: Site,
  { permissions, blind = false }: { permissions: Permissions; blind?: boolean },
): string {
  const token = `ghs_${randomBytes(27).toString('base64url').replace(/[-_]/g, 'x')}`;
  tokens.set(token, { permissions, blind });
  return token;
}

function githubOf({ site, requests, violations }: Running, server: LoopbackServer): Github {
  const { store, tokens, repository, organization, url } = site;
  return {
    ...server,
    url,
    repository,
    repositoryId,
    organization,
    token: addToken(site, {
      permissions: { secrets: 'write', environments: 'write', organization_secrets: 'write' },
    }),
    get tokens() {
      return [...tokens.keys()];
    },
    requests,
    violations,
    get connections() {
      return server.connections();
    },
    secrets: store.secrets,
    writes: store.writes,
    addToken: (token) => addToken(site, token),
    addEnvironment: (name) => store.addPlace(`environment:${name}`),
    removeEnvironment: (name) => store.removePlace(`environment:${name}`),
    secretValue: (place, name) => store.find(place, name)?.value,
    editSecret: (place, name, change = {}) => store.edit(place, name, change),
    deleteSecret: (place, name) => store.remove(place, name),
    rotateKey: (place) => store.rotateKey(place),
    rotateKeyAfterNextRead: (place) => store.rotateKeyAfterNextRead(place),
    limitRate: (limit) => {
      site.limit = { ...limit, until: site.now() + limit.seconds * 1000 };
    },
  };
}

/** Starts GitHub's REST API for Actions secrets on the loopback interface. */
export async function startGithub(options: GithubOptions = {}): Promise<Github> {
  await sodium.ready;
  const site = siteOf(options);
  const prefix = (options.pathPrefix ?? '').replace(/\/+$/, '');
  const running: Running = { site, prefix, requests: [], violations: [] };
  const service = { receive: (recorded: RecordedRequest) => receive(running, recorded), refusal: githubRefusal };
  const server = await startServer(options, service, running);
  site.url = `${server.origin}${prefix}`;
  return githubOf(running, server);
}
