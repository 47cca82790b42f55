import type { Received } from './connection.ts';

/** One of the servers that a run talks to: what it is called, and the advice that fits it. All advice is whole sentences. */
export interface Service {
  /** As in "the control plane answered 503". */
  name: string;
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
