import { serverText } from './answers.ts';
import type { ErrorCode } from './errors.ts';
import type { Body } from './exchange.ts';

/** `answered 409: "Resource with this name already exists"`: the status, and the server's own words. */
export function inItsOwnWords<T>(
  { status, body }: { status: number; body: Body<T> },
  clean: (text: string) => string,
): string {
  return `answered ${status}${body.kind === 'json' ? serverText(body.json, clean) : ''}`;
}

/** What a status means for a request with a bearer token, and what to do about it. */
export function meaningOf(status: number, call: { method: string; path: string }): { code: ErrorCode; hint: string } {
  switch (status) {
    case 401:
      return {
        code: 'token-rejected',
        hint: 'The access token was not accepted: it has expired, was revoked, or belongs to another control plane or tenant than url.',
      };
    case 403:
      return {
        code: 'forbidden',
        hint: `The credentials work, but lack a permission: whose they are needs a role that allows ${permissionFor(call)}, by an access rule for the scope in question.`,
      };
    default:
      return {
        code: 'rejected',
        hint: 'The control plane did not accept the request. Where it gives no reason, its administrator finds one in its log.',
      };
  }
}

const resources: [RegExp, string][] = [
  [/\/apps\b/, 'apps'],
  [/\/service-accounts\b/, 'service-account'],
  [/\/users\b/, 'users'],
  [/\/access-rules\b/, 'access_rules'],
  [/\/roles\b/, 'roles'],
];

/** The action and the resource type, as Run:ai's roles name them. */
function permissionFor({ method, path }: { method: string; path: string }): string {
  const resource = resources.find(([pattern]) => pattern.test(path))?.[1] ?? 'this';
  const resets = /\/(secret|password)$/.test(path);
  const action = { GET: 'read', DELETE: 'delete' }[method] ?? (resets ? 'update' : 'create');
  return `${action} on ${resource}`;
}
