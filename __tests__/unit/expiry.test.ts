import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTokens } from '../../src/runai/answers.ts';
import { expiryOf } from '../../src/runai/tokens.ts';

const jwt = (claims: unknown) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;

describe('the expiry of a token', () => {
  it.each<[string, string, number | undefined]>([
    ['its exp claim', jwt({ exp: 1_767_225_600, name: 'Jürgen 👩‍🚀' }), 1_767_225_600_000],
    ['a fraction of a second is cut', jwt({ exp: 1_767_225_600.7 }), 1_767_225_600_000],
    ['no claim', jwt({ iat: 1 }), undefined],
    ['a claim of another type', jwt({ exp: '1767225600' }), undefined],
    ['a claim before time began', jwt({ exp: -1 }), undefined],
    ['a claim past all dates', jwt({ exp: 1e300 }), undefined],
    ['claims that are no object', jwt(null), undefined],
    ['no JWT', 'opaque', undefined],
    ['an empty text', '', undefined],
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

  it.each([
    ['the older field', { accessToken: 'a', expiresIn: 900 }, 900],
    ['the newer field', { access_token: 'a', expires_in: 900 }, 900],
    ['a text', { access_token: 'a', expires_in: '900' }, undefined],
    ['nothing', { access_token: 'a', expires_in: 0 }, undefined],
    ['less than nothing', { accessToken: 'a', expiresIn: -5 }, undefined],
    ['more than a lifetime', { accessToken: 'a', expiresIn: 1e300 }, undefined],
  ])('is taken from %s', (_name, answer, expected) => {
    expect(readTokens(answer).expiresIn).toBe(expected);
  });
});
