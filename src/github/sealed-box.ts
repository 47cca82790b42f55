import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { hsalsa, xsalsa20poly1305 } from '@noble/ciphers/salsa.js';
import { blake2b } from '@noble/hashes/blake2.js';
import { RunaiError } from '../errors.ts';

/** "expand 32-byte k", the constant of Salsa20. */
const SIGMA = new Uint32Array([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]);

/**
 * Seals a text so that only the holder of a key can read it: libsodium's `crypto_box_seal`, as GitHub requires.
 * @param publicKey the 32 bytes of an X25519 key
 * @returns this message's public key followed by the box, in base64
 */
export function seal(text: string, publicKey: Buffer): string {
  const { publicKey: ours, privateKey } = generateKeyPairSync('x25519');
  const ephemeral = Buffer.from(ours.export({ format: 'jwk' }).x as string, 'base64url');
  const theirs = createPublicKey({
    format: 'jwk',
    key: { kty: 'OKP', crv: 'X25519', x: publicKey.toString('base64url') },
  });
  const shared = sharedSecret(privateKey, theirs);
  const nonce = blake2b(Buffer.concat([ephemeral, publicKey]), { dkLen: 24 });
  const box = xsalsa20poly1305(keyOf(shared), nonce).encrypt(Buffer.from(text, 'utf8'));
  return Buffer.concat([ephemeral, box]).toString('base64');
}

function sharedSecret(privateKey: KeyObject, publicKey: KeyObject): Buffer {
  try {
    return diffieHellman({ privateKey, publicKey });
  } catch (cause) {
    // Some keys cannot be used for sealing, such as one of zeros.
    throw new RunaiError('unreadable', 'GitHub sent a key that cannot be used for sealing', { cause });
  }
}

/** The key of a box: HSalsa20 of the shared secret, with an input of zeros. */
function keyOf(shared: Buffer): Uint8Array {
  const key = new Uint32Array(8);
  hsalsa(SIGMA, new Uint32Array(new Uint8Array(shared).buffer), new Uint32Array(4), key);
  return new Uint8Array(key.buffer);
}
