import type { Received } from './connection.ts';

/**
 * One of the servers that a run talks to, with the hints for its failures, which also say what it is. All in full
 * sentences.
 */
export interface Service {
  advice: {
    /** When no connection can be made to `peer`, a host and port. */
    unreachable(peer: string): string;
    /** When a page or something else that cannot be read comes back. */
    unreadable: string;
    /** When it answers 5xx or 429 until the deadline. */
    unavailable: string;
    /** When it redirects to another origin, or to another path of its own (then there is no `origin`). */
    redirected(origin: string | undefined): string;
  };
  /**
   * How long an answer asks to wait, in milliseconds, if this service has its own way to say "too many requests".
   * `ours` is the time on our clock.
   */
  limit?(received: Received, ours: number): number | undefined;
}
