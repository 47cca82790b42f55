import { afterEach, describe, expect, test } from 'vitest';
import { type Fault, type Simulator, type SimulatorOptions, startSimulator } from './simulator/simulator.ts';
import { asShown } from './support/log.ts';
import { runStep, type StepOptions, type StepResult } from './support/runner.ts';

const versions = ['2.20', '2.22', '2.24', '3.0'] as const;
const rulesPath = '/authorization/access-rules';

let running: Simulator | undefined;

async function start(options: SimulatorOptions = {}): Promise<Simulator> {
  running = await startSimulator(options);
  return running;
}

afterEach(async () => {
  const simulator = running;
  running = undefined;
  await simulator?.close();
  expect(simulator?.violations ?? []).toEqual([]);
});

type Inputs = StepOptions['inputs'];

/** Runs a step as the administrator, unless the inputs say otherwise, and searches all it shows for secrets. */
async function run(simulator: Simulator, inputs: Inputs, options: Omit<StepOptions, 'inputs'> = {}) {
  const { url, admin } = simulator;
  const others = ['client-id', 'external-token', 'oidc-audience', 'access-token'].some((name) => name in inputs);
  const result = await runStep({ ...options, inputs: { url, ...(others ? {} : admin), ...inputs } });
  const shown = [...asShown(result.log), result.stderr, result.summary].join('\n');
  expect(simulator.secretsIssued.filter((secret) => shown.includes(secret))).toEqual([]);
  expect(result.hung).toBe(false);
  return result;
}

function expectSuccess(result: StepResult): void {
  expect(result.errors).toEqual([]);
  expect(result.exitCode).toBe(0);
}

/** One error, which is returned. */
function expectFailure(result: StepResult): string {
  expect(result.exitCode).toBe(1);
  expect(result.errors).toHaveLength(1);
  return result.errors[0] ?? '';
}

const sent = ({ requests }: Simulator, method: string, path: string) =>
  requests.filter((request) => request.method === method && request.path.includes(path));

const byKey = [
  { by: 'app-name', key: () => 'trainer' },
  { by: 'app-id', key: ({ applications }: Simulator) => applications.find(({ name }) => name === 'trainer')?.id ?? '' },
];

/** Answers that are lost after the work was done. */
const lost: { answer: string; fault: Fault }[] = [
  { answer: 'cut off before it began', fault: { kind: 'reset', when: 'before-head', work: true } },
  { answer: 'cut off in the middle', fault: { kind: 'end', when: 'in-body', work: true } },
  { answer: 'replaced by a 502', fault: { kind: 'status', status: 502, work: true } },
  { answer: 'replaced by a 504 page', fault: { kind: 'html', status: 504, work: true } },
];
const lostWithBody = [...lost, { answer: 'cut to half its JSON', fault: { kind: 'truncated', work: true } as Fault }];

describe.each(versions)('rotate-app on %s', (version) => {
  test.each(byKey)('by $by publishes a new secret, and the old one no longer works', async ({ by, key }) => {
    const simulator = await start({ version });
    const { id, secret } = simulator.addApplication({ name: 'trainer', clientId: 'client-of-trainer' });
    simulator.addApplication({ name: 'trainer-2' });
    const result = await run(simulator, { mode: 'rotate-app', [by]: key(simulator) });
    expectSuccess(result);
    const { 'client-secret': issued = '', ...ids } = result.outputs;
    expect(ids).toEqual({ 'app-id': id, 'app-name': 'trainer', 'client-id': 'client-of-trainer' });
    expect(simulator.isValidSecret('client-of-trainer', issued)).toBe(true);
    expect(simulator.isValidSecret('client-of-trainer', secret)).toBe(false);
    expect(result.masks).toContain(issued);
    expect(result.summary).toContain('trainer');
  });

  test.each(lostWithBody)('publishes the valid secret when the answer was $answer', async ({ fault }) => {
    const simulator = await start({ version });
    simulator.addApplication({ name: 'trainer' });
    simulator.fault({ method: 'POST', path: '/secret', fault });
    const result = await run(simulator, { mode: 'rotate-app', 'app-name': 'trainer' });
    expectSuccess(result);
    expect(sent(simulator, 'POST', '/secret')).toHaveLength(2);
    expect(simulator.isValidSecret('trainer', result.outputs['client-secret'] ?? '')).toBe(true);
  });
});

