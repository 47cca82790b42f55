import { describe, expect, it } from 'vitest';
import { type InputName, inputSpecs, modes, parseInputs } from '../../src/inputs.ts';
import { RunaiError } from '../../src/runai/errors.ts';
import { createAuthority } from '../support/certificates.ts';
import { actionFile } from '../support/runner.ts';

const pem = (await createAuthority()).cert;
const app = { 'client-id': 'ci', 'client-secret': 's3cret' };
const token = { mode: 'token', url: 'https://acme.run.ai' };
const createApp = { ...token, ...app, mode: 'create-app', 'app-name': 'ci-app' };
const createUser = { ...token, ...app, mode: 'create-user', email: 'jo@example.com' };
const oidcEnv = {
  ACTIONS_ID_TOKEN_REQUEST_URL: 'https://token.example.com/?v=2',
  ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'request-token',
};

type Given = Partial<Record<InputName, string>>;

function parse(
  given: Given,
  { env = {}, files = {} }: { env?: Record<string, string>; files?: Record<string, string> } = {},
) {
  const events: string[] = [];
  const masks: string[] = [];
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
      clean: (text) => (text.startsWith('hunter') ? `<clean ${text}>` : text),
      warn(text) {
        warnings.push(text);
        events.push('warn');
      },
    });
  return { result, masks, warnings, events };
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

