import { describe, expect, it } from 'vitest';
import { grantAccess, lookUpRules, rulesOf, type Subject, subjectTypeOf } from '../../src/runai/access-rules.ts';
import { createApplication } from '../../src/runai/applications.ts';
import type { Fault, SimulatorOptions, Version } from '../simulator/simulator.ts';
import { failure, type Setup, sent, signedIn } from '../support/client.ts';

const name = 'trainer';
const email = 'ada@acme.example';
const rulesPath = '/authorization/access-rules';
const onProject = (role: string, scopeId = '1') => ({ role, scopeType: 'project' as const, scopeId });
const engineer = [onProject('ML engineer')];
/** A rule of the simulator for the application; the role ML engineer has the id 9. */
const rule = { subjectId: name, subjectType: 'app', roleId: 9, scopeType: 'project', scopeId: '1' };

interface Ready {
  setup: Setup;
  subject: Subject;
  grant(wanted: Parameters<typeof lookUpRules>[1]): Promise<number>;
}

/** An application, or a user, that access rules can be made for. */
async function ready(options: SimulatorOptions = {}, kind: 'application' | 'user' = 'application'): Promise<Ready> {
  const setup = await signedIn({}, options);
  const { client, simulator } = setup;
  let subject: Subject = { id: email, type: 'user' };
  if (kind === 'user') simulator.addUser({ email });
  else {
    const { endpoint } = await createApplication(client, { name, ifExists: 'fail' });
    subject = { id: name, type: subjectTypeOf({ endpoint }) };
  }
  simulator.requests.length = 0;
  const grant: Ready['grant'] = async (wanted) => grantAccess(client, subject, await lookUpRules(client, wanted));
  return { setup, subject, grant };
}

const made = ({ simulator }: Setup) =>
  simulator.accessRules.map(
    (one) => `${one.subjectType} ${one.subjectId}: ${one.roleId} @ ${one.scopeType}:${one.scopeId}`,
  );

const lostAnswers: [string, Fault][] = [
  ['cut off before it began', { kind: 'reset', when: 'before-head', work: true }],
  ['cut off in the middle', { kind: 'end', when: 'in-body', work: true }],
  ['replaced by a 502', { kind: 'status', status: 502, work: true }],
  ['replaced by a page with 504', { kind: 'html', status: 504, work: true }],
  ['cut to half its JSON', { kind: 'truncated', work: true }],
];

describe.each<Version>(['2.20', '2.24', '3.0'])('access rules on %s', (version) => {
  it.each(['application', 'user'] as const)('are made for an %s, by role names in any case and by id', async (kind) => {
    const { setup, subject, grant } = await ready({ version }, kind);
    await using _ = setup;
    const wanted = [
      onProject('ml ENGINEER', '4501234'),
      { role: '12', scopeType: 'cluster' as const, scopeId: '71f69d83-ba66-4822-adf5-55ce55efd210' },
      { role: 'L1 researcher', scopeType: 'department' as const, scopeId: '77' },
      { role: 'Viewer', scopeType: 'tenant' as const, scopeId: 'acme' },
    ];
    expect(await grant(wanted)).toBe(4);
    expect(made(setup)).toEqual([
      `${subject.type} ${subject.id}: 9 @ project:4501234`,
      `${subject.type} ${subject.id}: 12 @ cluster:71f69d83-ba66-4822-adf5-55ce55efd210`,
      `${subject.type} ${subject.id}: 7 @ department:77`,
      `${subject.type} ${subject.id}: 12 @ tenant:acme`,
    ]);
    if (kind === 'application') expect(subject.type).toBe(version === '3.0' ? 'service-account' : 'app');
    expect(setup.simulator.violations).toEqual([]);
  });

  it('that are there are left alone, whatever type they have', async () => {
    const { setup, grant } = await ready({ version });
    await using _ = setup;
    setup.simulator.addAccessRule({ ...rule, subjectType: 'app' });
    expect(await grant([...engineer, onProject('ML engineer', '2')])).toBe(1);
    expect(setup.simulator.accessRules.map(({ scopeId }) => scopeId)).toEqual(['1', '2']);
  });

  it('are for a role on the last page of the list as well', async () => {
    const { setup, grant } = await ready({ version, rolesPageLimit: 5 });
    await using _ = setup;
    expect(await grant([onProject('viewer')])).toBe(1);
    expect(setup.simulator.accessRules.map(({ roleId }) => roleId)).toEqual([12]);
  });

  it.each(lostAnswers)('are never made twice when an answer was %s', async (_how, fault) => {
    const { setup, grant } = await ready({ version });
    await using _ = setup;
    setup.simulator.fault({ method: 'POST', path: rulesPath, fault });
    expect(await grant([...engineer, onProject('Viewer')])).toBe(2);
    expect(setup.simulator.accessRules.map(({ roleId }) => roleId)).toEqual([9, 12]);
  });
});

