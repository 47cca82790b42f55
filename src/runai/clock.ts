/** Time, handed in so that no test has to wait for it. All times are milliseconds since the epoch. */
export interface Clock {
  now(): number;
  sleep(ms: number): Promise<void>;
  /** Calls `action` after `ms`, unless the returned function is called before. */
  after(ms: number, action: () => void): () => void;
}

// The performance object would do the same, but takes a millisecond to load.
const begun = { wall: Date.now(), monotonic: process.hrtime() };

export const systemClock: Clock = {
  // Not Date.now(): a clock that is set back or forward must not move a deadline.
  now() {
    const [seconds, nanoseconds] = process.hrtime(begun.monotonic);
    return begun.wall + seconds * 1000 + nanoseconds / 1e6;
  },
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  after(ms, action) {
    const timer = setTimeout(action, ms);
    return () => clearTimeout(timer);
  },
};
