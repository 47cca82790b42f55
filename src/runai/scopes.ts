import { RunaiError } from '../errors.ts';
import { type OrgUnit, readClusters, readOrgUnits } from './answers.ts';
import type { Client } from './client.ts';
import { nearest } from './nearest.ts';
import { collect, pages } from './pages.ts';
import type { Scope } from './scope-types.ts';

const PAGE = 500;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Resolves the name in a scope to an id. Digits (project, department) and a UUID (cluster) are ids, and so is whatever
 * follows `system` and `tenant`. A name is unique in its cluster, not in the tenant.
 * @throws RunaiError `access-rule` if there is none with that name, or several
 */
export async function findScope(client: Client, { scopeType, scopeId: nameOrId }: Scope): Promise<Scope> {
  const kind = scopeType;
  if (kind === 'system' || kind === 'tenant') return { scopeType, scopeId: nameOrId };
  if ((kind === 'cluster' ? uuid : /^\d+$/).test(nameOrId)) return { scopeType, scopeId: nameOrId };
  const units = await listUnits(client, kind, nameOrId);
  const [found, ...others] = units.filter(({ name }) => name === nameOrId);
  if (found && others.length === 0) return { scopeType, scopeId: found.id };
  const which = `${kind} named ${client.clean(nameOrId)}`;
  if (!found)
    throw new RunaiError('access-rule', `there is no ${which}`, { hint: await suggestion(client, kind, nameOrId) });
  const ids = [found, ...others.slice(0, 4)].map(({ id, clusterId }) =>
    client.clean(clusterId ? `${id} (cluster ${clusterId})` : id),
  );
  throw new RunaiError('access-rule', `there is more than one ${which}`, {
    hint: `Use the id of the one you mean: ${ids.join(', ')}.`,
  });
}

type Kind = 'cluster' | 'department' | 'project';

/** The units of a kind. The server may ignore the filter, so callers have to compare the names. */
async function listUnits(client: Client, kind: Kind, name: string | undefined): Promise<OrgUnit[]> {
  if (kind === 'cluster') {
    const { value } = await client.ask('clusters', (path) => ({
      method: 'GET',
      path: `${path}?verbosity=metadata`,
      read: readClusters,
    }));
    return value.rows;
  }
  const list = kind === 'project' ? ('projects' as const) : ('departments' as const);
  const filter = name === undefined ? '' : `filterBy=${encodeURIComponent(`name==${name}`)}&`;
  return collect(
    pages(async (offset) => {
      const { value } = await client.ask(list, (path) => ({
        method: 'GET',
        path: `${path}?${filter}limit=${PAGE}&offset=${offset}`,
        read: (json) => readOrgUnits(json, list),
      }));
      return value;
    }),
  );
}

async function suggestion(client: Client, kind: Kind, name: string): Promise<string> {
  const units = await listUnits(client, kind, undefined).catch(() => []);
  const names = units.map((unit) => unit.name);
  return `Check the name of the ${kind}.${nearest(name, names, client.clean)}`;
}
