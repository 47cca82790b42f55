import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { administratorRole, defaultRoles } from './profiles.ts';

export interface Application {
  id: string;
  name: string;
  clientId: string;
  /** The one secret that is valid now. */
  secret: string;
  enabled: boolean;
  createdAt: string | null;
  updatedAt: string | null;
  createdBy: string;
  lastLogin: string | null;
}

export interface User {
  id: string;
  username: string;
  isLocal: boolean;
  /** The one password that is valid now; absent for SSO users. */
  password?: string;
  resetPassword: boolean;
  notify?: boolean;
  createdAt: string | null;
  updatedAt: string | null;
  createdBy: string;
  lastLogin: string | null;
  groups: string[];
}

export interface AccessRule {
  id: number;
  subjectId: string;
  subjectType: string;
  roleId: number;
  scopeId: string;
  scopeType: string;
  createdAt: string;
  updatedAt: string;
  createdBy: string;
}

export interface Role {
  id: number;
  name: string;
}

export interface Cluster {
  uuid: string;
  name: string;
}

export interface Department {
  /** Digits. */
  id: string;
  name: string;
  clusterId: string;
}

export interface Project extends Department {
  /** The department's id. */
  parentId: string;
}

/** What is left out is that of the first one there is. */
export type DepartmentSeed = Pick<Department, 'name'> & Partial<Department>;
export type ProjectSeed = Pick<Project, 'name'> & Partial<Project>;
export type ClusterSeed = Pick<Cluster, 'name'> & Partial<Cluster>;

/** Whom an access token speaks for. */
export interface Subject {
  type: 'user' | 'app' | 'external';
  /** A user's username, an application's client id, or the external token's own subject. */
  id: string;
}

/** ISO 8601, or milliseconds, or null as a server may say it. */
export type Moment = string | number | null;

export interface ApplicationSeed {
  name: string;
  id?: string;
  clientId?: string;
  secret?: string;
  enabled?: boolean;
  createdAt?: Moment;
  createdBy?: string;
}

export interface UserSeed {
  email: string;
  id?: string;
  isLocal?: boolean;
  password?: string;
  resetPassword?: boolean;
  notify?: boolean;
  createdAt?: Moment;
  createdBy?: string;
}

export interface AccessRuleSeed {
  subjectId: string;
  subjectType: string;
  roleId: number;
  scopeId: string;
  scopeType: string;
  createdBy?: string;
}

export interface StateOptions {
  now: () => number;
  admin: { username: string; password: string };
  /** Seconds. */
  tokenLifetime: number;
  issuer: () => string;
  clientIdOf: (name: string) => string;
}

interface Session {
  subject: Subject;
  expiresAt: number;
}

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

function randomLetters(length: number): string {
  return Array.from({ length }, () => letters[randomInt(letters.length)]).join('');
}

/** Holds a character that has to be escaped in a form, as generated passwords do. */
export function randomPassword(): string {
  return `${randomLetters(9)}${'+&%=!'[randomInt(5)]}${randomLetters(6)}`;
}

/** Three base64url parts with a signature that nobody can check. */
export function jwt(claims: Record<string, unknown>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const header = part({ alg: 'RS256', typ: 'JWT', kid: 'simulator' });
  return `${header}.${part(claims)}.${randomBytes(128).toString('base64url')}`;
}

const same = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();

/** Everything a tenant's control plane remembers. */
export class State {
  readonly applications: Application[] = [];
  readonly users: User[] = [];
  readonly accessRules: AccessRule[] = [];
  readonly roles: Role[] = defaultRoles.map((role) => ({ ...role }));
  readonly projects: Project[] = [];
  readonly departments: Department[] = [];
  readonly clusters: Cluster[] = [];
  readonly secretsIssued: string[] = [];
  readonly externalTokens = new Map<string, { subject: string; audience?: string; expiresAt?: number }>();
  readonly #sessions = new Map<string, Session>();
  readonly #refreshTokens = new Map<string, Session>();
  readonly #options: StateOptions;
  #nextRule = 5001;
  #nextUnit = 4501001;

