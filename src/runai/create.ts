import type { Client } from './client.ts';
import { RunaiError } from './errors.ts';
import type { Answer } from './exchange.ts';
import { type Effort, newEffort } from './http.ts';

/** What to do when the thing to create exists already. */
export type IfExists = 'fail' | 'skip' | 'rotate';

export interface CreateSteps<Existing, Issued> {
  ifExists: IfExists;
  create(effort: Effort): Promise<Answer<Issued>>;
  /** Looks the existing thing up by its exact name. */
  find(): Promise<Existing | undefined>;
  /** Gives the existing thing a new secret. */
  renew(existing: Existing): Promise<Issued>;
  /** What is known of the existing thing without touching it. */
  keep(existing: Existing): Issued;
  /** What an answer other than success means. */
  problem(answer: Answer<Issued>): RunaiError;
}

/**
 * Creates something once. A conflict that follows a lost answer is this run's own work when the existing thing is not
 * older, by the server's own clock, than the run's first attempt: then it gets a new secret, since the first one is
 * lost. Any other conflict points at somebody else's work, and goes by `ifExists`.
 */
export async function createOnce<Existing extends { createdAt: number | undefined }, Issued>(
  client: Client,
  { ifExists, create, find, renew, keep, problem }: CreateSteps<Existing, Issued>,
): Promise<Issued & { created: boolean }> {
  const effort = newEffort();
  const answer = await create(effort).catch((error: unknown) => {
    throw effort.lost ? withWarning(error) : error;
  });
  if (answer.body.kind === 'read') return { ...answer.body.value, created: true };
  if (answer.status !== 409 || (ifExists === 'fail' && !effort.lost)) throw problem(answer);
  const existing = await find();
  if (!existing) throw problem(answer);
  if (effort.lost && isOurs(client, { existing, effort })) return { ...(await renew(existing)), created: true };
  if (ifExists === 'fail') throw problem(answer);
  return { ...(ifExists === 'rotate' ? await renew(existing) : keep(existing)), created: false };
}

function isOurs(
  client: Client,
  { existing, effort }: { existing: { createdAt: number | undefined }; effort: Effort },
): boolean {
  const since = client.serverTime(effort.startedAt ?? client.now());
  if (since === undefined || existing.createdAt === undefined) return false;
  // A time without a fraction may have been cut to the second.
  const latest = existing.createdAt % 1000 === 0 ? existing.createdAt + 999 : existing.createdAt;
  return latest >= since;
}

function withWarning(error: unknown): unknown {
  if (!(error instanceof RunaiError)) return error;
  const warning =
    'An attempt may have created it all the same: run this again with if-exists: rotate to get a secret that works.';
  return new RunaiError(error.code, error.message, {
    ...error.details(),
    hint: `${warning} ${error.hint ?? ''}`.trim(),
  });
}
