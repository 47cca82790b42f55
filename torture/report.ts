/** What one part of the torture run has found. */
export interface PartResult {
  title: string;
  /** How many situations were tried. */
  cells: number;
  leaks: number;
  hangs: number;
  /** Secrets that were issued and reached nobody, and objects that were taken from somebody or made twice. */
  losses: number;
  /** A sentence for each thing that is wrong; the ones counted above are among them. */
  failures: string[];
  /** What to print: a table, figures. */
  lines: string[];
  /** Only of the mutants. */
  mutants?: { killed: number; total: number };
}

export interface PartOptions {
  /** Less of everything, to end within a minute or so; still every kind of thing once. */
  short: boolean;
}

/** What a part's module exports as `run`. */
export type Part = (options: PartOptions) => Promise<PartResult>;

export function emptyResult(title: string): PartResult {
  return { title, cells: 0, leaks: 0, hangs: 0, losses: 0, failures: [], lines: [] };
}

/** Does all the jobs, so many at a time; the results come in the order of the jobs. */
export async function pool<Job, Result>(
  jobs: readonly Job[],
  { atOnce, work }: { atOnce: number; work: (job: Job) => Promise<Result> },
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async () => {
    while (next < jobs.length) {
      const index = next++;
      results[index] = await work(jobs[index] as Job);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, jobs.length) }, worker));
  return results;
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A copy in an order that the random numbers choose. */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

/** The rows as lines, each column as wide as its widest cell. The first row is the head. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const [head = [], ...body] = rows;
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...body.map(line)];
}

/** `min / median / max` of some numbers, each as `show` writes it. */
export function spread(values: readonly number[], show: (value: number) => string = String): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))];
  return [at(0), at(0.5), at(1)].map((value) => (value === undefined ? '-' : show(value))).join(' / ');
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
