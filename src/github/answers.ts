import { integer, list, missing, object, text, time } from '../http/shapes.ts';

/** One small check for each shape of GitHub's answers. Each throws `unreadable` if a promised field is missing. */

export interface Key {
  id: string;
  /** The 32 bytes of an X25519 key. */
  bytes: Buffer;
}

export interface StoredSecret {
  /** Milliseconds since the epoch, by GitHub's clock. */
  updatedAt: number;
  /** For an organization secret: `all`, `private` or `selected`. */
  visibility: string | undefined;
}

export function readKey(json: unknown): Key {
  const fields = object(json);
  const bytes = Buffer.from(text(fields, 'key'), 'base64');
  if (bytes.length !== 32) throw missing('a key of 32 bytes');
  return { id: text(fields, 'key_id'), bytes };
}

export function readSecret(json: unknown): StoredSecret {
  const fields = object(json);
  const updatedAt = time(fields['updated_at']);
  if (updatedAt === undefined) throw missing('updated_at');
  const { visibility } = fields;
  return { updatedAt, visibility: typeof visibility === 'string' ? visibility : undefined };
}

export function readRepositoryIds(json: unknown): { ids: number[]; total: number } {
  const fields = object(json);
  const ids = list(fields['repositories']).map((repository) => integer(object(repository), 'id'));
  return { ids, total: integer(fields, 'total_count') };
}
