import type { Version } from '../simulator/simulator.ts';
import type { Service, Task, World } from './tasks.ts';

/** What is lost when the answer to a request is lost. */
export type Kind = 'token' | 'create' | 'reset' | 'read' | 'delete' | 'rule' | 'rehearse' | 'store';

/** One request that a task makes without faults. */
export interface Target {
  task: Task;
  version: Version;
  service: Service;
  kind: Kind;
  method: string;
  /** Any id fits. */
  path: RegExp;
  /** How many requests with the same method and path come before it. */
  skip: number;
  /** Its place among all requests to its service. */
  index: number;
  /** Its answer without faults. */
  status: number;
  name: string;
}

function kindOf(service: Service, method: string, path: string): Kind {
  if (method === 'GET') return path.startsWith('/_oidc/') ? 'token' : 'read';
  if (service === 'github') return path.endsWith('_REHEARSAL') ? 'rehearse' : 'store';
  if (method === 'DELETE') return 'delete';
  if (path.endsWith('/token')) return 'token';
  if (/\/(secret|password)$/.test(path)) return 'reset';
  return path.endsWith('/access-rules') ? 'rule' : 'create';
}

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** The path without its query, and with a star for each id. */
const shapeOf = (path: string) => path.replace(/\?.*/, '').replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '*');

/** The requests that a world has seen, each as a target. */
export function targetsIn(world: World, { task, version }: { task: Task; version: Version }): Target[] {
  return (['simulator', 'github'] as const).flatMap((service) => {
    const counts = new Map<string, number>();
    return world[service].requests.map(({ method, path, status = 0 }, index): Target => {
      const shape = shapeOf(path);
      const name = `${method} ${shape}`;
      const skip = counts.get(name) ?? 0;
      counts.set(name, skip + 1);
      const pattern = new RegExp(`^${escaped(shape).replaceAll('\\*', '[^/]+')}(\\?|$)`);
      const kind = kindOf(service, method, shape);
      return { task, version, service, kind, method, path: pattern, skip, index, status, name };
    });
  });
}
