import type { Answer } from './answers.ts';
import { json } from './answers.ts';
import type { Call } from './plane.ts';
import { pageOf } from './plane.ts';
import type { Department } from './state.ts';

const filters: Record<string, (unit: Department, wanted: string) => boolean> = {
  // As for users: clients must not assume that the first hit is the right one.
  name: (unit, wanted) => unit.name.toLowerCase().includes(wanted.toLowerCase()),
  id: (unit, wanted) => unit.id === wanted,
  clusterId: (unit, wanted) => unit.clusterId === wanted,
};

function filtered<Unit extends Department>({ plane, query }: Call, units: Unit[]): Unit[] {
  const [, field = '', , wanted = ''] = /^(\w+)(==|=@)(.+)$/.exec(query.get('filterBy') ?? '') ?? [];
  const fits = filters[field];
  return fits && !plane.ignoreOrgUnitFilter ? units.filter((unit) => fits(unit, wanted)) : units;
}

function listUnits(call: Call, plural: string, units: Department[]): Answer {
  const { limit, offset } = pageOf(call.query, { usual: 50, most: call.plane.orgUnitsPageLimit });
  const found = filtered(call, units);
  const next = offset + limit;
  return json(200, { [plural]: found.slice(offset, next), ...(next < found.length && { next }) });
}

export const listProjects = (call: Call) => listUnits(call, 'projects', call.plane.state.projects);

export const listDepartments = (call: Call) => listUnits(call, 'departments', call.plane.state.departments);

export function listClusters({ plane }: Call): Answer {
  const { clusters } = plane.state;
  return json(200, plane.clustersInObject ? { clusters } : clusters);
}
