import type { Failure } from './retry.ts';

const byCode: Record<string, Failure> = {
  ABORT_ERR: 'timeout',
  ETIMEDOUT: 'timeout',
  ECONNREFUSED: 'refused',
  ENOTFOUND: 'unknown-host',
  EAI_AGAIN: 'unknown-host',
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

/** The code of a system, TLS or parser error: never its message, which can quote what was received. */
export function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[A-Z0-9_]+$/.test(code) ? code : 'unknown';
}

/** What an error of Node's http, tls, net or dns modules means. */
export function classify(error: unknown): Failure {
  const code = codeOf(error);
  const known = byCode[code];
  if (known) return known;
  if (code.startsWith('ERR_SSL')) return 'tls';
  if (certificateCode.test(code)) return 'certificate';
  return code.startsWith('HPE_') ? 'protocol' : 'reset';
}

const sentences: Record<Failure, string> = {
  refused: 'the connection was refused',
  'unknown-host': 'the host name could not be resolved',
  'no-route': 'the host could not be reached',
  reset: 'the connection was closed before the whole answer had arrived',
  timeout: 'no whole answer came in time',
  protocol: 'the answer was not HTTP',
  tls: 'no TLS connection could be made',
  certificate: 'the certificate is not trusted',
  'proxy-refused': 'the proxy refused the connection',
};

/** The failure in words, with the host and port (or the proxy's) and the code that a search engine knows. */
export function inWords(failure: Failure, { peer, code }: { peer: string; code: string }): string {
  return `got no answer: ${sentences[failure]} (${peer}${code === 'unknown' ? '' : `, ${code}`})`;
}
