import { describe, expect, it } from 'vitest';
import { RunaiError } from '../../src/errors.ts';
import { type InputName, inputSpecs, modes, parseInputs } from '../../src/inputs.ts';
import { createAuthority } from '../support/certificates.ts';
import { actionFile } from '../support/runner.ts';

const pem = (await createAuthority()).cert;
const app = { 'client-id': 'ci', 'client-secret': 's3cret' };
const token = { mode: 'token', url: 'https://acme.run.ai' };
const createApp = { ...token, ...app, mode: 'create-app', 'app-name': 'ci-app' };
const createUser = { ...token, ...app, mode: 'create-user', email: 'jo@example.com' };
const rotateApp = { ...token, ...app, mode: 'rotate-app', 'app-name': 'ci-app' };
const store = { 'store-as': 'RUNAI_CREDENTIALS', 'github-token': 'ghs_1234' };
const overlap = { ...rotateApp, ...store, 'overlap-hours': '24' };
/** What a runner tells a job of its repository. */
const repositoryEnv = {
  GITHUB_REPOSITORY: 'Acme/App',
  GITHUB_REPOSITORY_ID: '1296269',
  GITHUB_REPOSITORY_OWNER: 'Acme',
  GITHUB_REPOSITORY_OWNER_ID: '9919',
};
const oidcEnv = {
  ACTIONS_ID_TOKEN_REQUEST_URL: 'https://token.example.com/?v=2',
  ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-token',
};

type Given = Partial<Record<InputName, string>>;

function parse(
  given: Given,
  { env = repositoryEnv, files = {} }: { env?: Record<string, string>; files?: Record<string, string> } = {},
) {
  const events: string[] = [];
  const masks: string[] = [];
  const wholes: string[] = [];
  const warnings: string[] = [];
  const result = () =>
    parseInputs({
      read: (name) => given[name] ?? inputDefault(name),
      readFile(path) {
        const file = files[path];
        if (file === undefined) throw Object.assign(new Error(path), { code: 'ENOENT' });
        return file;
      },
      env,
      mask(secret) {
        if (secret !== '') masks.push(secret);
        events.push('mask');
      },
      maskWhole(text) {
        if (text !== '') wholes.push(text);
        events.push('mask');
      },
      clean: (text) => (text.startsWith('hunter') ? `<clean ${text}>` : text),
      warn(text) {
        warnings.push(text);
        events.push('warn');
      },
    });
  return { result, masks, wholes, warnings, events };
}

const inputDefault = (name: InputName) => actionFile.inputs[name]?.default ?? '';

function problemsOf(given: Given, options?: Parameters<typeof parse>[1]): string {
  try {
    parse(given, options).result();
  } catch (error) {
    expect(error).toBeInstanceOf(RunaiError);
    expect((error as RunaiError).code).toBe('inputs');
    return (error as RunaiError).describe();
  }
  return '';
}

