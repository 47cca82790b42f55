import { type Fields, integer, list, missing, object, optionalText, secret, text, time } from '../http/shapes.ts';

/**
 * One small check for each shape of answer. Each throws `unreadable` if a promised field is missing or has the wrong
 * type, and masks the secrets that it extracts. Rows of a list that cannot be read are set aside, and do not throw.
 */

type Mask = (secret: string) => void;

/** All times are milliseconds since the epoch, by the control plane's clock. */
export interface ApplicationRow {
  id: string;
  name: string;
  clientId: string;
  createdAt: number | undefined;
  /**
   * When it last got a token; undefined if the control plane does not say, or says so in a form that cannot be read.
   */
  lastLogin: number | 'never' | undefined;
  enabled: boolean;
}

/** The answer to a create: its secret must not be lost, even if nothing else can be read. */
export interface CreatedApplication {
  clientSecret: string;
  id: string | undefined;
  clientId: string | undefined;
  /** Whether the answer is about the application that was asked for. */
  isAsked: boolean;
}

export interface User {
  id: string;
  username: string;
  /** False for a single sign-on user, who has no password here. */
  isLocal: boolean;
  createdAt: number | undefined;
}

export interface CreatedUser {
  id: string | undefined;
  /** The address as the server writes it, if it sent one. */
  username: string | undefined;
  /** As the server sent it. */
  createdAt: string | undefined;
  temporaryPassword: string | undefined;
}

export interface Role {
  id: number;
  name: string;
}

/** A project, a department or a cluster. */
export interface OrgUnit {
  id: string;
  name: string;
  /** The cluster that it belongs to; undefined for a cluster. */
  clusterId: string | undefined;
}

export interface AccessRule {
  subjectId: string;
  subjectType: string;
  roleId: number;
  scopeType: string;
  scopeId: string;
}

/** The rows of a list that can be read, and the others unchanged. */
export interface Rows<T> {
  rows: T[];
  odd: unknown[];
}

/** A list that says where the next page begins; undefined on the last one. */
export interface PagedRows<T> extends Rows<T> {
  next: number | undefined;
}

/** The answer to creating an application: `secret` of `/api/v1/apps`, `clientSecret` of `/api/v1/service-accounts`. */
export function readCreatedApplication(
  json: unknown,
  { name, mask }: { name: string; mask: Mask },
): CreatedApplication {
  const clientSecret = readClientSecret(json, mask);
  const fields = object(json);
  const isAsked = fields['name'] === undefined || fields['name'] === name;
  return { clientSecret, id: optionalId(fields['id']), clientId: clientIdOf(fields, name), isAsked };
}

/** The answer to a secret reset, in both generations. */
export function readClientSecret(json: unknown, mask: Mask): string {
  const fields = object(json);
  const value = secret(optionalText(fields, 'clientSecret') ?? optionalText(fields, 'secret'), mask);
  if (value === undefined) throw missing('secret or clientSecret');
  return value;
}

export function readApplications(json: unknown): Rows<ApplicationRow> {
  return readable(list(json), (fields) => {
    const name = label(fields, 'name');
    const clientId = clientIdOf(fields, name);
    if (clientId === undefined) throw missing('clientId');
    return {
      id: id(fields),
      name,
      clientId,
      createdAt: time(fields['createdAt']),
      lastLogin: fields['lastLogin'] === null ? 'never' : time(fields['lastLogin']),
      enabled: fields['enabled'] !== false,
    };
  });
}

// clientId may be missing; then it equals the name (Run:ai 2.20 to 2.24, create application).
function clientIdOf(fields: Fields, name: string): string | undefined {
  return fields['clientId'] ? optionalId(fields['clientId']) : name;
}

/** Both answers in use: `{id, username, tempPassword}`, and the `{id, email, createdAt}` of NVIDIA's guide. */
export function readCreatedUser(json: unknown, mask: Mask): CreatedUser {
  const fields = object(json);
  const temporaryPassword = secret(optionalText(fields, 'tempPassword'), mask);
  const createdAt = optionalText(fields, 'createdAt');
  const user = {
    id: optionalId(fields['id']),
    username: optionalText(fields, 'username') ?? optionalText(fields, 'email'),
    createdAt: time(createdAt) === undefined ? undefined : createdAt,
    temporaryPassword,
  };
  // Without either, this is not an answer to a create.
  if (user.id === undefined && temporaryPassword === undefined) throw missing('id');
  return user;
}

