// access-rules: looked up before anything is created, made if missing, never removed.
import { describe, expect, it } from 'vitest';
import type { Simulator } from '../simulator/simulator.ts';
import { openStage, sent } from '../support/stage.ts';

const rulesPath = '/authorization/access-rules';
const create = { mode: 'create-app', 'app-name': 'trainer' };

const subjects = [
  { mode: 'create-app', inputs: create, subject: 'trainer', issued: 'client-secret' },
  {
    mode: 'create-user',
    inputs: { mode: 'create-user', email: 'ada@acme.example' },
    subject: 'ada@acme.example',
    issued: 'temporary-password',
  },
];

/** The access rules of a subject, in few words. */
const rulesOf = ({ accessRules }: Simulator, subject: string) =>
  accessRules
    .filter(({ subjectId }) => subjectId === subject)
    .map((rule) => `${rule.subjectType} ${rule.roleId} @ ${rule.scopeType}:${rule.scopeId}`);

describe.concurrent.each(['2.20', '2.22', '2.24', '3.0'] as const)('access rules on %s', (version) => {
  // 2.24 knows both; the older endpoints, which are tried first, go with the older type.
  const appType = version === '3.0' ? 'service-account' : 'app';

  it.each(subjects)('$mode makes them, by names in any case of the role and by ids', async (one) => {
    await using stage = await openStage({ version, rolesPageLimit: 5 });
    const { simulator } = stage;
    const { uuid } = simulator.addCluster({ name: 'prod' });
    const { id: department } = simulator.addDepartment({ name: 'research' });
    const { id: project } = simulator.addProject({ name: 'team-a' });
    const rules =
      'ml ENGINEER @ project:team-a\n\n  12@cluster: prod \nL1 researcher @ department:research\nViewer @ project:77';
    const { exitCode, errors } = await stage.run({ ...one.inputs, 'access-rules': rules });
    expect(errors).toEqual([]);
    expect(exitCode).toBe(0);
    const type = one.mode === 'create-app' ? appType : 'user';
    expect(rulesOf(simulator, one.subject)).toEqual([
      `${type} 9 @ project:${project}`,
      `${type} 12 @ cluster:${uuid}`,
      `${type} 7 @ department:${department}`,
      `${type} 12 @ project:77`,
    ]);
  });

  it('leaves those alone that are there', async () => {
    await using stage = await openStage({ version });
    const { simulator } = stage;
    const { clientId } = simulator.addApplication({ name: 'trainer' });
    simulator.addAccessRule({
      subjectId: clientId,
      subjectType: appType,
      roleId: 9,
      scopeType: 'project',
      scopeId: '1',
    });
    const rules = 'ML engineer @ project:1\nML engineer @ project:2';
    const { exitCode } = await stage.run({ ...create, 'if-exists': 'skip', 'access-rules': rules });
    expect(exitCode).toBe(0);
    expect(sent(simulator, 'POST', rulesPath)).toHaveLength(1);
    expect(simulator.accessRules.map(({ scopeId }) => scopeId)).toEqual(['1', '2']);
  });
});

