import { X509Certificate } from 'node:crypto';
import { RunaiError } from './errors.ts';
import type { StoreTarget } from './github/place.ts';
import { checkHeader, fitsHeader, isSafeUrl, secretsHint } from './inputs/checks.ts';
import { InputReader, type InputSource, splitCredentials } from './inputs/reader.ts';
import { type InputName, type Mode, modes } from './inputs/specs.ts';
import { readStore } from './inputs/store.ts';
import { foldCase } from './names.ts';
import type { WantedRule } from './runai/access-rules.ts';
import type { ApplicationKey } from './runai/applications.ts';
import type { IfExists } from './runai/create.ts';
import { scopeTypes } from './runai/scope-types.ts';

export type { InputSource } from './inputs/reader.ts';
export { type InputName, inputSpecs, type Mode, modes } from './inputs/specs.ts';

/** The one way to authenticate that the inputs choose. */
export type Credentials =
  | { by: 'application'; clientId: string; clientSecret: string }
  | { by: 'user'; username: string; password: string }
  | { by: 'external-token'; externalToken: string }
  | { by: 'oidc'; audience: string; url: string; requestToken: string }
  | { by: 'access-token'; accessToken: string };

interface Common {
  /** Without a trailing slash. */
  url: string;
  credentials: Credentials;
  /** Additional certificates to trust, in PEM form. */
  roots: string[] | undefined;
  timeoutSeconds: number;
}

interface TokenInputs {
  mode: 'token';
}
interface CreateAppInputs {
  mode: 'create-app';
  name: string;
  ifExists: IfExists | 'repair';
  accessRules: WantedRule[];
  store: StoreTarget | undefined;
}
interface CreateUserInputs {
  mode: 'create-user';
  /** At least one, without duplicates. */
  emails: string[];
  resetPassword: boolean;
  notify: boolean | undefined;
  ifExists: IfExists;
  accessRules: WantedRule[];
}
interface RotateAppInputs {
  mode: 'rotate-app';
  key: ApplicationKey;
  store: StoreTarget | undefined;
  /** Days. */
  rotateAfter: number | undefined;
  overlap: Overlap | undefined;
}
interface DeleteAppInputs {
  mode: 'delete-app';
  key: ApplicationKey;
}

/** A rotation without downtime. */
export interface Overlap {
  /** The prefix of the names of all members of the family. */
  name: string;
  hours: number;
  /** Undefined if the next application gets the rules of the one in use. */
  accessRules: WantedRule[] | undefined;
}

type ModeInputs = TokenInputs | CreateAppInputs | CreateUserInputs | RotateAppInputs | DeleteAppInputs;

/** What a run is asked to do. Once this exists, no input is looked up by its name again. */
export type Inputs = Common & ModeInputs;
export type InputsFor<M extends Mode> = Extract<Inputs, { mode: M }>;

/**
 * Reads all inputs into one value.
 * @throws RunaiError `inputs`, with every problem of every input
 */
export function parseInputs(source: InputSource): Inputs {
  const reader = new InputReader(source);
  const mode = readMode(reader);
  const common = {
    url: readUrl(reader),
    credentials: readCredentials(reader, mode),
    roots: readRoots(reader),
    timeoutSeconds: reader.wholeNumber('timeout-seconds', 3600),
  };
  const own = mode && readOwn(reader, mode);
  if (own) checkOwnPassword(reader, own, common.credentials);
  if (mode) reader.refuseUnused(mode);
  if (reader.problems.length > 0) throw inputsError(reader.problems, mode);
  return { ...common, ...own } as Inputs;
}

function readOwn(reader: InputReader, mode: Mode): ModeInputs {
  switch (mode) {
    case 'token':
      return { mode };
    case 'create-app':
      return readCreateApp(reader);
    case 'create-user':
      return {
        mode,
        emails: readEmails(reader),
        resetPassword: reader.boolean('reset-password') === true,
        notify: reader.boolean('notify'),
        ifExists: readIfExists(reader, ['fail', 'skip', 'rotate']),
        accessRules: readAccessRules(reader),
      };
    case 'rotate-app':
      return readRotateApp(reader);
    case 'delete-app':
      return { mode, key: readApplicationKey(reader, mode) };
  }
}

