// Writes the tables of inputs and outputs into README.md, from action.yml.
//   npm run docs [-- --check]
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';

interface Entry {
  description: string;
  required?: boolean;
  default?: string;
}

const allModes = ['token', 'create-app', 'create-user', 'rotate-app', 'delete-app'];
const file = (name: string) => new URL(`../${name}`, import.meta.url);
const action: Record<'inputs' | 'outputs', Record<string, Entry>> = parse(readFileSync(file('action.yml'), 'utf8'));

const tables = {
  inputs: table(
    ['input', 'modes', 'meaning'],
    Object.entries(action.inputs).map(([name, entry]) => {
      const { modes, meaning } = split(entry);
      return [`\`${name}\``, inWords(modes), `${meaning}${requirement(entry)}`];
    }),
  ),
  outputs: table(
    ['output', 'modes', 'meaning'],
    Object.entries(action.outputs).map(([name, entry]) => {
      const { modes, meaning } = split(entry);
      return [`\`${name}\``, inWords(modes), meaning];
    }),
  ),
};

/** A description starts with the modes that use it, unless all of them do. */
function split({ description }: Entry): { modes: string[]; meaning: string } {
  const [, prefix = '', rest = ''] = /^((?:`[a-z-]+`(?:, )?)+): (.+)$/.exec(description) ?? [];
  const modes = prefix.replaceAll('`', '').split(', ');
  if (!modes.every((mode) => allModes.includes(mode))) return { modes: allModes, meaning: description };
  return { modes, meaning: rest.charAt(0).toUpperCase() + rest.slice(1) };
}

function inWords(modes: string[]): string {
  const others = allModes.filter((mode) => !modes.includes(mode));
  if (others.length === 0) return 'all';
  if (others.length === 1) return `all but \`${others[0]}\``;
  return modes.map((mode) => `\`${mode}\``).join('<br>');
}

function requirement({ required, default: value }: Entry): string {
  if (required) return ' **Required.**';
  return value === undefined ? '' : ` Default: \`${value}\`.`;
}

function table(head: string[], rows: string[][]): string {
  const lines = [head.map((title, column) => widened(title, { rows, column })), head.map(() => '---'), ...rows];
  return lines.map((line) => `| ${line.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n');
}

// GitHub breaks code at its hyphens if a column is narrow, and no style can prevent that. Non-breaking hyphens would be
// copied into workflows, where no input has them. So the title of a column of names is padded to the width of the
// longest name with non-breaking spaces (4 px each; a letter of code is 8.2 px wide, and its padding 11 px).
function widened(title: string, { rows, column }: { rows: string[][]; column: number }): string {
  const names = rows.map((row) => row[column] ?? '');
  if (!names.every((cell) => /^(all|all but `[^`]+`|(`[^`]+`(<br>)?)+)$/.test(cell))) return title;
  const longest = Math.max(
    ...names.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name.length)),
  );
  const missing = Math.ceil((longest * 8.2 + 11 - title.replaceAll('`', '').length * 8) / 4);
  return title + '&nbsp;'.repeat(Math.max(0, missing));
}

/** Puts each table between its two markers. */
function withTables(text: string): string {
  return Object.entries(tables).reduce((result, [name, content]) => {
    const [begin, end] = [`<!-- begin ${name} -->`, `<!-- end ${name} -->`];
    const [from, to] = [result.indexOf(begin), result.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`README.md lacks ${begin} … ${end}`);
    return `${result.slice(0, from)}${begin}\n${content}\n${result.slice(to)}`;
  }, text);
}

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
const current = readFileSync(file('README.md'), 'utf8');
const wanted = withTables(current);
if (!values.check) writeFileSync(file('README.md'), wanted);
else if (current !== wanted) {
  console.error('The tables in README.md do not match action.yml: run npm run docs');
  process.exitCode = 1;
}
