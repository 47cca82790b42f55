import type { KeyObject } from 'node:crypto';
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

/** PEM, as `node:tls` takes it. */
export interface Certificate {
  cert: string;
  key: string;
}

export interface Authority extends Certificate {
  issue(options: { hosts: string[] }): Certificate;
}

/** A DER element: X.509 is made of nothing else, and Node can read certificates but not make them. */
function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const size: number[] = [];
  for (let rest = content.length; rest > 0; rest >>= 8) size.unshift(rest & 0xff);
  const length = content.length < 0x80 ? [content.length] : [0x80 | size.length, ...size];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

const sequence = (...parts: Buffer[]) => der(0x30, ...parts);
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
const octets = (content: Buffer) => der(0x04, content);
const yes = der(0x01, Buffer.from([0xff]));
const bits = (content: Buffer) => der(0x03, Buffer.from([0]), content);

const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));
const commonName = oid('550403');
const basicConstraints = oid('551d13');
const keyUsage = oid('551d0f');
const subjectAltName = oid('551d11');

function named(name: string): Buffer {
  return sequence(der(0x31, sequence(commonName, der(0x0c, Buffer.from(name)))));
}

function validity(): Buffer {
  // Wide enough for any clock that a test pretends to have; years from 2050 on need the other kind of time.
  return sequence(der(0x17, Buffer.from('200101000000Z')), der(0x18, Buffer.from('20991231235959Z')));
}

function extensionsOf({ authority, hosts }: { authority: boolean; hosts: string[] }): Buffer {
  const isIp = (host: string) => /^\d+\.\d+\.\d+\.\d+$/.test(host);
  const names = hosts.map((host) =>
    isIp(host) ? der(0x87, Buffer.from(host.split('.').map(Number))) : der(0x82, Buffer.from(host)),
  );
  const list = authority
    ? [
        sequence(basicConstraints, yes, octets(sequence(yes))),
        sequence(keyUsage, yes, octets(der(0x03, Buffer.from([1, 0x06])))),
      ]
    : [sequence(subjectAltName, octets(sequence(...names)))];
  return der(0xa3, sequence(...list));
}

interface Wanted {
  subject: string;
  issuer: string;
  signer: KeyObject;
  publicKey: KeyObject;
  extensions: Buffer;
}

function certificate({ subject, issuer, signer, publicKey, extensions }: Wanted): string {
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(15)]);
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    ecdsaWithSha256,
    named(issuer),
    validity(),
    named(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    extensions,
  );
  const whole = sequence(body, ecdsaWithSha256, bits(sign('sha256', body, signer)));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

function pem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** A private certificate authority, new each time. */
export function createAuthority(name = 'Simulator authority'): Authority {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const from = { issuer: name, signer: own.privateKey };
  const extensions = extensionsOf({ authority: true, hosts: [] });
  return {
    cert: certificate({ ...from, subject: name, publicKey: own.publicKey, extensions }),
    key: pem(own.privateKey),
    issue({ hosts }) {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const wanted = { subject: hosts[0] ?? 'localhost', publicKey: pair.publicKey };
      const cert = certificate({ ...from, ...wanted, extensions: extensionsOf({ authority: false, hosts }) });
      return { cert, key: pem(pair.privateKey) };
    },
  };
}
