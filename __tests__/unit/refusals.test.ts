import { describe, expect, it } from 'vitest';
import type { Answer, Body } from '../../src/http/exchange.ts';
import { isBlocked, refusalOf } from '../../src/runai/refusals.ts';

const base = 'https://acme.run.ai/runai';

interface Given {
  method?: string;
  path?: string;
  status: number;
  body?: Body<unknown>;
}

function answer({ method = 'POST', path = '/api/v1/apps', status, body = { kind: 'empty' } }: Given): Answer<unknown> {
  const request = { method: method as 'POST', url: base + path };
  return { request, status, body, attempts: 1, lost: [], ifLost: undefined };
}

const setting = { caller: 'the application ci-runner', clean: (text: string) => text };

describe('a 403 names the permission as the roles in the UI name it, and who needs it', () => {
  it.each([
    ['POST', '/api/v1/apps', 'Create for Applications'],
    ['GET', '/api/v1/apps', 'View for Applications'],
    ['POST', '/api/v1/apps/4-2/secret', 'Edit for Applications'],
    ['DELETE', '/api/v1/apps/4-2', 'Delete for Applications'],
    ['POST', '/api/v1/service-accounts', 'Create for Service accounts'],
    ['POST', '/api/v1/service-accounts/4-2/secret', 'Edit for Service accounts'],
    ['POST', '/api/v1/users', 'Create for Users'],
    ['GET', '/api/v1/users?filterBy=username%3D%3Dapps&limit=500&offset=0', 'View for Users'],
    ['POST', '/api/v1/users/7/password', 'Edit for Users'],
    ['GET', '/api/v1/authorization/access-rules?subjectIds=x', 'View for Access rules'],
    ['POST', '/api/v1/authorization/access-rules', 'Create for Access rules'],
    ['GET', '/api/v2/authorization/roles?limit=500&offset=0', 'View for Roles'],
    ['GET', '/api/v1/org-unit/projects?limit=500', 'View for Projects'],
    ['GET', '/api/v1/org-unit/departments?limit=500', 'View for Departments'],
    ['GET', '/api/v1/clusters?verbosity=metadata', 'View for Clusters'],
  ])('%s %s: %s', (method, path, permission) => {
    const error = refusalOf(answer({ method, path, status: 403 }), setting);
    expect(error.code).toBe('forbidden');
    expect(error.hint).toContain(`the application ci-runner needs a role with the permission ${permission}.`);
    expect(error.hint).toContain('A new application has no permissions until an access rule gives it a role.');
  });
});

describe('what a refusal means', () => {
  const json = { kind: 'json' as const, json: { message: 'No', details: 'because' } };

  it.each([
    [400, 'rejected', "check the control plane's logs"],
    [401, 'token-rejected', 'it has expired, was revoked, or belongs to another control plane'],
    [409, 'rejected', 'did not accept the request'],
    [422, 'rejected', 'did not accept the request'],
  ])('%i', (status, code, hint) => {
    const error = refusalOf(answer({ status, body: json }), setting);
    expect(error.code).toBe(code);
    expect(error.describe()).toContain(`POST ${base}/api/v1/apps answered ${status}: "No; because" (1 attempt).`);
    expect(error.hint).toContain(hint);
  });

  it.each([401, 403])('a page with %i comes from something in front: the credentials were not judged', (status) => {
    const page = answer({ status, body: { kind: 'page' } });
    expect(isBlocked(page)).toBe(true);
    expect(refusalOf(page, setting)).toMatchObject({
      code: 'blocked',
      hint: expect.stringContaining('The credentials were not checked, so there is no need to change them.'),
    });
    expect(isBlocked(answer({ status, body: json }))).toBe(false);
  });

  it('a page with another status is no firewall', () => {
    expect(isBlocked(answer({ status: 404, body: { kind: 'page' } }))).toBe(false);
  });

  it('of both generations of an endpoint names both', () => {
    const newer = answer({ path: '/api/v1/service-accounts', status: 403 });
    expect(refusalOf(answer({ status: 403 }), setting, [newer]).describe()).toContain(
      `POST ${base}/api/v1/apps answered 403; /runai/api/v1/service-accounts answered 403 as well (1 attempt).`,
    );
  });
});
