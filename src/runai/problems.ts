import { RunaiError } from './errors.ts';
import type { Result } from './exchange.ts';
import { codeOf, inWords } from './failures.ts';
import type { Failure } from './retry.ts';
import { inItsOwnWords } from './statuses.ts';
import { ProxyRefusal } from './tunnel.ts';

/** What a problem with the network needs to say where it happened. */
export interface Place {
  operation: string;
  attempts: number;
  url: URL;
  proxy: URL | undefined;
  /** Makes a server's text fit to be logged. */
  clean: (text: string) => string;
}

/** The error that an attempt comes to when no other follows. */
export function problemOf<T>(result: Result<T>, place: Place): RunaiError {
  if ('failure' in result) return failed(result, place);
  if ('unreadable' in result) return unreadable(result, place);
  if ('redirect' in result) return redirected(result, place);
  const { operation, attempts, clean } = place;
  const { status } = result.answer;
  return new RunaiError('unavailable', inItsOwnWords(result.answer, clean), {
    operation,
    attempts,
    status,
    hint: 'The control plane, or a gateway in front of it, could not take the request: see its status, then run the job again.',
  });
}

/** The same problem, where no time is left for another attempt. */
export function outOfTime(
  problem: RunaiError,
  { budget, asked }: { budget: number; asked: number | undefined },
): RunaiError {
  const why = asked ? `; it asks to wait ${Math.ceil(asked / 1000)} s` : '';
  const deadline = `the deadline of ${budget / 1000} s (timeout-seconds)`;
  const hint = `Gave up, since the next attempt would come after ${deadline}. ${problem.hint ?? ''}`.trim();
  return problem.with({ message: `${problem.message}${why}`, hint });
}

function failed(
  { failure, error }: { failure: Failure; error: unknown },
  { operation, attempts, url, proxy }: Place,
): RunaiError {
  const details = { operation, attempts, cause: error };
  if (error instanceof ProxyRefusal) return proxyProblem(error, { ...details, proxy, failure });
  const peer = `${url.hostname}:${url.port || (url.protocol === 'https:' ? 443 : 80)}`;
  const message = inWords(failure, { peer, code: codeOf(error) });
  if (failure === 'certificate') return new RunaiError('certificate', message, { ...details, hint: certificateHint });
  const through = proxy ? ' through the proxy' : '';
  const hint = `Check that url is right, and that this runner can reach ${peer}${through}.${moreAdvice[failure] ?? ''}`;
  return new RunaiError('unreachable', message, { ...details, hint });
}

const moreAdvice: Partial<Record<Failure, string>> = {
  timeout: ' If it is slow, raise timeout-seconds.',
  tls: ' Does it speak TLS on that port?',
};

const certificateHint =
  'If the control plane uses a private certificate authority, give its root certificate as ca-certificate; if the certificate has expired or is made for another host, mend that. Checking cannot be turned off.';

function proxyProblem(
  refusal: ProxyRefusal,
  { proxy, failure, ...details }: { operation: string; attempts: number; proxy: URL | undefined; failure: Failure },
): RunaiError {
  const peer = `proxy ${proxy?.host ?? ''}`;
  if (refusal.status === undefined) {
    const message = inWords(failure, { peer, code: codeOf(refusal.cause) });
    const hint = failure === 'certificate' ? certificateHint : 'Check https_proxy and no_proxy on this runner.';
    return new RunaiError(failure === 'certificate' ? 'certificate' : 'proxy', message, { ...details, hint });
  }
  const hint =
    refusal.status === 407
      ? 'The proxy wants credentials: put them into https_proxy, as http://name:password@host:port, percent-encoded.'
      : 'The proxy does not let this runner reach the control plane: allow it there, or list the host in no_proxy.';
  return new RunaiError('proxy', `got no answer: the ${peer} answered ${refusal.status} to CONNECT`, {
    ...details,
    hint,
  });
}

function unreadable(
  { unreadable, status }: { unreadable: string; status: number },
  { operation, attempts }: Place,
): RunaiError {
  return new RunaiError('unreadable', `answered ${status} with ${unreadable}`, {
    operation,
    attempts,
    status,
    hint: unreadableHint,
  });
}

export const unreadableHint =
  'That is no answer of the Run:ai API: check url, and whether a proxy or a log-in page stands in front of it.';

function redirected(
  { redirect, status }: { redirect: string; status: number },
  { operation, attempts, url, clean }: Place,
): RunaiError {
  const target = URL.canParse(redirect, url.href) ? new URL(redirect, url) : undefined;
  const elsewhere = target && /^https?:$/.test(target.protocol) && target.origin !== url.origin;
  const advice = elsewhere
    ? `If ${clean(target.origin)} is your control plane, use it as url.`
    : 'Check url, its path included.';
  const hint = `Redirects are not followed, since they would take the credentials along. ${advice}`;
  return new RunaiError('redirect', `answered ${status}, a redirect`, { operation, attempts, status, hint });
}
