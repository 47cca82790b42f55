import { accessSync, appendFileSync, constants, statSync } from 'node:fs';
import { EOL } from 'node:os';
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
 * Writes a table to the job summary. It is a courtesy: where it cannot be written, the step goes on. Not with the
 * toolkit's `summary`: the build leaves that out, since loading it takes 3 MiB and 1 ms in every step.
 * @param clean makes a server's text fit to be shown
 */
export function summarize(title: string, rows: Rows, clean: (text: string) => string): void {
  const path = process.env['GITHUB_STEP_SUMMARY'];
  if (!path) return;
  const cells = Object.entries(rows)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `<tr><td>${name}</td><td><code>${escapeHtml(clean(String(value)))}</code></td></tr>`);
  try {
    if (!statSync(path).isFile()) throw new Error('not a file');
    appendFileSync(path, `<h3>${title}</h3>${EOL}<table>${cells.join('')}</table>${EOL}`);
  } catch {
    core.warning('The job summary could not be written.');
  }
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
