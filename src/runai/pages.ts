import { RunaiError } from '../errors.ts';

export interface Page<T> {
  items: T[];
  /** What the page begins with, where none of its items can be read. */
  odd?: unknown;
  /** Where the next page begins; undefined where the server says that this is the last. */
  next: number | undefined;
}

/** Room for 100,000 things at 500 a page; a list that goes on after that has no end. */
const LIMIT = 200;

/**
 * Reads a list page by page. A page may be shorter than asked for, and a server may ignore the offset: so only the
 * server's word, a page that begins like an earlier one, or an offset that does not grow ends it.
 * @throws RunaiError `unreadable` for a list without an end
 */
export async function* pages<T>(fetch: (offset: number) => Promise<Page<T>>): AsyncGenerator<T[]> {
  const seen = new Set<string>();
  let offset = 0;
  for (let count = 0; count < LIMIT; count++) {
    const { items, odd, next } = await fetch(offset);
    const beginning = JSON.stringify(items[0] ?? odd);
    if (beginning !== undefined && seen.has(beginning)) return;
    seen.add(beginning);
    yield items;
    if (next === undefined || next <= offset) return;
    offset = next;
  }
  throw new RunaiError('unreadable', 'the control plane sent a list without an end', {
    hint: 'Check url, and whether something else answers in place of the control plane.',
  });
}

/** All the items of all the pages. (Array.fromAsync() came with Node 22.) */
export async function collect<T>(list: AsyncIterable<T[]>): Promise<T[]> {
  const items: T[] = [];
  for await (const page of list) items.push(...page);
  return items;
}
