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
 * Creates something once. A conflict that follows a lost answer is this run's own work when the existing thing was made,
 * by the server's own clock, at a time when the lost attempt can have made it: then it gets a new secret, since the
 * first one is lost. Any other conflict points at somebody else's work, and goes by `ifExists`.
 */
export async function createOnce<Existing extends { createdAt: number | undefined }, Issued>(
  client: Client,
  { ifExists, create, find, renew, keep, problem }: CreateSteps<Existing, Issued>,
): Promise<Issued & { created: boolean }> {
  const effort = newEffort();
  return warnIfLost(effort, mayExist, async () => {
    const answer = await create(effort);
    if (answer.body.kind === 'read') return { ...answer.body.value, created: true };
    if (answer.status !== 409) throw problem(answer);
    const conflict = problem(answer).with({ code: 'conflict', hint: chooseAnother });
    if (ifExists === 'fail' && effort.lost.length === 0) throw conflict;
    const existing = await find();
    if (!existing) throw conflict.with({ hint: outOfSight });
    if (isOurs(client, { existing, effort })) return { ...(await renew(existing)), created: true };
    // It is somebody else's, so no attempt of ours has made anything.
    effort.lost = [];
    if (ifExists === 'fail') throw conflict;
    return { ...(ifExists === 'rotate' ? await renew(existing) : keep(existing)), created: false };
  });
}

const chooseAnother =
  'It exists already: set if-exists to skip to keep it, or to rotate to get a new secret or password for it.';
const outOfSight =
  'It exists already, but is not in the list that these credentials can see: another tenant or scope may hold it, or it is being deleted.';

const mayExist =
  'An attempt may have created it all the same: run this again with if-exists: rotate to get a secret that works.';

/** What to say where a reset fails after an attempt whose answer was lost. */
export const mayBeReset =
  'An attempt may have made a new secret all the same, and then the old one no longer works: run this again to get one that works.';

/** Whether the thing was made while one of our lost attempts can have made it. */
function isOurs(
  client: Client,
  { existing: { createdAt }, effort }: { existing: { createdAt: number | undefined }; effort: Effort },
): boolean {
  if (createdAt === undefined) return false;
  // A time without a fraction may have been cut to the second.
  const atLatest = createdAt % 1000 === 0 ? createdAt + 999 : createdAt;
  return effort.lost.some(({ from, to }) => {
    const [begin, end] = [client.serverTime(from), client.serverTime(to ?? client.now())];
    return begin !== undefined && end !== undefined && atLatest >= begin.earliest && createdAt <= end.latest;
  });
}

/** Does some work, and adds a warning to its error when an attempt may have done it without our learning of it. */
export async function warnIfLost<T>(effort: Effort, warning: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // What was done last has already said what matters most.
    if (effort.lost.length === 0 || !(error instanceof RunaiError) || error.warning) throw error;
    throw error.with({ warning });
  }
}
