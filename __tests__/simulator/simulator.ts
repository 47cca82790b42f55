import { randomBytes } from 'node:crypto';
import type { Answer } from './answers.ts';
import { page, refusal } from './answers.ts';
import { checkAnswer, checkRequest } from './contract.ts';
import type { FaultRule } from './faults.ts';
import { answerOidc } from './grants.ts';
import type { Oidc, Plane, Resource, TokenFields } from './plane.ts';
import type { MissingEndpoint, Version } from './profiles.ts';
import { answerRequest } from './routes.ts';
import type { Log, LoopbackServer, Received, RecordedRequest, ServerOptions } from './server.ts';
import { startServer } from './server.ts';
import type {
  AccessRule,
  AccessRuleSeed,
  Application,
  ApplicationSeed,
  Cluster,
  ClusterSeed,
  Department,
  DepartmentSeed,
  Project,
  ProjectSeed,
  Role,
  User,
  UserSeed,
} from './state.ts';
import { jwt, randomPassword, State } from './state.ts';

export type { EchoStyle } from './echo.ts';
export type { Fault, FaultRule, When } from './faults.ts';
export type { Resource, TokenFields } from './plane.ts';
export type { MissingEndpoint, Version } from './profiles.ts';
export type { AfterAnswer, RecordedRequest } from './server.ts';
export type {
  AccessRule,
  AccessRuleSeed,
  Application,
  ApplicationSeed,
  Cluster,
  ClusterSeed,
  Department,
  DepartmentSeed,
  Project,
  ProjectSeed,
  Role,
  User,
  UserSeed,
} from './state.ts';

/** The clock is also that of `createdAt` and of token expiry. */
export interface SimulatorOptions extends ServerOptions {
  /** 2.24 if omitted. */
  version?: Version;
  /** Such as `/runai`. */
  pathPrefix?: string;
  admin?: { username: string; password: string };
  /** Seconds. */
  tokenLifetime?: number;
  /** Requests per second by the server's clock; anything beyond gets 429. */
  rateLimit?: number;
  usersPageLimit?: number;
  rolesPageLimit?: number;
  ignoreUserFilter?: boolean;
  /** Create-user answers `{id, email, createdAt}`. */
  guideShapes?: boolean;
  /** Create-application answers come without `clientId`, which then equals the name. */
  omitClientId?: boolean;
  /** The client id of a new application; its name if omitted. */
  clientIdOf?: (name: string) => string;
  /** New objects have no `createdAt`. */
  nullCreatedAt?: boolean;
  /** Answers 409 to an access rule that exists, although the documents do not mention that status. */
  refuseDuplicateRules?: boolean;
  ignoreOrgUnitFilter?: boolean;
  /** The maximum number of projects or departments per page; 500 if omitted. */
  orgUnitsPageLimit?: number;
  /** The clusters come as `{clusters: […]}`, not as a bare list. */
  clustersInObject?: boolean;
  /** Resources that nobody may access, not even the administrator: 403. */
  forbid?: Resource[];
  /** The status of `/api/v1/token` for wrong credentials; 400, the documented one, if omitted. */
  wrongPasswordStatus?: 400 | 401;
  missingEndpoint?: MissingEndpoint;
  tokenFields?: TokenFields;
  /** External tokens that are trusted besides those of the OIDC stand-in. */
  externalTokens?: string[];
  /** What a token of the OIDC stand-in must be for. */
  oidcAudience?: string;
  /** Seconds; 300 if omitted. */
  oidcLifetime?: number;
  /**
   * The subject names the repository, or also its immutable ids as for those made since July 2026; `names` if omitted.
   */
  oidcSubject?: 'names' | 'ids';
  /** Whether an exchanged external token may do everything; true if omitted. */
  externalIsAdministrator?: boolean;
}

export interface Simulator {
  /** Base URL with the path prefix, without a trailing slash. */
  url: string;
  port: number;
  version: Version;
  admin: { username: string; password: string };
  requests: RecordedRequest[];
  violations: string[];
  /** Number of TCP connections so far. */
  readonly connections: number;
  applications: Application[];
  /** The administrator is the first one. */
  users: User[];
  accessRules: AccessRule[];
  roles: Role[];
  projects: Project[];
  departments: Department[];
  clusters: Cluster[];
  /** Resources that nobody may touch; can be changed. */
  forbidden: Set<Resource>;
  secretsIssued: string[];
  addApplication(seed: ApplicationSeed): Application;
  addUser(seed: UserSeed): User;
  addRole(role: Role): Role;
  addAccessRule(seed: AccessRuleSeed): AccessRule;
  addCluster(seed: ClusterSeed): Cluster;
  addDepartment(seed: DepartmentSeed): Department;
  addProject(seed: ProjectSeed): Project;
  isValidSecret(clientId: string, secret: string): boolean;
  isValidPassword(email: string, password: string): boolean;
  isValidToken(token: string): boolean;
  fault(rule: FaultRule): void;
  clearFaults(): void;
  /** Resolves once no delayed work (`workAfter`) is left. */
  settled(): Promise<void>;
  /** GitHub's side of OpenID Connect: a caller appends `&audience=` to the URL. */
  oidc: { url: string; requestToken: string; audience: string; subject: string };
  close(): Promise<void>;
}

interface Running extends Log {
  plane: Plane;
  prefix: string;
  rateLimit: number;
}