describe('rotate-app', () => {
  test.each([
    { by: 'app-name', key: 'trainer', says: 'no application with the name trainer' },
    { by: 'app-id', key: 'd34db33f', says: 'no application with the id d34db33f' },
  ])('says that there is none by $by', async ({ by, key, says }) => {
    const simulator = await start();
    simulator.addApplication({ name: 'trainer-2' });
    const error = expectFailure(await run(simulator, { mode: 'rotate-app', [by]: key }));
    expect(error).toContain(says);
    expect(sent(simulator, 'POST', '/secret')).toEqual([]);
  });

  test('publishes nothing, and names the request, when the reset fails until the deadline', async () => {
    const simulator = await start();
    simulator.addApplication({ name: 'trainer' });
    simulator.fault({ method: 'POST', path: '/secret', times: 99, fault: { kind: 'status', status: 503, work: true } });
    const result = await run(simulator, { mode: 'rotate-app', 'app-name': 'trainer', 'timeout-seconds': '1' });
    const error = expectFailure(result);
    expect(error).toMatch(/POST http:\S+\/secret answered 503.*\d+ attempts?\)/);
    expect(error).toContain('timeout-seconds');
    expect(result.outputs).toEqual({});
  });

  test('is refused without the right to it', async () => {
    const simulator = await start();
    const { clientId, secret } = simulator.addApplication({ name: 'trainer' });
    const credentials = { 'client-id': clientId, 'client-secret': secret };
    const error = expectFailure(await run(simulator, { mode: 'rotate-app', 'app-name': 'trainer', ...credentials }));
    expect(error).toMatch(/answered 403.*access rule/);
    expect(simulator.isValidSecret(clientId, secret)).toBe(true);
  });
});

describe.each(['rotate-app', 'delete-app'])('%s', (mode) => {
  test.each([
    { keys: {}, says: 'app-name or app-id is missing' },
    { keys: { 'app-name': 'trainer', 'app-id': '1' }, says: 'app-id and app-name are both given' },
    { keys: { 'app-name': 'Trainer' }, says: 'app-name must have' },
  ])('asks for exactly one good key: $says', async ({ keys, says }) => {
    const simulator = await start();
    expect(expectFailure(await run(simulator, { mode, ...keys }))).toContain(says);
    expect(simulator.requests).toEqual([]);
  });
});

describe.each(versions)('delete-app on %s', (version) => {
  test.each(byKey)('by $by deletes that application and no other', async ({ by, key }) => {
    const simulator = await start({ version });
    const { id, clientId } = simulator.addApplication({ name: 'trainer' });
    simulator.addApplication({ name: 'trainer-2' });
    const result = await run(simulator, { mode: 'delete-app', [by]: key(simulator) });
    expectSuccess(result);
    expect(result.outputs).toEqual({ 'app-id': id, 'app-name': 'trainer', 'client-id': clientId, deleted: 'true' });
    expect(simulator.applications.map(({ name }) => name)).toEqual(['trainer-2']);
  });

  test.each(lost)('counts its own work as done when the answer was $answer', async ({ fault }) => {
    const simulator = await start({ version });
    simulator.addApplication({ name: 'trainer' });
    simulator.fault({ method: 'DELETE', fault });
    const result = await run(simulator, { mode: 'delete-app', 'app-name': 'trainer' });
    expectSuccess(result);
    expect(result.outputs['deleted']).toBe('true');
    expect(simulator.applications).toEqual([]);
  });
});