describe('inputs become one typed request', () => {
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
    ['an application', createApp, { mode: 'create-app', name: 'ci-app', ifExists: 'fail', accessRules: [] }],
    [
      'an application with an access token',
      { ...token, mode: 'create-app', 'app-name': 'a1', 'access-token': 'a.b.c', 'if-exists': 'skip' },
      { credentials: { by: 'access-token', accessToken: 'a.b.c' }, ifExists: 'skip' },
    ],
    [
      'a user',
      { ...createUser, 'reset-password': 'True', notify: 'false', 'if-exists': 'rotate' },
      { mode: 'create-user', email: 'jo@example.com', resetPassword: true, notify: false, ifExists: 'rotate' },
    ],
    ['a user without notify', createUser, { resetPassword: false, notify: undefined }],
    ['a rotation by name', { ...token, ...app, mode: 'rotate-app', 'app-name': 'ci-app' }, { key: { name: 'ci-app' } }],
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
      '\n ML engineer @ project:4501234 \nML engineer @ project:4501234\n\n42@tenant:acme\na @ b @ cluster: 1:2\n';
    expect(parse({ ...createApp, 'access-rules': rules }).result()).toMatchObject({
      accessRules: [
        { role: 'ML engineer', scopeType: 'project', scopeId: '4501234' },
        { role: '42', scopeType: 'tenant', scopeId: 'acme' },
        { role: 'a @ b', scopeType: 'cluster', scopeId: '1:2' },
      ],
    });
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

describe('wrong inputs', () => {
  const secretsHint = 'forks and from Dependabot get no secrets';
  it.each<[string, Given, RegExp]>([
    ['no mode', { ...app, url: token.url }, /mode is missing: it is one of token, create-app/],
    ['a wrong mode', { ...token, ...app, mode: 'Token' }, /mode is "Token": it is one of/],
    ['no url', { mode: 'token', ...app }, /url is missing/],
    ['a url without a scheme', { ...token, ...app, url: 'acme.run.ai' }, /url is not a URL: write it in full/],
    ['a url of another scheme', { ...token, ...app, url: 'ftp://acme.run.ai' }, /url is not a URL/],
    ['plain http', { ...token, ...app, url: 'http://acme.run.ai' }, /url must begin with https:\/\//],
    ['a host that only looks like a loopback one', { ...token, ...app, url: 'http://127.0.0.1.evil.example' }, /https/],
    [
      'a url with user info',
      { ...token, ...app, url: 'https://a:b@acme.run.ai' },
      /must not hold a user name or password/,
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
    ['a wrong address', { ...createUser, email: 'jo@example' }, /email is not an email address/],
    ['a long address', { ...createUser, email: `${'j'.repeat(250)}@x.io` }, /email is not an email address/],
    ['a wrong boolean', { ...createUser, 'reset-password': 'yes' }, /reset-password is "yes": it is true or false/],
    ['a wrong notify', { ...createUser, notify: '1' }, /notify is "1": it is true or false/],
    ['a wrong if-exists', { ...createApp, 'if-exists': 'ignore' }, /if-exists is "ignore": it is fail, skip or rotate/],
    [
      'a rule without a scope',
      { ...createApp, 'access-rules': 'ML engineer' },
      /access-rules: "ML engineer" is not <role> @/,
    ],
    [
      'a rule with a wrong scope type',
      { ...createApp, 'access-rules': 'a @ team:1' },
      /with a scope type of system, tenant, cluster/,
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
      /timeout-seconds is "0": it is a whole number from 1 to 3600/,
    ],
    ['a timeout with a unit', { ...token, ...app, 'timeout-seconds': '1h' }, /timeout-seconds is "1h"/],
    ['a timeout of too much', { ...token, ...app, 'timeout-seconds': '3601' }, /timeout-seconds is "3601"/],
    ['a broken timeout', { ...token, ...app, 'timeout-seconds': '1.5' }, /timeout-seconds is "1.5"/],
    [
      'a missing certificate file',
      { ...token, ...app, 'ca-certificate': 'no.pem' },
      /neither PEM text nor the path of a file/,
    ],
    [
      'a certificate that cannot be read',
      { ...token, ...app, 'ca-certificate': pem.replace(/M[^\n]{9}/, 'MAAAAAAAAA') },
      /certificate number 1 cannot be read/,
    ],
    [
      'a private key',
      { ...token, ...app, 'ca-certificate': '-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----' },
      /holds no certificate/,
    ],
    [
      'an audience without the permission',
      { ...token, 'oidc-audience': 'runai' },
      /oidc-audience: GitHub offers this job no OIDC token; give the job permissions: id-token: write/,
    ],
    [
      'an access token with a line break',
      { ...token, mode: 'create-app', 'app-name': 'a1', 'access-token': 'a\nb' },
      /access-token holds a line break/,
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
    ['an address with something before it', { ...createUser, email: 'x jo@example.com' }, /email is not an email/],
    ['an address with something behind it', { ...createUser, email: 'jo@example.com x' }, /email is not an email/],
    ['an address of 255 characters', { ...createUser, email: `${'j'.repeat(250)}@x.io`.slice(-255) }, /email is not/],
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

  it.each([
    ['a request token without an address', { ACTIONS_ID_TOKEN_REQUEST_TOKEN: 't' }],
    ['an address without a request token', { ACTIONS_ID_TOKEN_REQUEST_URL: 'https://x.example' }],
    ['an address that is none', { ACTIONS_ID_TOKEN_REQUEST_TOKEN: 't', ACTIONS_ID_TOKEN_REQUEST_URL: 'x' }],
    [
      'an address without TLS',
      { ACTIONS_ID_TOKEN_REQUEST_TOKEN: 't', ACTIONS_ID_TOKEN_REQUEST_URL: 'http://x.example' },
    ],
  ])('%s is no offer of a token', (_name, env) => {
    expect(problemsOf({ ...token, 'oidc-audience': 'x' }, { env })).toContain('GitHub offers this job no OIDC token');
  });

  it.each([19, 20, 21])('are listed up to twenty of %i', (count) => {
    const rules = Array.from({ length: count }, (_, at) => `nonsense ${at}`).join('\n');
    const text = problemsOf({ ...createApp, 'access-rules': rules });
    expect(text).toContain(`create-app: there are ${count} problems with the inputs:\n- access-rules`);
    expect(text.match(/\n- access-rules/g)).toHaveLength(Math.min(count, 20));
    expect(text.endsWith(count > 20 ? '\n- and 1 more.' : '.')).toBe(true);
    expect(text.includes('more')).toBe(count > 20);
  });

  it('at the limits are right', () => {
    const url = `https://acme.run.ai/${'x'.repeat(2028)}`;
    expect(parse({ ...token, ...app, url }).result().url).toBe(url);
    expect(parse({ ...token, ...app, 'timeout-seconds': '1' }).result().timeoutSeconds).toBe(1);
    for (const name of ['a1', `a${'b'.repeat(254)}`]) {
      expect(parse({ ...createApp, 'app-name': name }).result()).toMatchObject({ name });
    }
    const longest = `${'j'.repeat(249)}@x.io`;
    expect(parse({ ...createUser, email: longest }).result()).toMatchObject({ email: longest });
    expect(parse({ ...token, ...app, url: 'http://127.10.200.255:1' }).result().url).toBe('http://127.10.200.255:1');
  });

  const ways: [string, Given][] = [
    ['client-id', app],
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
    const text = problemsOf(inputs, { env: oidcEnv });
    expect(text).toMatch(new RegExp(`more than one way to authenticate: ${first}.*; ${second}`));
  });

  const sample: Given = { ...createUser, ...createApp, 'app-id': '1', notify: 'true', 'reset-password': 'true' };
  const unused = modes.flatMap((mode) =>
    Object.entries({ ...sample, 'access-token': 'x', 'if-exists': 'skip', 'access-rules': 'a @ tenant:1' })
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
      'ca-certificate': '/hunter66',
    });
    expect(text).not.toContain('hunter');
  });
});

describe('secret inputs', () => {
  const secrets = ['client-secret', 'password', 'external-token', 'access-token'] as const;

  it('are exactly these', () => {
    const marked = Object.entries(inputSpecs).flatMap(([name, spec]) => ('secret' in spec ? [name] : []));
    expect(marked.sort()).toEqual([...secrets].sort());
  });

  it.each(secrets)('%s is masked although the inputs are wrong', (name) => {
    const { result, masks, events } = parse({ [name]: ' hidden \n' });
    expect(result).toThrow();
    expect(masks).toEqual([' hidden \n']);
    expect(events.indexOf('mask')).toBe(0);
  });

  it.each(secrets.flatMap((name) => ['\n', ' ', '\t', '\r\n'].map((end) => [name, end] as const)))(
    '%s that ends in %j is sent as it is, and warned of without its value',
    (name, end) => {
      const { result, warnings, events } = parse({ mode: 'token', [name]: `hidden${end}` });
      expect(result).toThrow();
      expect(warnings).toEqual([expect.stringContaining(`${name} ends in a blank or a line break`)]);
      expect(warnings[0]).not.toContain('hidden');
      expect(events.indexOf('mask')).toBeLessThan(events.indexOf('warn'));
    },
  );

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
