// Stand-ins for vault, aws and kubectl, each run as a separate process: the commands that other-stores.yml uses, word
// for word, on a file that replaces the stores.
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const programNames = ['vault', 'aws', 'kubectl'] as const;

export type ProgramName = (typeof programNames)[number];

/** A command that should fail once, before or after it has done its work. */
export interface StoreFault {
  line: string;
  when: 'before' | 'after';
}

/** What the three programs work on: a folder with what each of them has stored. */
export class Stores {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Every command line, as any process on the machine could have read it. */
  get commandLines(): string[] {
    const file = join(this.folder, 'lines');
    return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : [];
  }

  value(program: ProgramName): string | undefined {
    const file = join(this.folder, `${program}.value`);
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  }

  store(program: ProgramName, value: string): void {
    writeFileSync(join(this.folder, `${program}.value`), value);
  }

  fault(fault: StoreFault): void {
    writeFileSync(join(this.folder, 'fault.json'), JSON.stringify(fault));
  }

  /** How the command should fail, which it does once. */
  takeFault(line: string): StoreFault['when'] | undefined {
    const file = join(this.folder, 'fault.json');
    if (!existsSync(file)) return undefined;
    const fault: StoreFault = JSON.parse(readFileSync(file, 'utf8'));
    if (fault.line !== line) return undefined;
    rmSync(file);
    return fault.when;
  }

  note(line: string): void {
    appendFileSync(join(this.folder, 'lines'), `${line}\n`);
  }
}

/** Writes the three programs into `bin` in the folder, and returns what they share. */
export function writePrograms(folder: string): { programs: string; stores: Stores } {
  const programs = join(folder, 'bin');
  mkdirSync(programs);
  for (const name of programNames) {
    const line = `exec '${process.execPath}' '${fileURLToPath(import.meta.url)}' '${folder}' ${name} "$@"`;
    writeFileSync(join(programs, name), `#!/bin/sh\n${line}\n`);
    chmodSync(join(programs, name), 0o755);
  }
  return { programs, stores: new Stores(folder) };
}

interface Command {
  /** Whether the real one reads standard input here. */
  reads?: true;
  /** The value to store, extracted from what was read. */
  stores?: (stdin: string) => string;
  prints: (stdin: string) => string;
}

const manifestOf = (value: string) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'runai' },
    data: { credentials: Buffer.from(value).toString('base64') },
  });

const commands: Record<string, Command> = {
  'vault token capabilities secret/data/ci/runai': { prints: () => 'create, read, update' },
  'vault kv put -mount=secret ci/runai credentials=-': {
    reads: true,
    stores: (stdin) => stdin,
    prints: () => '=== Secret Path ===\nsecret/data/ci/runai',
  },
  'aws secretsmanager describe-secret --secret-id ci/runai --query ARN': {
    prints: () => '"arn:aws:secretsmanager:eu-west-1:123456789012:secret:ci/runai-a1b2c3"',
  },
  'aws secretsmanager put-secret-value --secret-id ci/runai --secret-string file:///dev/stdin --query VersionId': {
    reads: true,
    stores: (stdin) => stdin,
    prints: () => '"a-version"',
  },
  'kubectl auth can-i patch secrets/runai --namespace=ci': { prints: () => 'yes' },
  'kubectl create secret generic runai --from-file=credentials=/dev/stdin --dry-run=client --output=json': {
    reads: true,
    prints: manifestOf,
  },
  'kubectl apply --server-side --namespace=ci --filename=-': {
    reads: true,
    stores: (stdin) => Buffer.from(JSON.parse(stdin).data.credentials, 'base64').toString('utf8'),
    prints: () => 'secret/runai serverside-applied',
  },
};

function main([folder = '', program = '', ...args]: string[]): void {
  const stores = new Stores(folder);
  const line = [program, ...args].join(' ');
  stores.note(line);
  const command = commands[line];
  if (!command) throw new Error(`This stand-in does not know ${line}`);
  const stdin = command.reads ? readFileSync(0, 'utf8') : '';
  const failure = stores.takeFault(line);
  if (command.stores && failure !== 'before') stores.store(program as ProgramName, command.stores(stdin));
  if (failure) throw new Error('The store is not available');
  process.stdout.write(`${command.prints(stdin)}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
