import { RunaiError } from '../errors.ts';
import {
  type ApplicationRow,
  type CreatedApplication,
  type Rows,
  readApplications,
  readClientSecret,
  readCreatedApplication,
} from './answers.ts';
import type { Client } from './client.ts';
import { createOnce, type IfExists, type Issued, mayBeLeftBehind, mayBeReset, mayExist } from './create.ts';
import { requestToken } from './tokens.ts';

export interface Application extends ApplicationRow {
  /** The path of the endpoint where it was found. */
  endpoint: string;
}

export interface IssuedApplication extends Issued {
  name: string;
  /** Undefined if the answer to a create could not be read. */
  id: string | undefined;
  clientId: string | undefined;
  endpoint: string;
  /** Undefined if an existing application was left alone. */
  clientSecret: string | undefined;
  enabled: boolean;
}

/** An application by its name, or by its id. */
export type ApplicationKey = { name: string } | { id: string };

/**
 * Creates an application, or handles an existing one with the same name as `ifExists` says.
 * Run:ai API: `POST /api/v1/apps` up to 2.24, `POST /api/v1/service-accounts` from 2.24 on.
 * @throws RunaiError `conflict` if it exists and `ifExists` is `fail` or `refuse`
 */
export function createApplication(
  client: Client,
  { name, ifExists }: { name: string; ifExists: IfExists | 'refuse' },
): Promise<IssuedApplication & { created: boolean }> {
  const callTo = (path: string) => ({
    method: 'POST' as const,
    path,
    json: { name },
    read: (json: unknown) => issuedBy(readCreatedApplication(json, { name, mask: client.mask }), { name, path }),
    ifLost: ifExists === 'refuse' ? mayBeLeftBehind : mayExist,
    whenCancelled: 'finish' as const,
  });
  return createOnce<Application, IssuedApplication>(client, {
    ifExists,
    create: () => client.find('applications', callTo),
    find: () => findApplication(client, { name }),
    renew: (application) => resetSecret(client, application),
    keep: (application) => ({ ...known(application), clientSecret: undefined, flaw: undefined }),
  });
}

function issuedBy(
  { clientSecret, id, clientId, isAsked }: CreatedApplication,
  { name, path }: { name: string; path: string },
): IssuedApplication {
  const isComplete = id !== undefined && clientId !== undefined && isAsked;
  return { name, id, clientId, endpoint: path, clientSecret, enabled: true, flaw: isComplete ? undefined : oddAnswer };
}

const oddAnswer = new RunaiError(
  'unreadable',
  'the control plane created the application, but its answer cannot be used',
  {
    hint: 'The client secret was published and is valid. Look the application up in the control plane before you run this again.',
  },
);

/** All applications of the tenant: the list has no filter and no pages (Run:ai 2.20 to 3.0). */
export async function listApplications(client: Client): Promise<Rows<Application>> {
  const { value, path } = await client.ask('applications', (endpoint) => ({
    method: 'GET',
    path: endpoint,
    read: readApplications,
  }));
  if (value.odd.length > 0) client.log.debug(() => `Skipped ${value.odd.length} applications that cannot be read`);
  return { rows: value.rows.map((row) => ({ ...row, endpoint: path })), odd: value.odd };
}

/**
 * The application with exactly this name or id.
 * @throws RunaiError `conflict` for several with the same name; `unreadable` if the requested one cannot be read
 */
export async function findApplication(client: Client, key: ApplicationKey): Promise<Application | undefined> {
  const { rows, odd } = await listApplications(client);
  const isMeant = (row: { id?: unknown; name?: unknown } | null) =>
    'id' in key ? row?.id === key.id : row?.name === key.name;
  const [found, ...others] = rows.filter(isMeant);
  // A list in which nothing can be read does not show that the application is gone.
  const isBroken = rows.length === 0 && odd.length > 0;
  if (isBroken || odd.some((row) => isMeant(row as object | null))) throw unreadableRow(client);
  if (found && others.length > 0) {
    const ids = [found, ...others.slice(0, 4)].map(({ id }) => client.clean(id)).join(', ');
    throw new RunaiError('conflict', `${client.baseUrl} has several applications named ${client.clean(found.name)}`, {
      hint: `Their ids are ${ids}: use app-id to say which one you mean.`,
    });
  }
  return found;
}

/** The error for a list in which the application, or every application, cannot be read. */
export function unreadableRow(client: Client, name?: string): RunaiError {
  const which = name === undefined ? 'the application' : `the application ${client.clean(name)}`;
  return new RunaiError('unreadable', `${client.baseUrl} lists ${which} with fields that cannot be read`, {
    hint: 'Check that its id and its client id are set in the control plane.',
  });
}

/** Like `findApplication`. @throws RunaiError `not-found` if there is none */
export async function getApplication(client: Client, key: ApplicationKey): Promise<Application> {
  const application = await findApplication(client, key);
  if (application) return application;
  const which = 'id' in key ? `id ${client.clean(key.id)}` : `name ${key.name}`;
  // Which of them is in use, and for whom, only the rotation knows.
  const hint =
    !('id' in key) && (await hasFamily(client, key.name))
      ? `A rotation with overlap-hours has created applications called ${key.name}-…; to rotate one in place, give its full name, which the job summary of that rotation shows.`
      : 'Check app-name or app-id, and that url is the right tenant. To create an application, use mode: create-app.';
  throw new RunaiError('not-found', `${client.baseUrl} has no application with the ${which}`, { hint });
}

