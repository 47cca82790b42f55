import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { inputSpecs, type Mode, modes } from '../../src/inputs.ts';
import { actionFile, root } from '../support/runner.ts';
import { documents, isAlive, jobsOf, pages, read, snippetsOf } from './documents.ts';

const readme = read('README.md');
const wordsIn = (text: string) => text.split(/\s+/).filter(Boolean).length;

describe('the README', () => {
  it('has at most 2,500 words', () => {
    expect(wordsIn(readme)).toBeLessThanOrEqual(2500);
  });

  it('begins with what it is, a picture, a whole workflow, and what does not cross jobs', () => {
    const [screen = ''] = readme.split('## Before you start');
    expect(wordsIn(screen)).toBeLessThan(250);
    expect(screen).toMatch(/^!\[[^\]]{40,}\]\(docs\/demo\.svg\)$/m);
    expect(screen).toMatch(/^```yaml\nname: /m);
    expect(screen).toContain('The runner drops a job output that holds a masked value');
  });

  it('leads to each recipe and to each page', () => {
    for (const name of readdirSync(join(root, 'examples'))) expect(readme).toContain(`](examples/${name})`);
    for (const page of pages.filter((page) => page !== 'README.md')) expect(readme).toContain(`](${page})`);
  });

  it('has a badge for workflows that exist', () => {
    const badges = [...readme.matchAll(/actions\/workflows\/([\w.-]+)\/badge\.svg/g)].map(([, name = '']) => name);
    expect(badges).not.toEqual([]);
    for (const name of badges) expect(existsSync(join(root, '.github/workflows', name)), name).toBe(true);
  });
});

describe('the tables of inputs and outputs', () => {
  it('say what action.yml says', () => {
    const script = join(root, 'scripts/docs.ts');
    expect(spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' })).toMatchObject({
      status: 0,
      stderr: '',
    });
  });

  it('name the modes that an input is for', () => {
    const shown = tableOf('inputs').map(({ name, modes: shownModes }) => [name, shownModes]);
    expect(shown).toEqual(Object.entries(inputSpecs).map(([name, spec]) => [name, [...spec.modes].toSorted()]));
  });

  it('leave names no room to break: the title of a column of names is as wide as the longest', () => {
    for (const table of ['inputs', 'outputs']) {
      const rows = linesOf(table).map((line) => line.split(' | '));
      for (const column of [0, 1]) {
        const [title = '', , ...cells] = rows.map((row) => row[column] ?? '');
        const names = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name));
        const longest = Math.max(...names.map((name) => name.length));
        // In pixels: a space has 4, a letter of the title 8, and one of code 8.2.
        const width = [...title.matchAll(/&nbsp;/g)].length * 4 + title.replaceAll('&nbsp;', '').length * 8;
        expect(width, `${table}, column ${column + 1}`).toBeGreaterThanOrEqual(longest * 8.2 + 11);
      }
    }
  });
});

function linesOf(table: string): string[] {
  const [, body = ''] = new RegExp(`<!-- begin ${table} -->\n([\\s\\S]*?)\n<!-- end ${table} -->`).exec(readme) ?? [];
  return body.split('\n').map((line) => line.replace(/^\| /, ''));
}

/** The rows of a table, with the modes that each names. */
function tableOf(table: string): { name: string; modes: string[] }[] {
  return linesOf(table)
    .slice(2)
    .map((line) => line.split(' | '))
    .map(([name = '', cell = '']) => ({ name: name.replaceAll('`', ''), modes: modesIn(cell).toSorted() }));
}

function modesIn(cell: string): Mode[] {
  const named = modes.filter((mode) => cell.includes(`\`${mode}\``));
  return cell.startsWith('all') ? modes.filter((mode) => !named.includes(mode)) : named;
}

describe('links and names', () => {
  it.each(documents)('%s links to files and headings that exist', (document) => {
    const prose = read(document).replace(/^```[\s\S]*?^```/gm, '');
    const dead = [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !/^https?:/.test(target))
      .filter((target) => !isAlive(document, target));
    expect(dead).toEqual([]);
  });

  it.each(documents)('%s names npm scripts that exist', (document) => {
    const { scripts } = JSON.parse(read('package.json'));
    const named = [...read(document).matchAll(/npm run\s([\w:-]+)/g)].map(([, name = '']) => name);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });

  it('the map of the code names each file and folder of src, and nothing else', () => {
    const map = /```text\n(src\/[\s\S]*?)```/.exec(read('.github/CONTRIBUTING.md'))?.[1] ?? '';
    const folders: string[] = [];
    const listed = [...map.matchAll(/^( *)(\S+)/gm)].flatMap(([, indent = '', name = '']) => {
      folders.length = indent.length / 2;
      folders.push(name.replace(/\/$/, ''));
      return name.endsWith('.ts') ? [folders.join('/')] : [];
    });
    const files = execFileSync('git', ['ls-files', 'src'], { cwd: root, encoding: 'utf8' }).trim().split('\n');
    const sources = files.filter((file) => file.endsWith('.ts'));
    expect(listed.toSorted()).toEqual(sources.toSorted());
  });
});

describe('figures', () => {
  const measured = /\b\d[\d,.]* ?(ms|kB|MB|MiB|seconds?|minutes?)\b/;

  it('in the README are next to the command that was measured', () => {
    const paragraphs = readme.replace(/^```[\s\S]*?^```/gm, '').split('\n\n');
    const claims = paragraphs.filter((paragraph) => measured.test(paragraph));
    for (const claim of claims) expect(claim).toMatch(/`npm (ci|run [\w:-]+)`/);
  });

  it('about speed and size are on one page, marked with the command that prints them', () => {
    const marked = /<!-- begin figures: npm run bench -->\n[\s\S]*?<!-- end figures -->/;
    expect(read('docs/performance.md')).toMatch(marked);
    for (const page of pages) expect(read(page).replace(marked, ''), page).not.toMatch(/\b\d[\d,.]* ?(ms|kB|MB|MiB)\b/);
  });
});

describe('snippets', () => {
  const shells = pages.flatMap(snippetsOf).filter(({ language }) => language === 'bash');

  it.each(shells.map((snippet) => [snippet.name, snippet.text]))(
    '%s is something that bash can read',
    (_name, text) => {
      expect(spawnSync('bash', ['-n'], { input: text, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
    },
  );

  it('draw no diagram with a semicolon, which ends a statement there', () => {
    const diagrams = pages.flatMap(snippetsOf).filter(({ language }) => language === 'mermaid');
    expect(diagrams.length).toBeGreaterThan(3);
    for (const { name, text } of diagrams) expect(text, name).not.toContain(';');
  });

  it('call reusable workflows with inputs and secrets that these have', () => {
    const calls = pages
      .flatMap(snippetsOf)
      .filter(({ language }) => language === 'yaml')
      .flatMap((snippet) => jobsOf(snippet).filter(({ uses }) => uses !== undefined));
    expect(calls).not.toEqual([]);
    for (const call of calls) {
      const path = /^your-org\/runai-auth\/(\.github\/workflows\/[\w.-]+)@v1$/.exec(call.uses ?? '')?.[1] ?? '';
      const { inputs, secrets } = parse(read(path)).on.workflow_call;
      const required = Object.keys(inputs).filter((name) => inputs[name].required);
      expect(Object.keys(inputs)).toEqual(expect.arrayContaining(Object.keys(call.with ?? {})));
      expect(Object.keys(call.with ?? {})).toEqual(expect.arrayContaining(required));
      expect(Object.keys(call.secrets ?? {}).toSorted()).toEqual(Object.keys(secrets).toSorted());
    }
  });
});

describe('the runtime', () => {
  it('is the one of action.yml wherever it is named', () => {
    const major = /^node(\d+)$/.exec(actionFile.runs.using)?.[1] ?? '';
    expect(read('.nvmrc').trim()).toBe(major);
    const { optionalDependencies } = JSON.parse(read('package.json')) as { optionalDependencies: object };
    for (const version of Object.values(optionalDependencies)) expect(version).toMatch(new RegExp(`^${major}\\.`));
    expect(read('docs/runners.md')).toContain(`Node ${major}`);
    expect(read('docs/other-ci.md')).toContain(`image: node:${major}`);
  });
});

describe('the issue forms', () => {
  it.each(['bug.yml', 'feature.yml'])('%s is a form that warns against pasting secrets', (name) => {
    const form = parse(read(`.github/ISSUE_TEMPLATE/${name}`));
    expect(form).toMatchObject({ name: expect.any(String), description: expect.any(String), body: expect.any(Array) });
    expect(JSON.stringify(form)).toMatch(/secret/i);
    for (const { type, id } of form.body) expect(type === 'markdown' || typeof id === 'string').toBe(true);
  });
});
