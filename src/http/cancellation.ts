import { RunaiError } from '../errors.ts';
import { outOfPatience } from './connection.ts';

/** How long a cancelled run still waits for an answer that must not be lost, in milliseconds. */
const GRACE = 5_000;

export type Signal = 'SIGINT' | 'SIGTERM';

/** Whether the run was cancelled, and what may still be done. */
export class Cancellation {
  readonly #atOnce = new AbortController();
  readonly #inTheEnd = new AbortController();
  #by: Signal | undefined;

  /** The signal that cancelled the run. */
  get by(): Signal | undefined {
    return this.#by;
  }

  /** Cancels the run. Only the first call counts. */
  cancel(by: Signal): void {
    if (this.#by) return;
    this.#by = by;
    this.#atOnce.abort(outOfPatience());
    setTimeout(() => this.#inTheEnd.abort(outOfPatience()), GRACE).unref();
  }

  /** The signal that aborts a request that is in flight. */
  signalFor(whenCancelled: 'finish' | 'begin' | undefined): AbortSignal {
    return whenCancelled ? this.#inTheEnd.signal : this.#atOnce.signal;
  }

  /** @throws RunaiError `interrupted` if no new request may be started */
  refuse(whenCancelled: 'finish' | 'begin' | undefined): void {
    const signal = whenCancelled === 'begin' ? this.#inTheEnd.signal : this.#atOnce.signal;
    if (signal.aborted) throw new RunaiError('interrupted', `stopped by ${this.#by}`);
  }
}
