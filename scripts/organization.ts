import type { Simulator } from '../__tests__/simulator/simulator.ts';

/** Adds the cluster, department and project that the access rules in the documents name. */
export function addOrganization(simulator: Simulator): void {
  const { uuid: clusterId } = simulator.addCluster({ name: 'prod' });
  const { id: parentId } = simulator.addDepartment({ name: 'research', clusterId });
  simulator.addProject({ name: 'team-a', parentId, clusterId });
}
