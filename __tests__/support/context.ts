import { fetchIdToken } from '../../src/github/oidc.ts';
import type { Context } from '../../src/modes/context.ts';
import type { Table } from '../../src/publish.ts';
import { createSecrets } from '../../src/secrets.ts';
import type { clientFor } from './client.ts';

export interface TestContext extends Context {
  /** What was published, later values in place of earlier ones. */
  outputs: Record<string, string | number | boolean | undefined>;
  summaries: Table[];
  notices: string[];
  warnings: string[];
}

/** What a mode works with, where all that it publishes and says is kept. Nothing is stored with it. */
export function contextFor({
  client,
  transport,
}: Pick<ReturnType<typeof clientFor>, 'client' | 'transport'>): TestContext {
  const outputs: TestContext['outputs'] = {};
  const [summaries, notices, warnings]: [Table[], string[], string[]] = [[], [], []];
  const { mask, clean } = createSecrets(client.mask);
  const push = (list: string[]) => (text: string) => void list.push(text);
  return {
    client,
    log: { ...client.log, notice: push(notices), warning: push(warnings) },
    publish({ secrets = {}, compounds = {}, values = {} }) {
      const all = [secrets, compounds, values].flatMap((results) => Object.entries(results));
      for (const [name, value] of all) if (value !== undefined) outputs[name] = value;
    },
    summarize: (_title, table) => void summaries.push(table),
    fetchIdToken: (request) => fetchIdToken({ transport, mask, clean }, request),
    openStore: () => Promise.reject(new Error('nothing is stored here')),
    outputs,
    summaries,
    notices,
    warnings,
  };
}
