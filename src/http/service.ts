import type { Received } from './connection.ts';

/** One of the servers that a run talks to: the advice that fits it, which also says what it is. All in whole sentences. */
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
   * How long an answer asks to wait where this service has a way of its own to say "too many requests", in
   * milliseconds. `ours` is the time on our clock.
   */
  limit?(received: Received, ours: number): number | undefined;
}
