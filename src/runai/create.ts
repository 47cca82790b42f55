import { RunaiError } from '../errors.ts';
import type { LostAttempt } from '../http/exchange.ts';
import type { Client, Found } from './client.ts';

/** What to do if the object to create already exists. */
export type IfExists = 'fail' | 'skip' | 'rotate';

/** What the control plane issued. A secret in it is published even if there is a `flaw`. */
export interface Issued {
  /** Why the step must fail after that was published. */
  flaw: RunaiError | undefined;
}

export interface CreateSteps<Existing, Made extends Issued> {
  /** With `refuse`, it is an error even if this run may have created the object. */
  ifExists: IfExists | 'refuse';
  create(): Promise<Found<Made>>;
  /** Looks up the existing object by its exact name. */
  find(): Promise<Existing | undefined>;
  /** Gives the existing object a new secret. */
  renew(existing: Existing): Promise<Made>;
  /** What is known about the existing object without changing it. */
  keep(existing: Existing): Made;
}

/**
 * Creates an object once. A conflict that follows a lost answer counts as this run's own work if the existing object
 * was created, by the server's own clock, at a time when the lost attempt could have created it: then it gets a new
 * secret, since the first one is lost. If that can neither be proved nor ruled out, only `rotate` goes on. Any other
 * conflict is about an object that somebody else created, and is handled as `ifExists` says.
 */
export async function createOnce<Existing extends { createdAt: number | undefined }, Made extends Issued>(
  client: Client,
  { ifExists, create, find, renew, keep }: CreateSteps<Existing, Made>,
): Promise<Made & { created: boolean }> {
  const { answer, others } = await create();
  if (answer.body.kind === 'read') return { ...answer.body.value, created: true };
  const { lost } = answer;
  const refusal = client.refusal(answer, others);
  if (answer.status !== 409) throw refusal;
  const conflict = refusal.with({ code: 'conflict', hint: chooseAnother, warning: undefined });
  if (ifExists === 'refuse' || (ifExists === 'fail' && lost.length === 0)) throw conflict;
  const existing = await warnOnFailure(lost, find);
  if (!existing) throw withWarning(lost, conflict.with({ hint: outOfSight }));
  const maker = lost.length === 0 ? 'somebody else' : makerOf(client, existing, lost);
  const renewed = () => warnOnFailure(lost, () => renew(existing));
  if (maker === 'this run') return { ...(await renewed()), created: true };
  if (maker === 'unknown' && ifExists !== 'rotate') throw conflict.with({ warning: mayBeOurs, hint: rotateIt });
  if (ifExists === 'fail') throw conflict;
  return { ...(ifExists === 'rotate' ? await renewed() : keep(existing)), created: false };
}

const chooseAnother =
  'It already exists: set if-exists to skip to keep it, or to rotate to get a new secret or password for it.';
const outOfSight =
  'It already exists, but is not in the list that these credentials can see: it may belong to another tenant or scope, or it is being deleted.';
const mayBeOurs =
  "An earlier attempt of this run may have created it, and then its secret is lost; the server's timestamps cannot settle it.";
const rotateIt = 'If nobody else uses it, run this again with if-exists: rotate to get a secret that works.';

/** The warning if a create fails after an attempt whose answer was lost. */
export const mayExist =
  'An attempt may have created it anyway: run this again with if-exists: rotate to get a secret that works.';

/** The same for an application with a name that no other run uses. */
export const mayBeLeftBehind =
  'An attempt may have created the application anyway; that does no harm, since nobody uses it.';

/** The warning if a reset fails after an attempt whose answer was lost. */
export const mayBeReset =
  'An attempt may have issued a new secret anyway; if so, the old one no longer works: run this again to get one that works.';

/** How closely the server's clock has to be known, in milliseconds: its times and its `Date` are whole seconds. */
const CLOSE = 2_000;

/**
 * Who created the object. It counts as this run's own if it was created while one of the lost attempts could have
 * created it. Unknown if the server gives no time, or one after the last attempt began, which a late attempt could have
 * caused; or if the server answers so slowly that its clock is not known closely enough.
 */
function makerOf(
  client: Client,
  { createdAt }: { createdAt: number | undefined },
  lost: LostAttempt[],
): 'this run' | 'somebody else' | 'unknown' {
  if (createdAt === undefined) return 'unknown';
  // A time without a fraction may have been truncated to the second.
  const atLatest = createdAt % 1000 === 0 ? createdAt + 999 : createdAt;
  const spans = lost.map(({ from, to }) => [client.serverTime(from), client.serverTime(to)] as const);
  const fits = spans.filter(([begin, end]) => begin && end && atLatest >= begin.earliest && createdAt <= end.latest);
  const isClose = fits.some(([begin, end]) => {
    if (!begin || !end) return false;
    return begin.latest - begin.earliest <= CLOSE || (createdAt >= begin.latest && atLatest <= end.earliest);
  });
  if (isClose) return 'this run';
  const first = spans[0]?.[0];
  const ends = spans.map(([, end]) => end?.latest ?? Number.POSITIVE_INFINITY);
  const isLate = lost.some(({ late }) => late) && atLatest > Math.max(...ends);
  const now = client.serverTime(client.now());
  const inTheFuture = now !== undefined && createdAt > now.latest;
  return fits.length > 0 || first === undefined || isLate || inTheFuture ? 'unknown' : 'somebody else';
}

async function warnOnFailure<T>(lost: LostAttempt[], work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof RunaiError ? withWarning(lost, error) : error;
  }
}

function withWarning(lost: LostAttempt[], error: RunaiError): RunaiError {
  return lost.length > 0 ? error.warn(mayExist) : error;
}