function planeOf(options: SimulatorOptions, url: () => string): Plane {
  const now = options.now ?? Date.now;
  const tokenLifetime = options.tokenLifetime ?? 3600;
  const admin = options.admin ?? { username: 'admin@runai.example', password: randomPassword() };
  const clientIdOf = (options.omitClientId ? undefined : options.clientIdOf) ?? ((name: string) => name);
  const state = new State({ now, admin, tokenLifetime, issuer: url, clientIdOf });
  for (const token of options.externalTokens ?? [])
    state.externalTokens.set(state.remember(token), { subject: 'external-identity' });
  return {
    version: options.version ?? '2.24',
    state,
    now,
    tokenLifetime,
    usersPageLimit: options.usersPageLimit ?? 500,
    rolesPageLimit: options.rolesPageLimit ?? 50,
    ignoreUserFilter: options.ignoreUserFilter ?? false,
    guideShapes: options.guideShapes ?? false,
    nullCreatedAt: options.nullCreatedAt ?? false,
    refuseDuplicateRules: options.refuseDuplicateRules ?? false,
    ignoreOrgUnitFilter: options.ignoreOrgUnitFilter ?? false,
    orgUnitsPageLimit: options.orgUnitsPageLimit ?? 500,
    clustersInObject: options.clustersInObject ?? false,
    forbidden: new Set(options.forbid),
    omitClientId: options.omitClientId ?? false,
    wrongPasswordStatus: options.wrongPasswordStatus ?? 400,
    missingEndpoint: options.missingEndpoint ?? 'json-404',
    tokenFields: options.tokenFields ?? {},
    externalIsAdministrator: options.externalIsAdministrator ?? true,
    oidc: oidcOf(options, state),
  };
}

function oidcOf({ oidcAudience, oidcLifetime, oidcSubject }: SimulatorOptions, state: State): Oidc {
  const repository = oidcSubject === 'ids' ? 'acme@9919/app@1296269' : 'acme/app';
  return {
    requestToken: state.remember(jwt({ iss: 'github', jti: randomBytes(8).toString('hex') })),
    audience: oidcAudience ?? 'runai',
    subject: `repo:${repository}:ref:refs/heads/main`,
    issuer: 'https://token.actions.githubusercontent.com',
    lifetime: oidcLifetime ?? 300,
  };
}

/** Over the limit within the last second, this request included. */
function overLimit({ requests, rateLimit, plane }: Running): boolean {
  const since = plane.now() - 1000;
  return requests.filter((request) => request.at > since && !isOidc(request.path)).length > rateLimit;
}

const isOidc = (path: string) => path.startsWith('/_oidc/');

/** The path without the prefix; nothing when it lies outside of it. */
function inside({ prefix }: Running, path: string): string | undefined {
  if (isOidc(path) || prefix === '') return path;
  return path.startsWith(`${prefix}/`) ? path.slice(prefix.length) : undefined;
}

function receive(running: Running, recorded: RecordedRequest): Received {
  const { plane, violations } = running;
  const path = inside(running, recorded.path);
  if (path === undefined) {
    violations.push(`${recorded.method} ${recorded.path}: outside of ${running.prefix}`);
    return { request: recorded, work: () => page(404) };
  }
  const request = { ...recorded, path };
  if (isOidc(path)) return { request, work: () => answerOidc(plane, request) };
  violations.push(...checkRequest(plane.version, request));
  const work = (passedOn: boolean): Answer => {
    const answer = overLimit(running) ? tooMany() : answerRequest(plane, request);
    if (passedOn && answer.documented) violations.push(...checkAnswer(plane.version, request, answer));
    return answer;
  };
  return { request, work };
}

function tooMany(): Answer {
  const refused = refusal(429, 'Too many requests');
  return { ...refused, documented: false, headers: { ...refused.headers, 'retry-after': '1' } };
}

function simulatorOf(running: Running, server: LoopbackServer, url: string): Simulator {
  const { plane, requests, violations } = running;
  const { state, oidc, version } = plane;
  const { username = '', password = '' } = state.users[0] ?? {};
  return {
    ...server,
    url,
    version,
    admin: { username, password },
    requests,
    violations,
    get connections() {
      return server.connections();
    },
    applications: state.applications,
    users: state.users,
    accessRules: state.accessRules,
    roles: state.roles,
    projects: state.projects,
    departments: state.departments,
    clusters: state.clusters,
    forbidden: plane.forbidden,
    secretsIssued: state.secretsIssued,
    addApplication: (seed) => state.addApplication(seed),
    addUser: (seed) => state.addUser(seed),
    addRole: (role) => state.addRole(role),
    addAccessRule: (seed) => state.addAccessRule(seed),
    addCluster: (seed) => state.addCluster(seed),
    addDepartment: (seed) => state.addDepartment(seed),
    addProject: (seed) => state.addProject(seed),
    isValidSecret: (clientId, secret) => state.isValidSecret(clientId, secret),
    isValidPassword: (email, password) => state.isValidPassword(email, password),
    isValidToken: (token) => state.isValidToken(token),
    oidc: {
      url: `${server.origin}/_oidc/token?api-version=2.0`,
      requestToken: oidc.requestToken,
      audience: oidc.audience,
      subject: oidc.subject,
    },
  };
}

/** Starts a control plane on the loopback interface. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  let url = '';
  const plane = planeOf(options, () => url);
  const prefix = (options.pathPrefix ?? '').replace(/\/+$/, '');
  const rateLimit = options.rateLimit ?? Number.POSITIVE_INFINITY;
  const running: Running = { plane, prefix, requests: [], violations: [], rateLimit };
  const service = { receive: (recorded: RecordedRequest) => receive(running, recorded), refusal };
  const server = await startServer(options, service, running);
  url = `${server.origin}${prefix}`;
  return simulatorOf(running, server, url);
}
