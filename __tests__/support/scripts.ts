import { spawnSync } from 'node:child_process';
import { missingTools } from './workflow.ts';

/**
 * Programs that the scripts of our workflows need but this machine lacks. On Windows, there may be several kinds of
 * bash.
 */
export function missingForScripts(...tools: string[]): string[] {
  return process.platform === 'win32' ? ['a bash of its own'] : missingTools('bash', ...tools);
}

/** For the name of a group of tests. */
export const skippedFor = (missing: string[]) => (missing.length > 0 ? ` (skipped: no ${missing.join(', no ')})` : '');

/** Runs a script as a runner runs one with `shell: bash`. */
export function runBash(script: string, { env, cwd }: { env: Record<string, string>; cwd: string }) {
  const { status, stdout, stderr } = spawnSync('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', script], {
    cwd,
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}
