import { X509Certificate } from 'node:crypto';
import { scopeTypes, type WantedRule } from './runai/access-rules.ts';
import type { ApplicationKey } from './runai/applications.ts';
import type { IfExists } from './runai/create.ts';
import { RunaiError } from './runai/errors.ts';
import { oneLine } from './text.ts';

export const modes = ['token', 'create-app', 'create-user', 'rotate-app', 'delete-app'] as const;
export type Mode = (typeof modes)[number];

interface InputSpec {
  modes: readonly Mode[];
  secret?: true;
  default?: string;
}

const creates = ['create-app', 'create-user'] as const;
const byKey = ['rotate-app', 'delete-app'] as const;
const afterToken = [...creates, ...byKey] as const;

/** Every input of action.yml: the modes it is for, whether it is a secret, its default. */
export const inputSpecs = {
  mode: { modes },
  url: { modes },
  'client-id': { modes },
  'client-secret': { modes, secret: true },
  username: { modes },
  password: { modes, secret: true },
  'external-token': { modes, secret: true },
  'oidc-audience': { modes },
  'access-token': { modes: afterToken, secret: true },
  'app-name': { modes: ['create-app', ...byKey] },
  'app-id': { modes: byKey },
  email: { modes: ['create-user'] },
  'reset-password': { modes: ['create-user'], default: 'false' },
  notify: { modes: ['create-user'] },
  'if-exists': { modes: creates, default: 'fail' },
  'access-rules': { modes: creates },
  'ca-certificate': { modes },
  'timeout-seconds': { modes, default: '60' },
} as const satisfies Record<string, InputSpec>;

export type InputName = keyof typeof inputSpecs;
const inputNames = Object.keys(inputSpecs) as InputName[];
const specOf = (name: InputName): InputSpec => inputSpecs[name];

/** The one way to authenticate that the inputs choose. */
export type Credentials =
  | { by: 'application'; clientId: string; clientSecret: string }
  | { by: 'user'; username: string; password: string }
  | { by: 'external-token'; externalToken: string }
  | { by: 'oidc'; audience: string; url: string; requestToken: string }
  | { by: 'access-token'; accessToken: string };

interface Common {
  /** Without a slash at its end. */
  url: string;
  credentials: Credentials;
  /** Certificates in PEM form, to be trusted in addition. */
  roots: string[] | undefined;
  timeoutSeconds: number;
}

interface TokenInputs {
  mode: 'token';
}
interface CreateAppInputs {
  mode: 'create-app';
  name: string;
  ifExists: IfExists;
  accessRules: WantedRule[];
}
interface CreateUserInputs {
  mode: 'create-user';
  email: string;
  resetPassword: boolean;
  notify: boolean | undefined;
  ifExists: IfExists;
  accessRules: WantedRule[];
}
interface KeyInputs<M extends Mode> {
  mode: M;
  key: ApplicationKey;
}
type ModeInputs = TokenInputs | CreateAppInputs | CreateUserInputs | KeyInputs<'rotate-app'> | KeyInputs<'delete-app'>;

/** What a run is asked to do. After this, no input is looked up by its name again. */
export type Request = Common & ModeInputs;
export type RequestFor<M extends Mode> = Extract<Request, { mode: M }>;

export interface InputSource {
  /** The input as the workflow gives it, untrimmed; an empty string when it is not given. */
  read(name: InputName): string;
  readFile(path: string): string;
  env: Record<string, string | undefined>;
  mask(secret: string): void;
  /** Makes a wrong value fit to be quoted. */
  clean(text: string): string;
  warn(text: string): void;
}

/**
 * Reads all inputs into one request.
 * @throws RunaiError `inputs`, with every problem of every input
 */
export function parseInputs(source: InputSource): Request {
  const reader = new InputReader(source);
  const mode = reader.mode();
  const common = {
    url: reader.url(),
    credentials: reader.credentials(mode),
    roots: reader.roots(),
    timeoutSeconds: reader.timeout(),
  };
  const own = mode && ownInputs(reader, mode);
  if (mode) reader.refuseUnused(mode);
  if (reader.problems.length > 0) throw inputsError(reader.problems, mode);
  return { ...common, ...own } as Request;
}

function ownInputs(reader: InputReader, mode: Mode): ModeInputs {
  switch (mode) {
    case 'token':
      return { mode };
    case 'create-app':
      return { mode, name: reader.appName(mode), ifExists: reader.ifExists(), accessRules: reader.accessRules() };
    case 'create-user':
      return {
        mode,
        email: reader.email(),
        resetPassword: reader.boolean('reset-password') === true,
        notify: reader.boolean('notify'),
        ifExists: reader.ifExists(),
        accessRules: reader.accessRules(),
      };
    case 'rotate-app':
      return { mode, key: reader.applicationKey(mode) };
    case 'delete-app':
      return { mode, key: reader.applicationKey(mode) };
  }
}

const URL_LIMIT = 2048;
const PROBLEM_LIMIT = 20;

