import { describe, expect, it } from 'vitest';
import { lookUpRules } from '../../src/runai/access-rules.ts';
import type { ScopeType } from '../../src/runai/scope-types.ts';
import { findScope } from '../../src/runai/scopes.ts';
import type { SimulatorOptions } from '../simulator/simulator.ts';
import { failure, type Setup, sent, signedIn } from '../support/client.ts';

const prod = '71f69d83-ba66-4822-adf5-55ce55efd210';
const dev = '0b1c2d3e-ba66-4822-adf5-55ce55efd210';

/** A tenant of two clusters. */
async function tenant(options: SimulatorOptions = {}): Promise<Setup> {
  const setup = await signedIn({}, options);
  const { simulator } = setup;
  simulator.addCluster({ uuid: prod, name: 'prod' });
  simulator.addCluster({ uuid: dev, name: 'dev' });
  simulator.addDepartment({ id: '77', name: 'research', clusterId: prod });
  simulator.addProject({ id: '101', name: 'team-a', clusterId: prod });
  simulator.addProject({ id: '102', name: 'team-b', clusterId: prod });
  simulator.addProject({ id: '103', name: 'team-ab', clusterId: dev });
  simulator.addProject({ id: '104', name: 'team-b', clusterId: dev });
  return setup;
}

const find = ({ client }: Setup, scopeType: ScopeType, scopeId: string) => findScope(client, { scopeType, scopeId });

describe('a scope is found by its name', () => {
  it.each<[ScopeType, string, string]>([
    ['project', 'team-a', '101'],
    ['department', 'research', '77'],
    ['cluster', 'prod', prod],
  ])('%s:%s', async (scopeType, name, scopeId) => {
    for (const version of ['2.20', '2.24', '3.0'] as const) {
      await using setup = await tenant({ version });
      expect(await find(setup, scopeType, name)).toEqual({ scopeType, scopeId });
      expect(setup.simulator.violations).toEqual([]);
    }
  });

  it.each<[string, SimulatorOptions]>([
    ['where the server ignores the filter', { ignoreOrgUnitFilter: true }],
    ['where the server ignores the filter and sends short pages', { ignoreOrgUnitFilter: true, orgUnitsPageLimit: 1 }],
    ['where clusters come in an object', { clustersInObject: true }],
  ])('%s', async (_where, options) => {
    await using setup = await tenant(options);
    expect(await find(setup, 'project', 'team-ab')).toMatchObject({ scopeId: '103' });
    expect(await find(setup, 'cluster', 'dev')).toMatchObject({ scopeId: dev });
  });

  it('with special characters, which the filter carries whole', async () => {
    await using setup = await tenant();
    const { id } = setup.simulator.addProject({ name: 'a&b=c d/ü' });
    expect(await find(setup, 'project', 'a&b=c d/ü')).toMatchObject({ scopeId: id });
    expect(setup.simulator.violations).toEqual([]);
  });

  it('though its id is a number', async () => {
    await using setup = await tenant();
    const change = () => ({ projects: [{ id: 7, name: 'team-x' }, { id: {}, name: 'odd' }, null] });
    setup.simulator.fault({ path: '/projects', fault: { kind: 'transform', change } });
    expect(await find(setup, 'project', 'team-x')).toMatchObject({ scopeId: '7' });
  });
});

describe('an id is taken as it is, without a request', () => {
  it.each<[ScopeType, string]>([
    ['project', '4501234'],
    ['department', '77'],
    ['cluster', prod],
    ['cluster', prod.toUpperCase()],
    ['system', 'anything'],
    ['tenant', 'acme'],
  ])('%s:%s', async (scopeType, scopeId) => {
    await using setup = await tenant();
    expect(await find(setup, scopeType, scopeId)).toEqual({ scopeType, scopeId });
    expect(sent(setup)).toEqual([]);
  });

  it('but digits are the name of a cluster', async () => {
    await using setup = await tenant();
    const { uuid } = setup.simulator.addCluster({ name: '2024' });
    expect(await find(setup, 'cluster', '2024')).toMatchObject({ scopeId: uuid });
  });
});