describe.concurrent('access rules', () => {
  it.each([
    ['line', 'ML engineer @ project:1\nML engineer @ project:1'],
    ['role in another case', 'ML engineer @ project:1\nml engineer @ project:1'],
    ['role by name and id', 'ML engineer @ project:1\n9 @ project:1'],
  ])('are made once when the same %s comes twice', async (_same, rules) => {
    await using stage = await openStage();
    expect((await stage.run({ ...create, 'access-rules': rules })).exitCode).toBe(0);
    expect(stage.simulator.accessRules).toHaveLength(1);
  });

  it.each([
    ['lost with the work done', true],
    ['lost without the work', false],
  ])('are made once when an answer was %s', async (_how, work) => {
    await using stage = await openStage();
    stage.simulator.fault({ method: 'POST', path: rulesPath, fault: { kind: 'reset', when: 'before-head', work } });
    const rules = 'ML engineer @ project:1\nViewer @ project:1';
    expect((await stage.run({ ...create, 'access-rules': rules })).exitCode).toBe(0);
    expect(stage.simulator.accessRules.map(({ roleId }) => roleId)).toEqual([9, 12]);
  });

  it('that a server refuses since they are there count as there', async () => {
    await using stage = await openStage({ refuseDuplicateRules: true });
    const fault = { kind: 'status', status: 502, work: true } as const;
    stage.simulator.fault({ method: 'POST', path: rulesPath, fault });
    // The list shows it only after a while.
    const change = () => ({ totalRecords: 0, displayRecords: 0, accessRules: [] });
    stage.simulator.fault({ method: 'GET', path: rulesPath, times: 2, fault: { kind: 'transform', change } });
    expect((await stage.run({ ...create, 'access-rules': 'ML engineer @ project:1' })).exitCode).toBe(0);
    expect(stage.simulator.accessRules).toHaveLength(1);
  });

  it('are not confused with those of another subject, role or scope', async () => {
    await using stage = await openStage();
    const rule = { subjectId: 'trainer', subjectType: 'app', roleId: 9, scopeType: 'project', scopeId: '1' };
    for (const other of [{ subjectId: 'trainer-2' }, { roleId: 8 }, { scopeType: 'department' }, { scopeId: '11' }])
      stage.simulator.addAccessRule({ ...rule, ...other });
    expect((await stage.run({ ...create, 'access-rules': 'ML engineer @ project:1' })).exitCode).toBe(0);
    expect(sent(stage.simulator, 'POST', rulesPath)).toHaveLength(1);
    expect(stage.simulator.accessRules).toHaveLength(5);
  });

  it.each([
    ['a role', 'ML enginer @ project:1', 'no role is named ML enginer', 'ML engineer'],
    ['a project', '9 @ project:team-x', 'there is no project named team-x', 'team-a'],
    ['a name in two clusters', '9 @ project:team-b', 'there is more than one project named team-b', '88 (cluster'],
  ])('with %s that is not clear: nothing is created, and the nearest are named', async (_what, rule, says, nearest) => {
    await using stage = await openStage();
    const { simulator } = stage;
    const clusters = [simulator.addCluster({ name: 'one' }), simulator.addCluster({ name: 'two' })];
    simulator.addProject({ name: 'team-a' });
    for (const [at, { uuid }] of clusters.entries())
      simulator.addProject({ name: 'team-b', id: String(88 + at), clusterId: uuid });
    const { errors, outputs } = await stage.run({ ...create, 'access-rules': `Viewer @ project:1\n${rule}` });
    expect(outputs).toEqual({ 'error-code': 'access-rule' });
    for (const part of [`access rule "${rule}" cannot be created: ${says}`, nearest, 'Nothing was created'])
      expect(errors[0]).toContain(part);
    expect(simulator.applications).toEqual([]);
  });

  it.each([
    [400, 'access-rule', 'Check the role and the scope'],
    [403, 'forbidden', 'permission Create for Access rules'],
    [503, 'unavailable', 'it asks to wait 900 s'],
  ])('that are refused with %i leave the outputs where they are', async (status, code, hint) => {
    await using stage = await openStage();
    const body = { code: status, message: 'Scope 404 is unknown' };
    const fault = { kind: 'status', status, body, headers: { 'retry-after': '900' } } as const;
    stage.simulator.fault({ method: 'POST', path: rulesPath, skip: 1, fault });
    const { errors, outputs } = await stage.run({
      ...create,
      'access-rules': '12 @ project:1\nML engineer @ project:404',
    });
    expect(outputs).toMatchObject({ 'error-code': code, created: 'true' });
    for (const part of [
      '"ML engineer @ project:404" could not be created',
      `answered ${status}`,
      'Scope 404 is unknown',
      hint,
    ])
      expect(errors[0]).toContain(part);
    expect(stage.simulator.isValidSecret('trainer', outputs['client-secret'] ?? '')).toBe(true);
    expect(rulesOf(stage.simulator, 'trainer')).toHaveLength(1);
  });

  it.each(['ML engineer @ galaxy:1', 'ML engineer', '@ project:1', 'ML engineer @ project:', 'ML engineer @ project'])(
    'are refused before any request when one is written like %s',
    async (rule) => {
      await using stage = await openStage();
      const { errors } = await stage.run({ ...create, 'access-rules': `Viewer @ project:1\n${rule}` });
      expect(errors[0]).toContain(`"${rule}" is not <role> @ <scope type>:<scope name or id>`);
      expect(stage.simulator.requests).toEqual([]);
    },
  );

  it.each([
    ['a new application has none', {}, false, 1],
    ['it has some', { 'access-rules': 'Viewer @ project:1' }, false, 0],
    ['the application was there', { 'if-exists': 'skip' }, true, 0],
  ])('are missed in a notice when %s', async (_when, inputs, exists, notices) => {
    await using stage = await openStage();
    if (exists) stage.simulator.addApplication({ name: 'trainer' });
    const result = await stage.run({ ...create, ...inputs });
    expect(result.notices).toHaveLength(notices);
    for (const notice of result.notices) expect(notice).toContain('trainer has no permissions yet');
  });
});
