import { afterAll, describe, expect, it } from 'vitest';
import { type Mode, modes } from '../../src/inputs.ts';
import type { Simulator, SimulatorOptions } from '../simulator/simulator.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { Haystack } from '../support/haystack.ts';
import { actionFile, runStep, type StepOptions, secretOutputs } from '../support/runner.ts';
import { transcript } from '../support/transcript.ts';

const admin = { username: 'admin@runai.example', password: 'Pa+ss w&rd%41=é"\\1' };
const byPassword = { username: admin.username, password: admin.password };
const application = { name: 'ci-app', clientId: 'ci-app', secret: 'Zt8+Vn3/Rb6=Jd1==o' };
const byApplication = { 'client-id': application.clientId, 'client-secret': application.secret };
const old = '2020-01-01T00:00:00Z';

interface Scenario {
  inputs: StepOptions['inputs'];
  options?: SimulatorOptions;
  prepare?: (simulator: Simulator) => void;
  env?: (simulator: Simulator) => Record<string, string>;
  debug?: true;
}

const externalToken = 'e9XtR4q.b7Kw2mYz.u6Pj';
const create = { mode: 'create-app', 'app-name': 'new-app', ...byPassword };
const createUser = { mode: 'create-user', email: 'jo@example.com', ...byPassword };
const rules = 'ml ENGINEER @ project:4501234\n1 @ tenant:acme\n';
const withApplication = (simulator: Simulator) => void simulator.addApplication({ ...application, createdAt: old });
const withAdministrator = (simulator: Simulator) => {
  withApplication(simulator);
  const role = simulator.roles.find(({ name }) => name === 'System administrator');
  const subjectType = simulator.version.startsWith('2') ? 'app' : 'service-account';
  const scope = { scopeType: 'tenant', scopeId: '1' };
  simulator.addAccessRule({ subjectId: application.clientId, subjectType, roleId: role?.id ?? 0, ...scope });
};
const withUser = (simulator: Simulator) => void simulator.addUser({ email: 'Jo@example.com', createdAt: old });

