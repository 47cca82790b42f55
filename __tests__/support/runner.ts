import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { EOL, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import type { InputName } from '../../src/inputs.ts';
import { type LogLine, readLog } from './log.ts';

export const root = fileURLToPath(new URL('../../', import.meta.url));

export interface ActionFile {
  name: string;
  description: string;
  author: string;
  branding: { icon: string; color: string };
  inputs: Record<string, { description: string; required?: boolean; default?: string }>;
  outputs: Record<string, { description: string }>;
  runs: { using: string; main: string };
}

export const actionFile: ActionFile = parse(readFileSync(join(root, 'action.yml'), 'utf8'));

/** The outputs that action.yml declares as secrets. */
export const secretOutputs = Object.entries(actionFile.outputs).flatMap(([name, { description }]) =>
  description.includes('(secret)') ? [name] : [],
);

export interface StepOptions {
  inputs: Partial<Record<InputName, string>> & Record<string, string>;
  env?: Record<string, string>;
  /** Debug logging, as a runner turns it on. */
  debug?: boolean;
  /** The Node that runs the bundle; this process's own by default. */
  node?: string;
  /** The folder that holds action.yml and dist; a fresh copy of the committed ones by default. */
  action?: string;
  /** Milliseconds after which the step is killed: a hang that no deadline has ended. */
  patience?: number;
}

export interface StepResult {
  /** Null if a signal ended the process. */
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** The contents of the GITHUB_OUTPUT file, parsed as a runner parses it. */
  outputs: Record<string, string>;
  summary: string;
  log: LogLine[];
  /** The values of all `add-mask` commands, in order. */
  masks: string[];
  errors: string[];
  warnings: string[];
  notices: string[];
  /** Whether the step had to be killed. */
  hung: boolean;
  /** Milliseconds. */
  duration: number;
  /** Everything that the step wrote to its working directory, its temp folder, its state and environment files. */
  strayFiles: string[];
}

export interface RunningStep {
  child: ChildProcess;
  result: Promise<StepResult>;
}

/** The module that every step loads before the bundle, in `npm run test:windows-like`. */
const preload = process.env['STEP_PRELOAD'] ? ['--require', process.env['STEP_PRELOAD']] : [];

let copy: string | undefined;

/** The action as a runner has it: action.yml and dist, in a separate folder, far from any node_modules. */
export function actionFolder(): string {
  if (copy === undefined) {
    copy = mkdtempSync(join(tmpdir(), 'action-'));
    const folder = copy;
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
    cpSync(join(root, 'dist'), join(copy, 'dist'), { recursive: true });
    cpSync(join(root, 'action.yml'), join(copy, 'action.yml'));
  }
  return copy;
}

/** Runs one step with the committed bundle, in a separate process, as a runner would. */
export function runStep(options: StepOptions): Promise<StepResult> {
  return startStep(options).result;
}

export function startStep(options: StepOptions): RunningStep {
  const folder = mkdtempSync(join(tmpdir(), 'step-'));
  const files = { output: '', summary: '', env: '', state: '', path: '' };
  for (const name of Object.keys(files)) writeFileSync(join(folder, name), '');
  for (const name of ['work', 'temp']) mkdirSync(join(folder, name));
  const main = join(options.action ?? actionFolder(), actionFile.runs.main);
  const startedAt = performance.now();
  const child = spawn(options.node ?? process.execPath, [...preload, main], {
    cwd: join(folder, 'work'),
    env: environment(options, folder),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { child, result: collect(child, { folder, startedAt, patience: options.patience ?? 30_000 }) };
}

// A runner sets a variable for every declared input, to its default or to nothing.
function environment({ inputs, env = {}, debug = false }: StepOptions, folder: string): Record<string, string> {
  const declared = Object.entries(actionFile.inputs).map(([name, input]) => [name, input.default ?? '']);
  const values = Object.entries({ ...Object.fromEntries(declared), ...inputs });
  return {
    ...(process.env['SystemRoot'] && { SystemRoot: process.env['SystemRoot'] }),
    PATH: process.env['PATH'] ?? '',
    ...(debug && { RUNNER_DEBUG: '1' }),
    GITHUB_ACTIONS: 'true',
    GITHUB_OUTPUT: join(folder, 'output'),
    GITHUB_STEP_SUMMARY: join(folder, 'summary'),
    GITHUB_ENV: join(folder, 'env'),
    GITHUB_STATE: join(folder, 'state'),
    GITHUB_PATH: join(folder, 'path'),
    RUNNER_TEMP: join(folder, 'temp'),
    ...Object.fromEntries(values.map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value])),
    ...env,
  };
}

async function collect(
  child: ChildProcess,
  { folder, startedAt, patience }: { folder: string; startedAt: number; patience: number },
): Promise<StepResult> {
  const chunks: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
  child.stdout?.on('data', (chunk: Buffer) => chunks.stdout.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => chunks.stderr.push(chunk));
  let hung = false;
  const timer = setTimeout(() => {
    hung = true;
    child.kill('SIGKILL');
  }, patience);
  const [exitCode, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (...end) => resolve(end));
  });
  clearTimeout(timer);
  const duration = performance.now() - startedAt;
  const [stdout, stderr] = [chunks.stdout, chunks.stderr].map((list) => Buffer.concat(list).toString('utf8'));
  const read = (name: string) => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8') : '');
  const log = readLog(stdout ?? '');
  const named = (command: string) => log.flatMap((line) => (line.command === command ? [line.text] : []));
  const result = {
    exitCode,
    signal,
    stdout: stdout ?? '',
    stderr: stderr ?? '',
    outputs: readOutputFile(read('output')),
    summary: read('summary'),
    log,
    masks: named('add-mask'),
    errors: named('error'),
    warnings: named('warning'),
    notices: named('notice'),
    hung,
    duration,
    strayFiles: ['env', 'state', 'path']
      .map(read)
      .filter(Boolean)
      .concat(filesBelow(join(folder, 'work')), filesBelow(join(folder, 'temp'))),
  };
  // Windows may keep a file locked after its process has just ended.
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  return result;
}

function filesBelow(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'));
}

/** Reads `name=value` and `name<<delimiter` as a runner does. Throws if a runner would fail the step. */
export function readOutputFile(text: string): Record<string, string> {
  const outputs: Record<string, string> = {};
  const lines = text.split(/(?<=\n)/);
  for (let index = 0; index < lines.length; index++) {
    const line = withoutEnd(lines[index] ?? '');
    if (line === '') continue;
    const heredoc = /^([^=]+?)<<(.+)$/.exec(line);
    const [, name = '', delimiter = ''] = heredoc ?? [];
    if (!heredoc) {
      const at = line.indexOf('=');
      if (at < 1) throw new Error(`Invalid format in the output file: ${line}`);
      outputs[line.slice(0, at)] = line.slice(at + 1);
      continue;
    }
    const end = lines.findIndex((other, number) => number > index && withoutEnd(other) === delimiter);
    if (end < 0) throw new Error(`No end of ${name} in the output file`);
    outputs[name] = withoutEnd(lines.slice(index + 1, end).join(''));
    index = end;
  }
  return outputs;
}

// A line ends with \n, on Windows also with \r\n.
function withoutEnd(text: string): string {
  return text.replace(EOL === '\n' ? /\n$/ : /\r?\n$/, '');
}
