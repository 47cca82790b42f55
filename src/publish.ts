import { appendFileSync, statSync, truncateSync } from 'node:fs';
import { EOL } from 'node:os';
import * as core from '@actions/core';
import { RunaiError } from './errors.ts';
import { codeOf } from './http/problems.ts';
import type { Secrets } from './secrets.ts';

/** Outputs by name; an output without a value is not set. */
export interface Results {
  secrets?: Record<string, string | undefined>;
  /** Secret as a whole, with parts that are not secret: ids, addresses. */
  compounds?: Record<string, string | undefined>;
  values?: Record<string, string | number | boolean | undefined>;
}

/**
 * Masks every secret, then writes all outputs synchronously, so that no signal can come in between.
 * @throws RunaiError `runner` if they cannot be written
 */
export function publish(
  { secrets = {}, compounds = {}, values = {} }: Results,
  { mask, maskWhole }: Pick<Secrets, 'mask' | 'maskWhole'>,
): void {
  for (const secret of Object.values(secrets)) mask(secret ?? '');
  for (const secret of Object.values(compounds)) maskWhole(secret ?? '');
  // Not merged into one object: a name without a value in one group must not hide its value in another.
  const outputs = [secrets, compounds, values].flatMap((group) => Object.entries(group));
  try {
    writeOutputs(outputs);
  } catch (cause) {
    const lost = [secrets, compounds].flatMap(Object.values).some((secret) => secret !== undefined);
    const code = codeOf(cause);
    const why = code === 'unknown' ? '' : ` (${code})`;
    throw new RunaiError('runner', `the outputs could not be written to the file that GITHUB_OUTPUT names${why}`, {
      warning: lost ? 'What was just issued is therefore not in any output.' : undefined,
      hint: 'Check that the disk of this runner is not full, then run this again: rotate-app as it is, create-app and create-user with if-exists: rotate.',
      cause,
    });
  }
}

/** Writes outputs by name: all of them, or none. Throws if they cannot be written. */
export function writeOutputs(outputs: [string, string | number | boolean | undefined][]): void {
  const path = process.env['GITHUB_OUTPUT'] ?? '';
  const size = sizeOf(path);
  try {
    for (const [name, value] of outputs) if (value !== undefined) core.setOutput(name, value);
  } catch (cause) {
    cutBack(path, size);
    throw cause;
  }
}

/** Removes a partly written output, which would make the whole file unreadable. Does nothing if the file is gone. */
function cutBack(path: string, size: number | undefined): void {
  try {
    if (size !== undefined) truncateSync(path, size);
  } catch {
    // The original error is reported anyway.
  }
}

function sizeOf(path: string): number | undefined {
  try {
    return statSync(path).size;
  } catch {
    return undefined;
  }
}

/**
 * Makes sure that outputs can be written, before anything is issued that could then be lost. Without the file, the
 * toolkit would print the outputs to the log.
 * @param room how much must fit into it, in bytes
 * @throws RunaiError `runner`
 */
export function checkOutputFile(path: string | undefined, room: number): void {
  try {
    const file = path ?? '';
    const stats = statSync(file);
    if (!stats.isFile()) throw new Error('not a file');
    // If these empty lines are left behind, they do no harm.
    appendFileSync(file, Buffer.alloc(room, '\n'));
    if (room > 0) truncateSync(file, stats.size);
  } catch (cause) {
    const code = codeOf(cause);
    const why = code === 'unknown' ? '' : ` (${code})`;
    throw new RunaiError('runner', `the file that GITHUB_OUTPUT names is missing or cannot be written${why}`, {
      hint: 'The outputs would be lost, so no request was made. This action runs as a step of a workflow, on a runner that sets GITHUB_OUTPUT.',
    });
  }
}

export type Cell = string | number | boolean | undefined;
export type Rows = Record<string, Cell>;

/** A table in the job summary: either names and values, or a header and lines. */
export type Table = Rows | { head: string[]; lines: Cell[][] };

/**
 * Writes a table to the job summary. The summary is optional: if it cannot be written, the step goes on. Does not use
 * the toolkit's `summary`, which the build leaves out, since loading it takes 3 MiB and 1 ms in every step.
 * @param clean makes a server's text safe to show
 */
export function summarize(title: string, table: Table, clean: (text: string) => string): void {
  const path = process.env['GITHUB_STEP_SUMMARY'];
  if (!path) return;
  const code = (value: Cell) => `<td><code>${escapeHtml(clean(String(value)))}</code></td>`;
  const rows = isLines(table)
    ? [
        table.head.map((name) => `<th>${name}</th>`),
        ...table.lines.map((line) => line.map((value) => code(value ?? ''))),
      ]
    : Object.entries(table).flatMap(([name, value]) =>
        value === undefined ? [] : [[`<td>${name}</td>`, code(value)]],
      );
  const content = rows.map((cells) => `<tr>${cells.join('')}</tr>`).join('');
  try {
    if (!statSync(path).isFile()) throw new Error('not a file');
    appendFileSync(path, `<h3>${title}</h3>${EOL}<table>${content}</table>${EOL}`);
  } catch {
    core.warning('The job summary could not be written.');
  }
}

function isLines(table: Table): table is { head: string[]; lines: Cell[][] } {
  return Array.isArray(table['lines']);
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
