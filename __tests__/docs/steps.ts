import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { rootCertificates } from 'node:tls';
import type { Mode } from '../../src/inputs.ts';
import { actionFile, runStep } from '../support/runner.ts';
import type { Step } from './documents.ts';

/** A server that refuses every request at once, so a step ends as soon as its inputs have passed. */
export async function startRefusal(): Promise<{ origin: string; close(): void }> {
  const server = createServer((_request, response) =>
    response.writeHead(400, { 'content-type': 'application/json' }).end('{}'),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, close: () => void server.close() };
}

/** The value of an expression that is a whole input. */
const plausible: Record<string, string> = {
  credentials: 'ci:hush-hush',
  email: 'ada@example.com',
  'if-exists': 'skip',
  notify: 'true',
  'reset-password': 'true',
  'access-rules': 'ML engineer @ project:team-a',
  'store-in': 'environment:production',
  'overlap-hours': '72',
  'rotate-after-days': '30',
  'ca-certificate': rootCertificates[0] ?? '',
};

function plainValue(name: string, { given, origin }: { given: string; origin: string }): string {
  if (name === 'url') return origin;
  if (/^\$\{\{((?!\}\}).)*\}\}$/.test(given.trim())) return plausible[name] ?? 'x1';
  return given.replace(/\$\{\{.*?\}\}/g, '1');
}

export interface Trial {
  /** Inputs that action.yml does not declare. */
  unknown: string[];
  /** What the step failed with. */
  code: string | undefined;
  errors: string[];
}

/** Runs the bundle with the inputs of a step, against a server that refuses everything. */
export async function tried({ with: given = {} }: Step, origin: string): Promise<Trial> {
  const unknown = Object.keys(given).filter((name) => !(name in actionFile.inputs));
  const inputs = Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name, plainValue(name, { given: String(value), origin })]),
  );
  const env = {
    GITHUB_API_URL: origin,
    GITHUB_REPOSITORY: 'your-org/shop',
    GITHUB_REPOSITORY_ID: '456789',
    GITHUB_REPOSITORY_OWNER: 'your-org',
    GITHUB_REPOSITORY_OWNER_ID: '123456',
    ACTIONS_ID_TOKEN_REQUEST_URL: `${origin}/token?`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'x',
  };
  const { outputs, errors } = await runStep({ inputs, env });
  return { unknown, code: outputs['error-code'], errors };
}

/** The outputs that a mode has: each description in action.yml begins with its modes. */
export function outputsOf(mode: Mode): string[] {
  return Object.entries(actionFile.outputs)
    .filter(([, { description }]) => description.split(': ')[0]?.includes(`\`${mode}\``))
    .map(([name]) => name);
}
