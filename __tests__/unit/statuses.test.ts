import { describe, expect, it } from 'vitest';
import { meaningOf } from '../../src/runai/statuses.ts';

describe('the permission that a 403 names', () => {
  it.each([
    ['POST', '/api/v1/apps', 'create on apps'],
    ['GET', '/api/v1/apps', 'read on apps'],
    ['POST', '/api/v1/apps/4-2/secret', 'update on apps'],
    ['DELETE', '/api/v1/apps/4-2', 'delete on apps'],
    ['POST', '/api/v1/service-accounts', 'create on service-account'],
    ['POST', '/api/v1/service-accounts/4-2/secret', 'update on service-account'],
    ['POST', '/api/v1/users', 'create on users'],
    ['GET', '/api/v1/users?filterBy=username%3D%3Dx&limit=500&offset=0', 'read on users'],
    ['POST', '/api/v1/users/7/password', 'update on users'],
    ['GET', '/api/v1/authorization/access-rules?subjectIds=x', 'read on access_rules'],
    ['POST', '/api/v1/authorization/access-rules', 'create on access_rules'],
    ['GET', '/api/v2/authorization/roles?limit=500&offset=0', 'read on roles'],
  ])('%s %s: %s', (method, path, permission) => {
    expect(meaningOf(403, { method, path }).hint).toContain(`a role that allows ${permission},`);
  });
});
