import { expect, it } from 'vitest';
import { collect, type Page, pages } from '../../src/runai/pages.ts';

/** A list in a list in a list. */
function nested(levels: number): unknown {
  let row: unknown = 7;
  for (let level = 0; level < levels; level++) row = [row];
  return row;
}

type TestPage = Omit<Page<number>, 'odd'> & Partial<Page<number>>;

function list(fetch: (offset: number) => TestPage) {
  const offsets: number[] = [];
  const all = pages(async (offset) => {
    offsets.push(offset);
    return { odd: [], ...fetch(offset) };
  });
  return { offsets, all };
}

it.each<[string, (offset: number) => TestPage, number[], number[]]>([
  [
    'ends where the server names no next page',
    (at) => ({ rows: [at, at + 1], next: at < 2 ? 2 : undefined }),
    [0, 1, 2, 3],
    [0, 2],
  ],
  [
    'goes on at the offset that the server names',
    (at) => ({ rows: [at], next: at < 20 ? at + 10 : undefined }),
    [0, 10, 20],
    [0, 10, 20],
  ],
  [
    'goes on behind an empty page',
    (at) => ({ rows: at === 2 ? [] : [at], next: at < 4 ? at + 2 : undefined }),
    [0, 4],
    [0, 2, 4],
  ],
  ['ends when the server ignores the offset', () => ({ rows: [1, 2], next: 2 }), [1, 2], [0, 2]],
  [
    'ends when the server ignores the offset and nothing can be read',
    (at) => ({ rows: [], odd: [{ id: 7 }], next: at + 1 }),
    [],
    [0, 1],
  ],
  [
    'ends when the server ignores the offset and a row is nested too deep to be compared',
    (at) => ({ rows: [], odd: [nested(100_000)], next: at + 1 }),
    [],
    [0, 1],
  ],
  ['ends when the offset does not grow', (at) => ({ rows: [at], next: 5 }), [0, 5], [0, 5]],
  ['ends when the offset goes back', (at) => ({ rows: [at], next: at === 0 ? 5 : 3 }), [0, 5], [0, 5]],
  ['may be empty', () => ({ rows: [], next: undefined }), [], [0]],
])('a list %s', async (_how, fetch, items, asked) => {
  const { all, offsets } = list(fetch);
  expect(await collect(all)).toEqual(items);
  expect(offsets).toEqual(asked);
});

it.each([
  [20_000, 'is kept'],
  [20_001, 'is an error'],
])('a list of %i rows that are wanted %s', async (length, end) => {
  const { all } = list(() => ({ rows: Array.from({ length }, (_, at) => at), next: undefined }));
  const kept = collect(all);
  if (end === 'is kept') expect(await kept).toHaveLength(length);
  else await expect(kept).rejects.toMatchObject({ code: 'unreadable' });
});

it('rows that nobody wants are not kept', async () => {
  const { all } = list((offset) => ({ rows: [offset, 7], next: offset < 3 ? offset + 1 : undefined }));
  expect(await collect(all, (row) => row !== 7)).toEqual([0, 1, 2, 3]);
});

it('an endless list is an error that says so', async () => {
  const { all } = list((offset) => ({ rows: [offset], next: offset + 1 }));
  await expect(collect(all)).rejects.toMatchObject({
    code: 'unreadable',
    message: 'the control plane sent an endless list',
    hint: 'Check url, and whether something else answers in place of the control plane.',
  });
});
