import type { Results, Rows } from '../publish.ts';
import type { Client } from '../runai/client.ts';
import type { Log } from '../runai/http.ts';

/** What a mode works with. */
export interface Context {
  client: Client;
  log: Log;
  /** Masks the secrets among the results, then writes them all. */
  publish(results: Results): void;
  /** Adds a table to the job summary. */
  summarize(title: string, rows: Rows): void;
}
