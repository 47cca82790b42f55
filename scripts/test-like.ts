// Runs tests on a Linux machine that behaves like another one.
//   node scripts/test-like.ts windows|macos [files, or options of vitest]
// Without files, it runs the tests for which the system matters.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Likeness {
  /** Words in a test file which show that the system matters to it. */
  matters: RegExp;
  env(temp: string): Record<string, string>;
}

/** Programs that every Linux has but macOS does not. */
const linuxOnly = /^(setsid|timeout|flock|nproc|tac|shuf|numfmt|unshare|ip|(md5|sha\d+)sum)$/;

const likenesses: Record<string, Likeness> = {
  windows: {
    matters: /\b(runStep|startStep|openStage|onWindows)\b/,
    env() {
      const preload = join(root, '__tests__/support/windows-like.cjs');
      return { STEP_PRELOAD: preload, NODE_OPTIONS: `--require ${JSON.stringify(preload)}` };
    },
  },
  // The Node packages from npm are hidden as well: macOS only has the machine's own Node.
  macos: { matters: /\bmissing(Tools|ForScripts)\(/, env: (temp) => ({ PATH: pathLikeMacOs(temp) }) },
};

/** A folder with all programs of this machine except those that only Linux has, and with this Node as the only one. */
function pathLikeMacOs(folder: string): string {
  const programs = new Map([['node', process.execPath]]);
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((path) => !path.includes('node_modules'));
  for (const path of folders.flatMap(filesIn)) {
    const name = basename(path);
    if (!programs.has(name) && !linuxOnly.test(name)) programs.set(name, path);
  }
  for (const [name, path] of programs) symlinkSync(path, join(folder, name));
  return folder;
}

function filesIn(folder: string): string[] {
  try {
    accessSync(folder, constants.R_OK);
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return [];
  }
}

function testFiles(matters: RegExp): string[] {
  const names = readdirSync(join(root, '__tests__'), { recursive: true, encoding: 'utf8' });
  const files = names.filter((name) => name.endsWith('.test.ts')).map((name) => join('__tests__', name));
  return files.filter((file) => matters.test(readFileSync(join(root, file), 'utf8')));
}

function main([system = '', ...args]: string[]): number {
  const likeness = likenesses[system];
  if (!likeness) throw new Error(`node scripts/test-like.ts ${Object.keys(likenesses).join('|')} [files]`);
  const temp = mkdtempSync(join(tmpdir(), 'like-'));
  try {
    const vitest = join(root, 'node_modules/vitest/vitest.mjs');
    const chosen = args.some((arg) => !arg.startsWith('-')) ? [] : testFiles(likeness.matters);
    const env = { ...process.env, ...likeness.env(temp) };
    return (
      spawnSync(process.execPath, [vitest, 'run', ...args, ...chosen], { cwd: root, env, stdio: 'inherit' }).status ?? 1
    );
  } finally {
    rmSync(temp, { recursive: true, force: true });
  }
}

process.exitCode = main(process.argv.slice(2));
