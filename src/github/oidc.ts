import { RunaiError } from '../errors.ts';
import { operationOf, said } from '../http/problems.ts';
import type { Service } from '../http/service.ts';
import { object, text } from '../http/shapes.ts';
import type { Transport } from '../http/transport.ts';

/** The service that issues a job's OIDC token. */
const tokenService: Service = {
  advice: {
    unreachable: (peer) =>
      `This is GitHub's token service, from which a job gets its OIDC token, not the control plane: check that this runner can reach ${peer}.`,
    unreadable:
      "This is GitHub's token service, from which a job gets its OIDC token, not the control plane: is a proxy answering in its place?",
    unavailable:
      "GitHub's token service could not handle the request: see GitHub's status page, then run the job again.",
    redirected: () => "GitHub's token service does not redirect: is a proxy answering in its place?",
  },
};

export interface TokenRequest {
  /** `ACTIONS_ID_TOKEN_REQUEST_URL` */
  url: string;
  /** `ACTIONS_ID_TOKEN_REQUEST_TOKEN` */
  requestToken: string;
  audience: string;
}

interface Tools {
  transport: Transport;
  mask: (secret: string) => void;
  clean: (text: string) => string;
}

/**
 * Fetches the job's own OIDC token from GitHub. Does not use the toolkit's `getIDToken()`, which has no deadline and
 * waits forever for an answer that is cut off.
 * @throws RunaiError `oidc`, or `certificate` or `proxy`
 */
export async function fetchIdToken(
  { transport, mask, clean }: Tools,
  { url, requestToken, audience }: TokenRequest,
): Promise<string> {
  const address = new URL(url);
  address.searchParams.set('audience', audience);
  const request = { method: 'GET' as const, url: address.href };
  const call = { ...request, service: tokenService, headers: { authorization: `Bearer ${requestToken}` } };
  const answer = await transport.send({ ...call, read: (json) => readIdToken(json, mask) }).catch((error) => {
    const isOurs = error instanceof RunaiError && !['certificate', 'proxy', 'interrupted'].includes(error.code);
    throw isOurs ? error.with({ code: 'oidc' }) : error;
  });
  if (answer.body.kind === 'read') return answer.body.value;
  const { status, attempts, body } = answer;
  throw new RunaiError('oidc', `answered ${status}${said(body, clean)}`, {
    operation: operationOf(request, clean),
    status,
    attempts,
    hint: "GitHub's token service issued no OIDC token: does the job have permissions: id-token: write?",
  });
}

function readIdToken(json: unknown, mask: (secret: string) => void): string {
  const token = text(object(json), 'value');
  mask(token);
  return token;
}
