import { readFileSync, statSync } from 'node:fs';
import * as core from '@actions/core';
import { type InputName, parseInputs, type Request } from './inputs.ts';
import type { Context } from './modes/context.ts';
import { createApp } from './modes/create-app.ts';
import { createUser } from './modes/create-user.ts';
import { deleteApp } from './modes/delete-app.ts';
import { rotateApp } from './modes/rotate-app.ts';
import { token } from './modes/token.ts';
import { httpsProxy } from './proxy.ts';
import { checkOutputFile, publish, summarize } from './publish.ts';
import { Client } from './runai/client.ts';
import { systemClock } from './runai/clock.ts';
import { RunaiError } from './runai/errors.ts';
import { type Log, Transport } from './runai/http.ts';
import { createSecrets, type Secrets } from './secrets.ts';
import { oneLine } from './text.ts';

const log: Log = {
  debug: (text) => {
    if (core.isDebug()) core.debug(oneLine(text()));
  },
  info: (text) => core.info(oneLine(text)),
  notice: (text) => core.notice(oneLine(text)),
  warning: (text) => core.warning(oneLine(text)),
};

/** Runs the step, from inputs to outputs. Never throws: a failure is reported, and sets the exit code. */
export async function run(): Promise<void> {
  // Until everything promised is written, an end of the process is a failure, however it comes about.
  process.exitCode = core.ExitCode.Failure;
  const secrets = createSecrets(core.setSecret);
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error) => leave(explain(error, secrets), 1));
  }
  // A promise that never settles would let the process end without a word.
  const stranded = () => leave(explain(new Error('it came to no end'), secrets), 1);
  process.once('beforeExit', stranded);
  try {
    const request = readRequest(secrets);
    leaveOnSignal(request);
    await carryOut(request, secrets).catch((error) => {
      throw inContext(error, request);
    });
    process.exitCode = core.ExitCode.Success;
  } catch (error) {
    core.setFailed(explain(error, secrets));
  } finally {
    process.off('beforeExit', stranded);
  }
}

function readRequest(secrets: Secrets): Request {
  return parseInputs({
    read: (name: InputName) => core.getInput(name, { trimWhitespace: false }),
    readFile,
    env: process.env,
    mask: secrets.mask,
    clean: secrets.clean,
    warn: log.warning,
  });
}

const FILE_LIMIT = 4 * 1024 * 1024;

/** The text of a regular file that says how large it is: reading from anything else, a pipe for instance, could wait for ever. */
function readFile(path: string): string {
  const stats = statSync(path);
  if (!stats.isFile() || stats.size === 0 || stats.size > FILE_LIMIT) throw new Error('not a file of certificates');
  return readFileSync(path, 'utf8');
}

async function carryOut(request: Request, { mask, clean }: Secrets): Promise<void> {
  checkOutputFile(process.env['GITHUB_OUTPUT']);
  const proxy = httpsProxy(targetsOf(request), { env: process.env, mask });
  const transport = new Transport({
    budget: request.timeoutSeconds * 1000,
    clock: systemClock,
    random: Math.random,
    log,
    mask,
    clean,
    proxy,
    ...(request.roots && { roots: request.roots }),
  });
  const client = new Client({ baseUrl: request.url, transport, log, mask, clean, now: systemClock.now });
  try {
    await dispatch(request, {
      client,
      log,
      publish: (results) => publish(results, mask),
      summarize: (title, rows) => summarize(title, rows, clean),
    });
  } finally {
    transport.close();
  }
}

/** The addresses to which a run connects. */
function targetsOf({ url, credentials }: Request): URL[] {
  return [url, ...(credentials.by === 'oidc' ? [credentials.url] : [])].map((address) => new URL(address));
}

function dispatch(request: Request, context: Context): Promise<void> {
  switch (request.mode) {
    case 'token':
      return token(request, context);
    case 'create-app':
      return createApp(request, context);
    case 'create-user':
      return createUser(request, context);
    case 'rotate-app':
      return rotateApp(request, context);
    case 'delete-app':
      return deleteApp(request, context);
  }
}

/** Adds to an error what only the request knows: the mode, and which input brought the token. */
function inContext(error: unknown, { mode, credentials }: Request): unknown {
  if (!(error instanceof RunaiError)) return error;
  const foreign = error.code === 'token-rejected' && credentials.by === 'access-token';
  const advice = ' Get a new one for access-token, with a mode: token step in the same job.';
  const hint = foreign ? `${error.hint}${advice}` : error.hint;
  return error.with({ operation: `${mode}: ${error.operation ?? ''}`.trim(), hint });
}

function explain(error: unknown, secrets: Secrets): string {
  if (error instanceof RunaiError) return error.describe();
  const what = error instanceof Error ? `${error.name}: ${error.message}` : typeof error;
  return `The action stopped at an error of its own (${secrets.clean(what)}). Please report it, with the version of the action.`;
}

const mayExist = 'What it was creating may exist: run it again with if-exists: rotate.';
const afterSignal: Partial<Record<Request['mode'], string>> = {
  'create-app': mayExist,
  'create-user': mayExist,
  'rotate-app': 'The old client secret may no longer work: run it again to get one that does.',
};

// One turn of the event loop writes all outputs, so no signal leaves them half-written.
function leaveOnSignal({ mode }: Request): void {
  const signals = { SIGINT: 130, SIGTERM: 143 } as const;
  for (const [signal, exitCode] of Object.entries(signals)) {
    process.once(signal, () => {
      const hint = afterSignal[mode];
      leave(
        new RunaiError('interrupted', `stopped by ${signal}`, { operation: `${mode}:`, hint }).describe(),
        exitCode,
      );
    });
  }
}

function leave(message: string, exitCode: number): void {
  core.setFailed(message);
  process.exit(exitCode);
}
