import * as tls from 'node:tls';

/** Options for TLS that check certificates, whatever NODE_TLS_REJECT_UNAUTHORIZED says. */
export interface Trust {
  rejectUnauthorized: true;
  secureContext?: tls.SecureContext;
}

/**
 * Trusts the runner's own roots, those of Node and of NODE_EXTRA_CA_CERTS, and `roots` in addition.
 * @param roots certificates in PEM form
 */
export function trust(roots: string[] | undefined): Trust {
  if (!roots) return { rejectUnauthorized: true };
  // Before Node 22.15, there is no way to include NODE_EXTRA_CA_CERTS.
  const own = tls.getCACertificates?.('default') ?? [...tls.rootCertificates];
  // A context is built once; a `ca` option would be parsed for every request.
  return { rejectUnauthorized: true, secureContext: tls.createSecureContext({ ca: [...own, ...roots] }) };
}
