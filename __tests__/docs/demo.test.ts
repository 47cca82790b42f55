import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Line, tell } from '../../scripts/demo/story.ts';
import { root } from '../support/runner.ts';
import { onWindows } from '../support/system.ts';
import { normalizer } from '../support/transcript.ts';

const folder = mkdtempSync(join(tmpdir(), 'demo-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function demo(...options: string[]) {
  const script = join(root, 'scripts/demo.ts');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...options], { encoding: 'utf8' });
  return { exitCode: status, printed: stdout, errors: stderr };
}

/** Another action, with the committed bundle and code of its own. */
function actionWith(code: (bundle: string) => string): string {
  const action = mkdtempSync(join(folder, 'action-'));
  mkdirSync(join(action, 'dist'));
  writeFileSync(join(action, 'dist/index.js'), code(JSON.stringify(join(root, 'dist/index.js'))));
  return action;
}

async function told(action: string): Promise<{ isTrue: boolean; wrong: string[] }> {
  const lines: Line[] = [];
  const isTrue = await tell({ version: '3.0', print: (line) => lines.push(line), action });
  return { isTrue, wrong: lines.filter(({ kind }) => kind === 'wrong').map(({ text }) => text) };
}

const newest = { svg: join(folder, 'demo.svg'), run: demo('--svg', join(folder, 'demo.svg')) };

describe('npm run demo', () => {
  it.each([
    ['3.0', newest.run],
    ['2.22', demo('--version', '2.22')],
  ])('tells a story in which all is true, in under 60 lines (%s)', (version, { exitCode, printed, errors }) => {
    expect([exitCode, errors]).toEqual([0, '']);
    expect(printed).toContain(`Run:ai ${version} and GitHub are simulated`);
    expect(printed).not.toContain('✗');
    expect(printed.trimEnd().split('\n').length).toBeLessThan(60);
  });

  it('finds out when the action does nothing', async () => {
    const { isTrue, wrong } = await told(actionWith(() => ''));
    expect(isTrue).toBe(false);
    // Nothing was sent that is not documented, and no secret was printed.
    expect(wrong.length).toBe(onWindows ? 5 : 7);
  });

  it('finds out when the action prints part of a secret', async () => {
    const leak = "console.log((process.env['INPUT_GITHUB-TOKEN'] ?? '').slice(4, 14));";
    const { isTrue, wrong } = await told(actionWith((bundle) => `${leak}\nrequire(${bundle});`));
    expect(isTrue).toBe(false);
    expect(wrong).toEqual([expect.stringContaining('not even 8 characters')]);
  });

  it('says what is wrong with its options', () => {
    const { exitCode, errors } = demo('--version', '1.0');
    expect([exitCode, errors]).toEqual([1, expect.stringContaining('--version 1.0 is none of 2.20')]);
  });
});

describe('docs/demo.svg', () => {
  const rows = (svg: string) => [...svg.matchAll(/<text class="\w+">(.*)<\/text>/g)].map(([, spans = '']) => spans);
  const unescaped = (text: string) =>
    text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&');
  const textOf = (spans: string) =>
    [...spans.matchAll(/<tspan [^>]*>([^<]*)<\/tspan>/g)].map(([, text = '']) => unescaped(text)).join(' ');
  // On Windows, the story is shorter.
  const normalized = (lines: string[]) =>
    normalizer(
      [],
      [],
    )(lines.join('\n'))
      .replace(/expires-in=\d+/g, 'expires-in=<n>')
      .replace(/\d+ (requests|secrets)/g, '<n> $1');
  const committed = readFileSync(join(root, 'docs/demo.svg'), 'utf8');

  it('shows what the demo prints, in the same words', () => {
    const drawn = rows(readFileSync(newest.svg, 'utf8')).map(textOf);
    const [command, ...shown] = drawn.filter((line) => line !== '⋮');
    expect(command).toBe('$ npm run demo');
    expect(shown.length).toBeGreaterThan(25);
    let rest = newest.run.printed.split('\n').map((line) => line.trim());
    for (const line of shown) {
      expect(rest).toContain(line);
      rest = rest.slice(rest.indexOf(line) + 1);
    }
    expect(normalized(rows(committed).map(textOf)), 'run npm run demo -- --svg docs/demo.svg').toBe(normalized(drawn));
  });

  it('fits into its window, and loads nothing', () => {
    const width = Number(/<svg [^>]*width="(\d+)"/.exec(committed)?.[1]);
    const spans = [...committed.matchAll(/<tspan x="([\d.]+)" y="\d+" textLength="([\d.]+)"/g)];
    for (const [, x, length] of spans) expect(Number(x) + Number(length)).toBeLessThan(width);
    expect(spans.length).toBeLessThan(60);
    expect(committed).not.toMatch(/href|url\(|<script|<image|@import/);
  });
});
