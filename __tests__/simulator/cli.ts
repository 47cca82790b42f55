import { parseArgs } from 'node:util';
import type { Version } from './profiles.ts';
import { versions, within } from './profiles.ts';
import type { Simulator } from './simulator.ts';
import { startSimulator } from './simulator.ts';

const usage = `Usage: node __tests__/simulator/cli.ts [--version ${versions.join('|')}] [--port 8080]`;

interface Arguments {
  version: Version;
  port: number;
}

function readArguments(): Arguments {
  const { values } = parseArgs({
    options: { version: { type: 'string', default: '2.24' }, port: { type: 'string', default: '0' } },
  });
  const version = versions.find((known) => known === values.version);
  if (!version) throw new Error(`--version ${values.version} is none of ${versions.join(', ')}`);
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new Error(`--port ${values.port} is not a port`);
  return { version, port };
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

function post(url: string, { bearer, body }: { bearer?: boolean; body: string }): string {
  const authorization = bearer ? ` -H "Authorization: Bearer $TOKEN"` : '';
  return `curl -sSw '\\n' ${quoted(url)}${authorization} -H 'Content-Type: application/json' -d ${body}`;
}

/** Shell lines that take one field of a JSON answer, with nothing but Node. */
const field = (name: string) => ` | node -pe 'JSON.parse(fs.readFileSync(0)).${name}'`;

function tokenLines({ url, version, admin }: Simulator): { byPassword: string; bySecret: string } {
  if (within(version, { from: '3.0' })) {
    const form = (...pairs: string[]) => pairs.map((pair) => ` --data-urlencode ${pair}`).join('');
    const endpoint = `curl -sSw '\\n' ${quoted(`${url}/api/v2/token`)}`;
    const username = quoted(`username=${admin.username}`);
    const password = quoted(`password=${admin.password}`);
    return {
      byPassword: `TOKEN=$(${endpoint}${form('grant_type=password', username, password)}${field('access_token')})`,
      bySecret: `${endpoint}${form('grant_type=client_credentials', 'client_id=app-123', '"client_secret=$SECRET"')}`,
    };
  }
  const body = quoted(JSON.stringify({ grantType: 'password', username: admin.username, password: admin.password }));
  const login = post(`${url}/api/v1/token`, { body });
  return {
    byPassword: `TOKEN=$(${login}${field('accessToken')})`,
    bySecret: post(`${url}/api/v1/token`, {
      body: `'{"grantType":"client_credentials","clientID":"app-123","clientSecret":"'"$SECRET"'"}'`,
    }),
  };
}

function lines(simulator: Simulator): string[] {
  const { url, version, admin } = simulator;
  const modern = within(version, { from: '2.24' });
  const applications = `${url}/api/v1/${modern ? 'service-accounts' : 'apps'}`;
  const secret = modern ? 'clientSecret' : 'secret';
  const create = post(applications, { bearer: true, body: `'{"name":"app-123"}'` });
  const { byPassword, bySecret } = tokenLines(simulator);
  return [
    `Run:ai control plane ${version}, simulated: ${url}`,
    `Administrator: ${admin.username}`,
    `Password: ${admin.password}`,
    '',
    '# Token by password',
    byPassword,
    '# Create an application',
    `SECRET=$(${create}${field(secret)})`,
    '# Token for the application',
    bySecret,
    '# Create a user',
    post(`${url}/api/v1/users`, { bearer: true, body: `'{"email":"ada@runai.example","resetPassword":false}'` }),
    '# List the applications',
    `curl -sSw '\\n' ${quoted(applications)} -H "Authorization: Bearer $TOKEN"`,
    '',
    'Ctrl+C ends it.',
  ];
}

async function main(): Promise<void> {
  const simulator = await startSimulator(readArguments());
  const stop = () => void simulator.close();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  // Last: whoever reads it may end the process at once.
  console.log(lines(simulator).join('\n'));
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  console.error(usage);
  process.exitCode = 1;
});
