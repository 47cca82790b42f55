// Each attempt has a connection of its own: on one that the server is just closing, nobody could tell what was done.
import { once } from 'node:events';
import { type AddressInfo, connect as connectTo, createServer, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
import { describe, expect, it } from 'vitest';
import { grantAccess, lookUpRules } from '../../src/runai/access-rules.ts';
import { createApplication, deleteApplication, findApplication, resetSecret } from '../../src/runai/applications.ts';
import { requestToken } from '../../src/runai/tokens.ts';
import { createUser } from '../../src/runai/users.ts';
import type { AfterAnswer } from '../simulator/simulator.ts';
import { createAuthority } from '../support/certificates.ts';
import {
  adminGrant,
  clientFor,
  connect,
  failure,
  type Setup,
  sent,
  signedIn,
  signIn,
  testClock,
} from '../support/client.ts';
import { startProxy } from '../support/proxy.ts';

const name = 'ci-app';
const user = { email: 'jo@example.com', resetPassword: false, notify: undefined, ifExists: 'fail' as const };
const behaviours: [string, AfterAnswer | undefined][] = [
  ['keeps connections open', undefined],
  ['closes after each answer', 'close'],
  ['closes 5 ms after each answer', 'close-soon'],
  ['resets a connection that is used again', 'reset-on-reuse'],
  ['is silent on a connection that is used again', 'silent-on-reuse'],
];

/** Everything that a run may do, one after the other. */
async function everything({ client, simulator }: Setup): Promise<void> {
  await signIn(client, simulator);
  const wanted = [{ role: 'Viewer', scopeType: 'project' as const, scopeId: '1' }];
  const permissions = await lookUpRules(client, wanted);
  const { clientId, clientSecret, created } = await createApplication(client, { name, ifExists: 'fail' });
  expect([created, simulator.isValidSecret(clientId!, clientSecret!)]).toEqual([true, true]);
  expect(await grantAccess(client, { id: clientId!, type: 'app' }, permissions)).toBe(1);
  const application = (await findApplication(client, { name }))!;
  const reset = await resetSecret(client, application);
  expect(simulator.isValidSecret(clientId!, reset.clientSecret!)).toBe(true);
  expect(await deleteApplication(client, application)).toBe(true);
  expect((await createUser(client, user)).created).toBe(true);
  expect(simulator.applications).toEqual([]);
}

describe.each(behaviours)('behind a server that %s', (_how, afterAnswer) => {
  const options = afterAnswer ? { afterAnswer } : {};

  it('everything is done at the first attempt, each request on its own connection', async () => {
    await using setup = await connect({}, options);
    await everything(setup);
    const { requests, connections } = setup.simulator;
    expect(requests.map(({ connection }) => connection)).toEqual(requests.map((_, index) => index + 1));
    expect(connections).toBe(requests.length);
    expect(setup.clock.pauses).toEqual([]);
    expect(setup.simulator.violations).toEqual([]);
  });

  it('two runs of one name never both say that they have created it', async () => {
    for (let count = 0; count < 5; count++) {
      await using first = await signedIn({}, options);
      await using second = clientFor(first.simulator.url);
      await signIn(second.client, first.simulator);
      const results = await Promise.allSettled(
        [first, second].map(({ client }) => createApplication(client, { name, ifExists: 'fail' })),
      );
      const made = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      expect(made).toHaveLength(1);
      expect(first.simulator.isValidSecret(made[0]!.clientId!, made[0]!.clientSecret!)).toBe(true);
      expect(results).toContainEqual(
        expect.objectContaining({ reason: expect.objectContaining({ code: 'conflict' }) }),
      );
    }
  });
});

describe('several requests at once', () => {
  const emails = Array.from({ length: 5 }, (_, at) => `user-${at}@example.com`);
  const createAll = ({ client }: Pick<Setup, 'client'>) =>
    Promise.all(emails.map((email) => createUser(client, { ...user, email })));

  it('do not get in each other’s way', async () => {
    await using setup = await signedIn();
    const users = await createAll(setup);
    for (const { username, temporaryPassword } of users) {
      expect(setup.simulator.isValidPassword(username, temporaryPassword!)).toBe(true);
    }
    expect(sent(setup)).toEqual(emails.map(() => 'POST /api/v1/users'));
    expect(setup.clock.pauses).toEqual([]);
  });

  it('do not either where one is cut off at its limit', async () => {
    await using setup = await signedIn();
    setup.simulator.fault({ path: '/users', fault: { kind: 'stall', when: 'before-head' } });
    const users = await createAll(setup);
    expect(users.map(({ created }) => created)).toEqual(emails.map(() => true));
    expect(sent(setup)).toHaveLength(emails.length + 1);
  });

  it('do not either through a proxy, which sees a tunnel for each', async () => {
    const authority = await createAuthority();
    const proxy = await startProxy();
    await using setup = await connect({}, { tls: await authority.issue({ hosts: ['runai.test'] }) });
    const { simulator } = setup;
    const clock = testClock();
    const options = { clock, roots: [authority.cert], proxy: new URL(`http://127.0.0.1:${proxy.port}`) };
    await using through = clientFor(`https://runai.test:${simulator.port}`, options);
    await signIn(through.client, simulator);
    const users = await createAll(through);
    for (const { username, temporaryPassword } of users) {
      expect(simulator.isValidPassword(username, temporaryPassword!)).toBe(true);
    }
    expect(proxy.targets).toEqual(Array(6).fill(`runai.test:${simulator.port}`));
    expect(simulator.connections).toBe(6);
    expect(clock.pauses).toEqual([]);
    await proxy.close();
  });
});

async function listening(server: Server, host = '127.0.0.1'): Promise<number> {
  server.listen(0, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

it('a server that switches protocols gives no answer, and the attempt ends', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () => socket.write('HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'));
  });
  const url = `http://127.0.0.1:${await listening(server)}`;
  await using setup = clientFor(url, { budget: 1_000 });
  const error = await failure(requestToken(setup.client, { type: 'password', username: 'u', password: 'p' }));
  expect(error.describe()).toContain('no complete answer came in time');
  server.close();
});

const hasIpv6 = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'));

describe.skipIf(!hasIpv6)('an IPv6 address works as url (skipped: no IPv6)', () => {
  it.each(['http', 'https'])('over %s', async (scheme) => {
    const authority = await createAuthority();
    const tls = { tls: await authority.issue({ hosts: ['::1'] }) };
    await using setup = await connect({}, scheme === 'https' ? tls : {});
    const door = createServer((socket) => {
      const inside = connectTo(setup.simulator.port, '127.0.0.1');
      socket.on('error', () => inside.destroy());
      inside.on('error', () => socket.destroy());
      socket.pipe(inside).pipe(socket);
    });
    const url = `${scheme}://[::1]:${await listening(door, '::1')}`;
    await using inside = clientFor(url, { roots: [authority.cert] });
    const { accessToken } = await requestToken(inside.client, adminGrant(setup.simulator));
    expect(setup.simulator.isValidToken(accessToken)).toBe(true);
    door.close();
  });
});
