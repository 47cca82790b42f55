import { serverNow, waitAsked } from '../http/retry.ts';
import type { Service } from '../http/service.ts';

/** GitHub's REST API, where secrets are stored. */
export const githubApi: Service = {
  advice: {
    unreachable: (peer) => `This is GitHub's API, not the control plane: check that this runner can reach ${peer}.`,
    unreadable:
      "This is GitHub's API, not the control plane: check GITHUB_API_URL, and whether a proxy or a login page answers in its place.",
    unavailable: "GitHub's API could not handle the request: see GitHub's status page, then run the job again.",
    redirected: () =>
      'GitHub answers like this for a repository that was renamed or moved: run the workflow again from the repository under its new name.',
  },
  // A 403 with either of these is a rate limit; without them, a missing permission.
  limit({ status, headers }, ours) {
    if (status !== 403 && status !== 429) return undefined;
    const asked = waitAsked(headers, ours);
    if (asked !== undefined || headers['x-ratelimit-remaining'] !== '0') return asked;
    const reset = Number(headers['x-ratelimit-reset'] || Number.NaN) * 1000;
    // Times are whole seconds: one that has been reached is over.
    return Number.isNaN(reset) ? MINUTE : Math.max(0, reset - serverNow(headers, ours));
  },
};

/** How long to wait for a rate limit that does not say when it ends, in milliseconds. */
const MINUTE = 60_000;