describe('delete-app', () => {
  test.each([
    { by: 'app-name', key: 'trainer' },
    { by: 'app-id', key: 'd34db33f' },
  ])('succeeds when there is none by $by', async ({ by, key }) => {
    const simulator = await start();
    simulator.addApplication({ name: 'trainer-2' });
    const result = await run(simulator, { mode: 'delete-app', [by]: key });
    expectSuccess(result);
    expect(result.outputs).toEqual({ deleted: 'false' });
    expect(sent(simulator, 'DELETE', '')).toEqual([]);
  });

  test('leaves the credit to whoever was faster', async () => {
    const simulator = await start();
    simulator.addApplication({ name: 'trainer' });
    simulator.fault({ method: 'DELETE', fault: { kind: 'status', status: 404, work: true } });
    const result = await run(simulator, { mode: 'delete-app', 'app-name': 'trainer' });
    expectSuccess(result);
    expect(result.outputs['deleted']).toBe('false');
  });

  test('is refused without the right to it', async () => {
    const simulator = await start();
    const { clientId, secret } = simulator.addApplication({ name: 'trainer' });
    simulator.fault({ method: 'DELETE', fault: { kind: 'status', status: 403 } });
    const error = expectFailure(await run(simulator, { mode: 'delete-app', 'app-name': 'trainer' }));
    expect(error).toMatch(/DELETE \S+ answered 403.*permission/);
    expect(simulator.isValidSecret(clientId, secret)).toBe(true);
  });
});

/** The access rules of a subject, in few words. */
const rulesOf = ({ accessRules }: Simulator, subject: string) =>
  accessRules
    .filter(({ subjectId }) => subjectId === subject)
    .map((rule) => `${rule.subjectType} ${rule.roleId} @ ${rule.scopeType}:${rule.scopeId}`);

const subjects = [
  { mode: 'create-app', inputs: { 'app-name': 'trainer' }, subject: 'trainer', issued: 'client-secret' },
  {
    mode: 'create-user',
    inputs: { email: 'ada@acme.example' },
    subject: 'ada@acme.example',
    issued: 'temporary-password',
  },
];

describe.each(versions)('access rules on %s', (version) => {
  // 2.24 knows both; the older endpoints, which are tried first, go with the older type.
  const appType = version === '3.0' ? 'service-account' : 'app';

  test.each(subjects)('$mode makes them, by role names in any case and by id', async ({ mode, inputs, subject }) => {
    const simulator = await start({ version });
    const rules = 'ml ENGINEER @ project:4501234\n\n  12@cluster: c-1 \nL1 researcher @ department:77';
    expectSuccess(await run(simulator, { mode, ...inputs, 'access-rules': rules }));
    const type = mode === 'create-app' ? appType : 'user';
    expect(rulesOf(simulator, subject)).toEqual([
      `${type} 9 @ project:4501234`,
      `${type} 12 @ cluster:c-1`,
      `${type} 7 @ department:77`,
    ]);
  });

  test.each(['skip', 'rotate'])('leaves those alone that are there, with if-exists: %s', async (ifExists) => {
    const simulator = await start({ version });
    const { clientId } = simulator.addApplication({ name: 'trainer' });
    const theirs = { subjectId: clientId, roleId: 9, scopeType: 'project', scopeId: '1' };
    // What an upgrade of the control plane leaves behind: rules of the older type.
    simulator.addAccessRule({ ...theirs, subjectType: version === '3.0' ? 'service-account' : 'app' });
    const inputs = { mode: 'create-app', 'app-name': 'trainer', 'if-exists': ifExists };
    const result = await run(simulator, {
      ...inputs,
      'access-rules': 'ML engineer @ project:1\nML engineer @ project:2',
    });
    expectSuccess(result);
    expect(sent(simulator, 'POST', rulesPath)).toHaveLength(1);
    expect(simulator.accessRules.map(({ scopeId }) => scopeId)).toEqual(['1', '2']);
    expect(result.outputs['created']).toBe('false');
  });

  test('finds a role on the last page of the list', async () => {
    const simulator = await start({ version, rolesPageLimit: 5 });
    const inputs = { mode: 'create-app', 'app-name': 'trainer', 'access-rules': 'viewer @ project:1' };
    expectSuccess(await run(simulator, inputs));
    expect(simulator.accessRules.map(({ roleId }) => roleId)).toEqual([12]);
  });

  test.each(lostWithBody)('are never made twice when an answer was $answer', async ({ fault }) => {
    const simulator = await start({ version });
    simulator.fault({ method: 'POST', path: rulesPath, fault });
    const rules = 'ML engineer @ project:1\nViewer @ project:1';
    expectSuccess(await run(simulator, { mode: 'create-app', 'app-name': 'trainer', 'access-rules': rules }));
    expect(simulator.accessRules.map(({ roleId }) => roleId)).toEqual([9, 12]);
  });
});

