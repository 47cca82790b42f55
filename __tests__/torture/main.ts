// Tries to break what SECURITY.md promises: npm run torture [-- --short] [--only matrix,leaks] [--match "part of a cell's name"] [--share 0.1]
// TORTURE_SEED chooses what is tried where not everything can be.
import { parseArgs } from 'node:util';
import { type Part, type PartResult, problemKinds, randomFrom, seconds } from './report.ts';

const names = ['matrix', 'chaos', 'cancelled', 'load', 'leaks', 'parts', 'recipes', 'rotation', 'mutants'] as const;
type Name = (typeof names)[number];

interface Choice {
  short: boolean;
  seed: number;
  parts: readonly Name[];
  wanted: (cell: string) => boolean;
}

function choose(): Choice {
  const { values } = parseArgs({
    options: {
      short: { type: 'boolean', default: false },
      only: { type: 'string' },
      match: { type: 'string', default: '' },
      share: { type: 'string', default: '1' },
    },
  });
  const chosen = values.only?.split(',') ?? [];
  const wrong = chosen.filter((name) => !names.some((known) => known === name));
  if (wrong.length > 0) throw new Error(`--only takes ${names.join(', ')}; not ${wrong.join(', ')}`);
  const parts = names.filter((name) => chosen.length === 0 || chosen.includes(name));
  const seed = Number(process.env['TORTURE_SEED'] ?? 20_260_101);
  const random = randomFrom(seed);
  const wanted = (cell: string) => cell.includes(values.match) && random() < Number(values.share);
  return { short: values.short, seed, parts, wanted };
}

async function carryOut({ parts, ...options }: Choice): Promise<PartResult[]> {
  const results: PartResult[] = [];
  for (const name of parts) {
    const { run }: { run: Part } = await import(`./${name}.ts`);
    const startedAt = performance.now();
    console.log(`\n== ${name} ...`);
    const result = await run(options);
    console.log(`== ${result.title}: ${result.cells} cells (${seconds(performance.now() - startedAt)})\n`);
    for (const line of result.lines) console.log(line);
    for (const { kind, text } of result.problems) console.log(`WRONG (${kind})  ${text}`);
    results.push(result);
  }
  return results;
}

function totals(results: readonly PartResult[]): string {
  const cells = results.reduce((all, one) => all + one.cells, 0);
  const found = results.flatMap(({ problems }) => problems);
  const plural = { leak: 'leaks', hang: 'hangs', loss: 'losses', 'green and wrong': 'green and wrong', other: 'other' };
  const counts = problemKinds
    .map((kind) => ({ kind, count: found.filter((problem) => problem.kind === kind).length }))
    .filter(({ kind, count }) => kind !== 'other' || count > 0)
    .map(({ kind, count }) => `${plural[kind]} ${count}`);
  const mutants = results.flatMap((result) => result.mutants ?? [])[0];
  const killed = mutants ? `${mutants.killed} of ${mutants.total}` : 'not run';
  return [`cells ${cells}`, ...counts, `mutants killed ${killed}`].join(', ');
}

const choice = choose();
const results = await carryOut(choice);
console.log(`\nTORTURE_SEED=${choice.seed}`);
console.log(totals(results));
process.exitCode = results.some(({ problems }) => problems.length > 0) ? 1 : 0;
