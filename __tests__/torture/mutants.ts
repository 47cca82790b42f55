// Breaks the code in some thousand small ways, and counts how many of them the tests notice.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../__tests__/support/runner.ts';
import { emptyResult, type PartOptions, type PartResult } from './report.ts';

/** The share of mutants that the tests must notice. */
const WANTED = 0.9;

interface Mutant {
  mutatorName: string;
  replacement: string;
  status: 'Killed' | 'Timeout' | 'Survived' | 'NoCoverage' | 'RuntimeError' | 'CompileError' | 'Ignored';
  location: { start: { line: number } };
}

interface Report {
  files: Record<string, { mutants: Mutant[] }>;
}

export async function run({ short }: PartOptions): Promise<PartResult> {
  const result = emptyResult('Mutants');
  // It takes a quarter of an hour.
  if (short) return { ...result, lines: ['not run: see npm run torture -- --only mutants'] };
  const stryker = join(root, 'node_modules/@stryker-mutator/core/bin/stryker.js');
  const { status } = spawnSync(process.execPath, [stryker, 'run', 'torture/stryker.json'], { cwd: root });
  if (status !== 0) return { ...result, failures: [`the run of the mutants ended with ${status}`] };
  const report: Report = JSON.parse(readFileSync(join(root, 'build/mutants.json'), 'utf8'));
  return judge(report, result);
}

function judge({ files }: Report, result: PartResult): PartResult {
  const mutants = Object.entries(files).flatMap(([file, { mutants }]) =>
    mutants.map((mutant) => ({ file, ...mutant })),
  );
  const counted = mutants.filter(({ status }) => ['Killed', 'Timeout', 'Survived', 'NoCoverage'].includes(status));
  const alive = counted.filter(({ status }) => status === 'Survived' || status === 'NoCoverage');
  const killed = counted.length - alive.length;
  const lines = Object.keys(files).map((file) => {
    const own = counted.filter((mutant) => mutant.file === file);
    return `${file}: ${own.length - alive.filter((mutant) => mutant.file === file).length} of ${own.length}`;
  });
  for (const { file, location, mutatorName, replacement } of alive) {
    lines.push(
      `alive: ${file}:${location.start.line} ${mutatorName}: ${replacement.replace(/\s+/g, ' ').slice(0, 90)}`,
    );
  }
  const failures = killed < counted.length * WANTED ? [`only ${killed} of ${counted.length} mutants were noticed`] : [];
  return { ...result, lines, failures, mutants: { killed, total: counted.length } };
}
