// delete-app: by name and by id, and when a 404 is believed.
import { describe, expect, it } from 'vitest';
import type { Fault } from '../simulator/simulator.ts';
import { openStage, sent } from '../support/stage.ts';

const deleteApp = { mode: 'delete-app', 'app-name': 'trainer' };

describe.concurrent('delete-app', () => {
  it.each([
    ['2.20', 'app-name'],
    ['2.22', 'app-id'],
    ['2.24', 'app-name'],
    ['3.0', 'app-id'],
    ['next', 'app-name'],
  ] as const)('deletes that application and no other: %s, by %s', async (version, by) => {
    await using stage = await openStage({ version });
    const { id, clientId } = stage.simulator.addApplication({ name: 'trainer' });
    stage.simulator.addApplication({ name: 'trainer-2' });
    const { exitCode, outputs } = await stage.run({ mode: 'delete-app', [by]: by === 'app-id' ? id : 'trainer' });
    expect(exitCode).toBe(0);
    expect(outputs).toEqual({ 'app-id': id, 'app-name': 'trainer', 'client-id': clientId, deleted: 'true' });
    expect(stage.simulator.applications.map(({ name }) => name)).toEqual(['trainer-2']);
  });

  it.each([
    ['app-name', 'trainer'],
    ['app-id', 'd34db33f'],
  ])('succeeds when there is none by %s', async (by, key) => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer-2' });
    const { exitCode, outputs } = await stage.run({ mode: 'delete-app', [by]: key });
    expect(exitCode).toBe(0);
    expect(outputs).toEqual({ deleted: 'false' });
    expect(sent(stage.simulator, 'DELETE')).toEqual([]);
  });

  it.each<[string, Fault]>([
    ['cut off before it began', { kind: 'reset', when: 'before-head', work: true }],
    ['cut off in the middle', { kind: 'end', when: 'in-head', work: true }],
    ['replaced by a 502', { kind: 'status', status: 502, work: true }],
    ['replaced by a 504 page', { kind: 'html', status: 504, work: true }],
  ])('counts its own work as done when the answer was %s', async (_how, fault) => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer' });
    stage.simulator.fault({ method: 'DELETE', fault });
    const { exitCode, outputs } = await stage.run(deleteApp);
    expect(exitCode).toBe(0);
    expect(outputs['deleted']).toBe('true');
    expect(stage.simulator.applications).toEqual([]);
  });

  it('leaves the credit to whoever was faster', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer' });
    stage.simulator.fault({ method: 'DELETE', fault: { kind: 'status', status: 404, work: true } });
    const { exitCode, outputs } = await stage.run(deleteApp);
    expect(exitCode).toBe(0);
    expect(outputs['deleted']).toBe('false');
  });
});

const gateway: Fault = { kind: 'status', status: 404, body: 'default backend - 404' };

describe.concurrent('an application that is still in the list was not deleted', () => {
  it.each<[string, Fault[]]>([
    ['a gateway answers 404', [gateway]],
    ['a gateway answers 404 after a 503', [{ kind: 'status', status: 503 }, gateway]],
    ['a page answers 404', [{ kind: 'html', status: 404 }]],
    ['a gateway answers 204', [{ kind: 'empty', status: 204 }]],
    ['a page answers 200', [{ kind: 'html', status: 200 }]],
  ])('although %s', async (_what, faults) => {
    await using stage = await openStage();
    const { id } = stage.simulator.addApplication({ name: 'trainer' });
    const last = faults.at(-1) as Fault;
    for (const fault of faults) stage.simulator.fault({ method: 'DELETE', times: fault === last ? 99 : 1, fault });
    const { exitCode, errors, outputs } = await stage.run(deleteApp);
    expect(exitCode).toBe(1);
    expect(outputs).not.toHaveProperty('deleted');
    expect(outputs['error-code']).toBe('unreadable');
    expect(errors[0]).toMatch(/DELETE \S+ answered (404|20[04])/);
    expect(stage.simulator.applications.map((application) => application.id)).toEqual([id]);
  });

  it('and a list that a gateway answers is no list', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'trainer' });
    stage.simulator.fault({ method: 'GET', path: /apps|service-accounts/, times: 99, fault: gateway });
    const { exitCode, outputs } = await stage.run(deleteApp);
    expect(exitCode).toBe(1);
    expect(outputs).toEqual({ 'error-code': 'not-run-ai' });
    expect(stage.simulator.applications).toHaveLength(1);
  });
});

describe.concurrent.each(['rotate-app', 'delete-app'])('%s asks for exactly one good key', (mode) => {
  it.each([
    [{}, 'app-name or app-id is missing'],
    [{ 'app-name': 'trainer', 'app-id': '1' }, 'app-id and app-name are both given'],
    [{ 'app-name': 'Trainer' }, 'app-name must have'],
  ])('%j', async (keys, says) => {
    await using stage = await openStage();
    const { errors, outputs } = await stage.run({ mode, ...keys });
    expect(outputs).toEqual({ 'error-code': 'inputs' });
    expect(errors[0]).toContain(says);
    expect(stage.simulator.requests).toEqual([]);
  });
});