/** A new password for whoever signs in would lock the job out, as a new secret for its application would. */
function checkOwnPassword(reader: InputReader, own: ModeInputs, credentials: Credentials | undefined): void {
  if (own.mode !== 'create-user' || own.ifExists !== 'rotate' || credentials?.by !== 'user') return;
  const username = foldCase(credentials.username);
  if (!own.emails.some((email) => foldCase(email) === username)) return;
  reader.report('email contains the user that this step signs in as: rotate would replace that password');
}

const PROBLEM_LIMIT = 20;

function inputsError(problems: string[], mode: Mode | undefined): RunaiError {
  const operation = mode && `${mode}:`;
  // The hint about secrets appears once, even if several are missing.
  const shown = problems.slice(0, PROBLEM_LIMIT).map((problem) => problem.replace(` ${secretsHint}`, ''));
  const hint = problems.some((problem) => problem.includes(secretsHint)) ? secretsHint : undefined;
  const details = { operation, hint };
  if (problems.length === 1)
    return new RunaiError('inputs', `there is a problem with the inputs: ${shown[0]}`, details);
  if (problems.length > PROBLEM_LIMIT) shown.push(`and ${problems.length - PROBLEM_LIMIT} more`);
  const list = shown.map((problem) => `\n- ${problem}`).join('');
  return new RunaiError('inputs', `there are ${problems.length} problems with the inputs:${list}`, details);
}

function readMode(reader: InputReader): Mode | undefined {
  const value = reader.given('mode');
  const mode = modes.find((known) => known === value);
  if (mode) return mode;
  const what = value ? `is ${reader.quote(value)}` : 'is missing';
  reader.report(`mode ${what}: it must be one of ${modes.join(', ')}`);
  return undefined;
}

const URL_LIMIT = 2048;