describe('an ambiguous name of a scope', () => {
  it('since it is in two clusters, is an error with the ids', async () => {
    await using setup = await tenant();
    const error = await failure(find(setup, 'project', 'team-b'));
    expect(error.code).toBe('access-rule');
    expect(error.describe()).toBe(
      `there is more than one project named team-b. Use the id of the one you mean: 102 (cluster ${prod}), 104 (cluster ${dev}).`,
    );
  });

  it('since two clusters have it, is an error with the ids', async () => {
    await using setup = await tenant();
    const { uuid } = setup.simulator.addCluster({ name: 'prod' });
    expect((await failure(find(setup, 'cluster', 'prod'))).hint).toContain(`${prod}, ${uuid}`);
  });

  it.each<[ScopeType, string, string]>([
    ['project', 'team_a', 'The closest of the 3 existing names: team-a, team-b, team-ab'],
    ['project', 'Team-A', 'team-a'],
    ['department', 'reserch', 'research'],
    ['cluster', 'production', 'prod'],
  ])('since there is none, is an error with the nearest names: %s:%s', async (scopeType, name, nearest) => {
    await using setup = await tenant();
    const error = await failure(find(setup, scopeType, name));
    expect(error.code).toBe('access-rule');
    expect(error.message).toBe(`there is no ${scopeType} named ${name}`);
    expect(error.hint).toContain(`Check the name of the ${scopeType}.`);
    expect(error.hint).toContain(nearest);
  });

  it('says so although the names cannot be listed', async () => {
    await using setup = await tenant();
    const none = { kind: 'transform' as const, change: () => ({ projects: [] }) };
    setup.simulator.fault({ path: 'filterBy', fault: none });
    setup.simulator.fault({ path: '/projects', fault: { kind: 'status', status: 403 } });
    const error = await failure(find(setup, 'project', 'team-x'));
    expect(error.describe()).toBe(
      'there is no project named team-x. Check the name of the project. These credentials cannot see any: do they have the permission?',
    );
  });
});

describe('scopes are looked up before anything is created', () => {
  it('and the error names the rule', async () => {
    await using setup = await tenant();
    const wanted = [
      { role: '9', scopeType: 'project' as const, scopeId: 'team-a' },
      { role: 'Viewer', scopeType: 'project' as const, scopeId: 'team-x' },
    ];
    const error = await failure(lookUpRules(setup.client, wanted));
    expect(error.message).toBe(
      'access rule "Viewer @ project:team-x" cannot be created: there is no project named team-x',
    );
    expect(error.hint).toMatch(/Nothing was created\.$/);
    expect(sent(setup).every((request) => request.startsWith('GET '))).toBe(true);
  });

  it.each<[ScopeType, 'project' | 'department' | 'cluster', string]>([
    ['project', 'project', 'View for Projects'],
    ['department', 'department', 'View for Departments'],
    ['cluster', 'cluster', 'View for Clusters'],
  ])('and a caller who may not read them learns the permission: %s', async (scopeType, resource, permission) => {
    await using setup = await tenant({ forbid: [resource] });
    const error = await failure(lookUpRules(setup.client, [{ role: '9', scopeType, scopeId: 'prod' }]));
    expect(error).toMatchObject({ code: 'forbidden', hint: expect.stringContaining(permission) });
  });

  it('and the rules are made with their ids', async () => {
    await using setup = await tenant();
    const wanted = [{ role: 'viewer', scopeType: 'cluster' as const, scopeId: 'prod' }];
    expect(await lookUpRules(setup.client, wanted)).toEqual([
      { roleId: 12, scopeType: 'cluster', scopeId: prod, text: 'viewer @ cluster:prod' },
    ]);
  });
});
