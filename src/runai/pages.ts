import { RunaiError } from '../errors.ts';
import type { Rows } from './answers.ts';

export interface Page<T> extends Rows<T> {
  /** Where the next page begins; undefined if the server says that this is the last one. */
  next: number | undefined;
}

/** Enough for 100,000 rows at 500 per page; a list that goes on after that counts as endless. */
const PAGES = 200;
/** How many rows of a list are kept, at most. */
const KEPT = 20_000;

/**
 * Reads a list page by page. A page may be shorter than requested, and a server may ignore the offset: so the list ends
 * only if the server says so, if a page begins like an earlier one, or if the offset does not grow.
 * @throws RunaiError `unreadable` for an endless list
 */
export async function* pages<T>(fetch: (offset: number) => Promise<Page<T>>): AsyncGenerator<T[]> {
  const seen = new Set<string>();
  let offset = 0;
  for (let count = 0; count < PAGES; count++) {
    const { rows, odd, next } = await fetch(offset);
    const beginning = rows.length + odd.length > 0 ? asText(rows[0] ?? odd[0]) : undefined;
    if (beginning !== undefined && seen.has(beginning)) return;
    if (beginning !== undefined) seen.add(beginning);
    yield rows;
    if (next === undefined || next <= offset) return;
    offset = next;
  }
  throw endless();
}

// A row that cannot be read may also be nested too deeply to be serialized.
function asText(row: unknown): string {
  try {
    return JSON.stringify(row);
  } catch {
    return 'nested too deep';
  }
}

/** All wanted rows of all pages. (Array.fromAsync() came with Node 22.) */
export async function collect<T>(list: AsyncIterable<T[]>, isWanted: (row: T) => boolean = () => true): Promise<T[]> {
  const kept: T[] = [];
  for await (const rows of list) {
    for (const row of rows) if (isWanted(row)) kept.push(row);
    if (kept.length > KEPT) throw endless();
  }
  return kept;
}

function endless(): RunaiError {
  return new RunaiError('unreadable', 'the control plane sent an endless list', {
    hint: 'Check url, and whether something else answers in place of the control plane.',
  });
}
