import { readFileSync, statSync } from 'node:fs';
import * as core from '@actions/core';
import { RunaiError } from './errors.ts';
import { fetchIdToken } from './github/oidc.ts';
import { Cancellation } from './http/cancellation.ts';
import { systemClock } from './http/clock.ts';
import { httpsProxy } from './http/proxy.ts';
import { type Log, Transport } from './http/transport.ts';
import { trust } from './http/trust.ts';
import { type Credentials, type InputName, type Inputs, parseInputs } from './inputs.ts';
import type { Context } from './modes/context.ts';
import { token } from './modes/token.ts';
import { checkOutputFile, publish, summarize, writeOutputs } from './publish.ts';
import { Client } from './runai/client.ts';
import { createSecrets, type Secrets } from './secrets.ts';
import { oneLine } from './text.ts';
import { version } from './version.ts';

const log: Log = {
  debug: (text) => {
    if (core.isDebug()) core.debug(oneLine(text()));
  },
  info: (text) => core.info(oneLine(text)),
  notice: (text) => core.notice(oneLine(text)),
  warning: (text) => core.warning(oneLine(text)),
};

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;

/** Runs the step, from inputs to outputs. Never throws: a failure is reported, and sets the exit code. */
export async function run(): Promise<void> {
  // Until everything promised is written, the process must end as a failure, however it ends.
  process.exitCode = core.ExitCode.Failure;
  const secrets = createSecrets(core.setSecret);
  const cancellation = new Cancellation();
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error) => {
      fail(error, secrets);
      leave();
    });
  }
  // A promise that never settles would let the process end silently.
  const stranded = () => {
    fail(new Error('the run never finished'), secrets);
    leave();
  };
  process.once('beforeExit', stranded);
  try {
    const inputs = readInputs(secrets);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => cancellation.cancel(signal));
    await carryOut(inputs, { secrets, cancellation }).catch((error) => {
      throw inContext(error, inputs);
    });
    if (cancellation.by) throw inContext(lateInterruption(cancellation.by), inputs);
    process.exitCode = core.ExitCode.Success;
  } catch (error) {
    fail(error, secrets);
    if (cancellation.by) process.exitCode = exitCodes[cancellation.by];
  } finally {
    process.off('beforeExit', stranded);
  }
}

function readInputs({ mask, maskWhole, clean }: Secrets): Inputs {
  return parseInputs({
    read: (name: InputName) => core.getInput(name, { trimWhitespace: false }),
    readFile,
    env: process.env,
    mask,
    maskWhole,
    clean,
    warn: log.warning,
  });
}

const FILE_LIMIT = 4 * 1024 * 1024;

/** The text of a regular file of known size: reading from anything else, such as a pipe, could block forever. */
function readFile(path: string): string {
  const stats = statSync(path);
  if (!stats.isFile() || stats.size === 0 || stats.size > FILE_LIMIT) throw new Error('not a file of certificates');
  return readFileSync(path, 'utf8');
}

/** Enough for the outputs of a step with many users, in bytes. */
const ROOM = 64 * 1024;

async function carryOut(
  inputs: Inputs,
  { secrets, cancellation }: { secrets: Secrets; cancellation: Cancellation },
): Promise<void> {
  // A token that cannot be written is asked for again; what the other modes issue is shown only once.
  checkOutputFile(process.env['GITHUB_OUTPUT'], inputs.mode === 'token' ? 0 : ROOM);
  const { mask, clean } = secrets;
  const transport = new Transport({
    budget: inputs.timeoutSeconds * 1000,
    clock: systemClock,
    random: Math.random,
    log,
    mask,
    clean,
    trust: trust(inputs.roots),
    proxy: httpsProxy(targetsOf(inputs), { env: process.env, mask }),
    userAgent: userAgent(process.env),
    cancellation,
  });
  const { caller, callerId } = callerOf(inputs.credentials);
  const client = new Client({
    baseUrl: inputs.url,
    transport,
    log,
    caller,
    callerId,
    mask,
    clean,
    now: systemClock.now,
  });
  await dispatch(inputs, {
    client,
    log,
    publish: (results) => publish(results, secrets),
    summarize: (title, table) => summarize(title, table, clean),
    fetchIdToken: (request) => fetchIdToken({ transport, mask, clean }, request),
    openStore: async (target) => new (await import('./modes/storing.ts')).Store(target, { transport, clean }),
  });
}

