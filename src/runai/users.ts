import { RunaiError } from '../errors.ts';
import { foldCase } from '../names.ts';
import { readCreatedUser, readTemporaryPassword, readUsers, type User } from './answers.ts';
import type { Client } from './client.ts';
import { createOnce, type IfExists, type Issued, mayBeReset, mayExist } from './create.ts';
import { pages } from './pages.ts';

export interface IssuedUser extends Issued {
  /** Undefined if the server sent no usable one. */
  id: string | undefined;
  /** The address as the server writes it, which may differ in case. */
  username: string;
  /** ISO 8601. */
  createdAt: string | undefined;
  /** Undefined if the server sent none, or an existing user was left alone. */
  temporaryPassword: string | undefined;
}

export interface NewUser {
  email: string;
  resetPassword: boolean;
  /** Sent only if set: Run:ai supports it since 2.23. */
  notify: boolean | undefined;
  ifExists: IfExists;
}

/** A user, and the path of the endpoint where it was found. */
interface FoundUser extends User {
  endpoint: string;
}

/** The maximum number of rows on a page of the list (Run:ai 2.20 to 3.0). */
const PAGE = 500;

/**
 * Creates a local user, or handles an existing one with the same address as `ifExists` says.
 * Run:ai API: `POST /api/v1/users`.
 * @throws RunaiError `conflict` if the user exists and `ifExists` is `fail`; `single-sign-on` if there is no password
 *   to reset
 */
export function createUser(
  client: Client,
  { email, resetPassword, notify, ifExists }: NewUser,
): Promise<IssuedUser & { created: boolean }> {
  const json = { email, resetPassword, ...(notify === undefined ? {} : { notify }) };
  const callTo = (path: string) => ({
    method: 'POST' as const,
    path,
    json,
    read: (answer: unknown) => readIssuedUser(client, { answer, email }),
    ifLost: mayExist,
    whenCancelled: 'finish' as const,
  });
  return createOnce<FoundUser, IssuedUser>(client, {
    ifExists,
    create: () => client.find('users', callTo),
    find: () => findUser(client, email),
    renew: (user) => withNewPassword(client, user),
    keep: (user) => ({ ...known(user), temporaryPassword: undefined, flaw: undefined }),
  });
}

function readIssuedUser(client: Client, { answer, email }: { answer: unknown; email: string }): IssuedUser {
  const user = readCreatedUser(answer, client.mask);
  const isSame = foldCase(user.username ?? '') === foldCase(email);
  const isAsked = user.username === undefined || isSame;
  const username = isSame && user.username ? user.username : email;
  const isOdd = user.id === undefined || !isAsked;
  return { ...user, username, flaw: isOdd ? oddAnswer(user.temporaryPassword !== undefined) : undefined };
}

function oddAnswer(hasPassword: boolean): RunaiError {
  const published = hasPassword ? 'The temporary password was published and is valid. ' : '';
  return new RunaiError('unreadable', 'the control plane created the user, but its answer cannot be used', {
    hint: `${published}Look the user up in the control plane before you run this again.`,
  });
}

/**
 * Finds a user by the exact address, in any case. The server's filter may be a "contains", or be ignored, so everything
 * that it returns is compared again.
 * @throws RunaiError `unreadable` if the requested user cannot be read
 */
export async function findUser(client: Client, email: string): Promise<FoundUser | undefined> {
  const isMeant = (name: unknown) => typeof name === 'string' && foldCase(name) === foldCase(email);
  const query = `filterBy=${encodeURIComponent(`username==${email}`)}&limit=${PAGE}`;
  let odd = false;
  const list = pages(async (offset) => {
    const { value, path } = await client.ask('users', (endpoint) => ({
      method: 'GET',
      path: `${endpoint}?${query}&offset=${offset}`,
      read: readUsers,
    }));
    odd ||= value.odd.some((row) => isMeant((row as { username?: unknown } | null)?.username));
    const count = value.rows.length + value.odd.length;
    return {
      rows: value.rows.map((user) => ({ ...user, endpoint: path })),
      odd: value.odd,
      next: count > 0 ? offset + count : undefined,
    };
  });
  for await (const users of list) {
    const found = users.find(({ username }) => isMeant(username));
    if (found) return found;
  }
  if (!odd) return undefined;
  throw new RunaiError('unreadable', `${client.baseUrl} lists the user with fields that cannot be read`, {
    hint: 'Check the user in the control plane.',
  });
}

/** How long after a lost answer a reset may still be carried out, in milliseconds. */
const LATE = 5_000;

/**
 * Gives a user a new password. A reset whose answer was lost is sent again; since the lost one may be carried out late,
 * another follows some seconds later. (A temporary password cannot be tried: it may have to be changed first.)
 */
async function withNewPassword(client: Client, user: FoundUser): Promise<IssuedUser> {
  if (!user.isLocal) {
    throw new RunaiError('single-sign-on', `${client.clean(user.username)} signs in through an identity provider`, {
      hint: 'Such a user has no password here that could be reset: use if-exists: skip.',
    });
  }
  const issued = (temporaryPassword: string, flaw?: RunaiError) => ({ ...known(user), temporaryPassword, flaw });
  let reset = await sendReset(client, user);
  while (!reset.isSafe) {
    try {
      if (!(await client.wait(LATE))) return issued(reset.password, unsettled);
      reset = await sendReset(client, user);
    } catch (error) {
      if (error instanceof RunaiError)
        return issued(reset.password, error.warn(mayBeReplaced).with({ hint: unsettled.hint }));
      throw error;
    }
  }
  return issued(reset.password);
}

async function sendReset(client: Client, { endpoint, id }: FoundUser): Promise<{ password: string; isSafe: boolean }> {
  const answer = await client.send({
    method: 'POST',
    path: `${endpoint}/${encodeURIComponent(id)}/password`,
    read: (json) => readTemporaryPassword(json, client.mask),
    ifLost: mayBeReset,
    whenCancelled: 'finish',
  });
  const password = client.valueOf(answer);
  return { password, isSafe: answer.lost.length === 0 };
}

const mayBeReplaced =
  'The answer to an earlier reset was lost. If that reset is carried out late, the temporary password that was published stops working.';

const unsettled = new RunaiError('unverified', 'no time was left to confirm the new temporary password', {
  warning: mayBeReplaced,
  hint: 'Raise timeout-seconds. If the password does not work, run this again with if-exists: rotate.',
});

function known({ id, username, createdAt }: User) {
  return { id, username, createdAt: createdAt === undefined ? undefined : new Date(createdAt).toISOString() };
}