describe('inputs become one typed value', () => {
  it.each<[string, Given, object]>([
    [
      'a token for an application',
      { ...token, ...app },
      { mode: 'token', credentials: { by: 'application', clientId: 'ci', clientSecret: 's3cret' }, timeoutSeconds: 60 },
    ],
    [
      'a token for a user',
      { ...token, username: ' admin ', password: ' p ' },
      { credentials: { by: 'user', username: 'admin', password: ' p ' } },
    ],
    [
      'a token for an external token',
      { ...token, 'external-token': 'a.b.c' },
      { credentials: { by: 'external-token', externalToken: 'a.b.c' } },
    ],
    [
      'a token for credentials in one value',
      { ...token, credentials: 'ci:s3:cret ' },
      { credentials: { by: 'application', clientId: 'ci', clientSecret: 's3:cret ' } },
    ],
    [
      'an application',
      createApp,
      { mode: 'create-app', name: 'ci-app', ifExists: 'fail', accessRules: [], store: undefined },
    ],
    [
      'an application with an access token',
      { ...token, mode: 'create-app', 'app-name': 'a1', 'access-token': 'a.b.c', 'if-exists': 'skip' },
      { credentials: { by: 'access-token', accessToken: 'a.b.c' }, ifExists: 'skip' },
    ],
    [
      'a user',
      { ...createUser, 'reset-password': 'True', notify: 'false', 'if-exists': 'rotate' },
      { mode: 'create-user', emails: ['jo@example.com'], resetPassword: true, notify: false, ifExists: 'rotate' },
    ],
    ['a user without notify', createUser, { resetPassword: false, notify: undefined }],
    [
      'a rotation by name',
      rotateApp,
      { key: { name: 'ci-app' }, store: undefined, rotateAfter: undefined, overlap: undefined },
    ],
    ['a deletion by id', { ...token, ...app, mode: 'delete-app', 'app-id': '4-2' }, { key: { id: '4-2' } }],
    ['a timeout', { ...token, ...app, 'timeout-seconds': '3600' }, { timeoutSeconds: 3600 }],
  ])('%s', (_name, given, expected) => {
    expect(parse(given).result()).toMatchObject(expected);
  });

  it.each([
    ['https://acme.run.ai', 'https://acme.run.ai'],
    ['https://acme.run.ai/', 'https://acme.run.ai'],
    [' https://ACME.run.ai:8443// ', 'https://acme.run.ai:8443'],
    ['https://example.com/runai/', 'https://example.com/runai'],
    ['http://localhost:8080', 'http://localhost:8080'],
    ['http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
    ['http://[::1]:8080/x', 'http://[::1]:8080/x'],
  ])('the url %s is used as %s', (url, expected) => {
    expect(parse({ ...token, ...app, url }).result().url).toBe(expected);
  });

  it('reads access rules line by line, once each', () => {
    const rules =
      '\n ML engineer @ project:4501234 \nML engineer @ project:4501234\n\n42@tenant:acme\r\na @ b @ cluster: 1:2\nViewer @ project : team a\n';
    expect(parse({ ...createApp, 'access-rules': rules }).result()).toMatchObject({
      accessRules: [
        { role: 'ML engineer', scopeType: 'project', scopeId: '4501234' },
        { role: '42', scopeType: 'tenant', scopeId: 'acme' },
        { role: 'a @ b', scopeType: 'cluster', scopeId: '1:2' },
        { role: 'Viewer', scopeType: 'project', scopeId: 'team a' },
      ],
    });
  });

  it.each([
    ['one a line', 'jo@example.com\nli@example.com', ['jo@example.com', 'li@example.com']],
    [
      'with blanks and empty lines',
      '\n  jo@example.com \r\n\r\n\tli@example.com\n',
      ['jo@example.com', 'li@example.com'],
    ],
    [
      'each once, in whatever case',
      'Jo@example.com\njo@EXAMPLE.com\nli@example.com',
      ['Jo@example.com', 'li@example.com'],
    ],
    [
      'fifty of them',
      Array.from({ length: 50 }, (_, at) => `u${at}@example.com`).join('\n'),
      Array.from({ length: 50 }, (_, at) => `u${at}@example.com`),
    ],
  ])('reads addresses %s', (_how, email, emails) => {
    expect(parse({ ...createUser, email }).result()).toMatchObject({ emails });
  });

  it('takes certificates as text and as the path of a file', () => {
    const two = `# ours\n${pem}${pem}`;
    expect(parse({ ...token, ...app, 'ca-certificate': two }).result().roots).toHaveLength(2);
    const files = { 'certs/ca.pem': pem };
    expect(parse({ ...token, ...app, 'ca-certificate': 'certs/ca.pem' }, { files }).result().roots).toEqual([
      pem.trim(),
    ]);
  });

  it('takes the job’s own OIDC token when GitHub offers one', () => {
    const { result, masks } = parse({ ...token, 'oidc-audience': 'runai' }, { env: oidcEnv });
    expect(result().credentials).toEqual({
      by: 'oidc',
      audience: 'runai',
      url: oidcEnv.ACTIONS_ID_TOKEN_REQUEST_URL,
      requestToken: 'request-token',
    });
    expect(masks).toContain('request-token');
  });
});

describe('where a secret is stored', () => {
  const repository = { kind: 'repository', repository: 'Acme/App' };
  it.each<[string, Given, object]>([
    ['is the repository, when nothing is said', {}, repository],
    ['can be said to be the repository', { 'store-in': 'repository' }, repository],
    ['is the owner of the repository', { 'store-in': 'organization' }, { kind: 'organization', organization: 'Acme' }],
    [
      'is an environment, with blanks and slashes in its name',
      { 'store-in': ' environment: prod/eu west ' },
      { kind: 'environment', repository: 'Acme/App', environment: 'prod/eu west' },
    ],
  ])('%s', (_what, given, place) => {
    for (const inputs of [createApp, rotateApp]) {
      expect(parse({ ...inputs, ...store, ...given }).result()).toMatchObject({
        store: { name: 'RUNAI_CREDENTIALS', place, githubToken: 'ghs_1234', apiUrl: 'https://api.github.com' },
      });
    }
  });

  it('is a secret with a name in capitals, as GitHub keeps it', () => {
    expect(parse({ ...createApp, ...store, 'store-as': ' runai_1 ' }).result()).toMatchObject({
      store: { name: 'RUNAI_1' },
    });
  });

  it.each([
    ['https://github.example.com/api/v3', 'https://github.example.com/api/v3'],
    ['https://github.example.com/api/v3/', 'https://github.example.com/api/v3'],
    ['http://127.0.0.1:4010', 'http://127.0.0.1:4010'],
    ['', 'https://api.github.com'],
  ])('is at the API of GITHUB_API_URL %j', (url, apiUrl) => {
    const env = { ...repositoryEnv, GITHUB_API_URL: url };
    expect(parse({ ...createApp, ...store }, { env }).result()).toMatchObject({ store: { apiUrl } });
  });

  const { GITHUB_REPOSITORY, GITHUB_REPOSITORY_OWNER } = repositoryEnv;
  const names = { GITHUB_REPOSITORY, GITHUB_REPOSITORY_OWNER };
  it.each<[string, Given, Record<string, string>, string | undefined]>([
    ['a repository by its id', {}, repositoryEnv, 'repository:1296269:RUNAI_CREDENTIALS'],
    ['a repository by its name', {}, names, 'repository:acme/app:RUNAI_CREDENTIALS'],
    ['an environment', { 'store-in': 'environment:Prod' }, repositoryEnv, 'environment:1296269:prod:RUNAI_CREDENTIALS'],
    [
      'an environment by name',
      { 'store-in': 'environment:Prod' },
      names,
      'environment:acme/app:prod:RUNAI_CREDENTIALS',
    ],
    ['an organization by its id', { 'store-in': 'organization' }, repositoryEnv, 'organization:9919:RUNAI_CREDENTIALS'],
    ['an organization by its name', { 'store-in': 'organization' }, names, 'organization:acme:RUNAI_CREDENTIALS'],
    ['an organization of no name', { 'store-in': 'organization' }, { GITHUB_REPOSITORY }, undefined],
  ])('is told from any other: %s', (_what, given, env, identity) => {
    expect(parse({ ...createApp, ...store, ...given }, { env }).result()).toMatchObject({ store: { identity } });
  });

  it('goes with repair', () => {
    expect(parse({ ...createApp, ...store, 'if-exists': 'repair' }).result()).toMatchObject({ ifExists: 'repair' });
  });
});

describe('a rotation', () => {
  it('may wait for a number of days', () => {
    for (const [days, rotateAfter] of [
      ['1', 1],
      ['3650', 3650],
    ] as const) {
      expect(parse({ ...rotateApp, ...store, 'rotate-after-days': days }).result()).toMatchObject({ rotateAfter });
    }
  });

  it('without downtime has a family name, hours, and rules only where they are given', () => {
    expect(parse(overlap).result()).toMatchObject({
      key: { name: 'ci-app' },
      overlap: { name: 'ci-app', hours: 24, accessRules: undefined },
    });
    expect(parse({ ...overlap, 'access-rules': '9 @ project:team-a' }).result()).toMatchObject({
      overlap: { accessRules: [{ role: '9', scopeType: 'project', scopeId: 'team-a' }] },
    });
  });

  it('without downtime may be as rare as its overlap is long, and no more often', () => {
    expect(parse({ ...overlap, 'overlap-hours': '48', 'rotate-after-days': '2' }).result()).toMatchObject({
      rotateAfter: 2,
      overlap: { hours: 48 },
    });
    expect(problemsOf({ ...overlap, 'overlap-hours': '49', 'rotate-after-days': '2' })).toContain(
      'rotate-after-days is shorter than overlap-hours (49 hours)',
    );
  });

  it('without downtime leaves room in the name for what it adds', () => {
    expect(parse({ ...overlap, 'app-name': 'a'.repeat(230) }).result()).toMatchObject({ overlap: { hours: 24 } });
    expect(problemsOf({ ...overlap, 'app-name': 'a'.repeat(231) })).toContain(
      'app-name must have at most 230 characters',
    );
    expect(parse({ ...rotateApp, 'app-name': 'a'.repeat(231) }).result()).toMatchObject({ overlap: undefined });
  });
});

describe('wrong inputs', () => {
  const secretsHint = 'forks and from Dependabot get no secrets';
  it.each<[string, Given, RegExp]>([
    ['no mode', { ...app, url: token.url }, /mode is missing: it must be one of token, create-app/],
    ['a wrong mode', { ...token, ...app, mode: 'Token' }, /mode is "Token": it must be one of/],
    ['no url', { mode: 'token', ...app }, /url is missing/],
    [
      'the user that signs in, for a new password',
      {
        url: token.url,
        mode: 'create-user',
        username: 'admin@acme.example',
        password: 'pw-of-admin',
        email: 'ada@acme.example\nAdmin@Acme.example',
        'if-exists': 'rotate',
      },
      /email contains the user that this step signs in as/,
    ],
    ['a url without a scheme', { ...token, ...app, url: 'acme.run.ai' }, /url is not a URL: write it in full/],
    ['a url of another scheme', { ...token, ...app, url: 'ftp://acme.run.ai' }, /url is not a URL/],
    ['plain http', { ...token, ...app, url: 'http://acme.run.ai' }, /url must begin with https:\/\//],
    ['a host that only looks like a loopback one', { ...token, ...app, url: 'http://127.0.0.1.evil.example' }, /https/],
    [
      'a url with user info',
      { ...token, ...app, url: 'https://a:b@acme.run.ai' },
      /must not contain a user name or password/,
    ],
    ['a url with a query', { ...token, ...app, url: 'https://acme.run.ai?' }, /query/],
    ['a url with a fragment', { ...token, ...app, url: 'https://acme.run.ai#x' }, /fragment/],
    ['no credentials', token, /there are no credentials: give client-id with client-secret.*forks/],
    ['an empty secret', { ...token, 'client-id': 'ci' }, /client-secret is empty, while client-id is given/],
    ['an empty client id', { ...token, 'client-secret': 's' }, /client-id is empty, while client-secret is given/],
    ['an empty password', { ...token, username: 'u' }, new RegExp(`password is empty, while username.*${secretsHint}`)],
    [
      'two ways to authenticate',
      { ...token, ...app, 'external-token': 'x' },
      /more than one way to authenticate: client-id with client-secret; external-token\. Give exactly one/,
    ],
    [
      'an access token for a token',
      { ...token, ...app, 'access-token': 'x' },
      /access-token is not used by mode token, only by create-app, create-user/,
    ],
    ['no name', { ...createApp, 'app-name': '' }, /app-name is missing: mode create-app needs it/],
    ['a short name', { ...createApp, 'app-name': 'a' }, /app-name must have 2 to 255 characters/],
    ['a long name', { ...createApp, 'app-name': 'a'.repeat(256) }, /app-name must have/],
    ['a name with capitals', { ...createApp, 'app-name': 'App' }, /app-name must have/],
    ['a name that ends in a hyphen', { ...createApp, 'app-name': 'app-' }, /app-name must have/],
    ['no address', { ...createUser, email: '' }, /email is missing/],
    ['a wrong address', { ...createUser, email: 'jo@example' }, /email: "jo@example" is not an email address/],
    ['a long address', { ...createUser, email: `${'j'.repeat(250)}@x.io` }, /email: "j+" is not an email address/],
    [
      'a wrong boolean',
      { ...createUser, 'reset-password': 'yes' },
      /reset-password is "yes": it must be true or false/,
    ],
    ['a wrong notify', { ...createUser, notify: '1' }, /notify is "1": it must be true or false/],
    [
      'a wrong if-exists',
      { ...createApp, 'if-exists': 'ignore' },
      /if-exists is "ignore": it must be one of fail, skip, rotate, repair/,
    ],
    [
      'a rule without a scope',
      { ...createApp, 'access-rules': 'ML engineer' },
      /access-rules: "ML engineer" is not <role> @/,
    ],
    [
      'a rule with a wrong scope type',
      { ...createApp, 'access-rules': 'a @ team:1' },
      /with one of the scope types system, tenant, cluster/,
    ],
    [
      'neither id nor name',
      { ...token, ...app, mode: 'rotate-app' },
      /app-name or app-id is missing: mode rotate-app needs one/,
    ],
    ['both id and name', { ...token, ...app, mode: 'delete-app', 'app-id': '1', 'app-name': 'a1' }, /both given/],
    [
      'a timeout of nothing',
      { ...token, ...app, 'timeout-seconds': '0' },
      /timeout-seconds is "0": it must be a whole number from 1 to 3600/,
    ],
    ['a timeout with a unit', { ...token, ...app, 'timeout-seconds': '1h' }, /timeout-seconds is "1h"/],
    ['a timeout of too much', { ...token, ...app, 'timeout-seconds': '3601' }, /timeout-seconds is "3601"/],
    ['a broken timeout', { ...token, ...app, 'timeout-seconds': '1.5' }, /timeout-seconds is "1.5"/],
    [
      'a missing certificate file',
      { ...token, ...app, 'ca-certificate': 'no.pem' },
      /neither PEM text nor a file that can be read \("no\.pem": ENOENT\)/,
    ],
    [
      'a certificate that cannot be read',
      { ...token, ...app, 'ca-certificate': pem.replace(/M[^\n]{9}/, 'MAAAAAAAAA') },
      /certificate number 1 cannot be read/,
    ],
    [
      'a private key',
      { ...token, ...app, 'ca-certificate': '-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----' },
      /contains no certificate/,
    ],
    [
      'an audience without the permission',
      { ...token, 'oidc-audience': 'runai' },
      /oidc-audience: GitHub offers this job no OIDC token; give the job permissions: id-token: write/,
    ],
    [
      'an access token with a line break',
      { ...token, mode: 'create-app', 'app-name': 'a1', 'access-token': 'a\nb' },
      /access-token contains a line break/,
    ],
    [
      'an unused input',
      { ...token, ...app, email: 'jo@example.com' },
      /email is not used by mode token, only by create-user: remove it/,
    ],
    [
      'an unused default that was changed',
      { ...token, ...app, 'if-exists': 'skip' },
      /if-exists is not used by mode token/,
    ],
    ['a url with only a user name', { ...token, ...app, url: 'https://a@acme.run.ai' }, /user name or password/],
    ['a url with only a password', { ...token, ...app, url: 'https://:b@acme.run.ai' }, /user name or password/],
    ['a url with a full query', { ...token, ...app, url: 'https://acme.run.ai?x=1' }, /query/],
    ['a url with an empty fragment', { ...token, ...app, url: 'https://acme.run.ai#' }, /fragment/],
    ['a url inside of another', { ...token, ...app, url: 'blob:https://acme.run.ai/x' }, /url is not a URL/],
    [
      'a url that is too long',
      { ...token, ...app, url: `https://acme.run.ai/${'x'.repeat(2029)}` },
      /url is not a URL/,
    ],
    ['a host that ends like a loopback one', { ...token, ...app, url: 'http://x127.0.0.1.nip.example' }, /https/],
    [
      'an address with something before it',
      { ...createUser, email: 'x jo@example.com' },
      /email: "x jo@example.com" is not an email/,
    ],
    ['an address with something behind it', { ...createUser, email: 'jo@example.com x' }, /is not an email/],
    [
      'an address of 255 characters',
      { ...createUser, email: `${'j'.repeat(250)}@x.io`.slice(-255) },
      /is not an email/,
    ],
    [
      'addresses with commas between',
      { ...createUser, email: 'jo@example.com, li@example.com' },
      /email contains several addresses on one line: write one address per line/,
    ],
    [
      'addresses with blanks between',
      { ...createUser, email: 'jo@example.com li@example.com' },
      /email contains several addresses on one line/,
    ],
    [
      'one wrong address of three',
      { ...createUser, email: 'jo@example.com\nli\nmo@example.com' },
      /email: "li" is not an email address/,
    ],
    [
      'a url that ends in the path of the API',
      { ...token, ...app, url: 'https://acme.run.ai/api/v1/' },
      /url must end before \/api\/v1, which this action adds by itself/,
    ],
    [
      'a url of one call',
      { ...token, ...app, url: 'https://acme.run.ai/x/api/v2/token' },
      /url must end before \/api\/v2\/token/,
    ],
    [
      'a name that would do in lower case',
      { ...createApp, 'app-name': 'CI-Runner' },
      /app-name must have .*\. ci-runner would do/,
    ],
    [
      'a role id of more than 31 bits',
      { ...createApp, 'access-rules': '2147483648 @ project:1' },
      /"2147483648" is too large for the id of a role/,
    ],
    [
      'credentials without a colon',
      { ...token, credentials: 's3cret' },
      /credentials is not of the form <client-id>:<client-secret>, with neither half empty/,
    ],
    ['credentials without a client id', { ...token, credentials: ':s3cret' }, /credentials is not of the form/],
    ['credentials without a secret', { ...token, credentials: 'ci:' }, /credentials is not of the form/],
    [
      'credentials beside their halves',
      { ...token, ...app, credentials: 'ci:s3cret' },
      /more than one way to authenticate: client-id with client-secret; credentials\./,
    ],
    [
      'an access token beyond ASCII',
      { ...createApp, 'client-id': '', 'client-secret': '', 'access-token': 'tökén' },
      /access-token contains a line break or another character/,
    ],
    ['repair without a store', { ...createApp, 'if-exists': 'repair' }, /if-exists: repair needs store-as/],
    [
      'repair of a user',
      { ...createUser, 'if-exists': 'repair' },
      /if-exists is "repair": it must be one of fail, skip, rotate \(repair is for create-app with store-as\)/,
    ],
    [
      'a store without a token',
      { ...createApp, 'store-as': 'RUNAI' },
      new RegExp(`github-token is missing: store-as needs a token that may write secrets.*${secretsHint}`),
    ],
    [
      'a token that no header can carry',
      { ...createApp, ...store, 'github-token': 'ghs_\n1' },
      /github-token contains a line break or another character.*the step that creates it/,
    ],
    ['a token without a store', { ...createApp, 'github-token': 'x' }, /github-token is set without store-as/],
    ['a place without a store', { ...rotateApp, 'store-in': 'organization' }, /store-in is set without store-as/],
    [
      'a secret that begins with a digit',
      { ...createApp, ...store, 'store-as': '1RUNAI' },
      /store-as must be the name of a secret: letters, digits and _/,
    ],
    [
      'a secret that begins like those of GitHub',
      { ...createApp, ...store, 'store-as': 'github_runai' },
      /or with GITHUB_/,
    ],
    [
      'a secret with a hyphen',
      { ...createApp, ...store, 'store-as': 'RUNAI-1' },
      /store-as must be the name of a secret/,
    ],
    [
      'another place',
      { ...createApp, ...store, 'store-in': 'vault' },
      /store-in is "vault": it must be repository, environment:<name> or organization/,
    ],
    [
      'an environment without a name',
      { ...createApp, ...store, 'store-in': 'environment: ' },
      /store-in is "environment:": it must be/,
    ],
    ['days without a store', { ...rotateApp, 'rotate-after-days': '30' }, /rotate-after-days needs store-as/],
    [
      'no days',
      { ...rotateApp, ...store, 'rotate-after-days': '0' },
      /rotate-after-days is "0": it must be a whole number from 1 to 3650/,
    ],
    ['too many days', { ...rotateApp, ...store, 'rotate-after-days': '3651' }, /rotate-after-days is "3651"/],
    [
      'no hours',
      { ...overlap, 'overlap-hours': '0' },
      /overlap-hours is "0": it must be a whole number from 1 to 8760/,
    ],
    ['too many hours', { ...overlap, 'overlap-hours': '8761' }, /overlap-hours is "8761"/],
    ['hours without a store', { ...rotateApp, 'overlap-hours': '24' }, /overlap-hours needs store-as/],
    [
      'hours with an id',
      { ...overlap, 'app-name': '', 'app-id': '4-2' },
      /app-id cannot be used with overlap-hours: use app-name/,
    ],
    [
      'rules for a rotation in place',
      { ...rotateApp, 'access-rules': '9 @ project:1' },
      /access-rules: mode rotate-app uses them only with overlap-hours/,
    ],
    ['a boolean with something before it', { ...createUser, notify: 'untrue' }, /notify is "untrue"/],
    ['a boolean with something behind it', { ...createUser, notify: 'trues' }, /notify is "trues"/],
    ['another one with something before it', { ...createUser, notify: 'unfalse' }, /notify is "unfalse"/],
    ['another one with something behind it', { ...createUser, notify: 'falsely' }, /notify is "falsely"/],
    [
      'a rule with two words for a scope type',
      { ...createApp, 'access-rules': 'a @ project x:1' },
      /"a @ project x:1" is not/,
    ],
    [
      'a scope type with something behind it',
      { ...createApp, 'access-rules': 'a @ project-x:1' },
      /"a @ project-x:1" is not/,
    ],
    ['a rule without a role', { ...createApp, 'access-rules': '@ project:1' }, /"@ project:1" is not/],
    ['a rule without a scope id', { ...createApp, 'access-rules': 'a @ project:' }, /"a @ project:" is not/],
    ['a long value', { ...createApp, 'if-exists': 'y'.repeat(200) }, new RegExp(`if-exists is "${'y'.repeat(80)}":`)],
    [
      'no credentials for another mode',
      { mode: 'delete-app', url: token.url, 'app-id': '1' },
      /oidc-audience, access-token\./,
    ],
  ])('%s', (_name, given, expected) => {
    const text = problemsOf(given);
    expect(text).toMatch(expected);
    expect(text).toMatchSnapshot();
  });

  const garbled = pem.replace(/\n[A-Za-z0-9+/]{8}/, '\nAAAAAAAA');
  const key = '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n';
  it.each([
    ['a broken certificate', garbled, 'certificate number 1 cannot be read'],
    ['a broken certificate after a good one', pem + garbled, 'certificate number 2 cannot be read'],
    ['a certificate that is cut off', pem.slice(0, 300), 'contains no certificate'],
    ['only a private key', key, 'contains no certificate'],
    ['nothing', '\n', 'contains no certificate'],
  ])('ca-certificate with %s, as text or in a file, is refused without being quoted', (_what, ca, expected) => {
    const given = { ...token, ...app };
    const inFile = problemsOf({ ...given, 'ca-certificate': 'ca.pem' }, { files: { 'ca.pem': ca } });
    expect(inFile).toContain(`ca-certificate`);
    expect(inFile).toContain(expected);
    if (ca.trim() !== '') expect(problemsOf({ ...given, 'ca-certificate': ca })).toContain(expected);
    expect(inFile).not.toContain('MIGHAgEAMBMGByqGSM49');
  });

  it.each([
    ['a request token without an address', { ACTIONS_ID_TOKEN_REQUEST_TOKEN: 't' }],
    ['an address without a request token', { ACTIONS_ID_TOKEN_REQUEST_URL: 'https://x.example' }],
    ['an address that is none', { ACTIONS_ID_TOKEN_REQUEST_TOKEN: 't', ACTIONS_ID_TOKEN_REQUEST_URL: 'x' }],
    [
      'an address of another scheme',
      { ACTIONS_ID_TOKEN_REQUEST_TOKEN: 't', ACTIONS_ID_TOKEN_REQUEST_URL: 'ftp://127.0.0.1/token' },
    ],
    ['the address of a file', { ACTIONS_ID_TOKEN_REQUEST_TOKEN: 't', ACTIONS_ID_TOKEN_REQUEST_URL: 'file:///token' }],
    [
      'an address without TLS',
      { ACTIONS_ID_TOKEN_REQUEST_TOKEN: 't', ACTIONS_ID_TOKEN_REQUEST_URL: 'http://x.example' },
    ],
  ])('%s is no offer of a token', (_name, env) => {
    expect(problemsOf({ ...token, 'oidc-audience': 'x' }, { env })).toContain('GitHub offers this job no OIDC token');
  });

  it.each<[string, Given, Record<string, string>, string]>([
    ['without a repository', store, {}, 'GITHUB_REPOSITORY does not say which repository this is'],
    ['with half a repository', store, { GITHUB_REPOSITORY: 'acme' }, 'GITHUB_REPOSITORY does not say'],
    [
      'with an API without TLS',
      store,
      { ...repositoryEnv, GITHUB_API_URL: 'http://x.example' },
      'GITHUB_API_URL is not an https URL',
    ],
    [
      'with an API that is no URL',
      store,
      { ...repositoryEnv, GITHUB_API_URL: 'x' },
      'GITHUB_API_URL is not an https URL',
    ],
  ])('cannot be stored %s', (_how, given, env, expected) => {
    expect(problemsOf({ ...createApp, ...given }, { env })).toContain(expected);
  });

  it('cannot be told from another family where the runner names neither the owner nor its id', () => {
    const env = { GITHUB_REPOSITORY: 'acme/app' };
    expect(problemsOf(overlap, { env: {} })).toContain('neither GITHUB_REPOSITORY_ID nor GITHUB_REPOSITORY is set');
    expect(problemsOf({ ...overlap, 'store-in': 'organization' }, { env })).toContain(
      'overlap-hours: neither GITHUB_REPOSITORY_OWNER_ID nor GITHUB_REPOSITORY_OWNER is set, so it is not known whose secret this is',
    );
  });

  it.each([19, 20, 21])('are listed up to twenty of %i', (count) => {
    const rules = Array.from({ length: count }, (_, at) => `nonsense ${at}`).join('\n');
    const text = problemsOf({ ...createApp, 'access-rules': rules });
    expect(text).toContain(`create-app: there are ${count} problems with the inputs:\n- access-rules`);
    expect(text.match(/\n- access-rules/g)).toHaveLength(Math.min(count, 20));
    expect(text.endsWith(count > 20 ? '\n- and 1 more.' : '.')).toBe(true);
    expect(text.includes('more')).toBe(count > 20);
  });

  it('end in a short error however long they are', () => {
    const rules = Array.from({ length: 3_000 }, (_, at) => `nonsense ${at} ${'x'.repeat(1_000)}`).join('\n');
    const url = `https://acme.run.ai/${'/'.repeat(60_000)}a`;
    const text = problemsOf({ ...createApp, url, 'access-rules': rules, 'app-name': 'A'.repeat(100_000) });
    expect(text.length).toBeLessThan(6_000);
    expect(text).toContain('and 2982 more');
  });

  it('at the limits are right', () => {
    const url = `https://acme.run.ai/${'x'.repeat(2028)}`;
    expect(parse({ ...token, ...app, url }).result().url).toBe(url);
    expect(parse({ ...token, ...app, 'timeout-seconds': '1' }).result().timeoutSeconds).toBe(1);
    for (const name of ['a1', `a${'b'.repeat(254)}`]) {
      expect(parse({ ...createApp, 'app-name': name }).result()).toMatchObject({ name });
    }
    const longest = `${'j'.repeat(249)}@x.io`;
    expect(parse({ ...createUser, email: longest }).result()).toMatchObject({ emails: [longest] });
    const rules = { 'access-rules': '2147483647 @ project:1' };
    expect(parse({ ...createApp, ...rules }).result()).toMatchObject({ accessRules: [{ role: '2147483647' }] });
    expect(parse({ ...token, ...app, url: 'http://127.10.200.255:1' }).result().url).toBe('http://127.10.200.255:1');
  });

  const ways: [string, Given][] = [
    ['client-id', app],
    ['credentials', { credentials: 'ci:s3cret' }],
    ['username', { username: 'u', password: 'p' }],
    ['external-token', { 'external-token': 'x' }],
    ['oidc-audience', { 'oidc-audience': 'runai' }],
    ['access-token', { 'access-token': 'x' }],
  ];
  const pairs = ways.flatMap(([first, one], at) =>
    ways.slice(at + 1).map(([second, other]) => ({ first, second, given: { ...one, ...other } })),
  );
  it.each(pairs)('$first beside $second', ({ given, first, second }) => {
    const inputs = { mode: 'create-app', url: token.url, 'app-name': 'a1', ...given };
    const text = problemsOf(inputs, { env: { ...repositoryEnv, ...oidcEnv } });
    expect(text).toMatch(new RegExp(`more than one way to authenticate: ${first}.*; ${second}`));
  });

  const sample: Given = {
    ...createUser,
    ...createApp,
    ...overlap,
    'app-id': '1',
    notify: 'true',
    'reset-password': 'true',
    'access-token': 'x',
    'if-exists': 'skip',
    'access-rules': 'a @ tenant:1',
    'store-in': 'organization',
    'rotate-after-days': '2',
  };
  it('are tried with every input that some mode does not use', () => {
    const some = Object.entries(inputSpecs).filter(([, spec]) => (spec.modes as readonly string[]) !== modes);
    expect(some.map(([name]) => name).filter((name) => !(name in sample))).toEqual([]);
  });

  const unused = modes.flatMap((mode) =>
    Object.entries(sample)
      .filter(([name]) => !(inputSpecs[name as InputName].modes as readonly string[]).includes(mode))
      .map(([name, value]) => ({ mode, name, value })),
  );
  it.each(unused)('$name is not used by mode $mode', ({ mode, name, value }) => {
    expect(problemsOf({ ...token, ...app, mode, [name]: value })).toContain(`${name} is not used by mode ${mode}`);
  });

  it('are cleaned before they are quoted', () => {
    const { result } = parse({ ...token, ...app, 'timeout-seconds': 'hunter2' });
    expect(result).toThrow('timeout-seconds is "<clean hunter2>"');
  });

  it('are all reported together', () => {
    const text = problemsOf({
      mode: 'create-user',
      url: 'http://x.example',
      username: 'u',
      'timeout-seconds': 'x',
      'app-id': '1',
    });
    expect(text).toContain('create-user: there are 5 problems with the inputs:\n- ');
    for (const name of ['url must', 'password is empty', 'timeout-seconds', 'email is missing', 'app-id is not used']) {
      expect(text).toContain(`\n- ${name}`);
    }
  });

  it('are not quoted where they may hold a secret', () => {
    const text = problemsOf({
      mode: 'token',
      url: 'https://user:hunter22@acme.run.ai?x=hunter33',
      'client-secret': 'hunter44',
      'access-token': 'hunter55',
      credentials: 'hunter66',
      'github-token': 'hunter77',
    });
    expect(text).not.toContain('hunter');
  });
});

describe('secret inputs', () => {
  const secrets = ['client-secret', 'password', 'external-token', 'access-token', 'github-token'] as const;

  it('are exactly these', () => {
    const marked = Object.entries(inputSpecs).flatMap(([name, spec]) => ('secret' in spec ? [name] : []));
    expect(marked.sort()).toEqual([...secrets, 'credentials'].sort());
  });

  it.each(secrets)('%s is masked although the inputs are wrong', (name) => {
    const { result, masks, events } = parse({ [name]: ' hidden \n' });
    expect(result).toThrow();
    expect(masks).toEqual([' hidden \n']);
    expect(events.indexOf('mask')).toBe(0);
  });

  it.each([
    ['ci:s3:cret ', ['s3:cret ']],
    [':s3cret', ['s3cret']],
    ['without a colon', ['without a colon']],
    ['ci:', []],
  ])('credentials %j is masked whole, and so is its secret half, but never the client id', (credentials, halves) => {
    const { result, masks, wholes, events } = parse({ credentials });
    expect(result).toThrow();
    expect(wholes).toEqual([credentials]);
    expect(masks).toEqual(halves);
    expect(events.indexOf('mask')).toBe(0);
  });

  it.each(
    [...secrets, 'credentials' as const].flatMap((name) =>
      ['\n', ' ', '\t', '\r\n'].map((end) => [name, end] as const),
    ),
  )('%s that ends in %j is sent as it is, and warned of without its value', (name, end) => {
    const { result, warnings, events } = parse({ mode: 'token', [name]: `hidden${end}` });
    expect(result).toThrow();
    expect(warnings).toEqual([expect.stringContaining(`${name} ends with whitespace, which is sent as part of it`)]);
    expect(warnings[0]).not.toContain('hidden');
    expect(events.indexOf('mask')).toBeLessThan(events.indexOf('warn'));
  });

  it('with a blank in the middle is nothing to warn of', () => {
    const { result, warnings } = parse({ ...token, 'client-id': 'a', 'client-secret': 'a b' });
    result();
    expect(warnings).toEqual([]);
  });

  it('in the url is masked as well', () => {
    const { result, masks } = parse({ ...token, ...app, url: 'https://a:hunter2@acme.run.ai' });
    expect(result).toThrow();
    expect(masks).toContain('hunter2');
  });
});

describe('action.yml', () => {
  it('declares the inputs that the code reads, with the same defaults', () => {
    const declared = Object.entries(actionFile.inputs).map(([name, input]) => [name, input.default]);
    const known = Object.entries(inputSpecs).map(([name, spec]) => [
      name,
      'default' in spec ? spec.default : undefined,
    ]);
    expect(Object.fromEntries(declared)).toEqual(Object.fromEntries(known));
  });

  it('requires what every mode requires', () => {
    const required = Object.entries(actionFile.inputs).flatMap(([name, input]) => (input.required ? [name] : []));
    expect(required).toEqual(['mode', 'url']);
    expect(inputSpecs.mode.modes).toBe(modes);
  });
});