describe('access rules', () => {
  const createApp = { mode: 'create-app', 'app-name': 'trainer' };

  test.each([
    { same: 'line', rules: 'ML engineer @ project:1\nML engineer @ project:1' },
    { same: 'role in another case', rules: 'ML engineer @ project:1\nml engineer @ project:1' },
    { same: 'role by name and id', rules: 'ML engineer @ project:1\n9 @ project:1' },
  ])('are made once when the same $same comes twice', async ({ rules }) => {
    const simulator = await start();
    expectSuccess(await run(simulator, { ...createApp, 'access-rules': rules }));
    expect(simulator.accessRules).toHaveLength(1);
  });

  test('are made after an answer that was lost without the work', async () => {
    const simulator = await start();
    simulator.fault({ method: 'POST', path: rulesPath, times: 2, fault: { kind: 'reset', when: 'before-head' } });
    expectSuccess(await run(simulator, { ...createApp, 'access-rules': 'ML engineer @ project:1' }));
    expect(simulator.accessRules).toHaveLength(1);
  });

  test('are not confused with those of another subject, role or scope', async () => {
    const simulator = await start();
    const rule = {
      subjectId: 'trainer',
      subjectType: 'service-account',
      roleId: 9,
      scopeType: 'project',
      scopeId: '1',
    };
    for (const other of [{ subjectId: 'trainer-2' }, { roleId: 8 }, { scopeType: 'department' }, { scopeId: '11' }])
      simulator.addAccessRule({ ...rule, ...other });
    expectSuccess(await run(simulator, { ...createApp, 'access-rules': 'ML engineer @ project:1' }));
    expect(sent(simulator, 'POST', rulesPath)).toHaveLength(1);
    expect(simulator.accessRules).toHaveLength(5);
  });

  test.each(subjects)('$mode publishes first, then says which rule failed and which roles there are', async (one) => {
    const simulator = await start();
    const rules = 'Viewer @ project:1\nML enginer @ project:1\nML engineer @ project:1';
    const result = await run(simulator, { mode: one.mode, ...one.inputs, 'access-rules': rules });
    const error = expectFailure(result);
    expect(error).toContain('"ML enginer @ project:1" could not be made');
    for (const { name } of simulator.roles) expect(error).toContain(name);
    expect(result.outputs).toMatchObject({ created: 'true', [one.issued]: expect.stringMatching(/./) });
    expect(rulesOf(simulator, one.subject)).toHaveLength(1);
  });

  test.each([
    { status: 400, hint: "Check the role and the scope's id" },
    { status: 403, hint: 'permission' },
  ])('say what the control plane answered: $status', async ({ status, hint }) => {
    const simulator = await start();
    const body = { code: status, message: 'Scope 404 is unknown' };
    simulator.fault({ method: 'POST', path: rulesPath, fault: { kind: 'status', status, body } });
    const result = await run(simulator, { ...createApp, 'access-rules': 'ML engineer @ project:404' });
    const error = expectFailure(result);
    for (const part of ['ML engineer @ project:404', `answered ${status}`, 'Scope 404 is unknown', hint])
      expect(error).toContain(part);
    expect(simulator.isValidSecret('trainer', result.outputs['client-secret'] ?? '')).toBe(true);
    expect(result.outputs['created']).toBe('true');
  });

  test('that cannot be made until the deadline leave the outputs where they are', async () => {
    const simulator = await start();
    simulator.fault({ path: rulesPath, times: 99, fault: { kind: 'status', status: 503 } });
    const inputs = { ...createApp, 'access-rules': 'ML engineer @ project:1', 'timeout-seconds': '2' };
    const result = await run(simulator, inputs);
    expect(expectFailure(result)).toMatch(/ML engineer @ project:1.*answered 503/);
    expect(simulator.isValidSecret('trainer', result.outputs['client-secret'] ?? '')).toBe(true);
  });

  test.each([
    'ML engineer @ galaxy:1',
    'ML engineer',
    '@ project:1',
    'ML engineer @ project:',
    'ML engineer @ project',
  ])('are refused before any request when one is written like %s', async (rule) => {
    const simulator = await start();
    const error = expectFailure(await run(simulator, { ...createApp, 'access-rules': `Viewer @ project:1\n${rule}` }));
    expect(error).toContain(`"${rule}" is not <role> @ <scope type>:<scope id>`);
    expect(simulator.requests).toEqual([]);
  });

  test.each([
    { when: 'a new application has none', inputs: {}, exists: false, notices: 1 },
    { when: 'it has some', inputs: { 'access-rules': 'Viewer @ project:1' }, exists: false, notices: 0 },
    { when: 'the application was there', inputs: { 'if-exists': 'skip' }, exists: true, notices: 0 },
  ])('are missed in $notices notices when $when', async ({ inputs, exists, notices }) => {
    const simulator = await start();
    if (exists) simulator.addApplication({ name: 'trainer' });
    const result = await run(simulator, { ...createApp, ...inputs });
    expectSuccess(result);
    expect(result.notices).toHaveLength(notices);
    for (const notice of result.notices) expect(notice).toContain('trainer has no permissions yet');
  });
});

