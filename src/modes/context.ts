import type { TokenRequest } from '../github/oidc.ts';
import type { StoreTarget } from '../github/place.ts';
import type { Store } from '../github/store.ts';
import type { Log } from '../http/transport.ts';
import type { Results, Table } from '../publish.ts';
import type { Client } from '../runai/client.ts';

/** The tools that a mode works with. */
export interface Context {
  client: Client;
  log: Log;
  /** Masks the secrets among the results, then writes them all. */
  publish(results: Results): void;
  /** Adds a table to the job summary. */
  summarize(title: string, table: Table): void;
  /** Fetches the job's own OIDC token. */
  fetchIdToken(request: TokenRequest): Promise<string>;
  /** Loads the code that stores a secret in GitHub. */
  openStore(target: StoreTarget): Promise<Store>;
}

/** A disabled application gets no token, whatever its secret. */
export function warnIfDisabled({ client, log }: Context, { name, enabled }: { name: string; enabled: boolean }): void {
  if (enabled) return;
  log.warning(
    `The application ${client.clean(name)} is disabled: it gets no token until it is enabled in the control plane.`,
  );
}
