import { createHash } from 'node:crypto';
import type { Span } from '../http/clock.ts';
import type { Application } from './applications.ts';

/**
 * The applications that take turns in a rotation without downtime. Everything known about them is read from the control
 * plane and from the stored secret, so every run works out the current state from scratch. All times are by our own
 * clock, as spans: a server's clock is known only to the second.
 */
export interface Family {
  /** The prefix of all names. */
  name: string;
  /** Distinguishes this family from that of another stored secret. */
  tag: string;
}

export interface Member {
  application: Application;
  /** Undefined if the control plane does not say. */
  createdAt: Span | undefined;
  /** Undefined if the control plane does not say. */
  lastLogin: Span | 'never' | undefined;
}

export interface Situation {
  members: Member[];
  /** When the stored secret was last written; undefined if there is none. */
  storedAt: Span | undefined;
  now: number;
  /** Milliseconds. */
  overlap: number;
  /** Milliseconds. */
  rotateAfter: number | undefined;
  /** Whether both servers sent their time, and every member could be read. Otherwise, nothing is retired. */
  isCertain: boolean;
  /** The client id of the application that this run signs in with, if it is one. */
  signedInAs?: string | undefined;
}

/** What to do with one member, and why. */
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
  /** The member whose access rules the next one gets, unless the inputs ask for others. */
  example: Member | undefined;
  /** Newest first. */
  standings: Standing[];
}

/** The first six digits of the SHA-256 of the text that identifies the stored secret. */
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

/** Works out which member is in use, whether the next one is due, and which ones can be deleted. */
export function assess(situation: Situation): Assessment {
  const { members, storedAt, now, overlap, rotateAfter } = situation;
  const newestFirst = members.toSorted((a, b) => ageOf(a) - ageOf(b));
  // If the two times are too close to tell apart, the member counts as in use.
  const inUse = newestFirst.find(({ createdAt }) => storedAt && createdAt && createdAt.earliest <= storedAt.latest);
  const age = storedAt && now - storedAt.latest;
  const isDue = !inUse || age === undefined || (age >= overlap && age >= (rotateAfter ?? 0));
  const standings = newestFirst.map((member): Standing => {
    if (member === inUse) return { member, role: 'in use', retire: false };
    if (!inUse || !isOlder(member, inUse)) return { member, role: 'left behind', retire: false };
    const reason = reasonToKeep({ ...situation, member, inUse });
    return { member, role: 'previous', retire: reason === undefined, ...(reason !== undefined && { reason }) };
  });
  return { inUse, isDue, example: exampleOf(newestFirst, inUse), standings };
}

/**
 * The newest member with all its access rules. A member left behind by an interrupted run may lack them, and may look
 * like the one in use; but no member signs in before it has them all. (If the control plane sends no `lastLogin`, it is
 * the one in use.)
 */
function exampleOf(newestFirst: Member[], inUse: Member | undefined): Member | undefined {
  const candidates = inUse ? newestFirst.slice(newestFirst.indexOf(inUse)) : newestFirst;
  return candidates.find(({ lastLogin }) => typeof lastLogin === 'object') ?? candidates[0];
}

function ageOf({ createdAt }: Member): number {
  return createdAt ? -createdAt.earliest : Number.POSITIVE_INFINITY;
}

// Both times are the control plane's own, so its clock does not matter.
function isOlder(member: Member, inUse: Member): boolean {
  const [time, reference] = [member.application.createdAt, inUse.application.createdAt];
  return time === undefined || (reference !== undefined && time < reference);
}

/** Why an older member must not be deleted yet; undefined if nothing can still be using it. */
function reasonToKeep({
  member,
  inUse,
  storedAt,
  now,
  overlap,
  isCertain,
  signedInAs,
}: Omit<Situation, 'members' | 'rotateAfter'> & { member: Member; inUse: Member }): string | undefined {
  if (!isCertain || !storedAt) return 'it is not certain which one is in use';
  if (!member.createdAt) return 'the control plane does not say when it was created';
  if (member.application.clientId === signedInAs) return 'this step signs in with it';
  if (now - storedAt.latest < overlap) return 'the stored secret was written too recently';
  // Before that, a job may have signed in with credentials that it read earlier, whatever is stored now.
  const isProven = typeof inUse.lastLogin === 'object' && inUse.lastLogin.earliest > storedAt.latest + overlap;
  if (!isProven) return 'nobody has signed in with the stored credentials since the overlap ended';
  if (!member.lastLogin) return 'the control plane does not say when it was last used';
  const isResting = member.lastLogin === 'never' || now - member.lastLogin.latest >= overlap;
  return isResting ? undefined : 'it has signed in too recently';
}
