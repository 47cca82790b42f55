// How the demo looks in a terminal, and in a picture of one.
import type { Kind, Line, Scene } from './story.ts';

type Style = 'bold' | 'cyan' | 'white' | 'gray' | 'green' | 'red';

const looks: Record<Kind, { mark: string; indent: number; style: Style }> = {
  title: { mark: '', indent: 0, style: 'bold' },
  input: { mark: '', indent: 2, style: 'cyan' },
  log: { mark: '', indent: 2, style: 'white' },
  output: { mark: '→ ', indent: 2, style: 'gray' },
  proven: { mark: '✓ ', indent: 2, style: 'green' },
  wrong: { mark: '✗ wrong: ', indent: 2, style: 'red' },
};

/**
 * The text of a line as it is printed, the spaces before it, and its style by the name that `util.styleText` has for
 * it.
 */
export function look({ kind, text }: Line): { text: string; indent: number; style: Style } {
  const { mark, indent, style } = looks[kind];
  return { text: `${mark}${text}`, indent, style };
}

const columns = 100;
const fontSize = 13;
// Typical of monospace fonts; `textLength` takes care of the others.
const columnWidth = fontSize * 0.6;
const rowHeight = 18;
const margin = 16;
const titleBar = 30;

/** The colours of GitHub's dark theme, which are fixed: the window looks the same on a light page. */
const colours: Record<Style, string> = {
  bold: '#ffffff',
  cyan: '#76e3ea',
  white: '#d1d7e0',
  gray: '#9198a1',
  green: '#56d364',
  red: '#ff7b72',
};

/** Left out of the picture, to keep it short. */
const leftOut = new Set<Scene>(['deployAgain', 'cancel']);

/**
 * Draws a window of a terminal in which a command was run, as a static SVG. Each line is one `<text>`, and each of its
 * rows one `<tspan>`.
 */
export function terminalSvg(command: string, lines: readonly Line[]): string {
  const rows: string[] = [];
  let row = 0;
  const add = ({ text, indent, style }: ReturnType<typeof look>) => {
    const spans = wrapped(text, columns - indent - 2).map((part, index) => {
      const x = margin + (indent + (index > 0 ? 2 : 0)) * columnWidth;
      const y = titleBar + margin + ++row * rowHeight - 5;
      const length = (part.length * columnWidth).toFixed(1);
      return `<tspan x="${x.toFixed(1)}" y="${y}" textLength="${length}">${escaped(part)}</tspan>`;
    });
    rows.push(`<text class="${style}">${spans.join('')}</text>`);
  };
  add({ text: `$ ${command}`, indent: 0, style: 'white' });
  for (const line of lines) {
    if (line.kind === 'title') row += 1;
    if (!leftOut.has(line.scene)) add(look(line));
    else if (line.kind === 'title') add({ text: '⋮', indent: 0, style: 'gray' });
  }
  const width = Math.ceil(columns * columnWidth + 2 * margin);
  const height = titleBar + row * rowHeight + 2 * margin;
  return `${frame(command, { width, height, rows })}\n`;
}

function frame(command: string, { width, height, rows }: { width: number; height: number; rows: string[] }): string {
  const buttons = ['#ff5f57', '#febc2e', '#28c840'].map(
    (fill, index) => `<circle cx="${margin + 6 + 20 * index}" cy="${titleBar / 2 + 3}" r="6" fill="${fill}"/>`,
  );
  const classes = Object.entries(colours).map(([style, colour]) => `.${style} { fill: ${colour} }`);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escaped(command)}</title>`,
    '<style>',
    `text { font: ${fontSize}px ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace }`,
    ...classes,
    '.bold { font-weight: bold }',
    '</style>',
    `<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8" fill="#151b23" stroke="#3d444d"/>`,
    ...buttons,
    ...rows,
    '</svg>',
  ].join('\n');
}

/** Splits a text into rows of a given number of characters. A longer word gets its own row. */
function wrapped(text: string, width: number): string[] {
  const rows: string[] = [];
  for (const word of text.split(' ')) {
    const last = rows.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) rows[rows.length - 1] = `${last} ${word}`;
    else rows.push(word);
  }
  return rows;
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (character) => entities[character] as string);
}
