import { type ErrorCode, RunaiError } from '../errors.ts';
import type { Answer, Request } from '../http/exchange.ts';
import { operationOf, said } from '../http/problems.ts';

/** What an error message for a refusal needs besides the answer. */
export interface Setting {
  /** Who signed in, such as `the application ci-runner`. */
  caller: string;
  /** Makes a server's text safe to log. */
  clean: (text: string) => string;
}

/**
 * The error for an answer of the control plane that is not a success. All messages for refusals are in this file.
 * @param others the refusals of other generations of the same endpoint
 */
export function refusalOf<T>(answer: Answer<T>, { caller, clean }: Setting, others: Answer<T>[] = []): RunaiError {
  const { request, status, attempts, body, lost, ifLost } = answer;
  const warning = lost.length > 0 ? ifLost : undefined;
  const also = others.map((other) => `; ${new URL(other.request.url).pathname} answered ${other.status} as well`);
  const message = `answered ${status}${said(body, clean)}${also.join('')}`;
  const { code, hint } = meaningOf(answer, caller);
  return new RunaiError(code, message, { operation: operationOf(request, clean), status, attempts, warning, hint });
}

/** Whether something in front of the control plane has refused a request with its own page. */
export function isBlocked<T>({ status, body }: Answer<T>): boolean {
  return (status === 401 || status === 403) && body.kind === 'page';
}

function meaningOf<T>(answer: Answer<T>, caller: string): { code: ErrorCode; hint: string } {
  if (isBlocked(answer)) {
    return {
      code: 'blocked',
      hint: 'A web page came back, not a Run:ai API response: a firewall, a gateway or a login page in front of the control plane refused the request. The credentials were not checked, so there is no need to change them. Let this runner through, or check url.',
    };
  }
  switch (answer.status) {
    case 401:
      return {
        code: 'token-rejected',
        hint: 'The access token was not accepted: it has expired, was revoked, or belongs to another control plane or tenant than url.',
      };
    case 403:
      return {
        code: 'forbidden',
        hint: `The credentials work, but lack a permission: ${caller} needs a role with the permission ${permissionFor(answer.request)}.${caller.startsWith('the application') ? newcomers : ''}`,
      };
    default:
      return {
        code: 'rejected',
        hint: "The control plane did not accept the request. If no reason is shown, check the control plane's logs.",
      };
  }
}

const newcomers = ' A new application has no permissions until an access rule gives it a role.';

/** The paths of the API, and the names of their resources among the roles in Run:ai's UI. */
const resources: [RegExp, string][] = [
  [/\/apps\b/, 'Applications'],
  [/\/service-accounts\b/, 'Service accounts'],
  [/\/users\b/, 'Users'],
  [/\/access-rules\b/, 'Access rules'],
  [/\/roles\b/, 'Roles'],
  [/\/projects\b/, 'Projects'],
  [/\/departments\b/, 'Departments'],
  [/\/clusters\b/, 'Clusters'],
];

/** The permission as the roles in Run:ai's UI name it, such as `Create for Applications`. */
function permissionFor({ method, url }: Request): string {
  const { pathname } = new URL(url);
  const resource = resources.find(([pattern]) => pattern.test(pathname))?.[1] ?? 'this resource';
  const resets = /\/(secret|password)$/.test(pathname);
  const action = { GET: 'View', DELETE: 'Delete' }[method as string] ?? (resets ? 'Edit' : 'Create');
  return `${action} for ${resource}`;
}
