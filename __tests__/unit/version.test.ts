import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { version } from '../../src/version.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

it('the version is the same in the code, in package.json and in package-lock.json', () => {
  expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  expect(JSON.parse(read('package.json')).version).toBe(version);
  const lock = JSON.parse(read('package-lock.json'));
  expect([lock.version, lock.packages[''].version]).toEqual([version, version]);
});

it('the changelog lists no release that is newer than the version', () => {
  const released = [...read('CHANGELOG.md').matchAll(/^## \[(\d+\.\d+\.\d+)\]/gm)].map(([, number]) => number);
  const order = (number: string) =>
    number
      .split('.')
      .map((part) => part.padStart(6, '0'))
      .join('.');
  for (const number of released) expect(order(number!) <= order(version)).toBe(true);
});
