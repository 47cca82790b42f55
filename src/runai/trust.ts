import * as tls from 'node:tls';

/** Certificates in PEM form. */
export type Roots = string[];

/**
 * Options for TLS that check certificates, whatever NODE_TLS_REJECT_UNAUTHORIZED says, and trust `roots` in addition to
 * the runner's own: those of Node and of NODE_EXTRA_CA_CERTS.
 */
export function trust(roots: Roots | undefined): { rejectUnauthorized: true; secureContext?: tls.SecureContext } {
  if (!roots) return { rejectUnauthorized: true };
  // Older than Node 22.15, there is no way to ask for NODE_EXTRA_CA_CERTS as well.
  const own = tls.getCACertificates?.('default') ?? [...tls.rootCertificates];
  // A context is built once; a `ca` option would be parsed, and made part of a pool's key, at every request.
  return { rejectUnauthorized: true, secureContext: tls.createSecureContext({ ca: [...own, ...roots] }) };
}