  constructor(options: StateOptions) {
    this.#options = options;
    const { username, password } = options.admin;
    this.addUser({ email: username, password, createdBy: 'system' });
  }

  #moment(given: Moment | undefined): string | null {
    if (given === null || typeof given === 'string') return given;
    return new Date(given ?? this.#options.now()).toISOString();
  }

  #nowText(): string {
    return new Date(this.#options.now()).toISOString();
  }

  /** Writes a secret into the list that tests compare leaks against. */
  remember(secret: string): string {
    this.secretsIssued.push(secret);
    return secret;
  }

  /** Two of one name too: what a control plane would not do, but a client may meet. */
  addApplication(seed: ApplicationSeed): Application {
    const createdAt = this.#moment(seed.createdAt);
    const application: Application = {
      id: seed.id ?? randomUUID(),
      name: seed.name,
      clientId: seed.clientId ?? this.#options.clientIdOf(seed.name),
      secret: this.remember(seed.secret ?? randomLetters(32)),
      enabled: seed.enabled ?? true,
      createdAt,
      updatedAt: createdAt,
      createdBy: seed.createdBy ?? this.#options.admin.username,
      lastLogin: null,
    };
    this.applications.push(application);
    return application;
  }

  applicationNamed(name: string): Application | undefined {
    return this.applications.find((application) => application.name === name);
  }

  resetSecret(application: Application): string {
    application.secret = this.remember(randomLetters(32));
    application.updatedAt = this.#nowText();
    return application.secret;
  }

  setEnabled(application: Application, enabled: boolean): void {
    application.enabled = enabled;
    application.updatedAt = this.#nowText();
  }

  removeApplication(application: Application): void {
    this.applications.splice(this.applications.indexOf(application), 1);
    this.#removeRules((rule) => rule.subjectType !== 'user' && rule.subjectId === application.clientId);
  }