describe('an access token from an earlier step', () => {
  test.each(['2.22', '3.0'] as const)('does for the whole life of an application on %s', async (version) => {
    const simulator = await start({ version });
    const { outputs } = await run(simulator, { mode: 'token' });
    const credentials = { 'access-token': outputs['access-token'] ?? '' };
    const grants = sent(simulator, 'POST', '/token').length;
    const rules = { 'access-rules': 'Viewer @ project:1' };
    const made = await run(simulator, { ...credentials, mode: 'create-app', 'app-name': 'trainer', ...rules });
    const rotated = await run(simulator, { ...credentials, mode: 'rotate-app', 'app-name': 'trainer' });
    const secret = rotated.outputs['client-secret'] ?? '';
    expect(simulator.isValidSecret('trainer', secret)).toBe(true);
    expect(simulator.isValidSecret('trainer', made.outputs['client-secret'] ?? '')).toBe(false);
    const deleted = await run(simulator, {
      ...credentials,
      mode: 'delete-app',
      'app-id': made.outputs['app-id'] ?? '',
    });
    for (const result of [made, rotated, deleted]) expectSuccess(result);
    expect(simulator.applications).toEqual([]);
    expect(sent(simulator, 'POST', '/token')).toHaveLength(grants);
  });

  test.each(['create-app', 'rotate-app', 'delete-app'])('is named by %s when it is not accepted', async (mode) => {
    const simulator = await start();
    const result = await run(simulator, { mode, 'app-name': 'trainer', 'access-token': 'from-another-tenant' });
    expect(expectFailure(result)).toMatch(/answered 401.* access-token\b/);
  });
});

describe('an external token', () => {
  test.each(['2.22', '2.24', '3.0', 'next'] as const)('is exchanged on %s', async (version) => {
    const external = 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2lnbmF0dXJl';
    const simulator = await start({ version, externalTokens: [external] });
    const result = await run(simulator, { mode: 'token', 'external-token': external });
    expectSuccess(result);
    expect(simulator.isValidToken(result.outputs['access-token'] ?? '')).toBe(true);
    expect(result.masks).toContain(external);
  });

  test('that the tenant does not trust is explained', async () => {
    const simulator = await start({ version: '3.0' });
    const error = expectFailure(await run(simulator, { mode: 'token', 'external-token': 'not.trusted.here' }));
    expect(error).toMatch(/did not accept the external token.*must trust the identity provider/);
  });
});

