import { readCreatedUser, readTemporaryPassword, readUsers, type User } from './answers.ts';
import type { Client } from './client.ts';
import { createOnce, type IfExists, mayBeReset, warnIfLost } from './create.ts';
import { RunaiError } from './errors.ts';
import { newEffort } from './http.ts';
import { foldCase } from './names.ts';
import { pages } from './pages.ts';

export interface IssuedUser {
  id: string;
  /** The address as the server writes it, which may be in another case. */
  username: string;
  /** ISO 8601. */
  createdAt: string | undefined;
  /** Undefined where the server sent none, or an existing user was left alone. */
  temporaryPassword: string | undefined;
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
export function createUser(
  client: Client,
  { email, resetPassword, notify, ifExists }: NewUser,
): Promise<IssuedUser & { created: boolean }> {
  const json = { email, resetPassword, ...(notify === undefined ? {} : { notify }) };
  const read = (answer: unknown): IssuedUser => {
    const user = readCreatedUser(answer);
    const isSame = foldCase(user.username ?? '') === foldCase(email);
    return { ...user, username: isSame && user.username ? user.username : email };
  };
  const call = { method: 'POST' as const, path, json, read };
  return createOnce<User, IssuedUser>(client, {
    ifExists,
    create: (effort) => client.send(call, effort),
    find: () => findUser(client, email),
    renew: (user) => withNewPassword(client, user),
    keep: (user) => ({ ...known(user), temporaryPassword: undefined }),
    problem: (answer) => client.problem(answer, call),
  });
}

/**
 * Finds a user by the exact address, in any case. The server's filter may be a "contains", or be ignored, so all that
 * it returns is compared again.
 */
export async function findUser(client: Client, email: string): Promise<User | undefined> {
  const wanted = foldCase(email);
  const filter = encodeURIComponent(`username==${email}`);
  const list = pages(async (offset) => {
    const query = `?filterBy=${filter}&limit=${PAGE}&offset=${offset}`;
    return { items: await client.call({ method: 'GET', path: path + query, read: readUsers }), last: false };
  });
  for await (const users of list) {
    const found = users.find((user) => foldCase(user.username) === wanted);
    if (found) return found;
  }
  return undefined;
}

// A reset whose answer was lost is sent again: the last password is the valid one.
async function withNewPassword(client: Client, user: User): Promise<IssuedUser> {
  if (!user.isLocal) {
    throw new RunaiError('single-sign-on', `${client.clean(user.username)} signs in through an identity provider`, {
      hint: 'Such a user has no password here that could be reset: use if-exists: skip.',
    });
  }
  const reset = `${path}/${encodeURIComponent(user.id)}/password`;
  const effort = newEffort();
  const work = () => client.call({ method: 'POST', path: reset, read: readTemporaryPassword }, effort);
  return { ...known(user), temporaryPassword: await warnIfLost(effort, mayBeReset, work) };
}

function known({ id, username, createdAt }: User): Omit<IssuedUser, 'temporaryPassword'> {
  return { id, username, createdAt: createdAt === undefined ? undefined : new Date(createdAt).toISOString() };
}