function inputsError(problems: string[], mode: Mode | undefined): RunaiError {
  const operation = mode && `${mode}:`;
  if (problems.length === 1)
    return new RunaiError('inputs', `there is a problem with the inputs: ${problems[0]}`, { operation });
  const more = problems.length > PROBLEM_LIMIT ? `\n- and ${problems.length - PROBLEM_LIMIT} more` : '';
  const list =
    problems
      .slice(0, PROBLEM_LIMIT)
      .map((problem) => `\n- ${problem}`)
      .join('') + more;
  return new RunaiError('inputs', `there are ${problems.length} problems with the inputs:${list}`, { operation });
}

const secretsHint =
  'A secret that does not exist is an empty string: check its name, and that it belongs to this repository or environment; runs from forks and from Dependabot get no secrets.';

/** Reads one input after the other, and collects what is wrong with them. */
class InputReader {
  readonly problems: string[] = [];
  readonly #source: InputSource;
  readonly #values: Map<InputName, string>;

  constructor(source: InputSource) {
    this.#source = source;
    // All secrets are masked before anything is said about any input.
    this.#values = new Map(inputNames.map((name) => [name, source.read(name)]));
    for (const name of inputNames) if (specOf(name).secret) source.mask(this.#given(name));
    for (const name of inputNames) if (specOf(name).secret) this.#warnOfBlanks(name);
  }

  mode(): Mode | undefined {
    const value = this.#given('mode');
    const mode = modes.find((known) => known === value);
    if (!mode)
      this.#report(`mode ${value ? `is ${this.#quote(value)}` : 'is missing'}: it is one of ${modes.join(', ')}`);
    return mode;
  }

  url(): string {
    const value = this.#given('url');
    if (!value)
      return this.#report(
        `url is missing: it is the address of the control plane, such as https://acme.run.ai. ${secretsHint}`,
      );
    // The value is not quoted: it may hold a password.
    if (value.length > URL_LIMIT || !URL.canParse(value) || !/^https?:\/\//i.test(value)) {
      return this.#report('url is not a URL: write it in full, such as https://console.example.com');
    }
    const url = new URL(value);
    this.#source.mask(url.password);
    if (!isSafeUrl(value)) this.#report('url must begin with https://: plain http would send the secrets unencrypted');
    if (url.username || url.password)
      this.#report('url must not hold a user name or password: there are inputs for them');
    if (/[?#]/.test(value)) this.#report('url must not hold a query (?) or a fragment (#)');
    return url.origin + url.pathname.replace(/\/+$/, '');
  }

  credentials(mode: Mode | undefined): Credentials | undefined {
    const ways = [
      this.#pair('client-id', 'client-secret', (clientId, clientSecret) => ({
        by: 'application',
        clientId,
        clientSecret,
      })),
      this.#pair('username', 'password', (username, password) => ({ by: 'user', username, password })),
      this.#single('external-token', (externalToken) => ({ by: 'external-token', externalToken })),
      this.#single('oidc-audience', (audience) => this.#oidc(audience)),
      mode === 'token' ? undefined : this.#single('access-token', (accessToken) => this.#bearer(accessToken)),
    ].filter((way) => way !== undefined);
    if (ways.length > 1)
      this.#report(
        `there is more than one way to authenticate: ${ways.map(({ names }) => names).join('; ')}. Give exactly one`,
      );
    if (ways.length === 0) this.#noCredentials(mode);
    return ways[0]?.credentials;
  }

  roots(): string[] | undefined {
    const value = this.#given('ca-certificate');
    if (!value) return undefined;
    const pem = value.includes('-----BEGIN') ? value : this.#file(value);
    if (pem === undefined) return undefined;
    const certificates =
      pem.match(/-----BEGIN (TRUSTED )?CERTIFICATE-----[^-]*-----END (TRUSTED )?CERTIFICATE-----/g) ?? [];
    if (certificates.length === 0)
      this.#report('ca-certificate holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)');
    certificates.forEach((certificate, index) => {
      if (!isCertificate(certificate)) this.#report(`ca-certificate: certificate number ${index + 1} cannot be read`);
    });
    return certificates;
  }

  timeout(): number {
    const value = this.#given('timeout-seconds');
    const seconds = /^\d{1,4}$/.test(value) ? Number(value) : 0;
    if (seconds < 1 || seconds > 3600)
      this.#report(`timeout-seconds is ${this.#quote(value)}: it is a whole number from 1 to 3600`);
    return seconds;
  }

  /** Run:ai 2.20 to 3.0, create application. */
  appName(mode: Mode): string {
    const name = this.#given('app-name');
    if (!name) return this.#report(`app-name is missing: mode ${mode} needs it`);
    if (name.length > 255 || !/^[a-z][-_a-z0-9]*[a-z0-9]$/.test(name)) {
      this.#report(
        'app-name must have 2 to 255 characters: lower-case letters, digits, - and _, with a letter first and a letter or digit last',
      );
    }
    return name;
  }

  applicationKey(mode: Mode): ApplicationKey {
    const id = this.#given('app-id');
    const name = this.#given('app-name');
    if (id && name) this.#report('app-id and app-name are both given: give one of them');
    if (id) return { id };
    if (name) return { name: this.appName(mode) };
    this.#report(`app-name or app-id is missing: mode ${mode} needs one of them`);
    return { id };
  }

  /** Run:ai 2.20 to 3.0, create user. */
  email(): string {
    const email = this.#given('email');
    if (!email) return this.#report('email is missing: mode create-user needs it');
    if (email.length > 254 || !/^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$/.test(email)) {
      this.#report('email is not an email address of 5 to 254 characters');
    }
    return email;
  }

  boolean(name: 'reset-password' | 'notify'): boolean | undefined {
    const value = this.#given(name);
    if (!value) return undefined;
    if (/^(true|True|TRUE)$/.test(value)) return true;
    if (!/^(false|False|FALSE)$/.test(value)) this.#report(`${name} is ${this.#quote(value)}: it is true or false`);
    return false;
  }

  ifExists(): IfExists {
    const value = this.#given('if-exists');
    if (value === 'fail' || value === 'skip' || value === 'rotate') return value;
    this.#report(`if-exists is ${this.#quote(value)}: it is fail, skip or rotate`);
    return 'fail';
  }

  accessRules(): WantedRule[] {
    const lines = new Set(
      this.#given('access-rules')
        .split('\n')
        .map((line) => line.trim()),
    );
    lines.delete('');
    return [...lines].flatMap((line) => {
      const [, role = '', type, scopeId = ''] = /^(.*\S)\s*@\s*([a-z]+)\s*:\s*(\S.*)$/.exec(line) ?? [];
      const scopeType = scopeTypes.find((known) => known === type);
      if (scopeType) return [{ role, scopeType, scopeId }];
      this.#report(
        `access-rules: ${this.#quote(line)} is not <role> @ <scope type>:<scope id>, with a scope type of ${scopeTypes.join(', ')}`,
      );
      return [];
    });
  }

  // A value equal to the default cannot be told from one that was not given.
  refuseUnused(mode: Mode): void {
    for (const name of inputNames) {
      const spec = specOf(name);
      const given = this.#given(name);
      if (spec.modes.includes(mode) || given === '' || given === spec.default) continue;
      this.#report(`${name} is not used by mode ${mode}, only by ${spec.modes.join(', ')}: remove it`);
    }
  }

  #given(name: InputName): string {
    const value = this.#values.get(name) ?? '';
    const spec = specOf(name);
    return (spec.secret ? value : value.trim()) || (spec.default ?? '');
  }

  #pair(first: InputName, second: InputName, make: (first: string, second: string) => Credentials) {
    const values = [this.#given(first), this.#given(second)] as const;
    if (!values[0] && !values[1]) return undefined;
    const [empty, other] = values[0] ? [second, first] : [first, second];
    if (!values[0] || !values[1]) this.#report(`${empty} is empty, while ${other} is given. ${secretsHint}`);
    return { names: `${first} with ${second}`, credentials: make(...values) };
  }

  #single(name: InputName, make: (value: string) => Credentials) {
    const value = this.#given(name);
    return value ? { names: name as string, credentials: make(value) } : undefined;
  }

  #noCredentials(mode: Mode | undefined): void {
    const token = mode === 'token' ? '' : ', access-token';
    this.#report(
      `there are no credentials: give client-id with client-secret, username with password, external-token, oidc-audience${token}. ${secretsHint}`,
    );
  }

  #oidc(audience: string): Credentials {
    const { ACTIONS_ID_TOKEN_REQUEST_URL: url = '', ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken = '' } =
      this.#source.env;
    this.#source.mask(requestToken);
    if (!requestToken || !isSafeUrl(url))
      this.#report(
        'oidc-audience: GitHub offers this job no OIDC token; give the job permissions: id-token: write (runs from forks cannot have it)',
      );
    return { by: 'oidc', audience, url, requestToken };
  }

  #bearer(accessToken: string): Credentials {
    if (/[^\u0020-\u007e]/.test(accessToken))
      this.#report(
        'access-token holds a line break or another character that a header cannot carry: is it the whole output of a mode: token step, and nothing else?',
      );
    return { by: 'access-token', accessToken };
  }

  #file(path: string): string | undefined {
    try {
      return this.#source.readFile(path);
    } catch {
      this.#report('ca-certificate is neither PEM text nor the path of a file that can be read');
      return undefined;
    }
  }

  #warnOfBlanks(name: InputName): void {
    if (/[\s]$/.test(this.#given(name)))
      this.#source.warn(
        `${name} ends in a blank or a line break, which is sent as part of it. If it should not be there, store the secret again without it.`,
      );
  }

  #report(problem: string): '' {
    this.problems.push(problem);
    return '';
  }

  #quote(value: string): string {
    return `"${this.#source.clean(oneLine(value).slice(0, 80))}"`;
  }
}

/** Whether a secret may be sent there. */
function isSafeUrl(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { protocol, hostname } = new URL(address);
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
}

/** Hosts that never leave the machine, where plain http is harmless. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function isCertificate(pem: string): boolean {
  try {
    return Boolean(new X509Certificate(pem));
  } catch {
    return false;
  }
}
