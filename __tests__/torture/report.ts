/** The kinds of problems, as counted in the last line. */
export const problemKinds = ['leak', 'hang', 'loss', 'green and wrong', 'other'] as const;

export interface Problem {
  /**
   * `loss`: a secret that was issued and reached nobody, or something that was taken from somebody. `green and wrong`:
   * exit code 0 while a server's state is not what the outputs say.
   */
  kind: (typeof problemKinds)[number];
  text: string;
}

/** What one part of the torture run has found. */
export interface PartResult {
  title: string;
  /** How many situations were tried. */
  cells: number;
  problems: Problem[];
  /** What to print: a table, figures. */
  lines: string[];
  /** Only of the mutants. */
  mutants?: { killed: number; total: number };
}

export interface PartOptions {
  /** Less of everything, to end within a minute; still every kind of thing once. */
  short: boolean;
  /** Chooses what is tried where not everything is. */
  seed: number;
  /** Whether a cell of this name is to be tried, in the parts that have names for them. */
  wanted: (cell: string) => boolean;
}

/** What a part's module exports as `run`. */
export type Part = (options: PartOptions) => Promise<PartResult>;

/** The problems, each with the name of where it was found. */
export function located(where: string, problems: readonly Problem[]): Problem[] {
  return problems.map(({ kind, text }) => ({ kind, text: `${where}: ${text}` }));
}

export const problem = (kind: Problem['kind'], text: string): Problem => ({ kind, text });

/** A problem for each of the texts. */
export const problemsOf = (kind: Problem['kind'], texts: readonly string[]): Problem[] =>
  texts.map((text) => ({ kind, text }));

/** The text as a problem, unless the condition holds. */
export function unless(holds: boolean | undefined, otherwise: string): string[] {
  return holds ? [] : [otherwise];
}

/** Does all the jobs, a given number at a time; the results are in the order of the jobs. */
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

export function pick<T>(random: () => number, items: readonly T[] | string): T {
  return items[Math.floor(random() * items.length)] as T;
}

/** A copy in an order that the random numbers choose. */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

/** At most this many of the items, chosen at random, with at least one of each kind that the keys name. */
export function sample<T>(
  items: readonly T[],
  { most, keysOf, random }: { most: number; keysOf: (item: T) => readonly string[]; random: () => number },
): T[] {
  const met = new Set<string>();
  const isNews = (item: T) => {
    const keys = keysOf(item);
    const news = keys.some((key) => !met.has(key));
    for (const key of keys) met.add(key);
    return news;
  };
  const order = shuffled(items, random);
  const needed = new Set(order.filter(isNews));
  const rest = order.filter((item) => !needed.has(item));
  return [...needed, ...rest].slice(0, Math.max(most, needed.size));
}

/** The rows as lines, each column as wide as its widest cell. The first row is the header. */
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
