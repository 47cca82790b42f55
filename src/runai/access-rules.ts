import { RunaiError } from '../errors.ts';
import { foldCase } from '../names.ts';
import { type AccessRule, type Role, readAccessRule, readAccessRules, readRoles } from './answers.ts';
import type { Client } from './client.ts';
import { nearest } from './nearest.ts';
import { collect, pages } from './pages.ts';
import type { Scope } from './scope-types.ts';
import { findScope } from './scopes.ts';

/** The role to grant and its scope, as written in the workflow. */
export interface WantedRule extends Scope {
  /** A role's name, in any case, or its id. */
  role: string;
}

/** A rule whose role and scope were looked up. */
export interface Permission extends Scope {
  roleId: number;
  /** As written in the workflow, for messages. */
  text: string;
}

/** Who gets the access: the email address of a user, or the client id of an application. */
export interface Subject {
  id: string;
  type: 'user' | 'app' | 'service-account';
}

/** `app` up to 2.24, where it is deprecated but still accepted; `service-account` after that. */
export function subjectTypeOf(application: { endpoint: string }): Subject['type'] {
  return application.endpoint.endsWith('/service-accounts') ? 'service-account' : 'app';
}

const PAGE = 500;

/**
 * Looks up all roles and scopes, before anything that the rules are for is created.
 * @throws RunaiError `access-rule` for a role or a scope that does not exist
 */
export async function lookUpRules(client: Client, wanted: WantedRule[]): Promise<Permission[]> {
  const isNamed = wanted.some(({ role }) => !isRoleId(role));
  const roles = isNamed ? await rolesFor(client) : [];
  const permissions: Permission[] = [];
  for (const rule of wanted) {
    const text = client.clean(`${rule.role} @ ${rule.scopeType}:${rule.scopeId}`);
    try {
      const roleId = isRoleId(rule.role) ? Number(rule.role) : roleNamed(client, rule.role, roles).id;
      permissions.push({ roleId, ...(await findScope(client, rule)), text });
    } catch (error) {
      throw inContext(error, `access rule "${text}" cannot be created: `, {
        isRule: true,
        after: 'Nothing was created.',
      });
    }
  }
  return permissions;
}

function rolesFor(client: Client): Promise<Role[]> {
  return listRoles(client).catch((error) => {
    throw inContext(error, 'the roles for access-rules cannot be read: ', {
      isRule: false,
      after: 'Nothing was created.',
    });
  });
}

function isRoleId(role: string): boolean {
  return /^\d{1,10}$/.test(role);
}

function roleNamed(client: Client, wanted: string, roles: Role[]): Role {
  const alike = roles.filter(({ name }) => foldCase(name) === foldCase(wanted));
  const exact = alike.filter(({ name }) => name === wanted);
  const [found, ...others] = exact.length > 0 ? exact : alike;
  if (found && others.length === 0) return found;
  if (found) {
    const ids = [found, ...others].map(({ id }) => id).join(', ');
    const hint = `Use the id of the one you mean: ${ids}.`;
    throw new RunaiError('access-rule', `several roles are named ${client.clean(wanted)}`, { hint });
  }
  const names = roles.map(({ name }) => name);
  throw new RunaiError('access-rule', `no role is named ${client.clean(wanted)}`, {
    hint: `Check the name of the role.${nearest(wanted, names, client.clean)}`,
  });
}

const doneBefore = 'Everything before this was done and published, so what was created exists.';

/**
 * Creates the missing access rules, and leaves all others alone. Returns how many it created.
 * @throws RunaiError that says which rule could not be created, and why
 */
export async function grantAccess(client: Client, subject: Subject, permissions: Permission[]): Promise<number> {
  if (permissions.length === 0) return 0;
  const { rules: existing } = await rulesOf(client, subject).catch((error) => {
    throw inContext(error, 'the access rules cannot be read: ', { isRule: false, after: doneBefore });
  });
  let made = 0;
  for (const { text, ...permission } of permissions) {
    const rule = { subjectId: subject.id, subjectType: subject.type, ...permission };
    if (includes(existing, rule)) continue;
    try {
      made += (await makeRule(client, subject, rule)) ? 1 : 0;
    } catch (error) {
      throw inContext(error, `access rule "${text}" could not be created: `, { isRule: true, after: doneBefore });
    }
    // Another line may mean the same rule: by the role's name in another case, or by its id.
    existing.push(rule);
  }
  return made;
}

