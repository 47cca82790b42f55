import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';

interface Entry {
  description: string;
  required?: boolean;
  default?: string;
}

const file = (name: string) => new URL(`../${name}`, import.meta.url);
const action: Record<'inputs' | 'outputs', Record<string, Entry>> = parse(readFileSync(file('action.yml'), 'utf8'));

const tables = {
  inputs: table(['input', 'default', 'meaning'], action.inputs, (name, { description, required, default: value }) => [
    `\`${name}\``,
    required ? '**required**' : value === undefined ? '' : `\`${value}\``,
    description,
  ]),
  outputs: table(['output', 'meaning'], action.outputs, (name, { description }) => [`\`${name}\``, description]),
};

function table(
  head: string[],
  entries: Record<string, Entry>,
  cells: (name: string, entry: Entry) => string[],
): string {
  const rows = [head, head.map(() => '---'), ...Object.entries(entries).map(([name, entry]) => cells(name, entry))];
  return rows.map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n');
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
  console.error('The tables in README.md are not those of action.yml: run npm run docs');
  process.exitCode = 1;
}
