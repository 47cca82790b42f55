import { RunaiError } from '../errors.ts';
import type { Call, Result } from './exchange.ts';
import type { Failure } from './retry.ts';
import { ProxyRefusal } from './tunnel.ts';

/** What an error message needs besides the failure itself. */
export interface Setting {
  attempts: number;
  proxy: URL | undefined;
  /** Makes a server's text safe to log. */
  clean: (text: string) => string;
}

/**
 * The error for an attempt that no other follows. All messages for requests without a usable answer are in this file;
 * what a service's refusals mean is defined by the service.
 */
export function problemOf<T>(call: Call<T>, result: Result<T>, { attempts, proxy, clean }: Setting): RunaiError {
  const details = { operation: operationOf(call, clean), attempts };
  const { advice } = call.service;
  if ('failure' in result) {
    if (result.error instanceof ProxyRefusal) return proxyProblem(result.error, result.failure, proxy).with(details);
    return unreachable(call, result, proxy).with(details);
  }
  const { status } = result;
  if ('unreadable' in result) {
    const message = `answered ${status} with ${result.unreadable}`;
    return new RunaiError('unreadable', message, { ...details, status, hint: advice.unreadable });
  }
  if ('redirect' in result) {
    const hint = `Redirects are not followed, because following them could send the credentials elsewhere. ${advice.redirected(targetOf(call, result.redirect, clean))}`;
    return new RunaiError('redirect', `answered ${status}, a redirect`, { ...details, status, hint });
  }
  const message = `answered ${status}${said(result.body, clean)}`;
  return new RunaiError('unavailable', message, { ...details, status, hint: advice.unavailable });
}

/** The same problem, if no time is left for another attempt. */
export function outOfTime(
  problem: RunaiError,
  { budget, asked }: { budget: number; asked: number | undefined },
): RunaiError {
  const deadline = `the deadline of ${budget / 1000} s (timeout-seconds)`;
  const hint = asked
    ? `Waiting that long would go past ${deadline}: run the job again later, or raise timeout-seconds.`
    : `Gave up because the next attempt would come after ${deadline}. ${problem.hint ?? ''}`.trim();
  const why = asked ? `; it asks to wait ${Math.ceil(asked / 1000)} s` : '';
  return problem.with({ message: `${problem.message}${why}`, hint });
}

/** A request as messages name it, without its query. A path may contain an id, into which a server may put anything. */
export function operationOf({ method, url }: { method: string; url: string }, clean: Setting['clean']): string {
  const { origin, pathname } = new URL(url);
  return `${method} ${origin}${pathname.split('/').map(clean).join('/')}`;
}

/** How much of each of a server's texts is shown, in characters. */
const SAID_LIMIT = 300;

/**
 * What a server says about a failure, as `: "message; details"`, or nothing if it says nothing usable: `message`
 * and `details` of Run:ai and GitHub, `error` and `error_description` of OAuth 2 (RFC 6749, 5.2).
 */
export function said(body: { kind: string; json?: unknown }, clean: Setting['clean']): string {
  if (body.kind !== 'json' || typeof body.json !== 'object' || body.json === null) return '';
  const fields = body.json as Record<string, unknown>;
  const texts = ['message', 'details', 'error', 'error_description']
    .map((name) => fields[name])
    .filter((value): value is string => typeof value === 'string' && value.trim() !== '')
    .map((value) => value.slice(0, SAID_LIMIT));
  // Joined before cleaning, since a secret may be spread over them.
  return texts.length === 0 ? '' : `: "${clean(texts.join('; '))}"`;
}

const sentences: Record<Failure, string> = {
  refused: 'the connection was refused',
  'unknown-host': 'there is no such host name',
  'no-name-server': 'the host name could not be looked up',
  'no-route': 'the host could not be reached',
  reset: 'the connection was closed before the whole answer had arrived',
  timeout: 'no complete answer came in time',
  protocol: 'the answer was not valid HTTP',
  tls: 'no TLS connection could be made',
  certificate: 'the certificate is not trusted',
  'proxy-refused': 'the proxy refused the connection',
};

