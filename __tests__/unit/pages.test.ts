import { expect, it } from 'vitest';
import { collect, type Page, pages } from '../../src/runai/pages.ts';

const list = (fetch: (offset: number) => Page<number>) => {
  const offsets: number[] = [];
  const all = pages(async (offset) => {
    offsets.push(offset);
    return fetch(offset);
  });
  return { offsets, all };
};

it.each<[string, (offset: number) => Page<number>, number[], number[]]>([
  ['ends with an empty page', (at) => ({ items: [1, 2, 3].slice(at, at + 2), last: false }), [1, 2, 3], [0, 2, 3]],
  ['ends where the server says so', (at) => ({ items: [at, at + 1], last: at >= 2 }), [0, 1, 2, 3], [0, 2]],
  ['ends when the server ignores the offset', () => ({ items: [1, 2], last: false }), [1, 2], [0, 2]],
  ['may be empty', () => ({ items: [], last: true }), [], [0]],
])('a list %s', async (_how, fetch, items, asked) => {
  const { all, offsets } = list(fetch);
  expect(await collect(all)).toEqual(items);
  expect(offsets).toEqual(asked);
});

it('a list without an end is an error that says so', async () => {
  const { all } = list((offset) => ({ items: [offset], last: false }));
  await expect(collect(all)).rejects.toMatchObject({
    code: 'unreadable',
    message: 'The control plane sent a list without an end',
    hint: 'Check url, and whether something else answers in place of the control plane.',
  });
});
