import { randomBytes } from 'node:crypto';
import sodium from 'libsodium-wrappers';
import { beforeAll, describe, expect, it } from 'vitest';
import { seal } from '../../src/github/sealed-box.ts';

beforeAll(() => sodium.ready);

function newKeys() {
  const { publicKey, privateKey } = sodium.crypto_box_keypair();
  return { publicKey: Buffer.from(publicKey), privateKey };
}

type Keys = ReturnType<typeof newKeys>;

function open(sealed: string, { publicKey, privateKey }: Keys): string {
  const opened = sodium.crypto_box_seal_open(Buffer.from(sealed, 'base64'), publicKey, privateKey);
  return Buffer.from(opened).toString('utf8');
}

describe('a sealed box', () => {
  it('is opened by libsodium: 200 random texts of different lengths, each for a new key', () => {
    for (let count = 0; count < 200; count++) {
      const keys = newKeys();
      const text = randomBytes(count * 3).toString('base64');
      expect(open(seal(text, keys.publicKey), keys)).toBe(text);
    }
  });

  it.each([
    ['nothing', ''],
    ['one character', 'x'],
    ['as much as GitHub stores', 'x'.repeat(48 * 1024)],
    ['letters beyond ASCII', 'Grüße an die 👩‍🚀\n'],
  ])('may hold %s', (_what, text) => {
    const keys = newKeys();
    expect(open(seal(text, keys.publicKey), keys)).toBe(text);
  });

  it('has the length that libsodium says, and differs each time', () => {
    const { publicKey } = newKeys();
    const [first, second] = [seal('same', publicKey), seal('same', publicKey)];
    expect(Buffer.from(first, 'base64')).toHaveLength(4 + sodium.crypto_box_SEALBYTES);
    expect(first).not.toBe(second);
  });

  it('is opened by nobody else, and not after a bit has changed', () => {
    const keys = newKeys();
    const sealed = seal('for one reader', keys.publicKey);
    expect(() => open(sealed, newKeys())).toThrow();
    const bytes = Buffer.from(sealed, 'base64');
    bytes[40]! ^= 1;
    expect(() => open(bytes.toString('base64'), keys)).toThrow();
  });
});
