import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs, parseEnv } from 'node:util';
import { type Github, startGithub, type Write } from '../__tests__/simulator/github.ts';
import type { Version } from '../__tests__/simulator/profiles.ts';
import { versions } from '../__tests__/simulator/profiles.ts';
import { type Simulator, startSimulator } from '../__tests__/simulator/simulator.ts';
import { asShown } from '../__tests__/support/log.ts';
import { actionFile, runStep, type StepResult } from '../__tests__/support/runner.ts';
import { addOrganization } from './organization.ts';

const usage = `Runs the action once, as a runner would, and prints what it would show.

  npm run local -- --mode token --url https://acme.run.ai --client-id ci
  npm run local -- --mode create-app --app-name ci --store-as RUNAI_CREDENTIALS

Without a url, a control plane and GitHub's store of secrets are simulated for this run. With one, GITHUB_API_URL and
GITHUB_REPOSITORY of the environment say where store-as stores. Keep secrets off the command line: put them into .env.

Each input of the action is an option. What is not given comes from the environment or from the file .env
(RUNAI_URL for url, RUNAI_CLIENT_SECRET for client-secret, and so on; see .env.example).

  --inputs FILE         another file than .env
  --version VERSION     of the simulated control plane: ${versions.join(', ')}
  --debug               debug logging
  --show-secrets        print secret outputs, and what was stored, in full
  --help`;

type Inputs = Record<string, string>;

/** What a step may need from this machine's environment to reach real services. */
const passedOn = [
  ...['https_proxy', 'HTTPS_PROXY', 'no_proxy', 'NO_PROXY', 'NODE_EXTRA_CA_CERTS'],
  ...['GITHUB_API_URL', 'GITHUB_REPOSITORY', 'GITHUB_REPOSITORY_ID'],
  ...['GITHUB_REPOSITORY_OWNER', 'GITHUB_REPOSITORY_OWNER_ID'],
];

/** What a runner says about the action: messages end with a link that is made of this. */
const action = {
  GITHUB_SERVER_URL: 'https://github.com',
  GITHUB_ACTION_REPOSITORY: 'your-org/runai-auth',
  GITHUB_ACTION_REF: 'v1',
};

const names = Object.keys(actionFile.inputs);

function readArguments() {
  const inputs = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
  const { values } = parseArgs({
    options: {
      inputs: { type: 'string' },
      version: { type: 'string', default: '2.24' },
      debug: { type: 'boolean', default: false },
      'show-secrets': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      ...inputs,
    },
  });
  return values as typeof values & Record<string, string | boolean>;
}

/** The variables of the file. Only `.env`, which nobody asked for, may be missing. */
function readEnvFile(named: string | undefined): Record<string, string | undefined> {
  const file = named ?? '.env';
  if (existsSync(file)) return parseEnv(readFileSync(file, 'utf8'));
  if (named !== undefined) throw new Error(`--inputs ${named}: there is no such file`);
  return {};
}

/** The inputs: first from the options, then from the environment, then from the file. */
function readInputs(options: Record<string, unknown>, envFile: string | undefined): Inputs {
  const env = { ...readEnvFile(envFile), ...process.env };
  const entries = names.map((name) => {
    const variable = `RUNAI_${name.toUpperCase().replaceAll('-', '_')}`;
    return [name, options[name] ?? env[variable] ?? ''] as const;
  });
  // An option that is given as empty stays empty: the simulation puts nothing in its place.
  const inputs = Object.fromEntries(entries.filter(([name, value]) => value !== '' || options[name] === '')) as Inputs;
  // The step runs in its own folder.
  const certificates = inputs['ca-certificate'] ?? '';
  return existsSync(certificates) ? { ...inputs, 'ca-certificate': resolve(certificates) } : inputs;
}

const credentials = [
  'client-id',
  'client-secret',
  'credentials',
  'username',
  'password',
  'external-token',
  'oidc-audience',
  'access-token',
];

/** Where a step runs: what it needs to know about its environment, and which parts of it are simulated. */
interface Surroundings {
  inputs: Inputs;
  env: Record<string, string>;
  simulated?: { simulator: Simulator; github: Github };
}

/** The real services, through the proxy and with the repository that this machine's environment names. */
function real(inputs: Inputs): Surroundings {
  const known = passedOn.map((name) => [name, process.env[name]]).filter(([, value]) => value);
  return { inputs, env: Object.fromEntries(known) };
}

