import { createHash } from 'node:crypto';
import type { Span } from '../http/clock.ts';
import type { Application } from './applications.ts';

/**
 * The applications that take turns in a rotation without downtime. All that is known of them is read from the control
 * plane and from the stored secret, so every run works out anew where things stand. All times are of our own clock, as
 * spans: a server's clock is known only to the second.
 */
export interface Family {
  /** The beginning of all names. */
  name: string;
  /** Tells this family from that of another stored secret. */
  tag: string;
}

export interface Member {
  application: Application;
  /** Undefined where the control plane does not say. */
  createdAt: Span | undefined;
  /** Undefined where the control plane does not say. */
  lastLogin: Span | 'never' | undefined;
}

export interface Situation {
  members: Member[];
  /** When the stored secret was last written; undefined where there is none. */
  storedAt: Span | undefined;
  now: number;
  /** Milliseconds. */
  overlap: number;
  /** Milliseconds. */
  rotateAfter: number | undefined;
  /** Whether both servers told their time, and every member could be read. Without that, nothing is retired. */
  isCertain: boolean;
}

/** What is to be done with one member, and why. */
export interface Standing {
  member: Member;
  role: 'in use' | 'previous' | 'left behind';
  retire: boolean;
  /** Why a previous member is kept. */
  reason?: string;
}

export interface Assessment {
  inUse: Member | undefined;
  isDue: boolean;
  /** The one whose access rules the next one gets, where nothing else is asked for. */
  example: Member | undefined;
  /** The newest first. */
  standings: Standing[];
}

/** The first six digits of the SHA-256 of what identifies the stored secret. */
export function tagOf(identity: string): string {
  return createHash('sha256').update(identity, 'utf8').digest('hex').slice(0, 6);
}

/** `<name>-<tag>-<YYYYMMDD>-<HHMMSS>`, in UTC. */
export function memberName({ name, tag }: Family, now: number): string {
  const [date, time] = new Date(now).toISOString().slice(0, 19).replace(/[-:]/g, '').split('T');
  return `${name}-${tag}-${date}-${time}`;
}

export function isMember({ name, tag }: Family, application: { name: unknown }): boolean {
  const beginning = `${name}-${tag}-`;
  const whole = application.name;
  if (typeof whole !== 'string' || !whole.startsWith(beginning)) return false;
  return /^\d{8}-\d{6}$/.test(whole.slice(beginning.length));
}

/** Works out which member is in use, whether the next one is due, and which can go. */
export function assess({ members, storedAt, now, overlap, rotateAfter, isCertain }: Situation): Assessment {
  const newestFirst = members.toSorted((a, b) => ageOf(a) - ageOf(b));
  // Where the two times are closer than the clocks are known, the member counts as in use.
  const inUse = newestFirst.find(({ createdAt }) => storedAt && createdAt && createdAt.earliest <= storedAt.latest);
  const age = storedAt && now - storedAt.latest;
  const isDue = !inUse || age === undefined || (age >= overlap && age >= (rotateAfter ?? 0));
  const standings = newestFirst.map((member): Standing => {
    if (member === inUse) return { member, role: 'in use', retire: false };
    if (!inUse || !isOlder(member, inUse)) return { member, role: 'left behind', retire: false };
    const reason = reasonToKeep({ member, inUse, storedAt, now, overlap, isCertain });
    return { member, role: 'previous', retire: reason === undefined, ...(reason !== undefined && { reason }) };
  });
  return { inUse, isDue, example: exampleOf(newestFirst, inUse), standings };
}

/**
 * The newest member with all its access rules. One that a run has left behind may lack them, and may look like the one in
 * use; but none signs in before it has them all. (Where the control plane tells no `lastLogin`, it is the one in use.)
 */
function exampleOf(newestFirst: Member[], inUse: Member | undefined): Member | undefined {
  const candidates = inUse ? newestFirst.slice(newestFirst.indexOf(inUse)) : newestFirst;
  return candidates.find(({ lastLogin }) => typeof lastLogin === 'object') ?? candidates[0];
}

function ageOf({ createdAt }: Member): number {
  return createdAt ? -createdAt.earliest : Number.POSITIVE_INFINITY;
}

// The control plane's own times are compared as it gives them, so its clock does not matter.
function isOlder(member: Member, inUse: Member): boolean {
  const [time, reference] = [member.application.createdAt, inUse.application.createdAt];
  return time === undefined || (reference !== undefined && time < reference);
}

/** Why an older member must not be deleted yet; undefined where nothing can still use it. */
function reasonToKeep({
  member,
  inUse,
  storedAt,
  now,
  overlap,
  isCertain,
}: Omit<Situation, 'members' | 'rotateAfter'> & { member: Member; inUse: Member }): string | undefined {
  if (!isCertain || !storedAt) return 'it is not certain which one is in use';
  if (!member.createdAt) return 'the control plane does not say when it was made';
  if (now - storedAt.latest < overlap) return 'the stored secret was written too recently';
  // Before, a job may have signed in with what it read earlier, whatever is stored now.
  const isProven = typeof inUse.lastLogin === 'object' && inUse.lastLogin.earliest > storedAt.latest + overlap;
  if (!isProven) return 'nobody has signed in with the stored credentials since the overlap ended';
  if (!member.lastLogin) return 'the control plane does not say when it was last used';
  const isResting = member.lastLogin === 'never' || now - member.lastLogin.latest >= overlap;
  return isResting ? undefined : 'it has signed in too recently';
}
