import { type AccessRule, type Role, readAccessRule, readAccessRules, readRoles } from './answers.ts';
import type { Client } from './client.ts';
import { RunaiError } from './errors.ts';
import { LostAnswer, newEffort } from './http.ts';
import { foldCase } from './names.ts';
import { collect, pages } from './pages.ts';

export const scopeTypes = ['system', 'tenant', 'cluster', 'department', 'project'] as const;
export type ScopeType = (typeof scopeTypes)[number];

/** What a subject may do, and where. */
export interface WantedRule {
  /** A role's name, in any case, or its id. */
  role: string;
  scopeType: ScopeType;
  scopeId: string;
}

/** Who gets the access: the email address of a user, or the client id of an application. */
export interface Subject {
  id: string;
  kind: 'user' | 'application';
}

const path = '/api/v1/authorization/access-rules';
const PAGE = 500;

/**
 * Makes the access rules that are missing, and leaves all others alone. Returns how many were made.
 * @throws RunaiError `access-rule`, which says which rule could not be made, and why
 */
export async function grantAccess(client: Client, subject: Subject, wanted: WantedRule[]): Promise<number> {
  const roles = new Roles(client);
  let existing: AccessRule[] | undefined;
  let made = 0;
  for (const { role, ...scope } of wanted) {
    try {
      const roleId = await roles.idOf(role);
      const rule = { subjectId: subject.id, subjectType: subjectType(client, subject), roleId, ...scope };
      existing ??= await rulesOf(client, subject);
      if (includes(existing, rule)) continue;
      await makeRule(client, { subject, rule });
      // Another line may mean the same rule: by the role's name in another case, or by its id.
      existing.push(rule);
      made += 1;
    } catch (error) {
      throw await ruleProblem(error, { rule: { role, ...scope }, roles, clean: client.clean });
    }
  }
  return made;
}

// No conflict is reported for a second rule of the same content, so after a lost answer the list has the say.
async function makeRule(client: Client, { subject, rule }: { subject: Subject; rule: AccessRule }): Promise<void> {
  const call = { method: 'POST' as const, path, json: rule, once: true, read: readAccessRule };
  const effort = newEffort();
  for (;;) {
    try {
      client.valueOf(await client.send(call, effort), call);
      return;
    } catch (error) {
      if (!(error instanceof LostAnswer)) throw error;
      if (includes(await rulesOf(client, subject), rule)) return;
    }
  }
}

// `app` up to 2.24, where it is deprecated and still taken; `service-account` from there on.
function subjectType(client: Client, { kind }: Subject): string {
  if (kind === 'user') return 'user';
  return client.generationOf('applications') === 'newer' ? 'service-account' : 'app';
}

/** All rules of a subject; the filter is checked again here. */
async function rulesOf(client: Client, subject: Subject): Promise<AccessRule[]> {
  const kinds = subject.kind === 'user' ? ['user'] : ['app', 'service-account'];
  const list = pages(async (offset) => {
    const query = `?subjectIds=${encodeURIComponent(subject.id)}&limit=${PAGE}&offset=${offset}`;
    const page = await client.call({ method: 'GET', path: path + query, read: readAccessRules });
    return { items: page.rules, last: offset + page.rules.length >= page.total };
  });
  const found = await collect(list);
  // Addresses are the same in any case, client ids are not.
  const same = (id: string) => (subject.kind === 'user' ? foldCase(id) === foldCase(subject.id) : id === subject.id);
  return found.filter((rule) => same(rule.subjectId) && kinds.includes(rule.subjectType));
}

function includes(rules: AccessRule[], wanted: AccessRule): boolean {
  return rules.some(
    ({ roleId, scopeType, scopeId }) =>
      roleId === wanted.roleId && scopeType === wanted.scopeType && scopeId === wanted.scopeId,
  );
}

/** How many roles an error names. */
const ROLES_SHOWN = 40;

/** The roles of the tenant, asked for when the first name needs them. */
class Roles {
  readonly #client: Client;
  #list: Promise<Role[]> | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  async idOf(role: string): Promise<number> {
    if (/^\d{1,15}$/.test(role)) return Number(role);
    const alike = (await this.all()).filter(({ name }) => foldCase(name) === foldCase(role));
    const found = alike.find(({ name }) => name === role) ?? alike[0];
    if (found && (alike.length === 1 || found.name === role)) return found.id;
    if (found) throw new RunaiError('access-rule', `there are several roles of the name ${this.#client.clean(role)}`);
    throw new RunaiError('access-rule', `there is no role of the name ${this.#client.clean(role)}`);
  }

  all(): Promise<Role[]> {
    this.#list ??= listRoles(this.#client);
    return this.#list;
  }

  /** A sentence with the names of all roles, as far as they can be had. */
  async names(): Promise<string> {
    const roles = await this.all().catch(() => []);
    if (roles.length === 0) return '';
    const more = roles.length > ROLES_SHOWN ? `, and ${roles.length - ROLES_SHOWN} more` : '';
    const names = roles.slice(0, ROLES_SHOWN).map(({ name }) => this.#client.clean(name));
    return ` Roles here: ${names.join(', ')}${more}.`;
  }
}

async function listRoles(client: Client): Promise<Role[]> {
  const call = { method: 'GET' as const, read: readRoles };
  const list = pages(async (offset) => {
    const answer = await client.onEndpoint('roles', ({ path: base, generation }) => {
      const query = generation === 'newer' ? `?limit=${PAGE}&offset=${offset}` : '';
      return { ...call, path: base + query };
    });
    const { roles, last } = client.valueOf(answer, { ...call, path: client.endpoint('roles') });
    return { items: roles, last };
  });
  return collect(list);
}

async function ruleProblem(
  error: unknown,
  { rule, roles, clean }: { rule: WantedRule; roles: Roles; clean: (text: string) => string },
): Promise<unknown> {
  if (!(error instanceof RunaiError)) return error;
  const name = `access rule "${clean(`${rule.role} @ ${rule.scopeType}:${rule.scopeId}`)}" could not be made: `;
  // Only the server's own refusal, or a name that is not in the list, is about the rule.
  const wrong =
    error.code === 'access-rule' || (error.code === 'rejected' && [400, 404, 422].includes(error.status ?? 0));
  const names = wrong ? await roles.names() : '';
  const hint = wrong ? `Check the role and the scope's id.${names}` : (error.hint ?? '');
  const says = error.operation ? `${error.operation} ${error.message}` : error.message;
  return new RunaiError('access-rule', name + says, {
    status: error.status,
    attempts: error.attempts,
    cause: error,
    hint: `${hint} Everything before this rule was done and published.`.trim(),
  });
}
