// A simulated control plane, and GitHub's store of secrets, for trying things out.
import { parseArgs } from 'node:util';
import { type Github, startGithub } from '../__tests__/simulator/github.ts';
import { administratorRole, versions, within } from '../__tests__/simulator/profiles.ts';
import { type Simulator, startSimulator } from '../__tests__/simulator/simulator.ts';
import { addOrganization } from './organization.ts';

const usage = `Simulates a Run:ai control plane, and beside it GitHub's store of Actions secrets, until Ctrl+C.
Prints the address and credentials of both, and lines to paste; at the end, which requests were not as documented.

  npm run simulator -- [options]

  --version VERSION       of the control plane: ${versions.join(', ')} (2.24 when left out)
  --port PORT             of the control plane (a free one when left out)
  --github-port PORT      of GitHub (a free one when left out)
  --repository OWNER/NAME at GitHub (acme/app when left out)
  --environment NAME      that exists at GitHub (production when left out); can be given several times
  --show-secrets          print each value that GitHub gets to store, opened
  --help`;

function port(name: string, given: string): number {
  const number = Number(given);
  if (!/^\d+$/.test(given) || number > 65535) throw new Error(`--${name} ${given} is not a port`);
  return number;
}

function readArguments() {
  const text = (value: string) => ({ type: 'string' as const, default: value });
  const flag = { type: 'boolean' as const, default: false };
  const { values } = parseArgs({
    options: {
      version: text('2.24'),
      port: text('0'),
      'github-port': text('0'),
      repository: text('acme/app'),
      environment: { type: 'string', multiple: true, default: ['production'] },
      'show-secrets': flag,
      help: flag,
    },
  });
  const version = versions.find((known) => known === values.version);
  if (!version) throw new Error(`--version ${values.version} is none of ${versions.join(', ')}`);
  if (!/^[^/]+\/[^/]+$/.test(values.repository)) throw new Error(`--repository ${values.repository} is not OWNER/NAME`);
  const githubPort = port('github-port', values['github-port']);
  return { ...values, version, port: port('port', values.port), githubPort, showSecrets: values['show-secrets'] };
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

function post(url: string, { bearer, body }: { bearer?: boolean; body: string }): string {
  const authorization = bearer ? ` -H "Authorization: Bearer $TOKEN"` : '';
  return `curl -sSw '\\n' ${quoted(url)}${authorization} -H 'Content-Type: application/json' -d ${body}`;
}

/** A shell command that extracts one field of a JSON answer, using only Node. */
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

/** An application that may do everything, for clients that sign in as one. */
function addClient(simulator: Simulator): { clientId: string; secret: string } {
  const application = simulator.addApplication({ name: 'ci-admin' });
  simulator.addAccessRule({
    subjectId: application.clientId,
    subjectType: within(simulator.version, { from: '2.24' }) ? 'service-account' : 'app',
    roleId: simulator.roles.find(({ name }) => name === administratorRole)?.id ?? 1,
    scopeType: 'tenant',
    scopeId: '1001',
  });
  return application;
}

function planeLines(simulator: Simulator): string[] {
  const { url, version, admin } = simulator;
  const { clientId, secret } = addClient(simulator);
  const modern = within(version, { from: '2.24' });
  const applications = `${url}/api/v1/${modern ? 'service-accounts' : 'apps'}`;
  const create = post(applications, { bearer: true, body: `'{"name":"app-123"}'` });
  const { byPassword, bySecret } = tokenLines(simulator);
  return [
    `Run:ai control plane ${version}, simulated: ${url}`,
    `Administrator: ${admin.username}`,
    `Password: ${admin.password}`,
    `Client id: ${clientId}`,
    `Client secret: ${secret}`,
    '',
    '# Token by password',
    byPassword,
    '# Create an application',
    `SECRET=$(${create}${field(modern ? 'clientSecret' : 'secret')})`,
    '# Token for the application',
    bySecret,
    '# Create a user',
    post(`${url}/api/v1/users`, { bearer: true, body: `'{"email":"ada@runai.example","resetPassword":false}'` }),
    '# List the applications',
    `curl -sSw '\\n' ${quoted(applications)} -H "Authorization: Bearer $TOKEN"`,
  ];
}

function githubLines({ url, repository, token }: Github): string[] {
  const headers = [
    'Authorization: Bearer $GITHUB_TOKEN',
    'Accept: application/vnd.github+json',
    'X-GitHub-Api-Version: 2022-11-28',
  ];
  const options = headers.map((header) => ` -H "${header}"`).join('');
  return [
    '',
    "# GitHub's store of secrets (its token may write to the repository, its environments and its organization)",
    `export GITHUB_API_URL=${url} GITHUB_REPOSITORY=${quoted(repository)}`,
    `GITHUB_TOKEN=${token}`,
    '# When a secret was written',
    `curl -sSw '\\n' "$GITHUB_API_URL/repos/$GITHUB_REPOSITORY/actions/secrets/RUNAI"${options}`,
    '',
  ];
}

/** One step that stores what it creates, with all that it needs to know about both. */
function storeLines({ url, admin }: Simulator, { github, environment }: { github: Github; environment: string }) {
  const variables = {
    GITHUB_API_URL: github.url,
    GITHUB_REPOSITORY: github.repository,
    RUNAI_GITHUB_TOKEN: github.token,
    RUNAI_USERNAME: admin.username,
    RUNAI_PASSWORD: admin.password,
  };
  const inputs = {
    mode: 'create-app',
    url,
    'app-name': 'ci',
    'access-rules': 'ML engineer @ project:team-a',
    'if-exists': 'repair',
    'store-as': 'RUNAI_CREDENTIALS',
    'store-in': `environment:${environment}`,
  };
  const environmentOf = Object.entries(variables).map(([name, value]) => `${name}=${quoted(value)}`);
  const options = Object.entries(inputs).map(([name, value]) => `--${name} ${quoted(value)}`);
  return [
    '# Create an application with the action, and store its credentials',
    [...environmentOf, 'npm run local --', ...options].join(' '),
    '',
  ];
}

async function main(): Promise<void> {
  const { version, port, githubPort, repository, environment, showSecrets, help } = readArguments();
  if (help) return console.log(usage);
  const simulator = await startSimulator({ version, port });
  addOrganization(simulator);
  const github = await startGithub({
    port: githubPort,
    repository,
    environments: environment,
    onWrite: ({ place, name, value }) =>
      console.log(`GitHub stored ${name} in the ${place}${showSecrets ? `: ${value}` : ''}`),
  });
  const stop = () => {
    for (const text of [...simulator.violations, ...github.violations]) console.log(`Not as documented: ${text}`);
    void Promise.all([simulator.close(), github.close()]);
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  // Last: whoever reads it may end the process at once.
  const storing = storeLines(simulator, { github, environment: environment[0] ?? 'production' });
  console.log([...planeLines(simulator), ...githubLines(github), ...storing, 'Ctrl+C ends it.'].join('\n'));
}

main().catch((error: unknown) => {
  console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  process.exitCode = 1;
});