describe('access rules', () => {
  it('are made once when the same rule comes twice, by the role’s name in another case or by its id', async () => {
    const { setup, grant } = await ready();
    await using _ = setup;
    expect(await grant([...engineer, onProject('ml engineer'), onProject('9')])).toBe(1);
    expect(setup.simulator.accessRules).toHaveLength(1);
  });

  it('are made after an answer that was lost without the work', async () => {
    const { setup, grant } = await ready();
    await using _ = setup;
    setup.simulator.fault({ method: 'POST', path: rulesPath, times: 2, fault: { kind: 'reset', when: 'before-head' } });
    expect(await grant(engineer)).toBe(1);
    expect(setup.simulator.accessRules).toHaveLength(1);
  });

  it('are there where the server answers 409', async () => {
    const { setup, grant } = await ready({ refuseDuplicateRules: true });
    await using _ = setup;
    setup.simulator.addAccessRule(rule);
    const none = () => ({ totalRecords: 0, displayRecords: 0, accessRules: [] });
    setup.simulator.fault({ method: 'GET', path: rulesPath, fault: { kind: 'transform', change: none } });
    expect(await grant([...engineer, onProject('Viewer')])).toBe(1);
    expect(setup.simulator.accessRules.map(({ roleId }) => roleId)).toEqual([9, 12]);
  });

  it('are not confused with those of a group of the same name', async () => {
    const { setup, grant } = await ready();
    await using _ = setup;
    setup.simulator.addAccessRule({ ...rule, subjectType: 'group' });
    expect(await grant(engineer)).toBe(1);
    expect(setup.simulator.accessRules.map(({ subjectType }) => subjectType)).toEqual(['group', 'app']);
  });

  it('that cannot be read are not blamed on the role or the scope', async () => {
    const { setup, grant } = await ready();
    await using _ = setup;
    setup.simulator.fault({ method: 'GET', path: rulesPath, fault: { kind: 'status', status: 400 } });
    const error = await failure(grant(engineer));
    expect(error).toMatchObject({ code: 'rejected', status: 400 });
    expect(error.describe()).toContain('the access rules cannot be read: GET');
    expect(error.hint).not.toContain('Check the role');
  });

  it('are not confused with those of another subject, role or scope', async () => {
    const { setup, grant } = await ready();
    await using _ = setup;
    const others = [{ subjectId: 'trainer-2' }, { roleId: 8 }, { scopeType: 'department' }, { scopeId: '11' }];
    for (const other of others) setup.simulator.addAccessRule({ ...rule, ...other });
    expect(await grant(engineer)).toBe(1);
    expect(setup.simulator.accessRules).toHaveLength(5);
  });

  it('of others do not count, though the server lists them', async () => {
    const { setup, grant } = await ready();
    await using _ = setup;
    const others = [
      { ...rule, subjectId: 'other' },
      { ...rule, subjectType: 'user' },
      { ...rule, subjectType: 'group' },
    ];
    const change = () => ({ totalRecords: 3, displayRecords: 3, accessRules: others });
    setup.simulator.fault({ method: 'GET', path: rulesPath, fault: { kind: 'transform', change } });
    expect(await grant(engineer)).toBe(1);
  });

  it('of a user count in whatever case the address is written', async () => {
    const { setup, grant } = await ready({}, 'user');
    await using _ = setup;
    const theirs = { ...rule, subjectId: 'Ada@Acme.example', subjectType: 'user' };
    const change = () => ({ totalRecords: 1, displayRecords: 1, accessRules: [theirs] });
    setup.simulator.fault({ method: 'GET', path: rulesPath, fault: { kind: 'transform', change } });
    expect(await grant(engineer)).toBe(0);
  });

  it('are found on the second page as well', async () => {
    const { setup, subject, grant } = await ready();
    await using _ = setup;
    for (let scope = 1000; scope < 1501; scope++) setup.simulator.addAccessRule({ ...rule, scopeId: String(scope) });
    setup.simulator.addAccessRule(rule);
    expect(await grant(engineer)).toBe(0);
    expect((await rulesOf(setup.client, subject)).rules).toHaveLength(502);
  });

  it('that cannot be read are passed over', async () => {
    const { setup, grant } = await ready();
    await using _ = setup;
    const change = () => ({ totalRecords: 3, displayRecords: 3, accessRules: [null, { roleId: 'nine' }, rule] });
    setup.simulator.fault({ method: 'GET', path: rulesPath, fault: { kind: 'transform', change } });
    expect(await grant(engineer)).toBe(0);
  });

  it('of none are no request', async () => {
    const { setup, grant } = await ready();
    await using _ = setup;
    expect(await grant([])).toBe(0);
    expect(sent(setup)).toEqual([]);
  });
});

