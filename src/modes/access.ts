import { grantAccess, type Subject, type WantedRule } from '../runai/access-rules.ts';
import type { Context } from './context.ts';

/** Makes the access rules that are missing, and says how many. */
export async function giveAccess(
  { client, log }: Context,
  { subject, rules }: { subject: Subject; rules: WantedRule[] },
): Promise<number> {
  const made = await grantAccess(client, subject, rules);
  if (made > 0) log.info(`Gave the ${subject.kind} ${made} access ${made === 1 ? 'rule' : 'rules'}`);
  return made;
}