const scenarios: Record<string, Scenario> = {
  'token by password, 2.20': { inputs: { mode: 'token', ...byPassword }, options: { version: '2.20' } },
  'token by password, 2.24': { inputs: { mode: 'token', ...byPassword } },
  'token by password, after v1 is gone': { inputs: { mode: 'token', ...byPassword }, options: { version: 'next' } },
  'token of an application, 2.22': {
    inputs: { mode: 'token', ...byApplication },
    options: { version: '2.22' },
    prepare: withApplication,
  },
  'token of an application, after v1 is gone': {
    inputs: { mode: 'token', ...byApplication },
    options: { version: 'next' },
    prepare: withApplication,
    debug: true,
  },
  'token with every optional part': {
    inputs: { mode: 'token', ...byPassword },
    options: { version: '2.22', tokenFields: { idToken: true, refreshToken: true, externalToken: true } },
  },
  'token for an external token': {
    inputs: { mode: 'token', 'external-token': externalToken },
    options: { externalTokens: [externalToken] },
  },
  'token for an external token, after v1 is gone': {
    inputs: { mode: 'token', 'external-token': externalToken },
    options: { externalTokens: [externalToken], version: 'next' },
  },
  'token for the job’s own OIDC token': {
    inputs: { mode: 'token', 'oidc-audience': 'runai' },
    options: { oidcAudience: 'runai' },
    env: ({ oidc }) => ({ ACTIONS_ID_TOKEN_REQUEST_URL: oidc.url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: oidc.requestToken }),
  },
  'token below a path, with debug logging': {
    inputs: { mode: 'token', ...byPassword },
    options: { pathPrefix: '/runai' },
    debug: true,
  },
  'token with a wrong password': { inputs: { mode: 'token', ...byPassword, password: 'Xq7-Lm2_Wz9.Kp4u' } },
  'token with a wrong password, after v1 is gone': {
    inputs: { mode: 'token', ...byPassword, password: 'Xq7-Lm2_Wz9.Kp4u' },
    options: { version: 'next' },
  },
  'token with a wrong client secret': {
    inputs: { mode: 'token', ...byApplication, 'client-secret': 'Hy5~Gf8!Tc3@Ns6e' },
    prepare: withApplication,
  },
  'token with a secret that ends in a line break': {
    inputs: { mode: 'token', ...byApplication, 'client-secret': `${application.secret}\n` },
    prepare: withApplication,
  },
  'create-app, 2.22': { inputs: create, options: { version: '2.22' } },
  'create-app, 2.24': { inputs: create },
  'create-app, 3.0': { inputs: create, options: { version: '3.0' } },
  'create-app, after v1 is gone, with debug logging': { inputs: create, options: { version: 'next' }, debug: true },
  'create-app with access rules, 2.22': { inputs: { ...create, 'access-rules': rules }, options: { version: '2.22' } },
  'create-app with access rules, 3.0': { inputs: { ...create, 'access-rules': rules }, options: { version: '3.0' } },
  'create-app with a role that is not there': { inputs: { ...create, 'access-rules': 'Nobody @ tenant:1' } },
  'create-app by an application with the right to': {
    inputs: { ...create, username: '', password: '', ...byApplication },
    prepare: withAdministrator,
  },
  'create-app by an application without the right to': {
    inputs: { ...create, username: '', password: '', ...byApplication },
    prepare: withApplication,
  },
  'create-app with a foreign token': {
    inputs: { ...create, username: '', password: '', 'access-token': 'f3Gh8Jk.q2Wx5Vb.n7Mt' },
  },
  'create-app that exists, fail': { inputs: { ...create, 'app-name': 'ci-app' }, prepare: withApplication },
  'create-app that exists, skip': {
    inputs: { ...create, 'app-name': 'ci-app', 'if-exists': 'skip' },
    prepare: withApplication,
  },
  'create-app that exists, rotate': {
    inputs: { ...create, 'app-name': 'ci-app', 'if-exists': 'rotate' },
    prepare: withApplication,
  },
  'create-app whose answer was lost': {
    inputs: create,
    prepare: (simulator) =>
      simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'reset', when: 'before-head', work: true } }),
  },
  'create-user, 2.20': { inputs: createUser, options: { version: '2.20' } },
  'create-user, 3.0, with everything': {
    inputs: { ...createUser, 'reset-password': 'true', notify: 'true', 'access-rules': rules },
    options: { version: '3.0' },
  },
  'create-user as in the guide': { inputs: createUser, options: { guideShapes: true } },
  'create-user that exists, fail': { inputs: createUser, prepare: withUser },
  'create-user that exists, skip, with debug logging': {
    inputs: { ...createUser, 'if-exists': 'skip' },
    prepare: withUser,
    debug: true,
  },
  'create-user that exists, rotate': { inputs: { ...createUser, 'if-exists': 'rotate' }, prepare: withUser },
  'create-user whose answer was lost': {
    inputs: createUser,
    prepare: (simulator) =>
      simulator.fault({ method: 'POST', path: '/users', fault: { kind: 'truncated', work: true } }),
  },
  'rotate-app by name': {
    inputs: { mode: 'rotate-app', 'app-name': 'ci-app', ...byPassword },
    prepare: withApplication,
  },
  'rotate-app that is not there': { inputs: { mode: 'rotate-app', 'app-name': 'no-app', ...byPassword } },
  'delete-app by name, 3.0': {
    inputs: { mode: 'delete-app', 'app-name': 'ci-app', ...byPassword },
    options: { version: '3.0' },
    prepare: withApplication,
  },
  'delete-app that is gone': { inputs: { mode: 'delete-app', 'app-name': 'no-app', ...byPassword } },
  'wrong inputs of every kind': {
    inputs: { mode: 'create-user', url: 'http://acme.run.ai', username: 'jo', 'app-id': '7', notify: 'maybe' },
  },
  'no inputs at all': { inputs: { url: '' } },
  'a redirect': {
    inputs: { mode: 'token', ...byPassword },
    prepare: (simulator) =>
      simulator.fault({ fault: { kind: 'redirect', status: 302, location: 'https://login.example.com/?from=runai' } }),
  },
  'a log-in page': {
    inputs: { mode: 'token', ...byPassword },
    prepare: (simulator) => simulator.fault({ times: Infinity, fault: { kind: 'html', status: 200 } }),
  },
  'something that is not Run:ai': {
    inputs: { mode: 'token', ...byPassword },
    prepare: (simulator) => simulator.fault({ times: Infinity, fault: { kind: 'html', status: 404 } }),
  },
  'a server that repeats the secret': {
    inputs: { mode: 'token', ...byPassword },
    prepare: (simulator) =>
      simulator.fault({ times: Infinity, fault: { kind: 'echo', status: 400, style: 'commands' } }),
  },
  'a Retry-After past the deadline': {
    inputs: { mode: 'token', ...byPassword },
    prepare: (simulator) =>
      simulator.fault({ fault: { kind: 'status', status: 429, headers: { 'retry-after': '3600' } } }),
  },
};