/** What a runner gives a job with `id-token: write`. */
const identityOf = ({ oidc }: Simulator) => ({
  env: { ACTIONS_ID_TOKEN_REQUEST_URL: oidc.url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: oidc.requestToken },
});

describe("the job's own identity", () => {
  test.each(['2.22', '2.24', '3.0'] as const)('is exchanged for a token on %s', async (version) => {
    const simulator = await start({ version, oidcAudience: 'https://runai.acme.example/a b&c' });
    const inputs = { mode: 'token', 'oidc-audience': simulator.oidc.audience };
    const result = await run(simulator, inputs, identityOf(simulator));
    expectSuccess(result);
    expect(simulator.isValidToken(result.outputs['access-token'] ?? '')).toBe(true);
    const [identity] = simulator.secretsIssued.filter((secret) => claimsOf(secret)['aud'] === simulator.oidc.audience);
    expect(result.masks).toContain(identity);
    expect(result.masks).toContain(simulator.oidc.requestToken);
  });

  test('does for an application as well', async () => {
    const simulator = await start();
    const inputs = { mode: 'create-app', 'app-name': 'trainer', 'oidc-audience': 'runai' };
    const result = await run(simulator, inputs, identityOf(simulator));
    expectSuccess(result);
    expect(simulator.isValidSecret('trainer', result.outputs['client-secret'] ?? '')).toBe(true);
  });

  test('is missing without the permission, and nothing is requested', async () => {
    const simulator = await start();
    const error = expectFailure(await run(simulator, { mode: 'token', 'oidc-audience': 'runai' }));
    expect(error).toContain('id-token: write');
    expect(simulator.requests).toEqual([]);
  });

  test('for another audience is refused, and the trust explained', async () => {
    const simulator = await start();
    const inputs = { mode: 'token', 'oidc-audience': 'somebody-else' };
    const error = expectFailure(await run(simulator, inputs, identityOf(simulator)));
    expect(error).toMatch(/oidc-audience.*must trust the identity provider/);
  });

  test('that GitHub refuses points at the permission', async () => {
    const simulator = await start();
    const env = { ...identityOf(simulator).env, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'of-another-job' };
    const error = expectFailure(await run(simulator, { mode: 'token', 'oidc-audience': 'runai' }, { env }));
    expect(error).toMatch(/GET \S+ answered 401.*id-token: write/);
    expect(sent(simulator, 'POST', '')).toEqual([]);
  });

  test.each<{ service: string; fault: Fault; says: RegExp }>([
    { service: 'stalls', fault: { kind: 'stall', when: 'before-head' }, says: /GET \S+ got no answer/ },
    { service: 'stalls in the middle', fault: { kind: 'stall', when: 'in-body' }, says: /GET \S+ got no answer/ },
    { service: 'is down', fault: { kind: 'status', status: 503 }, says: /GET \S+ answered 503/ },
    {
      service: 'answers without a token',
      fault: { kind: 'status', status: 200, body: {} },
      says: /GET \S+ answered 200/,
    },
    { service: 'answers with a page', fault: { kind: 'html', status: 200 }, says: /GET \S+ answered 200/ },
  ])('fails within the deadline when the token service $service', async ({ fault, says }) => {
    const simulator = await start();
    simulator.fault({ path: '_oidc', times: 99, fault });
    const inputs = { mode: 'token', 'oidc-audience': 'runai', 'timeout-seconds': '2' };
    const result = await run(simulator, inputs, identityOf(simulator));
    expect(expectFailure(result)).toMatch(says);
    expect(result.outputs).toEqual({});
    expect(sent(simulator, 'POST', '')).toEqual([]);
  });

  test('is asked for again after a hiccup', async () => {
    const simulator = await start();
    simulator.fault({ path: '_oidc', fault: { kind: 'reset', when: 'in-body' } });
    const result = await run(simulator, { mode: 'token', 'oidc-audience': 'runai' }, identityOf(simulator));
    expectSuccess(result);
    expect(sent(simulator, 'GET', '_oidc')).toHaveLength(2);
  });
});

function claimsOf(token: string): Record<string, unknown> {
  try {
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
  } catch {
    return {};
  }
}
