import type { Rows } from '../publish.ts';
import type { IssuedApplication } from '../runai/applications.ts';
import type { Context } from './context.ts';

/** Writes the outputs of an application, as far as they are known. */
export function publishApplication(
  { publish }: Context,
  { application, clientSecret }: IssuedApplication,
  values: Record<string, boolean>,
): void {
  publish({
    secrets: { 'client-secret': clientSecret },
    values: { 'app-id': application.id, 'app-name': application.name, 'client-id': application.clientId, ...values },
  });
}

/** The rows of the job summary for an application. */
export function summaryOf({ application }: Pick<IssuedApplication, 'application'>, rows: Rows): Rows {
  return { name: application.name, id: application.id, 'client id': application.clientId, ...rows };
}
