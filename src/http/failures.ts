import type { Failure } from './retry.ts';
import { ProxyRefusal } from './tunnel.ts';

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
