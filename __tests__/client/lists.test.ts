import { describe, expect, it } from 'vitest';
import { createApplication, findApplication, getApplication } from '../../src/runai/applications.ts';
import { createUser, findUser } from '../../src/runai/users.ts';
import { answering } from '../support/answering.ts';
import { clientFor, failure, type Setup, sent, signedIn } from '../support/client.ts';

const name = 'ci-app';
const email = 'jo@example.com';

/** Lets the list of applications, or of users, begin with more rows. */
function addRows({ simulator }: Setup, path: string, rows: unknown[]) {
  const change = (json: unknown) => [...rows, ...(json as unknown[])];
  simulator.fault({ method: 'GET', path, times: Infinity, fault: { kind: 'transform', change } });
}

describe('an application is found', () => {
  it('by its exact name or id, and by nothing else', async () => {
    await using setup = await signedIn();
    for (const other of ['ci-app-2', 'my-ci-app', 'CI-App']) setup.simulator.addApplication({ name: other });
    const { id } = setup.simulator.addApplication({ name });
    expect((await findApplication(setup.client, { name }))?.id).toBe(id);
    expect((await findApplication(setup.client, { id }))?.name).toBe(name);
    expect(await findApplication(setup.client, { name: 'ci' })).toBeUndefined();
    expect(await findApplication(setup.client, { id: name })).toBeUndefined();
  });

  it.each([
    [{ name: 'trainer' }, 'has no application with the name trainer'],
    [{ id: 'd34db33f' }, 'has no application with the id d34db33f'],
  ])('or else the error names what was looked for: %j', async (key, says) => {
    await using setup = await signedIn();
    setup.simulator.addApplication({ name });
    const error = await failure(getApplication(setup.client, key));
    expect(error).toMatchObject({ code: 'not-found', message: `${setup.simulator.url} ${says}` });
    expect(error.hint).toContain('Check app-name or app-id, and that url is the right tenant.');
  });

  it('or of two with the same name, neither: both ids are named, and an id selects one', async () => {
    await using setup = await signedIn();
    for (const id of ['id-1', 'id-2']) setup.simulator.addApplication({ name, id });
    for (const act of [
      () => findApplication(setup.client, { name }),
      () => createApplication(setup.client, { name, ifExists: 'skip' }),
      () => createApplication(setup.client, { name, ifExists: 'rotate' }),
    ]) {
      const error = await failure(act());
      expect(error.code).toBe('conflict');
      expect(error.describe()).toContain('has several applications named ci-app. Their ids are id-1, id-2: use app-id');
    }
    expect((await findApplication(setup.client, { id: 'id-2' }))?.id).toBe('id-2');
  });
});

describe('odd rows of a list that are not ours are passed over', () => {
  const oddApplications: [string, unknown][] = [
    ['with a numeric id', { id: 7, name: 'other' }],
    ['with a space in its client id', { id: '7', name: 'other', clientId: 'a b' }],
    ['without a name', { id: '7' }],
    ['without an id', { name: 'other' }],
    ['that is null', null],
    ['that is a text', 'other'],
    ['that is a list', []],
  ];

  it.each(oddApplications)('an application %s', async (_how, row) => {
    await using setup = await signedIn();
    const { id } = setup.simulator.addApplication({ name });
    addRows(setup, '/apps', [row]);
    expect((await findApplication(setup.client, { name }))?.id).toBe(id);
    expect((await createApplication(setup.client, { name, ifExists: 'skip' })).created).toBe(false);
    expect(setup.log).toContain('Skipped 1 applications that cannot be read');
  });

  it.each<[string, unknown]>([
    ['with a numeric id', { id: 7, username: 'other@example.com' }],
    ['without a name', { id: '7' }],
    ['with a line break in its name', { id: '7', username: 'a\nb' }],
    ['that is null', null],
  ])('a user %s', async (_how, row) => {
    await using setup = await signedIn();
    const { id } = setup.simulator.addUser({ email });
    addRows(setup, '/users', [row]);
    expect((await findUser(setup.client, email))?.id).toBe(id);
    const user = { email, resetPassword: false, notify: undefined, ifExists: 'skip' as const };
    expect((await createUser(setup.client, user)).created).toBe(false);
  });
});

