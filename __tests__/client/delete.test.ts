import { describe, expect, it } from 'vitest';
import { deleteApplication, findApplication } from '../../src/runai/applications.ts';
import type { Fault, Version } from '../simulator/simulator.ts';
import { failure, type Setup, sent, signedIn } from '../support/client.ts';

const name = 'trainer';

async function existing(version: Version = '2.24'): Promise<{ setup: Setup; remove: () => Promise<boolean> }> {
  const setup = await signedIn({}, { version });
  setup.simulator.addApplication({ name });
  setup.simulator.addApplication({ name: 'trainer-2' });
  const application = (await findApplication(setup.client, { name }))!;
  setup.simulator.requests.length = 0;
  return { setup, remove: () => deleteApplication(setup.client, application) };
}

const names = ({ simulator }: Setup) => simulator.applications.map((application) => application.name);

describe.each<Version>(['2.22', '3.0'])('a delete on %s', (version) => {
  it('deletes that application and no other, and is believed when the list no longer holds it', async () => {
    const { setup, remove } = await existing(version);
    await using _ = setup;
    expect(await remove()).toBe(true);
    expect(names(setup)).toEqual(['trainer-2']);
    expect(sent(setup).map((request) => request.split(' ')[0])).toEqual(['DELETE', 'GET']);
  });

  it.each<[string, Fault]>([
    ['cut off before it began', { kind: 'reset', when: 'before-head', work: true }],
    ['cut off in the middle', { kind: 'end', when: 'in-head', work: true }],
    ['replaced by a 502', { kind: 'status', status: 502, work: true }],
    ['replaced by a page with 504', { kind: 'html', status: 504, work: true }],
  ])('counts as this run’s work when the answer was %s', async (_how, fault) => {
    const { setup, remove } = await existing(version);
    await using _ = setup;
    setup.simulator.fault({ method: 'DELETE', fault });
    expect(await remove()).toBe(true);
    expect(names(setup)).toEqual(['trainer-2']);
  });
});

it.each<[string, Fault]>([
  ['accepted', { kind: 'delay', ms: 0 }],
  ['lost', { kind: 'status', status: 504, work: true }],
])('a delete that was %s is not denied where the list cannot be read', async (how, fault) => {
  const { setup, remove } = await existing();
  await using _ = setup;
  setup.simulator.fault({ method: 'DELETE', fault });
  setup.simulator.fault({ method: 'GET', path: /apps|accounts/, times: 2, fault: { kind: 'status', status: 403 } });
  const error = await failure(remove());
  expect(error.code).toBe('forbidden');
  expect(error.warning).toContain(
    how === 'accepted' ? 'The control plane has accepted the deletion' : 'An attempt may have deleted it anyway.',
  );
  expect(names(setup)).toEqual(['trainer-2']);
});

describe('a 404', () => {
  it('for an application that is gone from the list leaves the credit to whoever was faster', async () => {
    const { setup, remove } = await existing();
    await using _ = setup;
    setup.simulator.fault({ method: 'DELETE', fault: { kind: 'status', status: 404, work: true } });
    expect(await remove()).toBe(false);
  });

  it.each<[string, Fault[]]>([
    ['in a page', [{ kind: 'html', status: 404 }]],
    ['in a text', [{ kind: 'status', status: 404, body: 'default backend - 404', contentType: 'text/plain' }]],
    ['in JSON', [{ kind: 'status', status: 404 }]],
    [
      'after a 503',
      [
        { kind: 'status', status: 503 },
        { kind: 'html', status: 404 },
      ],
    ],
  ])('of a gateway, %s, is not believed: the list decides', async (_how, faults) => {
    const { setup, remove } = await existing();
    await using _ = setup;
    for (const fault of faults) setup.simulator.fault({ method: 'DELETE', fault });
    const error = await failure(remove());
    expect(error).toMatchObject({ code: 'unreadable', status: 404 });
    expect(error.describe()).toMatch(
      /DELETE \S+ answered 404.*The application is still in the list, so it does not seem to be deleted\./,
    );
    expect(names(setup)).toContain(name);
    // Nothing was done, so there is nothing to wait for.
    expect(setup.clock.pauses).not.toContain(1_000);
  });
});

describe('a delete that is answered well', () => {
  const stale = (setup: Setup, times: number) => {
    const [application] = setup.simulator.applications;
    const { secret: _, ...row } = application!;
    const change = (json: unknown) => [row, ...(json as unknown[])];
    setup.simulator.fault({ method: 'GET', path: '/apps', times, fault: { kind: 'transform', change } });
  };

  it('may take a moment until the list shows it', async () => {
    const { setup, remove } = await existing();
    await using _ = setup;
    stale(setup, 2);
    expect(await remove()).toBe(true);
    expect(setup.clock.pauses).toEqual([1_000, 1_000]);
  });

  it('is not believed when the list goes on to show it', async () => {
    const { setup, remove } = await existing();
    await using _ = setup;
    stale(setup, 99);
    expect(await failure(remove())).toMatchObject({ code: 'unreadable' });
  });

  it('by a gateway, without being done, is not believed', async () => {
    const { setup, remove } = await existing();
    await using _ = setup;
    setup.simulator.fault({ method: 'DELETE', fault: { kind: 'empty', status: 204 } });
    expect(await failure(remove())).toMatchObject({ code: 'unreadable', status: 204 });
    expect(names(setup)).toContain(name);
  });
});
