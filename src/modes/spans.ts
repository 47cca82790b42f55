import type { Span } from '../http/transport.ts';

/** When something can have happened of which a server says a time: one without a fraction may have been cut to the second. */
export function spanOf(time: number): Span {
  return { earliest: time, latest: time % 1000 === 0 ? time + 999 : time };
}
