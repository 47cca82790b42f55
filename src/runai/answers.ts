import { RunaiError } from './errors.ts';

/** One small check for each shape of answer. Each throws where a promised field is missing or of the wrong type. */

type Fields = Record<string, unknown>;

export interface Tokens {
  accessToken: string;
  idToken: string | undefined;
  refreshToken: string | undefined;
  externalToken: string | undefined;
  /** Seconds. */
  expiresIn: number | undefined;
}

export interface Application {
  id: string;
  name: string;
  clientId: string;
  /** Milliseconds since the epoch. */
  createdAt: number | undefined;
}

export interface User {
  id: string;
  username: string;
  /** False for a user of single sign-on, who has no password here. */
  isLocal: boolean;
  /** Milliseconds since the epoch. */
  createdAt: number | undefined;
}

export interface CreatedUser {
  id: string;
  /** The address as the server writes it, if it sent it. */
  username: string | undefined;
  /** As the server sent it. */
  createdAt: string | undefined;
  temporaryPassword: string | undefined;
}

export interface Role {
  id: number;
  name: string;
}

export interface AccessRule {
  subjectId: string;
  subjectType: string;
  roleId: number;
  scopeType: string;
  scopeId: string;
}

/** Both generations: `accessToken` of `/api/v1/token`, `access_token` of `/api/v2/token`. */
export function readTokens(json: unknown): Tokens {
  const fields = object(json);
  const [idToken, refreshToken, externalToken] = ['id', 'refresh', 'external'].map(
    (kind) => optionalText(fields, `${kind}Token`) ?? optionalText(fields, `${kind}_token`),
  );
  const accessToken = optionalText(fields, 'accessToken') ?? optionalText(fields, 'access_token') ?? '';
  // A header must be able to carry it.
  if (!/^[\x21-\x7e]{1,65536}$/.test(accessToken)) throw missing('accessToken or access_token');
  const expiresIn = [fields['expiresIn'], fields['expires_in']].find(isLifetime);
  return { accessToken, idToken, refreshToken, externalToken, expiresIn };
}

/** The answer to creating an application of the given name: `secret` of `/api/v1/apps`, `clientSecret` of `/api/v1/service-accounts`. */
export function readCreatedApplication(
  json: unknown,
  name: string,
): { application: Application; clientSecret: string } {
  return { application: readApplication({ ...object(json), name }), clientSecret: readClientSecret(json) };
}

/** The answer to a secret reset, in both generations. */
export function readClientSecret(json: unknown): string {
  const fields = object(json);
  return optionalText(fields, 'clientSecret') ?? text(fields, 'secret', 'secret or clientSecret');
}

export function readApplications(json: unknown): Application[] {
  return array(json).map(readApplication);
}

// clientId may be missing; then it equals the name (Run:ai 2.20 to 2.24, create application).
function readApplication(json: unknown): Application {
  const fields = object(json);
  const name = label(fields, 'name');
  const clientId = fields['clientId'] ? id(fields, 'clientId') : name;
  return { id: id(fields), name, clientId, createdAt: time(fields) };
}

/** Both answers in use: `{id, username, tempPassword}`, and the `{id, email, createdAt}` of NVIDIA's guide. */
export function readCreatedUser(json: unknown): CreatedUser {
  const fields = object(json);
  const createdAt = optionalText(fields, 'createdAt');
  return {
    id: id(fields),
    username: optionalText(fields, 'username') ?? optionalText(fields, 'email'),
    createdAt: createdAt && isoTime.test(createdAt) ? createdAt : undefined,
    temporaryPassword: optionalText(fields, 'tempPassword'),
  };
}

export function readTemporaryPassword(json: unknown): string {
  return text(object(json), 'tempPassword');
}

export function readUsers(json: unknown): User[] {
  return array(json).map((item) => {
    const fields = object(item);
    return {
      id: id(fields),
      username: label(fields, 'username'),
      isLocal: fields['isLocal'] !== false,
      createdAt: time(fields),
    };
  });
}

/** A bare array up to 2.24; `{roles, next}` from there on, where `next` is missing on the last page. */
export function readRoles(json: unknown): { roles: Role[]; last: boolean } {
  if (Array.isArray(json)) return { roles: json.map(readRole), last: true };
  const fields = object(json);
  return { roles: array(fields['roles']).map(readRole), last: !Number.isInteger(fields['next']) };
}

function readRole(json: unknown): Role {
  const fields = object(json);
  return { id: integer(fields, 'id'), name: label(fields, 'name') };
}

export function readAccessRules(json: unknown): { rules: AccessRule[]; total: number } {
  const fields = object(json);
  return { rules: array(fields['accessRules']).map(readAccessRule), total: integer(fields, 'totalRecords') };
}

export function readAccessRule(json: unknown): AccessRule {
  const fields = object(json);
  const [subjectId, subjectType] = [text(fields, 'subjectId'), text(fields, 'subjectType')];
  const [scopeType, scopeId] = [text(fields, 'scopeType'), text(fields, 'scopeId')];
  return { subjectId, subjectType, roleId: integer(fields, 'roleId'), scopeType, scopeId };
}

/** The answer of GitHub's token service. */
export function readIdToken(json: unknown, mask: (secret: string) => void): string {
  const token = text(object(json), 'value');
  mask(token);
  return token;
}

/**
 * What a server says about a failure, as `: "message (details)"`, or nothing where it says nothing usable: `message`
 * and `details` of Run:ai, `error` and `error_description` of OAuth 2 (RFC 6749, 5.2).
 */
export function serverText(json: unknown, clean: (text: string) => string): string {
  if (typeof json !== 'object' || json === null) return '';
  const fields = json as Fields;
  const said = ['message', 'details', 'error', 'error_description']
    .map((name) => fields[name])
    .filter((value): value is string => typeof value === 'string' && value.trim() !== '')
    .map(clean);
  return said.length === 0 ? '' : `: "${said.join('; ')}"`;
}

function object(json: unknown): Fields {
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Fields;
  throw missing('an object');
}

function array(json: unknown): unknown[] {
  if (Array.isArray(json)) return json;
  throw missing('a list');
}

function text(fields: Fields, name: string, label = name): string {
  const value = fields[name];
  if (typeof value === 'string' && value !== '') return value;
  throw missing(label);
}

/** A name that people read. */
function label(fields: Fields, name: string): string {
  const value = text(fields, name);
  if (value.length <= 1024 && !/\p{Cc}/u.test(value)) return value;
  throw missing(name);
}

function optionalText(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function integer(fields: Fields, name: string): number {
  const value = fields[name];
  if (Number.isSafeInteger(value)) return value as number;
  throw missing(name);
}

function isLifetime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0 && (value as number) < 1e9;
}

// RFC 3339, with a zone: a time without one would be read by the clock of this machine.
const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

function time(fields: Fields): number | undefined {
  const text = optionalText(fields, 'createdAt') ?? '';
  const value = isoTime.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(value) ? undefined : value;
}

/** An id becomes an output and part of a path: it must be one word, and no step to another folder. */
function id(fields: Fields, name = 'id'): string {
  const value = text(fields, name);
  if (/^[\x21-\x7e]{1,255}$/.test(value) && !/^\.\.?$/.test(value)) return value;
  throw missing(name);
}

function missing(what: string): RunaiError {
  return new RunaiError('unreadable', `JSON without ${what}`);
}
