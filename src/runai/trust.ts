import type { Agent } from 'node:https';
import * as tls from 'node:tls';

/** Certificates in PEM form. */
export type Roots = string[];

/** Makes an agent trust `roots` in addition to the runner's own: those of Node and of NODE_EXTRA_CA_CERTS. */
export function trust(agent: Agent, roots: Roots): void {
  // Older than Node 22.15, there is no way to ask for NODE_EXTRA_CA_CERTS as well.
  const own = tls.getCACertificates?.('default') ?? [...tls.rootCertificates];
  // A context of our own is built once; a `ca` option would be parsed, and made part of a pool's key, at every request.
  Object.assign(agent.options, { secureContext: tls.createSecureContext({ ca: [...own, ...roots] }) });
}