function readUrl(reader: InputReader): string {
  const value = reader.given('url');
  if (!value) {
    return reader.report(
      `url is missing: it is the address of the control plane, such as https://acme.run.ai. ${secretsHint}`,
    );
  }
  // The value is not quoted: it may contain a password.
  if (value.length > URL_LIMIT || !URL.canParse(value) || !/^https?:\/\//i.test(value)) {
    return reader.report('url is not a URL: write it in full, such as https://console.example.com');
  }
  const url = new URL(value);
  reader.source.mask(url.password);
  if (!isSafeUrl(value)) reader.report('url must begin with https://: plain http would send the secrets unencrypted');
  if (url.username || url.password) {
    reader.report('url must not contain a user name or password: there are inputs for them');
  }
  if (/[?#]/.test(value)) reader.report('url must not contain a query (?) or a fragment (#)');
  const path = url.pathname.replace(/\/+$/, '');
  const [api] = /\/api(\/v\d+)?(\/(token|apps|users))?$/.exec(path) ?? [];
  if (api) reader.report(`url must end before ${api}, which this action adds by itself`);
  return url.origin + path;
}

function readCredentials(reader: InputReader, mode: Mode | undefined): Credentials | undefined {
  const ways = [
    pair(reader, 'client-id', 'client-secret', (clientId, clientSecret) => ({
      by: 'application',
      clientId,
      clientSecret,
    })),
    single(reader, 'credentials', (value) => halves(reader, value)),
    pair(reader, 'username', 'password', (username, password) => ({ by: 'user', username, password })),
    single(reader, 'external-token', (externalToken) => ({ by: 'external-token', externalToken })),
    single(reader, 'oidc-audience', (audience) => oidc(reader, audience)),
    mode === 'token'
      ? undefined
      : single(reader, 'access-token', (accessToken) => {
          checkHeader(reader, 'access-token', 'a mode: token step');
          return { by: 'access-token', accessToken };
        }),
  ].filter((way) => way !== undefined);
  if (ways.length > 1) {
    const names = ways.map((way) => way.names).join('; ');
    reader.report(`there is more than one way to authenticate: ${names}. Give exactly one`);
  }
  if (ways.length === 0) {
    const token = mode === 'token' ? '' : ', access-token';
    reader.report(
      `there are no credentials: give client-id with client-secret, credentials, username with password, external-token, oidc-audience${token}. ${secretsHint}`,
    );
  }
  return ways[0]?.credentials;
}

function pair(
  reader: InputReader,
  first: InputName,
  second: InputName,
  make: (first: string, second: string) => Credentials,
) {
  const values = [reader.given(first), reader.given(second)] as const;
  if (!values[0] && !values[1]) return undefined;
  const [empty, other] = values[0] ? [second, first] : [first, second];
  if (!values[0] || !values[1]) reader.report(`${empty} is empty, while ${other} is given. ${secretsHint}`);
  return { names: `${first} with ${second}`, credentials: make(...values) };
}

function single(reader: InputReader, name: InputName, make: (value: string) => Credentials) {
  const value = reader.given(name);
  return value ? { names: name as string, credentials: make(value) } : undefined;
}

function halves(reader: InputReader, value: string): Credentials {
  const [clientId = '', clientSecret = ''] = splitCredentials(value);
  if (!clientId || !clientSecret) {
    reader.report('credentials is not of the form <client-id>:<client-secret>, with neither half empty');
  }
  return { by: 'application', clientId, clientSecret };
}

function oidc(reader: InputReader, audience: string): Credentials {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url = '', ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken = '' } =
    reader.source.env;
  reader.source.mask(requestToken);
  if (!requestToken || !isSafeUrl(url) || !fitsHeader(requestToken)) {
    reader.report(
      'oidc-audience: GitHub offers this job no OIDC token; give the job permissions: id-token: write (runs from forks cannot get it)',
    );
  }
  return { by: 'oidc', audience, url, requestToken };
}

function readRoots(reader: InputReader): string[] | undefined {
  const value = reader.given('ca-certificate');
  if (!value) return undefined;
  const pem = value.includes('-----BEGIN') ? value : readCertificateFile(reader, value);
  if (pem === undefined) return undefined;
  const certificates =
    pem.match(/-----BEGIN (TRUSTED )?CERTIFICATE-----[^-]*-----END (TRUSTED )?CERTIFICATE-----/g) ?? [];
  if (certificates.length === 0) {
    reader.report('ca-certificate contains no certificate in PEM form (-----BEGIN CERTIFICATE-----)');
  }
  certificates.forEach((certificate, index) => {
    if (!isCertificate(certificate)) reader.report(`ca-certificate: certificate number ${index + 1} cannot be read`);
  });
  return certificates;
}

function readCertificateFile(reader: InputReader, path: string): string | undefined {
  try {
    return reader.source.readFile(path);
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    const why = typeof code === 'string' ? code : (error as Error).message;
    reader.report(`ca-certificate is neither PEM text nor a file that can be read (${reader.quote(path)}: ${why})`);
    return undefined;
  }
}

function isCertificate(pem: string): boolean {
  try {
    return Boolean(new X509Certificate(pem));
  } catch {
    return false;
  }
}

function readCreateApp(reader: InputReader): CreateAppInputs {
  const store = readStore(reader);
  const ifExists = readIfExists(reader, ['fail', 'skip', 'rotate', 'repair']);
  if (ifExists === 'repair' && !store) reader.report('if-exists: repair needs store-as');
  const mode = 'create-app';
  return { mode, name: readAppName(reader, mode), ifExists, accessRules: readAccessRules(reader), store };
}

const HOURS_A_DAY = 24;
/** The name of a member of a family has 23 more characters, `-<tag>-<date>-<time>`. */
const FAMILY_NAME_LIMIT = 230;

function readRotateApp(reader: InputReader): RotateAppInputs {
  const mode = 'rotate-app';
  const store = readStore(reader);
  const hours = reader.wholeNumber('overlap-hours', 8760);
  const rotateAfter = reader.wholeNumber('rotate-after-days', 3650);
  if (reader.given('rotate-after-days') && !store) reader.report('rotate-after-days needs store-as');
  if (!reader.given('overlap-hours')) {
    if (reader.given('access-rules')) reader.report('access-rules: mode rotate-app uses them only with overlap-hours');
    return { mode, key: readApplicationKey(reader, mode), store, rotateAfter, overlap: undefined };
  }
  if (!store) reader.report('overlap-hours needs store-as');
  if (hours && rotateAfter && rotateAfter * HOURS_A_DAY < hours) {
    reader.report(
      `rotate-after-days is shorter than overlap-hours (${hours} hours): an application would be replaced before its predecessor is retired`,
    );
  }
  if (reader.given('app-id'))
    reader.report('app-id cannot be used with overlap-hours: use app-name, the prefix of the application names');
  if (store && !store.identity) {
    const variable = store.place.kind === 'organization' ? 'GITHUB_REPOSITORY_OWNER' : 'GITHUB_REPOSITORY';
    reader.report(
      `overlap-hours: neither ${variable}_ID nor ${variable} is set, so it is not known whose secret this is`,
    );
  }
  const name = readAppName(reader, mode);
  if (name.length > FAMILY_NAME_LIMIT) {
    reader.report(
      `app-name must have at most ${FAMILY_NAME_LIMIT} characters with overlap-hours, which adds a date and a time`,
    );
  }
  const accessRules = reader.given('access-rules') ? readAccessRules(reader) : undefined;
  return { mode, key: { name }, store, rotateAfter, overlap: { name, hours: hours ?? 0, accessRules } };
}

/** Run:ai 2.20 to 3.0, create application. */
function readAppName(reader: InputReader, mode: Mode): string {
  const name = reader.given('app-name');
  if (!name) return reader.report(`app-name is missing: mode ${mode} needs it`);
  if (isAppName(name)) return name;
  const lower = name.toLowerCase();
  const advice = isAppName(lower) ? `. ${lower} would do` : '';
  reader.report(
    `app-name must have 2 to 255 characters: lower-case letters, digits, - and _, with a letter first and a letter or digit last${advice}`,
  );
  return name;
}

function isAppName(name: string): boolean {
  return name.length <= 255 && /^[a-z][-_a-z0-9]*[a-z0-9]$/.test(name);
}

function readApplicationKey(reader: InputReader, mode: Mode): ApplicationKey {
  const id = reader.given('app-id');
  const name = reader.given('app-name');
  if (id && name) reader.report('app-id and app-name are both given: give one of them');
  if (id) return { id };
  if (name) return { name: readAppName(reader, mode) };
  reader.report(`app-name or app-id is missing: mode ${mode} needs one of them`);
  return { id };
}

/** Run:ai 2.20 to 3.0, create user. One address per line; duplicates, in whatever case, are dropped. */
function readEmails(reader: InputReader): string[] {
  const lines = reader.given('email').split(/\r?\n/);
  const given = lines.map((line) => line.trim()).filter((line) => line !== '');
  if (given.length === 0) reader.report('email is missing: mode create-user needs it');
  const byFoldedName = new Map<string, string>();
  for (const email of given) {
    if (!isEmail(email)) reportEmail(reader, email);
    const key = foldCase(email);
    if (!byFoldedName.has(key)) byFoldedName.set(key, email);
  }
  return [...byFoldedName.values()];
}

function reportEmail(reader: InputReader, email: string): void {
  const parts = email.split(/[\s,;]+/).filter((part) => part !== '');
  if (parts.length > 1 && parts.every(isEmail)) {
    reader.report('email contains several addresses on one line: write one address per line');
  } else {
    reader.report(`email: ${reader.quote(email)} is not an email address of 5 to 254 characters`);
  }
}

function isEmail(text: string): boolean {
  return text.length <= 254 && /^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$/.test(text);
}

function readIfExists<Choice extends string>(reader: InputReader, choices: Choice[]): Choice {
  const value = reader.given('if-exists');
  const choice = choices.find((known) => known === value);
  if (choice) return choice;
  const repair = value === 'repair' ? ' (repair is for create-app with store-as)' : '';
  reader.report(`if-exists is ${reader.quote(value)}: it must be one of ${choices.join(', ')}${repair}`);
  return choices[0] as Choice;
}

const LARGEST_ROLE_ID = 2 ** 31 - 1;

function readAccessRules(reader: InputReader): WantedRule[] {
  const lines = reader
    .given('access-rules')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  return [...new Set(lines)].flatMap((line) => {
    const [, role = '', type, scopeId = ''] = /^(.*\S)\s*@\s*([a-z]+)\s*:\s*(\S.*)$/.exec(line) ?? [];
    const scopeType = scopeTypes.find((known) => known === type);
    if (!scopeType) {
      reader.report(
        `access-rules: ${reader.quote(line)} is not <role> @ <scope type>:<scope name or id>, with one of the scope types ${scopeTypes.join(', ')}`,
      );
      return [];
    }
    if (/^\d+$/.test(role) && Number(role) > LARGEST_ROLE_ID) {
      reader.report(`access-rules: ${reader.quote(role)} is too large for the id of a role`);
    }
    return [{ role, scopeType, scopeId }];
  });
}