const seen = { modes: new Set<string>(), outputs: new Set<string>() };

describe('a step with the committed bundle', () => {
  it.each(Object.entries(scenarios))('%s', async (name, { inputs, options, prepare, env, debug }) => {
    const simulator = await startSimulator({ admin, ...options });
    try {
      prepare?.(simulator);
      const given = { url: simulator.url, ...inputs };
      const secrets = [given.password, given['client-secret'], given['access-token'], given['external-token']];
      const known = secrets.filter((secret): secret is string => Boolean(secret));
      const result = await runStep({ inputs: given, env: env?.(simulator) ?? {}, ...(debug && { debug }) });
      await expect(transcript(result, { simulator, secrets: known })).toMatchFileSnapshot(`__snapshots__/${name}.txt`);
      expect(simulator.violations).toEqual([]);
      expect(result.strayFiles).toEqual([]);
      checkNothingLeaks(result, [...known, ...simulator.secretsIssued]);
      checkPromises(result, given.mode as Mode | undefined);
    } finally {
      await simulator.close();
    }
  });

  afterAll(() => {
    expect([...seen.modes].sort()).toEqual([...modes].sort());
    expect([...seen.outputs].sort()).toEqual(Object.keys(actionFile.outputs).sort());
  });
});

type Result = Awaited<ReturnType<typeof runStep>>;

/** No secret anywhere but in `add-mask` commands and in the outputs that are there for it. */
function checkNothingLeaks({ log, stderr, summary, outputs }: Result, secrets: string[]): void {
  const shown = log.filter(({ command }) => command !== 'add-mask').map(({ text }) => text);
  const open = Object.entries(outputs).flatMap(([name, value]) => (secretOutputs.includes(name) ? [] : [value]));
  const haystack = new Haystack([...shown, stderr, summary, ...open]);
  for (const secret of new Set(secrets)) expect(haystack.find(secret)).toBeUndefined();
}

/** Exit code 0 with what the mode promises, or 1 with one error; and every secret output was masked. */
function checkPromises({ exitCode, errors, outputs, masks }: Result, mode: Mode | undefined): void {
  if (mode) seen.modes.add(mode);
  for (const name of Object.keys(outputs)) seen.outputs.add(name);
  const promised: Record<Mode, string[]> = {
    token: ['access-token', 'expires-in', 'expires-at'],
    'create-app': ['app-id', 'app-name', 'client-id', 'created'],
    'create-user': ['user-id', 'email', 'created'],
    'rotate-app': ['app-id', 'app-name', 'client-id', 'client-secret'],
    'delete-app': ['deleted'],
  };
  if (exitCode === 0) expect(Object.keys(outputs)).toEqual(expect.arrayContaining(promised[mode ?? 'token']));
  expect(errors).toHaveLength(exitCode === 0 ? 0 : 1);
  for (const name of secretOutputs) if (outputs[name] && outputs[name] !== '{}') expect(masks).toContain(outputs[name]);
  expect(Object.keys(actionFile.outputs)).toEqual(expect.arrayContaining(Object.keys(outputs)));
}
