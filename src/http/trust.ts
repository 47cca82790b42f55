import * as tls from 'node:tls';

/** Options for TLS that check certificates, whatever NODE_TLS_REJECT_UNAUTHORIZED says. */
export interface Trust {
  rejectUnauthorized: true;
  secureContext?: tls.SecureContext;
}

/**
 * Trust in the runner's own roots, those of Node and of NODE_EXTRA_CA_CERTS, and in `roots` in addition.
 * @param roots certificates in PEM form
 */
export function trust(roots: string[] | undefined): Trust {
  if (!roots) return { rejectUnauthorized: true };
  // Before Node 22.15, there is no way to ask for NODE_EXTRA_CA_CERTS as well.
  const own = tls.getCACertificates?.('default') ?? [...tls.rootCertificates];
  // A context is built once; a `ca` option would be parsed at every request.
  return { rejectUnauthorized: true, secureContext: tls.createSecureContext({ ca: [...own, ...roots] }) };
}
