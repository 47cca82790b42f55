import { RunaiError } from './errors.ts';

/** One small check for each shape of answer. Each throws where a promised field is missing or of the wrong type. */

type Fields = Record<string, unknown>;
type Mask = (secret: string) => void;

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
export function readTokens(json: unknown, mask: Mask): Tokens {
  const fields = object(json);
  const [idToken, refreshToken, externalToken] = ['id', 'refresh', 'external'].map(
    (kind) => optionalText(fields, `${kind}Token`) ?? optionalText(fields, `${kind}_token`),
  );
  const accessToken =
    optionalText(fields, 'accessToken') ?? text(fields, 'access_token', 'accessToken or access_token');
  for (const token of [accessToken, idToken, refreshToken, externalToken]) if (token) mask(token);
  const expiresIn = [fields['expiresIn'], fields['expires_in']].find(isLifetime);
  return { accessToken, idToken, refreshToken, externalToken, expiresIn };
}

/** The answer to a create: `secret` of `/api/v1/apps`, `clientSecret` of `/api/v1/service-accounts`. */
export function readCreatedApplication(json: unknown, mask: Mask): { application: Application; clientSecret: string } {
  const clientSecret = readClientSecret(json, mask);
  return { application: readApplication(json), clientSecret };
}

/** The answer to a secret reset, in both generations. */
export function readClientSecret(json: unknown, mask: Mask): string {
  const fields = object(json);
  const secret = optionalText(fields, 'clientSecret') ?? text(fields, 'secret', 'secret or clientSecret');
  mask(secret);
  return secret;
}

export function readApplications(json: unknown): Application[] {
  return array(json).map(readApplication);
}

// clientId may be missing; then it equals the name (Run:ai 2.20 to 2.24, create application).
function readApplication(json: unknown): Application {
  const fields = object(json);
  const name = text(fields, 'name');
  return { id: text(fields, 'id'), name, clientId: optionalText(fields, 'clientId') ?? name, createdAt: time(fields) };
}

/** Both answers in use: `{id, username, tempPassword}`, and the `{id, email, createdAt}` of NVIDIA's guide. */
export function readCreatedUser(json: unknown, mask: Mask): CreatedUser {
  const fields = object(json);
  const temporaryPassword = optionalText(fields, 'tempPassword');
  if (temporaryPassword) mask(temporaryPassword);
  return { id: text(fields, 'id'), createdAt: optionalText(fields, 'createdAt'), temporaryPassword };
}

export function readTemporaryPassword(json: unknown, mask: Mask): string {
  const password = text(object(json), 'tempPassword');
  mask(password);
  return password;
}

export function readUsers(json: unknown): User[] {
  return array(json).map((item) => {
    const fields = object(item);
    return {
      id: text(fields, 'id'),
      username: text(fields, 'username'),
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
  return { id: integer(fields, 'id'), name: text(fields, 'name') };
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
export function readIdToken(json: unknown, mask: Mask): string {
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

function time(fields: Fields): number | undefined {
  const value = Date.parse(optionalText(fields, 'createdAt') ?? '');
  return Number.isNaN(value) ? undefined : value;
}

function missing(what: string): RunaiError {
  return new RunaiError('unreadable', `JSON without ${what}`);
}
