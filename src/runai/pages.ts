import { RunaiError } from './errors.ts';

export interface Page<T> {
  items: T[];
  /** Whether the server says that no page follows. Where it never says, the pages are read until one is empty. */
  last: boolean;
}

/** Room for 100,000 things at 500 a page; a list that goes on after that has no end. */
const LIMIT = 200;

/**
 * Reads a list page by page. A page may be shorter than asked for, and a server may ignore the offset: so only an
 * empty page, one that begins like an earlier one, or the server's word ends it.
 * @throws RunaiError `unreadable` for a list without an end
 */
export async function* pages<T>(fetch: (offset: number) => Promise<Page<T>>): AsyncGenerator<T[]> {
  const seen = new Set<string>();
  for (let offset = 0; seen.size < LIMIT; ) {
    const { items, last } = await fetch(offset);
    const beginning = JSON.stringify(items[0]);
    if (items.length === 0 || seen.has(beginning)) return;
    yield items;
    if (last) return;
    seen.add(beginning);
    offset += items.length;
  }
  throw new RunaiError('unreadable', 'The control plane sent a list without an end', {
    hint: 'Check url, and whether something else answers in place of the control plane.',
  });
}

/** All the items of all the pages. (Array.fromAsync() came with Node 22.) */
export async function collect<T>(list: AsyncIterable<T[]>): Promise<T[]> {
  const items: T[] = [];
  for await (const page of list) items.push(...page);
  return items;
}
