import { randomInt } from 'node:crypto';
import sodium from 'libsodium-wrappers';

/** `repository`, `environment:<name>` or `organization`: what the input `store-in` says. */
export type PlaceName = 'repository' | 'organization' | `environment:${string}`;

export type Visibility = 'all' | 'private' | 'selected';

export interface StoredSecret {
  place: PlaceName;
  /** In capitals. */
  name: string;
  value: string;
  /** ISO 8601 in whole seconds, by GitHub's clock. */
  createdAt: string;
  updatedAt: string;
  /** Only in an organization. */
  visibility?: Visibility;
  selectedRepositoryIds?: number[];
}

/** What a person changes; the rest stays. A secret that does not exist is created. */
export interface SecretChange {
  value?: string;
  /** When it was created or last written: ISO 8601, or milliseconds by GitHub's clock; now if omitted. */
  createdAt?: string | number;
  updatedAt?: string | number;
  visibility?: Visibility;
  selectedRepositoryIds?: number[];
}

/** What a request has stored, opened. */
export interface Write {
  place: PlaceName;
  name: string;
  value: string;
}

interface Place {
  keyId: string;
  keys: { publicKey: Uint8Array; privateKey: Uint8Array };
  /** Whoever reads the key next gets one that is outdated by the time it is used. */
  rotateAfterRead: boolean;
}

function newPlace(): Place {
  return { keyId: String(randomInt(1e9, 9e9)), keys: sodium.crypto_box_keypair(), rotateAfterRead: false };
}

/** GitHub's own limit on a secret. */
const mostBytes = 48 * 1024;

/** The names of environments differ by more than their case. */
const placeKey = (place: PlaceName) => place.toLowerCase() as PlaceName;

/** What GitHub stores: a key pair for each place, and the secrets that were sealed for it. */
export class GithubStore {
  readonly secrets: StoredSecret[] = [];
  /** Every value that was ever stored by a request, in order. */
  readonly writes: Write[] = [];
  readonly #places = new Map<PlaceName, Place>();
  readonly #now: () => number;
  readonly #onWrite: (write: Write) => void;

  constructor(now: () => number, onWrite: (write: Write) => void = () => {}) {
    this.#now = now;
    this.#onWrite = onWrite;
    this.addPlace('repository');
    this.addPlace('organization');
  }

  addPlace(place: PlaceName): void {
    if (!this.has(place)) this.#places.set(placeKey(place), newPlace());
  }

  removePlace(place: PlaceName): void {
    this.#places.delete(placeKey(place));
    for (const { name } of this.secrets.filter((secret) => secret.place === placeKey(place))) this.remove(place, name);
  }

  has(place: PlaceName): boolean {
    return this.#places.has(placeKey(place));
  }

  #at(place: PlaceName): Place {
    const found = this.#places.get(placeKey(place));
    if (!found) throw new Error(`There is no ${place}`);
    return found;
  }

  #moment(given: string | number = this.#now()): string {
    return new Date(given).toISOString().replace(/\.\d+Z$/, 'Z');
  }

  readKey(place: PlaceName): { key_id: string; key: string } {
    const { keyId, keys, rotateAfterRead } = this.#at(place);
    if (rotateAfterRead) this.rotateKey(place);
    return { key_id: keyId, key: Buffer.from(keys.publicKey).toString('base64') };
  }

  rotateKey(place: PlaceName): void {
    this.#at(place);
    this.#places.set(placeKey(place), newPlace());
  }

  rotateKeyAfterNextRead(place: PlaceName): void {
    this.#at(place).rotateAfterRead = true;
  }

  find(place: PlaceName, name: string): StoredSecret | undefined {
    return this.secrets.find((secret) => secret.place === placeKey(place) && secret.name === name.toUpperCase());
  }

  /** The text in a sealed value, or why it cannot be stored. */
  open(place: PlaceName, sealed: { encrypted: string; keyId: string }): { value: string } | { problem: string } {
    const { keyId, keys } = this.#at(place);
    if (sealed.keyId !== keyId) return { problem: 'The key is outdated: key_id is not that of the public key' };
    const bytes = Buffer.from(sealed.encrypted, 'base64');
    try {
      const opened = sodium.crypto_box_seal_open(bytes, keys.publicKey, keys.privateKey);
      if (opened.length > mostBytes) return { problem: 'The secret is larger than 48 KB' };
      return { value: Buffer.from(opened).toString('utf8') };
    } catch {
      return { problem: 'The value is not sealed for the public key' };
    }
  }

  /** Stores a value as a request does: omitted visibility and repositories are lost. */
  write(place: PlaceName, name: string, change: SecretChange & { value: string }): 'created' | 'updated' {
    const before = this.find(place, name);
    const createdAt = before?.createdAt ?? this.#moment();
    const secret = {
      ...change,
      place: placeKey(place),
      name: name.toUpperCase(),
      createdAt,
      updatedAt: this.#moment(),
    };
    if (before) this.secrets.splice(this.secrets.indexOf(before), 1, secret);
    else this.secrets.push(secret);
    const write = { place: secret.place, name: secret.name, value: secret.value };
    this.writes.push(write);
    this.#onWrite(write);
    return before ? 'updated' : 'created';
  }

  edit(place: PlaceName, name: string, change: SecretChange): StoredSecret {
    this.#at(place);
    const updatedAt = this.#moment(change.updatedAt ?? change.createdAt);
    const before = this.find(place, name) ?? {
      place: placeKey(place),
      name: name.toUpperCase(),
      value: 'written by a person',
      createdAt: updatedAt,
      ...(place === 'organization' ? { visibility: 'private' as const } : {}),
    };
    const createdAt = change.createdAt === undefined ? before.createdAt : this.#moment(change.createdAt);
    const secret: StoredSecret = { ...before, ...change, createdAt, updatedAt };
    this.remove(place, name);
    this.secrets.push(secret);
    return secret;
  }

  /** Whether there was one. */
  remove(place: PlaceName, name: string): boolean {
    const found = this.find(place, name);
    if (found) this.secrets.splice(this.secrets.indexOf(found), 1);
    return found !== undefined;
  }
}