/**
 * Whether this run created the rule. A conflict means that it exists, and an answer about another rule that it may: the
 * list tells.
 */
async function makeRule(client: Client, subject: Subject, rule: AccessRule): Promise<boolean> {
  const { answer, others } = await client.find('accessRules', (path) => ({
    method: 'POST',
    path,
    json: rule,
    read: readAccessRule,
    // No conflict is documented for a second rule with the same content, so after a lost answer the list decides.
    lookAgain: async () => ((await includesRule(client, subject, rule)) ? rule : undefined),
  }));
  const isMade = answer.body.kind === 'read';
  if (!isMade && answer.status !== 409) throw client.refusal(answer, others);
  const isSure =
    answer.body.kind === 'read' &&
    includes([answer.body.value], rule) &&
    answer.body.value.subjectId === rule.subjectId;
  if (isSure || (await includesRule(client, subject, rule))) return isMade;
  throw client.refusal(answer, others).with({ code: 'access-rule', hint: 'The control plane does not list the rule.' });
}

async function includesRule(client: Client, subject: Subject, rule: AccessRule): Promise<boolean> {
  return includes((await rulesOf(client, subject)).rules, rule);
}

/**
 * All rules of a subject; the server's filter is checked again here. Also how many rules, of any subject, cannot be
 * read.
 */
export async function rulesOf(client: Client, subject: Subject): Promise<{ rules: AccessRule[]; odd: number }> {
  const isUser = subject.type === 'user';
  // Addresses are the same in any case, client ids are not.
  const same = (id: string) => (isUser ? foldCase(id) === foldCase(subject.id) : id === subject.id);
  // A group may have the same name.
  const types = isUser ? ['user'] : ['app', 'service-account'];
  const isTheirs = (rule: AccessRule) => same(rule.subjectId) && types.includes(rule.subjectType);
  let odd = 0;
  const list = pages(async (offset) => {
    const query = `?subjectIds=${encodeURIComponent(subject.id)}&limit=${PAGE}&offset=${offset}`;
    const { value } = await client.ask('accessRules', (path) => ({
      method: 'GET',
      path: path + query,
      read: readAccessRules,
    }));
    odd += value.odd.length;
    const end = offset + value.rows.length + value.odd.length;
    // An empty page before the end of the list hides the rest.
    if (end === offset && end < value.total) odd += value.total - end;
    return { ...value, next: end > offset && end < value.total ? end : undefined };
  });
  return { rules: await collect(list, isTheirs), odd };
}

function includes(rules: AccessRule[], wanted: AccessRule): boolean {
  return rules.some(
    ({ roleId, scopeType, scopeId }) =>
      roleId === wanted.roleId && scopeType === wanted.scopeType && scopeId === wanted.scopeId,
  );
}

function listRoles(client: Client): Promise<Role[]> {
  return collect(
    pages(async (offset) => {
      const { value } = await client.ask('roles', (path) => ({
        method: 'GET',
        // The first generation has no pages.
        path: path.startsWith('/api/v1/') ? path : `${path}?limit=${PAGE}&offset=${offset}`,
        read: readRoles,
      }));
      return value;
    }),
  );
}

/** Adds to an error what it is about. A rule itself is at fault only if the server refuses its content. */
function inContext(error: unknown, before: string, { isRule, after }: { isRule: boolean; after: string }): unknown {
  if (!(error instanceof RunaiError)) return error;
  const isAtFault = isRule && error.code === 'rejected' && [400, 404, 422].includes(error.status ?? 0);
  const hint = isAtFault ? 'Check the role and the scope.' : (error.hint ?? '');
  const says = error.operation ? `${error.operation} ${error.message}` : error.message;
  return new RunaiError(isAtFault ? 'access-rule' : error.code, before + says, {
    status: error.status,
    attempts: error.attempts,
    warning: error.warning,
    cause: error,
    hint: `${hint} ${after}`.trim(),
  });
}
