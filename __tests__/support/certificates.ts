import 'reflect-metadata';
import { KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import {
  BasicConstraintsExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** PEM, as `node:tls` takes it. */
export interface Certificate {
  cert: string;
  key: string;
}

export interface Wanted {
  hosts: string[];
  notBefore?: Date;
  notAfter?: Date;
}

export interface Authority extends Certificate {
  issue(wanted: Wanted): Promise<Certificate>;
  /** An intermediate authority; a server sends its `cert` after the certificate that it issued. */
  issueAuthority(name: string): Promise<Authority>;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
// Wide enough for any clock that a test pretends to have.
const always = { notBefore: new Date('2020-01-01'), notAfter: new Date('2099-12-31') };

type Pair = Awaited<ReturnType<typeof newPair>>;

interface Issuer {
  name: string;
  pair: Pair;
}

function newPair() {
  return crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

function pem({ privateKey }: Pair): string {
  return KeyObject.from(privateKey).export({ type: 'pkcs8', format: 'pem' }).toString();
}

async function certify(
  { name, pair }: Issuer,
  { subject, ...rest }: { subject: Issuer; extensions: Extension[] } & Partial<Wanted>,
): Promise<Certificate> {
  const { extensions, notBefore = always.notBefore, notAfter = always.notAfter } = rest;
  const certificate = await X509CertificateGenerator.create({
    subject: [{ CN: [subject.name] }],
    issuer: [{ CN: [name] }],
    publicKey: subject.pair.publicKey,
    signingKey: pair.privateKey,
    signingAlgorithm: algorithm,
    notBefore,
    notAfter,
    extensions,
  });
  return { cert: `${certificate.toString('pem')}\n`, key: pem(subject.pair) };
}

async function authorityOf(issuer: Issuer | undefined, name: string): Promise<Authority> {
  const own = { name, pair: await newPair() };
  const extensions = [
    new BasicConstraintsExtension(true, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
  ];
  return {
    ...(await certify(issuer ?? own, { subject: own, extensions })),
    issue: (wanted) => issue(own, wanted),
    issueAuthority: (below) => authorityOf(own, below),
  };
}

async function issue(issuer: Issuer | undefined, { hosts, ...validity }: Wanted): Promise<Certificate> {
  const subject = { name: hosts[0] ?? 'localhost', pair: await newPair() };
  const names = hosts.map((host) => ({ type: isIP(host) ? ('ip' as const) : ('dns' as const), value: host }));
  const extensions = [new SubjectAlternativeNameExtension(names)];
  return certify(issuer ?? subject, { subject, extensions, ...validity });
}

/** A private certificate authority, new each time. */
export function createAuthority(name = 'Test authority'): Promise<Authority> {
  return authorityOf(undefined, name);
}

/** A server's certificate that nobody but itself vouches for. */
export function selfSigned(wanted: Wanted): Promise<Certificate> {
  return issue(undefined, wanted);
}
