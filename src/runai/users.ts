import { readCreatedUser, readTemporaryPassword, readUsers, type User } from './answers.ts';
import type { IfExists } from './applications.ts';
import type { Client } from './client.ts';
import { createOnce } from './create.ts';
import { RunaiError } from './errors.ts';
import { pages } from './pages.ts';

export interface IssuedUser {
  id: string;
  email: string;
  /** As the server sent it. */
  createdAt: string | undefined;
  /** Undefined where the server sent none, or an existing user was left alone. */
  temporaryPassword: string | undefined;
  /** Whether this run made the user. */
  created: boolean;
}

export interface NewUser {
  email: string;
  resetPassword: boolean;
  /** Sent only when given: Run:ai knows it from 2.23 on. */
  notify: boolean | undefined;
  ifExists: IfExists;
}

const path = '/api/v1/users';
/** The most that one page of the list can hold (Run:ai 2.20 to 3.0). */
const PAGE = 500;

/**
 * Creates a local user, or deals with one of the same address as `ifExists` says.
 * Run:ai API: `POST /api/v1/users`.
 * @throws RunaiError `conflict` where the user exists and `ifExists` is `fail`; `single-sign-on` where there is no
 *   password to reset
 */
export async function createUser(
  client: Client,
  { email, resetPassword, notify, ifExists }: NewUser,
): Promise<IssuedUser> {
  const json = { email, resetPassword, ...(notify === undefined ? {} : { notify }) };
  const outcome = await createOnce(client, {
    create: (effort) => {
      const read = (answer: unknown) => readCreatedUser(answer, client.mask);
      return client.send({ method: 'POST', path, json, read }, effort);
    },
    find: () => findUser(client, email),
  });
  switch (outcome.kind) {
    case 'created':
      return { ...outcome.value, email, created: true };
    case 'recovered':
      return { ...(await withNewPassword(client, outcome.existing)), email, created: true };
    case 'existed':
      if (!outcome.existing || ifExists === 'fail') break;
      if (ifExists === 'rotate') return { ...(await withNewPassword(client, outcome.existing)), email, created: false };
      return { ...known(outcome.existing), email, temporaryPassword: undefined, created: false };
  }
  throw client.problem(outcome.answer, { method: 'POST', path });
}

/**
 * Finds a user by the exact address, in any case. The server's filter may be a "contains", or be ignored, so all that
 * it returns is compared again.
 */
export async function findUser(client: Client, email: string): Promise<User | undefined> {
  const wanted = email.toLowerCase();
  const filter = encodeURIComponent(`username==${email}`);
  const list = pages(async (offset) => {
    const query = `?filterBy=${filter}&limit=${PAGE}&offset=${offset}`;
    return { items: await client.get({ method: 'GET', path: path + query, read: readUsers }), last: false };
  });
  for await (const users of list) {
    const found = users.find((user) => user.username.toLowerCase() === wanted);
    if (found) return found;
  }
  return undefined;
}

// A reset whose answer was lost is sent again: the last password is the valid one.
async function withNewPassword(client: Client, user: User) {
  if (!user.isLocal) {
    throw new RunaiError('single-sign-on', `${client.clean(user.username)} signs in through an identity provider`, {
      hint: 'Such a user has no password here that could be reset: use if-exists: skip.',
    });
  }
  const read = (json: unknown) => readTemporaryPassword(json, client.mask);
  const reset = `${path}/${encodeURIComponent(user.id)}/password`;
  return { ...known(user), temporaryPassword: await client.get({ method: 'POST', path: reset, read }) };
}

function known({ id, createdAt }: User): { id: string; createdAt: string | undefined } {
  return { id, createdAt: createdAt === undefined ? undefined : new Date(createdAt).toISOString() };
}