describe('an odd row that is ours is an error that says so', () => {
  it.each(['..', '.', 'a b', 'a\nb', 'ä', '', 'x'.repeat(256), 7, null])(
    'an application with the id %j, which would become part of a path',
    async (id) => {
      await using setup = await signedIn();
      addRows(setup, '/apps', [{ id, name }]);
      const error = await failure(findApplication(setup.client, { name }));
      expect(error.describe()).toContain('lists the application with fields that cannot be read');
    },
  );

  it.each(['$(id)\n::error::x', 'a b', 7])('an application with the client id %j', async (clientId) => {
    await using setup = await signedIn();
    addRows(setup, '/apps', [{ id: '1', name, clientId }]);
    for (const key of [{ name }, { id: '1' }]) {
      expect((await failure(findApplication(setup.client, key))).code).toBe('unreadable');
    }
  });

  it('a user with a numeric id', async () => {
    await using setup = await signedIn();
    addRows(setup, '/users', [{ id: 7, username: 'Jo@example.com' }]);
    const error = await failure(findUser(setup.client, email));
    expect(error.describe()).toContain('lists the user with fields that cannot be read');
  });

  it('an application of which another can be read, since there is no way to tell which is meant', async () => {
    await using setup = await signedIn();
    const { id } = setup.simulator.addApplication({ name });
    addRows(setup, '/apps', [{ id: 7, name }]);
    expect((await failure(findApplication(setup.client, { name }))).code).toBe('unreadable');
    expect((await findApplication(setup.client, { id }))?.name).toBe(name);
  });

  it('an application in a list of which nothing can be read, since it may be among them', async () => {
    await using setup = await signedIn();
    addRows(setup, '/apps', [{ id: 7, name: 'other' }, null]);
    expect((await failure(findApplication(setup.client, { name }))).code).toBe('unreadable');
  });
});

describe('a list may be', () => {
  const application = (count: number) => ({ id: `id-${count}`, name: `app-${count}`, filler: 'x'.repeat(200) });

  it('as large as that of a very large tenant', async () => {
    const json = Array.from({ length: 7_500 }, (_, count) => application(count));
    await using server = await answering(() => ({ json }));
    await using setup = clientFor(server.url);
    expect(await findApplication(setup.client, { name: 'app-7499' })).toMatchObject({ id: 'id-7499' });
  });

  it('too large, and the message says so', async () => {
    const json = Array.from({ length: 9_000 }, (_, count) => application(count));
    await using server = await answering(() => ({ json }));
    await using setup = clientFor(server.url);
    const error = await failure(findApplication(setup.client, { name }));
    expect(error.describe()).toContain('answered 200 with a body that is broken or larger than 2 MiB');
  });

  it('that never ends, and is cut off', async () => {
    let page = 0;
    await using server = await answering(() => ({
      json: [{ id: `u${page}`, username: `user-${page++}@example.com` }],
    }));
    await using setup = clientFor(server.url);
    const error = await failure(findUser(setup.client, email));
    expect(error.describe()).toContain('the control plane sent an endless list');
    expect(page).toBe(200);
  });

  it('no list at all, which is no empty one', async () => {
    await using server = await answering(() => ({ json: { message: 'maintenance' } }));
    await using setup = clientFor(server.url);
    const error = await failure(findApplication(setup.client, { name }));
    expect(error.describe()).toContain('answered 200 with JSON without a list');
  });
});

describe('a user is found by the exact address', () => {
  it.each([
    ['that filters by a part of the address', {}],
    ['that ignores the filter', { ignoreUserFilter: true }],
    ['with pages shorter than asked for', { ignoreUserFilter: true, usersPageLimit: 2 }],
  ])('on a server %s', async (_how, options) => {
    await using setup = await signedIn({}, options);
    for (const other of ['xjo@example.com', 'jo@example.com.au', 'a@b.io', 'c@d.io']) {
      setup.simulator.addUser({ email: other });
    }
    const { id } = setup.simulator.addUser({ email: 'Jo@Example.com' });
    expect((await findUser(setup.client, email))?.id).toBe(id);
    expect(await findUser(setup.client, 'nobody@example.com')).toBeUndefined();
    expect(setup.simulator.violations).toEqual([]);
  });

  it('also when it has special characters', async () => {
    await using setup = await signedIn();
    const special = 'jo+ci%x@example.com';
    setup.simulator.addUser({ email: special });
    expect((await findUser(setup.client, special))?.username).toBe(special);
    expect(sent(setup)[0]).toContain(`filterBy=${encodeURIComponent(`username==${special}`)}`);
    expect(setup.simulator.violations).toEqual([]);
  });

  it('and a look-alike is another user', async () => {
    await using setup = await signedIn();
    // The Kelvin sign, which folds to a k.
    addRows(setup, '/users', [{ id: '1', username: '\u212Aim@example.com' }]);
    expect(await findUser(setup.client, 'kim@example.com')).toBeUndefined();
  });
});
