import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs, parseEnv } from 'node:util';
import type { Version } from '../__tests__/simulator/profiles.ts';
import { versions } from '../__tests__/simulator/profiles.ts';
import { type Simulator, startSimulator } from '../__tests__/simulator/simulator.ts';
import { asShown } from '../__tests__/support/log.ts';
import { actionFile, runStep, type StepResult } from '../__tests__/support/runner.ts';

const usage = `Runs the action once, as a runner would, and prints what it would show.

  npm run local -- --mode token --url https://acme.run.ai --client-id ci --client-secret …
  npm run local -- --mode create-app --app-name ci      (no url: a simulated control plane is started for this run)

Each input of the action is an option. What is not given comes from the environment or from the file .env
(RUNAI_URL for url, RUNAI_CLIENT_SECRET for client-secret, and so on; see .env.example).

  --inputs FILE         another file than .env
  --version VERSION     of the simulated control plane: ${versions.join(', ')}
  --debug               debug logging
  --show-secrets        print secret outputs in full
  --help`;

type Inputs = Record<string, string>;

/** What a step may need from this machine's environment to reach a real control plane. */
const passedOn = ['https_proxy', 'HTTPS_PROXY', 'no_proxy', 'NO_PROXY', 'NODE_EXTRA_CA_CERTS'];

const names = Object.keys(actionFile.inputs);

function readArguments() {
  const inputs = Object.fromEntries(names.map((name) => [name, { type: 'string' as const }]));
  const { values } = parseArgs({
    options: {
      inputs: { type: 'string', default: '.env' },
      version: { type: 'string', default: '2.24' },
      debug: { type: 'boolean', default: false },
      'show-secrets': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      ...inputs,
    },
  });
  return values as typeof values & Record<string, string | boolean>;
}

/** The inputs: first from the options, then from the environment, then from the file. */
function readInputs(options: Record<string, unknown>, envFile: string): Inputs {
  const env = { ...(existsSync(envFile) && parseEnv(readFileSync(envFile, 'utf8'))), ...process.env };
  const entries = names.map((name) => {
    const variable = `RUNAI_${name.toUpperCase().replaceAll('-', '_')}`;
    return [name, options[name] ?? env[variable] ?? ''] as const;
  });
  const inputs = Object.fromEntries(entries.filter(([, value]) => value !== '')) as Inputs;
  // The step runs in a folder of its own.
  const certificates = inputs['ca-certificate'] ?? '';
  return existsSync(certificates) ? { ...inputs, 'ca-certificate': resolve(certificates) } : inputs;
}

const credentials = [
  'client-id',
  'client-secret',
  'username',
  'password',
  'external-token',
  'oidc-audience',
  'access-token',
];

/** A simulated control plane with what the run needs: the administrator signs in unless told otherwise. */
async function simulated(inputs: Inputs, version: string): Promise<{ simulator: Simulator; inputs: Inputs }> {
  const known = versions.find((one): one is Version => one === version);
  if (!known) throw new Error(`--version ${version} is none of ${versions.join(', ')}`);
  const simulator = await startSimulator({ version: known });
  const own = credentials.some((name) => inputs[name]) ? {} : simulator.admin;
  console.log(`No url was given: started a simulated control plane ${known} at ${simulator.url} for this run.`);
  return { simulator, inputs: { ...own, ...inputs, url: simulator.url } };
}

function environment(simulator: Simulator | undefined): Record<string, string> {
  const entries = passedOn.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : []));
  const oidc = simulator && {
    ACTIONS_ID_TOKEN_REQUEST_URL: simulator.oidc.url,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: simulator.oidc.requestToken,
  };
  return { ...Object.fromEntries(entries), ...oidc };
}

function print(result: StepResult, { debug, showSecrets }: { debug: boolean; showSecrets: boolean }): void {
  // A step writes these lines always; GitHub shows them when debug logging is on.
  const log = result.log.filter(({ command }) => debug || command !== 'debug');
  console.log(['', ...asShown(log)].join('\n'));
  if (result.stderr) console.error(result.stderr);
  const shown = Object.entries(result.outputs).map(([name, value]) => {
    const hidden = result.masks.includes(value) && !showSecrets;
    return `  ${name}: ${hidden ? `*** (${value.length} characters; --show-secrets prints them)` : value}`;
  });
  console.log(['', shown.length > 0 ? 'Outputs:' : 'No outputs.', ...shown].join('\n'));
  if (result.summary) console.log(`\nJob summary:\n${plain(result.summary)}`);
}

/** A table of the job summary as lines of text. */
function plain(html: string): string {
  const cells = html.replace(/<\/h3>|<\/tr>/g, '\n').replace(/<\/td><td>/g, ': ');
  const text = cells.replace(/<[^>]+>/g, '').replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
  return text.trim().replace(/^/gm, '  ');
}

async function main(): Promise<void> {
  const options = readArguments();
  if (options.help) return console.log(usage);
  const given = readInputs(options, options.inputs);
  const { simulator, inputs } = given['url']
    ? { simulator: undefined, inputs: given }
    : await simulated(given, options.version);
  try {
    const patience = (Number(inputs['timeout-seconds']) || 60) * 1000 + 10_000;
    const result = await runStep({ inputs, debug: options.debug, env: environment(simulator), patience });
    print(result, { debug: options.debug, showSecrets: options['show-secrets'] });
    console.log(result.exitCode === 0 ? '\nThe step succeeded.' : `\nThe step failed (exit code ${result.exitCode}).`);
    process.exitCode = result.exitCode ?? 1;
  } finally {
    await simulator?.close();
  }
}

main().catch((error: unknown) => {
  console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
  process.exitCode = 2;
});