describe('a rule that is refused says which one it is, and why', () => {
  it.each([
    [400, 'access-rule', 'Check the role and the scope.'],
    [404, 'access-rule', 'Check the role and the scope.'],
    [422, 'access-rule', 'Check the role and the scope.'],
    [403, 'forbidden', 'the permission Create for Access rules'],
  ])('with %i', async (status, code, hint) => {
    const { setup, grant } = await ready();
    await using _ = setup;
    const body = { code: status, message: 'Scope 404 is unknown' };
    setup.simulator.fault({ method: 'POST', path: rulesPath, skip: 1, fault: { kind: 'status', status, body } });
    const error = await failure(grant([onProject('Viewer'), onProject('ML engineer', '404')]));
    expect(error).toMatchObject({ code, status });
    expect(error.describe()).toContain(
      `access rule "ML engineer @ project:404" could not be created: POST ${setup.simulator.url}/api/v1${rulesPath} answered ${status}: "Scope 404 is unknown" (1 attempt).`,
    );
    expect(error.hint).toContain(hint);
    expect(error.hint).toContain('Everything before this was done and published, so what was created exists.');
    expect(setup.simulator.accessRules).toHaveLength(1);
  });
});

describe('roles are looked up before anything is created', () => {
  it('all of them, so that a wrong one at the end does no harm', async () => {
    await using setup = await signedIn();
    const wanted = [onProject('Viewer'), onProject('ML enginer')];
    const error = await failure(lookUpRules(setup.client, wanted));
    expect(error.code).toBe('access-rule');
    expect(error.describe()).toBe(
      'access rule "ML enginer @ project:1" cannot be created: no role is named ML enginer. Check the name of the role. The closest of the 12 existing names: ML engineer, Viewer, L1 researcher, L2 researcher, Cloud operator. Nothing was created.',
    );
    expect(sent(setup)).toEqual(['GET /api/v1/authorization/roles']);
  });

  it.each(['L1', 'L1 researcher '.trim().slice(0, -1), 'researcher'])(
    'by their whole name, not by %s',
    async (role) => {
      await using setup = await signedIn();
      const error = await failure(lookUpRules(setup.client, [onProject(role)]));
      expect(error.describe()).toContain(`no role is named ${role}. Check the name of the role. The closest of`);
    },
  );

  it('and the exact one is taken where several differ only in case', async () => {
    await using setup = await signedIn();
    setup.simulator.roles.unshift({ id: 666, name: 'ml engineer' });
    expect(await lookUpRules(setup.client, engineer)).toMatchObject([{ roleId: 9 }]);
    const error = await failure(lookUpRules(setup.client, [onProject('Ml Engineer')]));
    expect(error.describe()).toContain('several roles are named Ml Engineer. Use the id of the one you mean: 666, 9.');
  });

  it('and an id that is not an int32 is no id of a role', async () => {
    await using setup = await signedIn();
    setup.simulator.roles.unshift({ id: 2 ** 31, name: 'Too large' }, { id: 1.5, name: 'Broken' });
    for (const role of ['Too large', 'Broken']) {
      const error = await failure(lookUpRules(setup.client, [onProject(role)]));
      expect(error.describe()).toContain(`no role is named ${role}`);
    }
    expect(await lookUpRules(setup.client, engineer)).toMatchObject([{ roleId: 9 }]);
  });

  it('not at all where only ids are given', async () => {
    await using setup = await signedIn();
    expect(await lookUpRules(setup.client, [onProject('2147483647')])).toMatchObject([{ roleId: 2147483647 }]);
    expect(sent(setup)).toEqual([]);
  });

  it('and who may not read them is told so, with nothing created', async () => {
    await using setup = await signedIn({}, { forbid: ['roles'] });
    const error = await failure(lookUpRules(setup.client, engineer));
    expect(error.code).toBe('forbidden');
    expect(error.message).toMatch(/^the roles for access-rules cannot be read: GET \S+ answered 403/);
    expect(error.hint).toMatch(/the permission View for Roles\..* Nothing was created\.$/);
  });
});
