import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { claimsOf, expiryOf } from '../../src/runai/tokens.ts';

const jwt = (claims: unknown) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;

describe('the expiry of a token', () => {
  it.each<[string, string, number | undefined]>([
    ['is its exp claim', jwt({ exp: 1_767_225_600, name: 'Jürgen 👩‍🚀' }), 1_767_225_600_000],
    ['is cut to the second', jwt({ exp: 1_767_225_600.7 }), 1_767_225_600_000],
    ['is unknown without the claim', jwt({ iat: 1 }), undefined],
    ['is unknown with a claim of another type', jwt({ exp: '1767225600' }), undefined],
    ['is unknown with a claim before time began', jwt({ exp: -1 }), undefined],
    ['is unknown with a claim past all dates', jwt({ exp: 1e300 }), undefined],
    ['is unknown with claims that are no object', jwt(null), undefined],
    ['is unknown for what is no JWT', 'opaque', undefined],
    ['is unknown for an empty text', '', undefined],
  ])('%s', (_name, token, expected) => {
    expect(expiryOf(token)).toBe(expected);
  });

  it('is never the cause of an exception', () => {
    const claims = fc.oneof(
      fc.string(),
      fc.json().map((json) => Buffer.from(json).toString('base64url')),
    );
    fc.assert(
      fc.property(claims, (text) => {
        expect(() => expiryOf(`e30.${text}.c2ln`)).not.toThrow();
      }),
    );
  });
});

it('the claims of a token are those in its middle part, or none', () => {
  expect(claimsOf(jwt({ iss: 'github', aud: 'runai' }))).toEqual({ iss: 'github', aud: 'runai' });
  for (const odd of ['', 'a.b', 'a.%.c', jwt(7), jwt(null)]) expect(claimsOf(odd)).toEqual({});
});
