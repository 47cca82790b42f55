/** The clock, passed in so that no test has to wait. All times are milliseconds since the epoch. */
export interface Clock {
  now(): number;
  /** Ends early if the signal is aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Calls `action` after `ms`, unless the returned function is called first. */
  after(ms: number, action: () => void): () => void;
}

// The `performance` object would do the same, but takes a millisecond to load.
const begun = { wall: Date.now(), monotonic: process.hrtime() };

export const systemClock: Clock = {
  // Not Date.now(): setting the clock back or forward must not move a deadline.
  now() {
    const [seconds, nanoseconds] = process.hrtime(begun.monotonic);
    return begun.wall + seconds * 1000 + nanoseconds / 1e6;
  },
  sleep(ms, signal) {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
      function done() {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      }
      if (signal.aborted) done();
    });
  },
  after(ms, action) {
    const timer = setTimeout(action, ms);
    return () => clearTimeout(timer);
  },
};

/** ISO 8601 in UTC, to the second. */
export function isoTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** When something happened, as far as it is known, in milliseconds since the epoch. */
export interface Span {
  earliest: number;
  latest: number;
}

/**
 * When something happened at a time given by a server: a time without a fraction may have been truncated to the second.
 */
export function spanOf(time: number): Span {
  return { earliest: time, latest: time % 1000 === 0 ? time + 999 : time };
}
