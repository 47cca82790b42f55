import { afterEach } from 'vitest';
import { call, jsonOf, type Seen } from './call.ts';
import { type Simulator, type SimulatorOptions, startSimulator } from './simulator.ts';

const started: Simulator[] = [];

export async function start(options?: SimulatorOptions): Promise<Simulator> {
  const simulator = await startSimulator(options);
  started.push(simulator);
  return simulator;
}

afterEach(async () => {
  await Promise.all(started.splice(0).map((simulator) => simulator.close()));
});

export async function login(simulator: Simulator, ca?: string): Promise<string> {
  const { username, password } = simulator.admin;
  const more = ca ? { ca } : {};
  if (simulator.version === 'next') {
    const form = { grant_type: 'password', username, password };
    return jsonOf(await call(`${simulator.url}/api/v2/token`, { form, ...more })).access_token;
  }
  const json = { grantType: 'password', username, password };
  return jsonOf(await call(`${simulator.url}/api/v1/token`, { json, ...more })).accessToken;
}

export function grant(simulator: Simulator, clientID: string, clientSecret: string): Promise<Seen> {
  return call(`${simulator.url}/api/v1/token`, { json: { grantType: 'client_credentials', clientID, clientSecret } });
}

export const ruleFor = (subjectId: string, roleId = 9) => ({
  subjectId,
  subjectType: 'service-account',
  roleId,
  scopeId: '4501234',
  scopeType: 'project',
});