/** A simulated control plane and GitHub, with what the run needs: the administrator signs in unless told otherwise. */
async function simulate(inputs: Inputs, version: string): Promise<Surroundings> {
  const known = versions.find((one): one is Version => one === version);
  if (!known) throw new Error(`--version ${version} is none of ${versions.join(', ')}`);
  const simulator = await startSimulator({ version: known });
  addOrganization(simulator);
  const github = await startStore(inputs);
  console.log(
    `No url was given: simulating a control plane ${known} at ${simulator.url}, and GitHub at ${github.url}.`,
  );
  const own = credentials.some((name) => inputs[name]) ? {} : simulator.admin;
  const token = inputs['store-as'] && { 'github-token': github.token };
  return {
    inputs: { ...own, ...token, ...inputs, url: simulator.url },
    env: {
      ACTIONS_ID_TOKEN_REQUEST_URL: simulator.oidc.url,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: simulator.oidc.requestToken,
      GITHUB_API_URL: github.url,
      GITHUB_REPOSITORY: github.repository,
      GITHUB_REPOSITORY_ID: String(github.repositoryId),
      GITHUB_REPOSITORY_OWNER: github.organization,
    },
    simulated: { simulator, github },
  };
}

/** A simulated GitHub with the environment or the organization secret that the inputs name. */
async function startStore(inputs: Inputs): Promise<Github> {
  const { 'store-in': place = '', 'store-as': name = '' } = inputs;
  const [, environment] = /^environment:(.+)$/s.exec(place) ?? [];
  return startGithub({
    ...(environment && { environments: [environment] }),
    ...(place === 'organization' && { organizationSecrets: { [name]: { value: 'an earlier value' } } }),
  });
}

function print(
  result: StepResult,
  { showSecrets, github }: { showSecrets: boolean; github: Github | undefined },
): void {
  console.log(['', ...asShown(result.log)].join('\n'));
  if (result.stderr) console.error(result.stderr);
  const shown = (value: string) =>
    showSecrets ? value : `*** (${value.length} characters; --show-secrets prints them)`;
  const outputs = Object.entries(result.outputs).map(
    ([name, value]) => `  ${name}: ${result.masks.includes(value) ? shown(value) : value}`,
  );
  console.log(['', outputs.length > 0 ? 'Outputs:' : 'No outputs.', ...outputs].join('\n'));
  const stored = (github ? storedIn(github) : []).map(
    ({ place, name, value }) => `  ${name} in the ${place.replace(':', ' ')}: ${shown(value)}`,
  );
  if (stored.length > 0) console.log(['', 'Stored at GitHub:', ...stored].join('\n'));
  if (result.summary) console.log(`\nJob summary:\n${plain(result.summary)}`);
}

/** What the step stored, and did not delete again. */
function storedIn({ writes, secretValue }: Github): Write[] {
  return writes.filter(({ place, name, value }) => secretValue(place, name) === value);
}

/** A table of the job summary as lines of text. */
function plain(html: string): string {
  const between = html.includes('<th>') ? ' | ' : ': ';
  const cells = html.replace(/<\/h3>|<\/tr>/g, '\n').replace(/<\/t[dh]><t[dh]>/g, between);
  const text = cells.replace(/<[^>]+>/g, '').replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
  return text.trim().replace(/^/gm, '  ');
}

async function main(): Promise<void> {
  const options = readArguments();
  if (options.help) return console.log(usage);
  const given = readInputs(options, options.inputs);
  const { inputs, env, simulated } = given['url'] ? real(given) : await simulate(given, options.version);
  try {
    const patience = (Number(inputs['timeout-seconds']) || 60) * 1000 + 10_000;
    const result = await runStep({ inputs, debug: options.debug, env: { ...action, ...env }, patience });
    print(result, { showSecrets: options['show-secrets'], github: simulated?.github });
    console.log(result.exitCode === 0 ? '\nThe step succeeded.' : `\nThe step failed (exit code ${result.exitCode}).`);
    process.exitCode = result.exitCode ?? 1;
  } finally {
    await Promise.all([simulated?.simulator.close(), simulated?.github.close()]);
  }
}

main().catch((error: unknown) => {
  console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  process.exitCode = 2;
});
