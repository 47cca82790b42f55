import { type Application, readApplications, readClientSecret, readCreatedApplication } from './answers.ts';
import type { Client } from './client.ts';
import { createOnce, type IfExists, mayBeReset, warnIfLost } from './create.ts';
import { RunaiError } from './errors.ts';
import { newEffort } from './http.ts';

export type { Application } from './answers.ts';

export interface IssuedApplication {
  application: Application;
  /** Undefined where an existing application was left alone. */
  clientSecret: string | undefined;
}

/** An application by its name, or by its id. */
export type ApplicationKey = { name: string } | { id: string };

/**
 * Creates an application, or deals with one of the same name as `ifExists` says.
 * Run:ai API: `POST /api/v1/apps` up to 2.24, `POST /api/v1/service-accounts` from 2.24 on.
 * @throws RunaiError `conflict` where it exists and `ifExists` is `fail`
 */
export function createApplication(
  client: Client,
  { name, ifExists }: { name: string; ifExists: IfExists },
): Promise<IssuedApplication & { created: boolean }> {
  const read = (json: unknown): IssuedApplication => readCreatedApplication(json, name);
  const call = { method: 'POST' as const, json: { name }, read };
  return createOnce<Application, IssuedApplication>(client, {
    ifExists,
    create: (effort) => client.onEndpoint('applications', ({ path }) => ({ ...call, path }), effort),
    find: () => findApplication(client, { name }),
    renew: (application) => withNewSecret(client, application),
    keep: (application) => ({ application, clientSecret: undefined }),
    problem: (answer) => client.problem(answer, { ...call, path: client.endpoint('applications') }),
  });
}

/** The list has no filter and no pages: all applications of the tenant come at once (Run:ai 2.20 to 3.0). */
export async function findApplication(client: Client, key: ApplicationKey): Promise<Application | undefined> {
  const call = { method: 'GET' as const, read: readApplications };
  const answer = await client.onEndpoint('applications', ({ path }) => ({ ...call, path }));
  const applications = client.valueOf(answer, { ...call, path: client.endpoint('applications') });
  return applications.find((application) => ('id' in key ? application.id === key.id : application.name === key.name));
}

/**
 * Gives an existing application a new client secret; the old one stops working at once.
 * @throws RunaiError `not-found`
 */
export async function rotateApplication(client: Client, key: ApplicationKey): Promise<IssuedApplication> {
  const application = await findApplication(client, key);
  if (!application) throw notFound(client, key);
  return withNewSecret(client, application);
}

// A reset whose answer was lost is sent again: the last secret is the valid one.
async function withNewSecret(client: Client, application: Application): Promise<IssuedApplication> {
  const path = `${client.endpoint('applications')}/${encodeURIComponent(application.id)}/secret`;
  const effort = newEffort();
  const reset = () => client.call({ method: 'POST', path, read: readClientSecret }, effort);
  return { application, clientSecret: await warnIfLost(effort, mayBeReset, reset) };
}

/** Deletes an application. Returns it, and whether this run deleted it; undefined where there was none. */
export async function deleteApplication(
  client: Client,
  key: ApplicationKey,
): Promise<{ application: Application; deleted: boolean } | undefined> {
  const application = await findApplication(client, key);
  if (!application) return undefined;
  const path = `${client.endpoint('applications')}/${encodeURIComponent(application.id)}`;
  const effort = newEffort();
  const answer = await client.send({ method: 'DELETE', path }, effort);
  if (answer.status >= 200 && answer.status < 300) return { application, deleted: true };
  // Gone after a lost answer: that was us. Gone without one: somebody was faster.
  if (answer.status === 404) return { application, deleted: effort.lost.length > 0 };
  throw client.problem(answer, { method: 'DELETE', path });
}

function notFound(client: Client, key: ApplicationKey): RunaiError {
  const which = 'id' in key ? `id ${client.clean(key.id)}` : `name ${key.name}`;
  return new RunaiError('not-found', `${client.baseUrl} has no application with the ${which}`, {
    hint: 'Check app-name or app-id, and that url is the right tenant; make an application with mode: create-app.',
  });
}
