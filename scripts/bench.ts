// How long a step takes as a whole process, compared with hand-written scripts.
//   npm run bench [-- [--rounds 15] [path/to/another/version/dist/index.js ...]]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { arch, cpus, platform, tmpdir, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { startGithub } from '../__tests__/simulator/github.ts';
import { startSimulator } from '../__tests__/simulator/simulator.ts';
import { createAuthority } from '../__tests__/support/certificates.ts';
import { actionFile, actionFolder, root } from '../__tests__/support/runner.ts';
import { type Contender, type Course, type Figures, median, race, ratio, run } from './bench/race.ts';

const { values, positionals: peers } = parseArgs({
  options: { rounds: { type: 'string', default: '15' } },
  allowPositionals: true,
});
const folder = mkdtempSync(join(tmpdir(), 'bench-'));
const files = { ca: join(folder, 'ca.pem'), output: join(folder, 'output'), peak: join(folder, 'peak') };
const bundle = join(actionFolder(), actionFile.runs.main);

const authority = await createAuthority();
const tls = await authority.issue({ hosts: ['localhost'] });
const simulator = await startSimulator({ tls });
const github = await startGithub({ tls });
writeFileSync(files.ca, authority.cert);

const defaults = Object.entries(actionFile.inputs).map(([name, input]) => [name, input.default ?? '']);

/** The environment of a step of this action, with a new output file. */
function step(inputs: Record<string, string>): Record<string, string> {
  writeFileSync(files.output, '');
  const { url, admin } = simulator;
  const all = Object.entries({ ...Object.fromEntries(defaults), url, ...admin, ...inputs });
  return {
    PATH: process.env['PATH'] ?? '',
    NODE_EXTRA_CA_CERTS: files.ca,
    GITHUB_OUTPUT: files.output,
    GITHUB_API_URL: github.url,
    GITHUB_REPOSITORY: github.repository,
    // For the scripts.
    RUNAI_URL: url,
    RUNAI_USERNAME: admin.username,
    RUNAI_PASSWORD: admin.password,
    PEAK_MEMORY: files.peak,
    ...Object.fromEntries(all.map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value])),
  };
}

/** A race in which each process writes an output of this name, or none. */
function course(output: string): Course {
  return {
    rounds: Number(values.rounds),
    folder,
    servers: [simulator, github],
    check({ name, command }) {
      if (command.includes('-e') || readFileSync(files.output, 'utf8').includes(output)) return;
      throw new Error(`${name} wrote no ${output}`);
    },
  };
}

/**
 * The peak memory of a Node process in MiB, measured by the process itself in separate runs; empty for other programs.
 */
async function peakOf({ command: [file = '', ...args], ...rest }: Contender): Promise<string> {
  if (file !== process.execPath) return '';
  const command = [file, '--require', join(root, '__tests__/support/memory.cjs'), ...args];
  const peaks: number[] = [];
  for (let round = 0; round < 5; round++) {
    await run({ ...rest, command }, folder);
    peaks.push(Number(readFileSync(files.peak, 'utf8')) / 2 ** 20);
  }
  return median(peaks).toFixed(1);
}

function table(head: string[], rows: string[][]): string {
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)].join('\n');
}

/** Runs a race, and prints it as a table with the ratios to one of the contenders, round by round. */
async function compare(contenders: Contender[], { to, output }: { to: string; output: string }) {
  const figures = await race(contenders, course(output));
  const rows: string[][] = [];
  for (const contender of contenders) {
    const { times, requests, connections } = figures.get(contender.name) as Figures;
    const toOther = ratio(times, figures.get(to)?.times).toFixed(2);
    const counts = [String(requests), String(connections)];
    rows.push([contender.name, median(times).toFixed(1), toOther, await peakOf(contender), ...counts]);
  }
  console.log(table(['process', 'median ms', `ratio to ${to}`, 'peak MiB', 'requests', 'connections'], rows));
  return figures;
}

const has = (tool: string) => spawnSync(tool, ['--version']).status === 0;
const script = (file: string) => join(root, 'scripts/bench', file);

function tokens(): Contender[] {
  const commands: Record<string, string[]> = {
    'this action': [process.execPath, bundle],
    'ten lines': [process.execPath, script('https.cjs')],
    'a fetch() script': [process.execPath, script('fetch.mjs')],
    ...(has('curl') && has('jq') && { 'curl with jq': ['sh', script('curl.sh')] }),
    'node -e 0': [process.execPath, '-e', '0'],
    ...Object.fromEntries(peers.map((peer) => [peer, [process.execPath, resolve(peer)]])),
  };
  return Object.entries(commands).map(([name, command]) => ({ name, command, env: () => step({ mode: 'token' }) }));
}

/** Steps that create something, under a different name in each run. */
function creates(): Contender[] {
  const command = [process.execPath, bundle];
  let count = 0;
  const createApp = (more: Record<string, string>) => () =>
    step({ mode: 'create-app', 'app-name': `app-${count++}`, ...more });
  const email = () => Array.from({ length: 50 }, () => `user-${count++}@example.com`).join('\n');
  const storing = { 'store-as': 'RUNAI_CREDENTIALS', 'github-token': github.token };
  return [
    { name: 'create-app', command, env: createApp({}) },
    { name: 'create-app with store-as', command, env: createApp(storing) },
    { name: 'create-user, fifty addresses', command, env: () => step({ mode: 'create-user', email: email() }) },
  ];
}

const processor = cpus()[0]?.model ?? 'unknown processor';
const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
console.log(`Node ${process.versions.node} on ${platform()} ${arch()}, ${cpus().length} × ${processor}, ${memory}`);
console.log(`All in turn, over HTTPS on loopback; medians of ${values.rounds} rounds, and of the ratios of each.`);

console.log('\nOne token:\n');
const figures = await compare(tokens(), { to: 'ten lines', output: 'access-token' });
for (const peer of peers) {
  const toPeer = ratio(figures.get('this action')?.times, figures.get(peer)?.times).toFixed(3);
  console.log(`\nThis action takes ${toPeer} times as long as ${peer}.`);
}

console.log('\nWhat makes something:\n');
await compare(creates(), { to: 'create-app', output: 'created' });

const sizes = readdirSync(dirname(bundle)).filter((file) => file.endsWith('.js'));
const kB = (file: string) => (statSync(join(dirname(bundle), file)).size / 1000).toFixed(1);
console.log(`\nBundle: ${sizes.map((file) => `${file} ${kB(file)} kB`).join(', ')}`);

await Promise.all([simulator.close(), github.close()]);
rmSync(folder, { recursive: true, force: true });