  #removeRules(gone: (rule: AccessRule) => boolean): void {
    for (const rule of this.accessRules.filter(gone)) this.accessRules.splice(this.accessRules.indexOf(rule), 1);
  }

  /** @throws when the username is taken, in whatever case. */
  addUser(seed: UserSeed): User {
    if (this.userNamed(seed.email)) throw new Error(`A user ${seed.email} exists already`);
    const createdAt = this.#moment(seed.createdAt);
    const isLocal = seed.isLocal ?? true;
    const user: User = {
      id: seed.id ?? randomUUID(),
      username: seed.email,
      isLocal,
      resetPassword: seed.resetPassword ?? false,
      createdAt,
      updatedAt: createdAt,
      createdBy: seed.createdBy ?? this.#options.admin.username,
      lastLogin: null,
      groups: [],
    };
    if (isLocal) user.password = this.remember(seed.password ?? randomPassword());
    if (seed.notify !== undefined) user.notify = seed.notify;
    this.users.push(user);
    return user;
  }

  userNamed(username: string): User | undefined {
    return this.users.find((user) => same(user.username, username));
  }

  setNewPassword(user: User): string {
    user.password = this.remember(randomPassword());
    user.updatedAt = this.#nowText();
    return user.password;
  }

  removeUser(user: User): void {
    this.users.splice(this.users.indexOf(user), 1);
    this.#removeRules((rule) => rule.subjectType === 'user' && same(rule.subjectId, user.username));
  }

  addRole(role: Role): Role {
    const added = { ...role };
    this.roles.push(added);
    return added;
  }

  addAccessRule(seed: AccessRuleSeed): AccessRule {
    const now = this.#nowText();
    const createdBy = seed.createdBy ?? this.#options.admin.username;
    const rule: AccessRule = { ...seed, id: this.#nextRule++, createdAt: now, updatedAt: now, createdBy };
    this.accessRules.push(rule);
    return rule;
  }

  addCluster({ name, uuid = randomUUID() }: ClusterSeed): Cluster {
    const cluster = { uuid, name };
    this.clusters.push(cluster);
    return cluster;
  }

  addDepartment({ name, id = String(this.#nextUnit++), clusterId }: DepartmentSeed): Department {
    const department = { id, name, clusterId: clusterId ?? this.clusters[0]?.uuid ?? randomUUID() };
    this.departments.push(department);
    return department;
  }

  addProject({ parentId, ...seed }: ProjectSeed): Project {
    const { id = String(this.#nextUnit++), name, clusterId } = seed;
    const department = parentId ?? this.departments[0]?.id ?? String(this.#nextUnit++);
    const project = { id, name, clusterId: clusterId ?? this.clusters[0]?.uuid ?? randomUUID(), parentId: department };
    this.projects.push(project);
    return project;
  }

  hasSubject(type: string, id: string): boolean {
    if (type === 'user') return this.userNamed(id) !== undefined;
    if (type === 'group') return this.users.some((user) => user.groups.includes(id));
    return this.applications.some((application) => application.clientId === id);
  }

  isValidSecret(clientId: string, secret: string): boolean {
    return this.applications.some(
      (application) => application.enabled && application.clientId === clientId && application.secret === secret,
    );
  }

  isValidPassword(username: string, password: string): boolean {
    const user = this.userNamed(username);
    return user?.password !== undefined && user.password === password;
  }

  isValidToken(token: string): boolean {
    return this.subjectOf(token) !== undefined;
  }

  /** A new JWT for a subject, valid for the token lifetime, or ten times as long when it is a refresh token. */
  issue(subject: Subject, typ: 'Bearer' | 'ID' | 'Refresh' | 'External'): string {
    const seconds = Math.floor(this.#options.now() / 1000);
    const expires = seconds + this.#options.tokenLifetime * (typ === 'Refresh' ? 10 : 1);
    const token = jwt({
      iss: this.#options.issuer(),
      sub: subject.id,
      iat: seconds,
      exp: expires,
      jti: randomUUID(),
      typ,
    });
    if (typ === 'Bearer') this.#sessions.set(token, { subject, expiresAt: expires * 1000 });
    if (typ === 'Refresh') this.#refreshTokens.set(token, { subject, expiresAt: expires * 1000 });
    return this.remember(token);
  }

  /** Whom a token speaks for; nobody once it has expired or its subject is gone. */
  subjectOf(token: string): Subject | undefined {
    return this.#subjectIn(this.#sessions, token);
  }

  /** Whom a refresh token gets a new access token for; nobody when the application is disabled. */
  subjectOfRefresh(token: string): Subject | undefined {
    const subject = this.#subjectIn(this.#refreshTokens, token);
    const disabled = this.applications.some(({ clientId, enabled }) => clientId === subject?.id && !enabled);
    return subject?.type === 'app' && disabled ? undefined : subject;
  }

  #subjectIn(sessions: Map<string, Session>, token: string): Subject | undefined {
    const session = sessions.get(token);
    if (!session || this.#options.now() >= session.expiresAt) return undefined;
    const { subject } = session;
    return subject.type === 'external' || this.hasSubject(subject.type, subject.id) ? subject : undefined;
  }

  noteLogin(subject: Subject): void {
    const one =
      subject.type === 'user'
        ? this.userNamed(subject.id)
        : this.applications.find((application) => application.clientId === subject.id);
    if (one) one.lastLogin = this.#nowText();
  }

  /** The administrator, and whoever an access rule made one. */
  isAdministrator(subject: Subject): boolean {
    if (subject.type === 'user' && same(subject.id, this.#options.admin.username)) return true;
    return this.accessRules.some((rule) => {
      const role = this.roles.find(({ id }) => id === rule.roleId);
      const typeFits = (rule.subjectType === 'user') === (subject.type === 'user') && rule.subjectType !== 'group';
      return typeFits && rule.subjectId === subject.id && role?.name === administratorRole;
    });
  }
}
