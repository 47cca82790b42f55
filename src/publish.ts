import { accessSync, constants, statSync } from 'node:fs';
import * as core from '@actions/core';
import { RunaiError } from './runai/errors.ts';

/** Outputs by name; one without a value is not set. */
export interface Results {
  secrets?: Record<string, string | undefined>;
  values?: Record<string, string | number | boolean | undefined>;
}

/**
 * Masks every secret, then writes all outputs at once: no signal can come in between.
 * @param mask masks a secret in all its forms
 */
export function publish({ secrets = {}, values = {} }: Results, mask: (secret: string) => void): void {
  for (const secret of Object.values(secrets)) mask(secret ?? '');
  for (const [name, value] of Object.entries({ ...secrets, ...values })) {
    if (value !== undefined) core.setOutput(name, value);
  }
}

/**
 * Makes sure that outputs can be written, before anything is issued that could then be lost. Without the file, the
 * toolkit would print the outputs to the log.
 * @throws RunaiError `runner`
 */
export function checkOutputFile(path: string | undefined): void {
  try {
    accessSync(path ?? '', constants.W_OK);
    if (!statSync(path ?? '').isFile()) throw new Error('not a file');
  } catch {
    throw new RunaiError('runner', 'The file that GITHUB_OUTPUT names is missing or cannot be written', {
      hint: 'The outputs would be lost, so nothing was requested. This action runs as a step of a workflow, on a runner that sets GITHUB_OUTPUT.',
    });
  }
}

export type Rows = Record<string, string | number | boolean | undefined>;

/**
 * Writes a table to the job summary. It is a courtesy: where it cannot be written, the step goes on.
 * @param clean makes a server's text fit to be shown
 */
export async function summarize(title: string, rows: Rows, clean: (text: string) => string): Promise<void> {
  if (!process.env['GITHUB_STEP_SUMMARY']) return;
  const cells = Object.entries(rows).filter(([, value]) => value !== undefined);
  try {
    await core.summary
      .addHeading(title, 3)
      .addTable(cells.map(([name, value]) => [name, `<code>${escapeHtml(clean(String(value)))}</code>`]))
      .write();
  } catch {
    core.warning('The job summary could not be written.');
  }
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
