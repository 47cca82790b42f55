import type { Client } from './client.ts';
import { RunaiError } from './errors.ts';
import { type Answer, type Effort, newEffort } from './http.ts';

export type Created<New, Existing> =
  | { kind: 'created'; value: New }
  /** The create was this run's own work, but its answer, and the secret in it, was lost. */
  | { kind: 'recovered'; existing: Existing }
  | { kind: 'existed'; existing: Existing | undefined; answer: Answer<New> }
  | { kind: 'refused'; answer: Answer<New> };

export interface CreateSteps<New, Existing> {
  create(effort: Effort): Promise<Answer<New>>;
  /** Looks the object up by its exact name. */
  find(): Promise<Existing | undefined>;
}

/**
 * Creates something once. A conflict that follows a lost answer is this run's own work when the object is not older,
 * by the server's own clock, than the run's first attempt. Any other conflict points at somebody else's object.
 */
export async function createOnce<New, Existing extends { createdAt: number | undefined }>(
  client: Client,
  { create, find }: CreateSteps<New, Existing>,
): Promise<Created<New, Existing>> {
  const effort = newEffort();
  const answer = await create(effort).catch((error: unknown) => {
    throw effort.lost ? withWarning(error) : error;
  });
  if (answer.body.kind === 'read') return { kind: 'created', value: answer.body.value };
  if (answer.status !== 409) return { kind: 'refused', answer };
  const existing = await find();
  if (effort.lost && existing && isOurs(client, { existing, effort })) return { kind: 'recovered', existing };
  return { kind: 'existed', existing, answer };
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
