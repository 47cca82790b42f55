import { RunaiError } from '../errors.ts';
import type { Rows } from './answers.ts';

export interface Page<T> extends Rows<T> {
  /** Where the next page begins; undefined where the server says that this is the last. */
  next: number | undefined;
}

/** Room for 100,000 things at 500 a page; a list that goes on after that has no end. */
const PAGES = 200;
/** How many things of a list are kept. */
const KEPT = 20_000;

/**
 * Reads a list page by page. A page may be shorter than asked for, and a server may ignore the offset: so only the
 * server's word, a page that begins like an earlier one, or an offset that does not grow ends it.
 * @throws RunaiError `unreadable` for a list without an end
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

// What cannot be read may also be nested too deep to be written down.
function asText(row: unknown): string {
  try {
    return JSON.stringify(row);
  } catch {
    return 'nested too deep';
  }
}

/** All the rows of all the pages that are wanted. (Array.fromAsync() came with Node 22.) */
export async function collect<T>(list: AsyncIterable<T[]>, isWanted: (row: T) => boolean = () => true): Promise<T[]> {
  const kept: T[] = [];
  for await (const rows of list) {
    for (const row of rows) if (isWanted(row)) kept.push(row);
    if (kept.length > KEPT) throw endless();
  }
  return kept;
}

function endless(): RunaiError {
  return new RunaiError('unreadable', 'the control plane sent a list without an end', {
    hint: 'Check url, and whether something else answers in place of the control plane.',
  });
}
