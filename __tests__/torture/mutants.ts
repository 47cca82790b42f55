// Breaks the code in some thousand small ways, and counts how many of them the tests notice.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../support/runner.ts';
import { type PartOptions, type PartResult, problemsOf, unless } from './report.ts';

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

const title = 'Mutants';

export async function run({ short }: PartOptions): Promise<PartResult> {
  const nothing = { title, cells: 0, problems: [], lines: [] };
  // It takes ten minutes.
  if (short) return { ...nothing, lines: ['not run: see npm run torture -- --only mutants'] };
  const stryker = join(root, 'node_modules/@stryker-mutator/core/bin/stryker.js');
  const { status } = spawnSync(process.execPath, [stryker, 'run', '__tests__/torture/stryker.json'], { cwd: root });
  if (status !== 0)
    return { ...nothing, problems: problemsOf('other', [`the run of the mutants ended with ${status}`]) };
  return judge(JSON.parse(readFileSync(join(root, 'build/mutants.json'), 'utf8')));
}

function judge({ files }: Report): PartResult {
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
  const problems = unless(
    killed >= counted.length * WANTED,
    `only ${killed} of ${counted.length} mutants were noticed`,
  );
  return {
    title,
    cells: 0,
    problems: problemsOf('other', problems),
    lines,
    mutants: { killed, total: counted.length },
  };
}
