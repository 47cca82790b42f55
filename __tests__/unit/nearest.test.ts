import { expect, it } from 'vitest';
import { nearest } from '../../src/runai/nearest.ts';

const plain = (text: string) => text;
const roles = ['System administrator', 'L1 researcher', 'L2 researcher', 'ML engineer', 'Viewer', 'Research manager'];

it('the five names most similar to the wanted one are shown, the closest first', () => {
  expect(nearest('ML enginer', roles, plain)).toMatch(/^ The closest of the 6 existing names: ML engineer, /);
  expect(nearest('l2 RESEARCHER', roles, plain)).toMatch(/: L2 researcher, L1 researcher, /);
  expect(nearest('x', roles, plain).split(', ')).toHaveLength(5);
});

it('a permission may be missing if there are no names at all', () => {
  expect(nearest('x', [], plain)).toBe(' These credentials cannot see any: do they have the permission?');
});

it('a name that occurs twice is shown and counted once', () => {
  expect(nearest('x', ['a', 'b', 'a'], plain)).toBe(' The closest of the 2 existing names: a, b.');
  expect(nearest('x', ['a', 'a'], plain)).toBe(' The only existing name: a.');
});

it('names are cleaned, since a server may put anything into them', () => {
  const marked = (text: string) => `<${text}>`;
  expect(nearest('x', ['::error::x'], marked)).toBe(' The only existing name: <::error::x>.');
  expect(nearest('x', ['y', 'zz'], marked)).toBe(' The closest of the 2 existing names: <y>, <zz>.');
});

it('long names and many of them are no more work than short ones and a few', () => {
  const short = (text: string) => text.slice(0, 3);
  const long = ['a', 'b', 'c'].map((letter) => letter.repeat(1_000_000));
  expect(nearest('y'.repeat(1_000_000), long, short)).toBe(' The closest of the 3 existing names: aaa, bbb, ccc.');
  const many = Array.from({ length: 2_500 }, (_, at) => `${at}`);
  expect(nearest('2499', many, plain)).toMatch(/^ The closest of the 2500 existing names: 249, /);
});
