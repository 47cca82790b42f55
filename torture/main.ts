import { parseArgs } from 'node:util';
import { type Part, type PartResult, seconds } from './report.ts';

const names = ['matrix', 'load', 'limits', 'leaks', 'parts', 'mutants'] as const;
type Name = (typeof names)[number];

interface Choice {
  short: boolean;
  parts: readonly Name[];
}

function choose(): Choice {
  const { values } = parseArgs({ options: { short: { type: 'boolean', default: false }, only: { type: 'string' } } });
  const wanted = values.only?.split(',') ?? [];
  const wrong = wanted.filter((name) => !names.some((known) => known === name));
  if (wrong.length > 0) throw new Error(`--only takes ${names.join(', ')}; not ${wrong.join(', ')}`);
  const parts = names.filter((name) => (wanted.length === 0 ? true : wanted.includes(name)));
  return { short: values.short, parts };
}

async function carryOut({ short, parts }: Choice): Promise<PartResult[]> {
  const results: PartResult[] = [];
  for (const name of parts) {
    const { run }: { run: Part } = await import(`./${name}.ts`);
    const startedAt = performance.now();
    console.log(`\n== ${name} ...`);
    const result = await run({ short });
    console.log(`== ${result.title} (${seconds(performance.now() - startedAt)})\n`);
    for (const line of result.lines) console.log(line);
    for (const failure of result.failures) console.log(`WRONG  ${failure}`);
    results.push(result);
  }
  return results;
}

function totals(results: readonly PartResult[]): string {
  const sum = (field: 'cells' | 'leaks' | 'hangs' | 'losses') => results.reduce((all, one) => all + one[field], 0);
  const mutants = results.flatMap((result) => result.mutants ?? [])[0];
  const killed = mutants ? `${mutants.killed} of ${mutants.total}` : 'not run';
  const counts = (['cells', 'leaks', 'hangs', 'losses'] as const).map((field) => `${field} ${sum(field)}`);
  return `${counts.join(', ')}, mutants killed ${killed}`;
}

const results = await carryOut(choose());
const failures = results.reduce((all, { failures }) => all + failures.length, 0);
if (failures > 0) console.log(`\n${failures} wrong`);
console.log(`\n${totals(results)}`);
const bad = results.some(({ leaks, hangs, losses }) => leaks + hangs + losses > 0);
process.exitCode = bad || failures > 0 ? 1 : 0;
