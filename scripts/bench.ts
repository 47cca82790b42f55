// How long a step takes as a whole process, against what one would write by hand: side by side in one run, in turn.
//   npm run bench [-- [--rounds 15] [path/to/another/action/dist/index.js ...]]
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startSimulator } from '../__tests__/simulator/simulator.ts';
import { createAuthority } from '../__tests__/support/certificates.ts';
import { actionFile, actionFolder, root } from '../__tests__/support/runner.ts';

interface Contender {
  name: string;
  command: string[];
}

interface Figures {
  /** Milliseconds of wall time. */
  times: number[];
  requests: number;
  connections: number;
}

const { values, positionals: peers } = parseArgs({
  options: { rounds: { type: 'string', default: '15' } },
  allowPositionals: true,
});
const rounds = Number(values.rounds);
const folder = mkdtempSync(join(tmpdir(), 'bench-'));
const bench = (file: string) => join(root, 'scripts/bench', file);
const bundle = join(actionFolder(), actionFile.runs.main);
const has = (tool: string) => spawnSync(tool, ['--version']).status === 0;

const authority = await createAuthority();
const simulator = await startSimulator({ tls: await authority.issue({ hosts: ['localhost'] }) });
const ca = join(folder, 'ca.pem');
writeFileSync(ca, authority.cert);

const { username, password } = simulator.admin;
const defaults = Object.entries(actionFile.inputs).map(([name, input]) => [
  `INPUT_${name.toUpperCase()}`,
  input.default ?? '',
]);
const environment = {
  PATH: process.env['PATH'] ?? '',
  NODE_EXTRA_CA_CERTS: ca,
  GITHUB_OUTPUT: join(folder, 'output'),
  RUNAI_URL: simulator.url,
  RUNAI_USERNAME: username,
  RUNAI_PASSWORD: password,
  ...Object.fromEntries(defaults),
  INPUT_MODE: 'token',
  INPUT_URL: simulator.url,
  INPUT_USERNAME: username,
  INPUT_PASSWORD: password,
};

/** Runs one process to its end. The output file is new each time. */
async function run(
  command: string[],
  env: Record<string, string> = environment,
): Promise<{ ms: number; code: number }> {
  writeFileSync(environment.GITHUB_OUTPUT, '');
  const [file = '', ...args] = command;
  const startedAt = performance.now();
  const child = spawn(file, args, { cwd: folder, env, stdio: ['ignore', 'ignore', 'inherit'] });
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (exitCode) => resolve(exitCode ?? -1));
  });
  return { ms: performance.now() - startedAt, code };
}

/** Runs all contenders in turn, so that a machine that slows down does so for all of them. */
async function race(contenders: Contender[], { env, exitCode }: { env?: Record<string, string>; exitCode: number }) {
  const figures = new Map(
    contenders.map(({ name }): [string, Figures] => [name, { times: [], requests: 0, connections: 0 }]),
  );
  for (let round = 0; round <= rounds; round++) {
    for (const { name, command } of contenders) {
      const before = { requests: simulator.requests.length, connections: simulator.connections };
      const { ms, code } = await run(command, env);
      if (code !== exitCode) throw new Error(`${name} ended with exit code ${code}`);
      if (exitCode === 0 && !readFileSync(environment.GITHUB_OUTPUT, 'utf8').includes('access-token')) {
        throw new Error(`${name} wrote no access token`);
      }
      const one = figures.get(name) as Figures;
      // The first round warms the caches of the operating system.
      if (round > 0) one.times.push(ms);
      one.requests = simulator.requests.length - before.requests;
      one.connections = simulator.connections - before.connections;
    }
  }
  return figures;
}

function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** The peak memory of a Node process in MiB, told by the process itself in a run of its own. */
async function peakOf({ command }: Contender): Promise<string> {
  const [file = '', ...args] = command;
  if (file !== process.execPath) return '';
  const report = join(folder, 'peak');
  const peaks: number[] = [];
  for (let round = 0; round < 5; round++) {
    await run([file, '--require', join(root, '__tests__/support/memory.cjs'), ...args], {
      ...environment,
      PEAK_MEMORY: report,
    });
    peaks.push(Number(readFileSync(report, 'utf8')) / 1024 / 1024);
  }
  return median(peaks).toFixed(1);
}

function table(rows: string[][]): string {
  const [header = [], ...body] = rows;
  const widths = header.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(header), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...body.map(line)].join('\n');
}

function ratios(figures: Map<string, Figures>, { of, to }: { of: string; to: string }): string {
  const [one, other] = [figures.get(of)?.times ?? [], figures.get(to)?.times ?? []];
  return median(one.map((time, round) => time / (other[round] as number))).toFixed(2);
}

const node = (...args: string[]) => [process.execPath, ...args];
const own = 'this action';
const script = 'ten lines of node:https';
const contenders: Contender[] = [
  { name: own, command: node(bundle) },
  { name: script, command: node(bench('https.mjs')) },
  { name: 'a fetch() script', command: node(bench('fetch.mjs')) },
  ...(has('curl') && has('jq') ? [{ name: 'curl with jq', command: ['sh', bench('curl.sh')] }] : []),
  { name: 'node -e 0', command: node('-e', '0') },
];

const processor = cpus()[0]?.model ?? 'unknown processor';
const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
console.log(`Node ${process.versions.node} on ${platform()} ${arch()}, ${cpus().length} × ${processor}, ${memory}`);
console.log(`\nOne token over HTTPS on loopback; ${rounds} rounds in turn; medians, ratios per round:\n`);
const asking = contenders.filter(({ name }) => name !== 'node -e 0');
const figures = await race(asking, { exitCode: 0 });
const rows = [['process', 'median ms', `ratio to ${script}`, 'peak MiB', 'requests', 'connections']];
for (const contender of contenders) {
  const one = figures.get(contender.name);
  const time = one ? [median(one.times).toFixed(1), ratios(figures, { of: contender.name, to: script })] : ['', ''];
  rows.push([
    contender.name,
    ...time,
    await peakOf(contender),
    String(one?.requests ?? 0),
    String(one?.connections ?? 0),
  ]);
}
console.log(table(rows));
console.log(`\nBundle: ${(statSync(bundle).size / 1000).toFixed(1)} kB`);

const loaders = [{ name: own, command: node(bundle) }, ...peers.map((peer) => ({ name: peer, command: node(peer) }))];
const nothing = { PATH: environment.PATH, GITHUB_OUTPUT: environment.GITHUB_OUTPUT };
const loads = await race(loaders, { env: nothing, exitCode: 1 });
console.log('\nFrom start to the error about missing inputs:\n');
const sizes = (path: string) => (statSync(path).size / 1000).toFixed(1);
console.log(
  table([
    ['bundle', 'kB', 'median ms', 'ratio to this action'],
    ...loaders.map(({ name, command }) => [
      name,
      sizes(command[1] as string),
      median(loads.get(name)?.times ?? []).toFixed(1),
      ratios(loads, { of: name, to: own }),
    ]),
  ]),
);
await simulator.close();
rmSync(folder, { recursive: true, force: true });