/** The message for a failure, with the host and port (or the proxy's) and the code that people can search for. */
function noAnswer(failure: Failure, { peer, error }: { peer: string; error: unknown }): string {
  const code = codeOf(error);
  return `got no answer: ${sentences[failure]} (${peer}${code === 'unknown' ? '' : `, ${code}`})`;
}

const certificateHint =
  'If the server uses a private certificate authority, pass its root certificate as ca-certificate. If the certificate has expired or was issued for another host, fix that. Certificate checks cannot be turned off.';

const moreAdvice: Partial<Record<Failure, string>> = {
  timeout: ' If it is slow, raise timeout-seconds.',
  tls: ' Does it speak TLS on that port?',
};

function unreachable<T>(
  { service, url }: Call<T>,
  { failure, error }: { failure: Failure; error: unknown },
  proxy: URL | undefined,
): RunaiError {
  const { hostname, port, protocol } = new URL(url);
  const peer = `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
  const message = noAnswer(failure, { peer, error });
  if (failure === 'certificate') return new RunaiError('certificate', message, { hint: certificateHint, cause: error });
  const where = proxy ? `${peer} through the proxy` : peer;
  const hint = `${service.advice.unreachable(where)}${moreAdvice[failure] ?? ''}`;
  return new RunaiError('unreachable', message, { hint, cause: error });
}

function proxyProblem(refusal: ProxyRefusal, failure: Failure, proxy: URL | undefined): RunaiError {
  const { status, cause } = refusal;
  const peer = `proxy ${proxy?.host ?? ''}`;
  if (status === undefined) {
    const message = noAnswer(failure, { peer, error: cause });
    if (failure === 'certificate') return new RunaiError('certificate', message, { hint: certificateHint, cause });
    return new RunaiError('proxy', message, { hint: 'Check https_proxy and no_proxy on this runner.', cause });
  }
  const hint =
    status === 407
      ? 'The proxy requires credentials: put them in https_proxy, as http://name:password@host:port, percent-encoded.'
      : 'The proxy does not let this runner reach the host: allow it there, or list the host in no_proxy.';
  return new RunaiError('proxy', `got no answer: the ${peer} answered ${status} to CONNECT`, { hint, cause: refusal });
}

/** The origin that a redirect leads to, if it is a different one. */
function targetOf({ url }: { url: string }, location: string, clean: Setting['clean']): string | undefined {
  if (!URL.canParse(location, url)) return undefined;
  const target = new URL(location, url);
  const elsewhere = /^https?:$/.test(target.protocol) && target.origin !== new URL(url).origin;
  return elsewhere ? clean(target.origin) : undefined;
}

const byCode: Record<string, Failure> = {
  ABORT_ERR: 'timeout',
  ETIMEDOUT: 'timeout',
  ECONNREFUSED: 'refused',
  ENOTFOUND: 'unknown-host',
  EAI_AGAIN: 'no-name-server',
  EHOSTUNREACH: 'no-route',
  EHOSTDOWN: 'no-route',
  ENETUNREACH: 'no-route',
  ENETDOWN: 'no-route',
  EADDRNOTAVAIL: 'no-route',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  EPROTO: 'tls',
};

// OpenSSL's verification results as Node names them, and Node's own check of the host name.
const certificateCode = /CERT|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH/;

/** What the error of an exchange means. */
export function classify(error: unknown): Failure {
  if (error instanceof ProxyRefusal) return proxyFailure(error);
  const code = codeOf(error);
  const known = byCode[code];
  if (known) return known;
  if (code.startsWith('ERR_SSL')) return 'tls';
  if (certificateCode.test(code)) return 'certificate';
  return code.startsWith('HPE_') ? 'protocol' : 'reset';
}

// A proxy that is overloaded, or cannot reach the host right now, may do so later.
function proxyFailure({ status, cause }: ProxyRefusal): Failure {
  if (status === undefined) return classify(cause);
  return status === 429 || status >= 500 ? 'no-route' : 'proxy-refused';
}

/** The code of a system, TLS or parser error: never its message, which can quote what was received. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[A-Z0-9_]+$/.test(code) ? code : 'unknown';
}