/** The addresses that a run connects to. */
function targetsOf(inputs: Inputs): URL[] {
  const { url, credentials } = inputs;
  const store = 'store' in inputs ? inputs.store : undefined;
  const addresses = [url, ...(credentials.by === 'oidc' ? [credentials.url] : []), ...(store ? [store.apiUrl] : [])];
  return addresses.map((address) => new URL(address));
}

/** A description of who signs in, for messages, and the client id if it is an application. */
function callerOf(credentials: Credentials): { caller: string; callerId: string | undefined } {
  switch (credentials.by) {
    case 'application':
      return { caller: `the application ${credentials.clientId}`, callerId: credentials.clientId };
    case 'user':
      return { caller: `the user ${credentials.username}`, callerId: undefined };
    case 'access-token':
      return { caller: 'the owner of access-token', callerId: undefined };
    case 'external-token':
    case 'oidc':
      return { caller: 'the identity of the external token', callerId: undefined };
  }
}

/** Shows in the control plane's audit log where a request came from. Contains no secret. */
function userAgent({ GITHUB_REPOSITORY: repository, GITHUB_RUN_ID: runId }: NodeJS.ProcessEnv): string {
  const details = [repository && `+${repository}`, runId && `run ${runId}`].filter(Boolean).join('; ');
  const origin = details ? ` (${details})` : '';
  return `runai-auth/${version}${origin}`.replace(/[^\x20-\x7e]/g, '');
}

async function dispatch(inputs: Inputs, context: Context): Promise<void> {
  if (inputs.mode === 'token') return token(inputs, context);
  const { createApp, createUser, deleteApp, rotateApp } = await import('./modes/changes.ts');
  switch (inputs.mode) {
    case 'create-app':
      return createApp(inputs, context);
    case 'create-user':
      return createUser(inputs, context);
    case 'rotate-app':
      return rotateApp(inputs, context);
    case 'delete-app':
      return deleteApp(inputs, context);
  }
}

/** Adds to an error what only the inputs tell: the mode, and which input the token came from. */
function inContext(error: unknown, { mode, credentials }: Inputs): unknown {
  if (!(error instanceof RunaiError)) return error;
  const foreign = error.code === 'token-rejected' && credentials.by === 'access-token';
  const advice = ' Get a new one for access-token, with a mode: token step in the same job.';
  const hint = foreign ? `${error.hint}${advice}` : error.hint;
  return error.with({ operation: `${mode}: ${error.operation ?? ''}`.trim(), hint });
}

function lateInterruption(signal: string): RunaiError {
  return new RunaiError('interrupted', `stopped by ${signal}`, {
    hint: 'Everything was done by then, and the outputs are set.',
  });
}

/** Reports a failure: a message for people, and a code for workflows. */
function fail(error: unknown, secrets: Secrets): void {
  const { code, text } = explain(error, secrets);
  try {
    if (process.env['GITHUB_OUTPUT']) writeOutputs([['error-code', code]]);
  } catch {
    // If the file cannot be written, the message has to do.
  }
  core.setFailed(`${text}${linkTo(code, process.env)}`);
}

function explain(error: unknown, secrets: Secrets): { code: string; text: string } {
  if (error instanceof RunaiError) return { code: error.code, text: error.describe() };
  const what = error instanceof Error ? `${error.name}: ${error.message}` : typeof error;
  const text = `The action failed unexpectedly; this is a bug (${secrets.clean(what)}). Please report it, with the version of the action.`;
  return { code: 'internal', text };
}

/** A link to this action's documentation of the error, at the version in use. */
function linkTo(code: string, env: NodeJS.ProcessEnv): string {
  const { GITHUB_SERVER_URL: server, GITHUB_ACTION_REPOSITORY: repository, GITHUB_ACTION_REF: ref } = env;
  if (!server || !repository || !ref) return '';
  return ` See ${server}/${repository}/blob/${ref}/docs/troubleshooting.md#${code}`;
}

/** Ends the process once all output is written: the last line may still be buffered in a pipe. */
export function leave(): void {
  setTimeout(() => process.exit(), 5_000).unref();
  process.stdout.write('', () => process.exit());
}
