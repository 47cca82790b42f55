import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type RunningStep, type StepOptions, type StepResult, startStep } from '../support/runner.ts';

export interface MeasuredResult extends StepResult {
  /** Bytes, or undefined where the process ended without a chance to say. */
  peakMemory: number | undefined;
}

export interface MeasuredStep {
  child: RunningStep['child'];
  result: Promise<MeasuredResult>;
}

const preload = fileURLToPath(new URL('../support/memory.cjs', import.meta.url));
let folder: string | undefined;
let count = 0;

function measureFile(): string {
  if (folder === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'torture-'));
    process.on('exit', () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  count += 1;
  return join(folder, String(count));
}

/** Starts a step that says at its end how much memory it had at its peak. */
export function startMeasured(options: StepOptions): MeasuredStep {
  const file = measureFile();
  const env = { ...options.env, NODE_OPTIONS: `--require "${preload}"`, PEAK_MEMORY: file };
  const { child, result } = startStep({ ...options, env });
  return { child, result: result.then((step) => ({ ...step, peakMemory: readPeak(file) })) };
}

export function runMeasured(options: StepOptions): Promise<MeasuredResult> {
  return startMeasured(options).result;
}

function readPeak(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  } finally {
    rmSync(file, { force: true });
  }
}