export function readTemporaryPassword(json: unknown, mask: Mask): string {
  const value = secret(optionalText(object(json), 'tempPassword'), mask);
  if (value === undefined) throw missing('tempPassword');
  return value;
}

export function readUsers(json: unknown): Rows<User> {
  return readable(list(json), (fields) => ({
    id: id(fields),
    username: label(fields, 'username'),
    isLocal: fields['isLocal'] !== false,
    createdAt: time(fields['createdAt']),
  }));
}

/** A bare array up to 2.24; `{roles, next}` after that. */
export function readRoles(json: unknown): PagedRows<Role> {
  return page(json, 'roles', (fields) => ({ id: int32(fields, 'id'), name: label(fields, 'name') }));
}

/** `{projects, next}` or `{departments, next}`. */
export function readOrgUnits(json: unknown, kind: 'projects' | 'departments'): PagedRows<OrgUnit> {
  return page(json, kind, (fields) => ({
    id: scopeId(fields['id']),
    name: label(fields, 'name'),
    clusterId: optionalText(fields, 'clusterId'),
  }));
}

/** A bare array; one description of the API says `{clusters}`. */
export function readClusters(json: unknown): Rows<OrgUnit> {
  return page(json, 'clusters', (fields) => ({
    id: scopeId(fields['uuid']),
    name: label(fields, 'name'),
    clusterId: undefined,
  }));
}

export function readAccessRules(json: unknown): Rows<AccessRule> & { total: number } {
  const fields = object(json);
  return { ...readable(list(fields['accessRules']), readAccessRule), total: integer(fields, 'totalRecords') };
}

export function readAccessRule(json: unknown): AccessRule {
  const fields = object(json);
  const [subjectId, subjectType] = [text(fields, 'subjectId'), text(fields, 'subjectType')];
  const scopeType = text(fields, 'scopeType');
  return { subjectId, subjectType, roleId: integer(fields, 'roleId'), scopeType, scopeId: scopeId(fields['scopeId']) };
}

function page<T>(json: unknown, name: string, read: (fields: Fields) => T): PagedRows<T> {
  if (Array.isArray(json)) return { ...readable(json, read), next: undefined };
  const fields = object(json);
  const { next } = fields;
  return { ...readable(list(fields[name]), read), next: Number.isInteger(next) ? (next as number) : undefined };
}

/** A list with more unreadable rows than this does not come from this API. */
const ODD_LIMIT = 1_000;

function readable<T>(items: unknown[], read: (fields: Fields) => T): Rows<T> {
  const result: Rows<T> = { rows: [], odd: [] };
  for (const item of items) {
    try {
      result.rows.push(read(object(item)));
    } catch {
      result.odd.push(item);
      if (result.odd.length > ODD_LIMIT) throw missing('rows that can be read');
    }
  }
  return result;
}

/** A name that people read. */
function label(fields: Fields, name: string): string {
  const value = text(fields, name);
  if (value.length <= 1024 && !/\p{Cc}/u.test(value)) return value;
  throw missing(name);
}

function int32(fields: Fields, name: string): number {
  const value = integer(fields, name);
  if (value === (value | 0)) return value;
  throw missing(name);
}

/** An id becomes an output and part of a path: it must be one word, and not `.` or `..`. */
function optionalId(value: unknown): string | undefined {
  const fits = typeof value === 'string' && /^[\x21-\x7e]{1,255}$/.test(value) && !/^\.\.?$/.test(value);
  return fits ? value : undefined;
}

function id(fields: Fields): string {
  const value = optionalId(fields['id']);
  if (value === undefined) throw missing('id');
  return value;
}

// Documented as a string, but a number means the same.
function scopeId(value: unknown): string {
  const found = optionalId(typeof value === 'number' ? String(value) : value);
  if (found === undefined) throw missing('id');
  return found;
}