/** Whether a rotation without downtime has created applications with this prefix. */
async function hasFamily(client: Client, name: string): Promise<boolean> {
  const { rows } = await listApplications(client);
  return rows.some(
    (row) => row.name.startsWith(name) && /^-[0-9a-f]{6}-\d{8}-\d{6}$/.test(row.name.slice(name.length)),
  );
}

/** How long after a lost answer a reset may still be carried out, in milliseconds. */
const LATE = 5_000;

/**
 * Gives an existing application a new client secret; the old one stops working at once. A reset whose answer was lost
 * is sent again. Since the lost one may be carried out late, the newest secret is tried some seconds later, and reset
 * again if it is refused.
 * @throws RunaiError `rejected` for the application that this run signs in with
 */
export async function resetSecret(client: Client, application: Application): Promise<IssuedApplication> {
  if (application.clientId === client.callerId) throw ownApplication(application.name);
  const issued = (clientSecret: string, flaw?: RunaiError) => ({ ...known(application), clientSecret, flaw });
  let { clientSecret, isSafe } = await sendReset(client, application);
  while (!isSafe) {
    try {
      if (!(await client.wait(LATE))) return issued(clientSecret, untried);
      isSafe = application.enabled && (await isAccepted(client, application, clientSecret));
      if (isSafe) break;
      ({ clientSecret, isSafe } = await sendReset(client, application));
    } catch (error) {
      if (error instanceof RunaiError)
        return issued(clientSecret, error.warn(mayBeReplaced).with({ hint: untried.hint }));
      throw error;
    }
  }
  return issued(clientSecret);
}

async function sendReset(
  client: Client,
  { endpoint, id }: Application,
): Promise<{ clientSecret: string; isSafe: boolean }> {
  const answer = await client.send({
    method: 'POST',
    path: `${endpoint}/${encodeURIComponent(id)}/secret`,
    read: (json) => readClientSecret(json, client.mask),
    ifLost: mayBeReset,
    whenCancelled: 'finish',
  });
  const clientSecret = client.valueOf(answer);
  return { clientSecret, isSafe: answer.lost.length === 0 };
}

/** Whether the control plane issues a token for this secret. */
async function isAccepted(client: Client, { clientId }: Application, clientSecret: string): Promise<boolean> {
  try {
    await requestToken(client, { type: 'client_credentials', clientId, clientSecret });
    return true;
  } catch (error) {
    if (error instanceof RunaiError && error.code === 'credentials') return false;
    throw error;
  }
}

const mayBeReplaced =
  'The answer to an earlier reset was lost. If that reset is carried out late, the client secret that was published stops working.';

const untried = new RunaiError('unverified', 'the new client secret could not be tried in time', {
  warning: mayBeReplaced,
  hint: 'Raise timeout-seconds. If the new secret does not work, use mode rotate-app, without rotate-after-days.',
});

function ownApplication(name: string): RunaiError {
  return new RunaiError('rejected', `the application ${name} is the one that this step signs in with`, {
    hint: 'Nothing was changed. A new secret would lock this job out if it were lost: sign in with another application to rotate this one.',
  });
}

/** How many times, and how many milliseconds apart, the list is read while it still contains a deleted application. */
const LOOKS = 3;
const LOOK_PAUSE = 1_000;

const accepted = 'The control plane has accepted the deletion, but the list of applications does not confirm it yet.';

/**
 * Deletes an application. Counts as done only when the list no longer contains it: a 404 alone may come from a gateway.
 * @returns whether this run deleted it
 */
export async function deleteApplication(client: Client, application: Application): Promise<boolean> {
  const { endpoint, id } = application;
  const path = `${endpoint}/${encodeURIComponent(id)}`;
  const ifLost = 'An attempt may have deleted it anyway.';
  const answer = await client.send({ method: 'DELETE', path, ifLost });
  const isDone = answer.status >= 200 && answer.status < 300;
  if (!isDone && answer.status !== 404) throw client.refusal(answer);
  try {
    for (let look = 1; ; look++) {
      if (!(await findApplication(client, { id }))) return isDone || answer.lost.length > 0;
      if (look === LOOKS || !isDone || !(await client.wait(LOOK_PAUSE))) break;
    }
  } catch (error) {
    const warning = isDone ? accepted : answer.lost.length > 0 && ifLost;
    throw warning && error instanceof RunaiError ? error.warn(warning) : error;
  }
  throw client.refusal(answer).with({
    code: 'unreadable',
    hint: 'The application is still in the list, so it does not seem to be deleted. Something in front of the control plane may have answered in its place.',
  });
}

function known({ id, name, clientId, endpoint, enabled }: Application) {
  return { id, name, clientId, endpoint, enabled };
}
