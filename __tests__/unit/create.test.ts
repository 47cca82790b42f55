import { describe, expect, it } from 'vitest';
import type { Client } from '../../src/runai/client.ts';
import { createOnce, type IfExists } from '../../src/runai/create.ts';
import { RunaiError } from '../../src/runai/errors.ts';
import type { LostAttempt } from '../../src/runai/http.ts';

type ServerTime = (ours: number) => { earliest: number; latest: number } | undefined;

interface Case {
  createdAt: number | undefined;
  status?: number;
  ifExists?: IfExists;
  lost?: LostAttempt[];
  serverTime?: ServerTime;
}

/** A server whose clock is the same as ours, or up to half a second ahead. */
const closeTo: ServerTime = (ours) => ({ earliest: ours, latest: ours + 500 });
const lostOnce = [{ from: 10_500, to: 20_000 }];

/** What is done about an existing thing, after the attempts that were lost. */
async function conflictAfter({
  createdAt,
  status = 409,
  ifExists = 'skip',
  lost = lostOnce,
  serverTime = closeTo,
}: Case) {
  const done: string[] = [];
  const client = { serverTime, now: () => 30_000 } as Client;
  const result = await createOnce(client, {
    ifExists,
    create: async (effort) => {
      effort.lost.push(...lost);
      return { status, body: { kind: 'empty' }, attempts: 1 };
    },
    find: async () => {
      done.push('find');
      return { createdAt };
    },
    renew: async () => ({ how: 'renewed' }),
    keep: () => ({ how: 'kept' }),
    problem: () => new RunaiError('forbidden', 'refused', { status }),
  }).catch((error: unknown) => error);
  return { result, done };
}

const ours = { how: 'renewed', created: true };
const kept = { how: 'kept', created: false };

describe('a thing that exists after a lost attempt', () => {
  it.each([
    ['a moment before the attempt', 10_499, kept],
    ['as the attempt began', 10_500, ours],
    ['in the second in which it began, for all that its time says', 10_000, ours],
    ['in the second before', 9_000, kept],
    ['as late as the answer that ended it', 20_500, ours],
    ['a moment later', 20_501, kept],
    ['at an unknown time', undefined, kept],
  ])('made %s', async (_when, createdAt, expected) => {
    expect((await conflictAfter({ createdAt })).result).toEqual(expected);
  });

  it.each([
    ['a whole second that may reach it', { from: 10_999, createdAt: 10_000 }, ours],
    ['a whole second that cannot', { from: 11_000, createdAt: 10_000 }, kept],
  ])('made in %s', async (_when, { from, createdAt }, expected) => {
    expect((await conflictAfter({ createdAt, lost: [{ from, to: 20_000 }] })).result).toEqual(expected);
  });

  it.each([
    ['is this run’s own until now, where the attempt has no end', 30_500, ours],
    ['is not of the future', 30_501, kept],
  ])('%s', async (_what, createdAt, expected) => {
    const lost = [{ from: 10_500, to: undefined }];
    expect((await conflictAfter({ createdAt, lost })).result).toEqual(expected);
  });

  it('may be the work of any lost attempt', async () => {
    const lost = [...lostOnce, { from: 25_000, to: 26_000 }];
    expect((await conflictAfter({ createdAt: 25_500, lost })).result).toEqual(ours);
  });

  it.each([
    ['no moment', (): undefined => undefined],
    ['the beginning alone', (at: number) => (at === 10_500 ? closeTo(at) : undefined)],
    ['the end alone', (at: number) => (at === 20_000 ? closeTo(at) : undefined)],
  ])('is somebody else’s where the server’s clock is known for %s', async (_what, serverTime) => {
    expect((await conflictAfter({ createdAt: 15_000, serverTime })).result).toEqual(kept);
  });
});

describe('a thing that exists, and is somebody else’s', () => {
  it.each<[IfExists, object]>([
    ['skip', kept],
    ['rotate', { how: 'renewed', created: false }],
  ])('goes by if-exists: %s', async (ifExists, expected) => {
    expect((await conflictAfter({ createdAt: 5_500, ifExists, lost: [] })).result).toEqual(expected);
    expect((await conflictAfter({ createdAt: 5_500, ifExists })).result).toEqual(expected);
  });

  it.each([
    ['without a look', [], []],
    ['after a look, where an attempt was lost', lostOnce, ['find']],
  ])('fails the step %s', async (_how, lost, looked) => {
    const { result, done } = await conflictAfter({ createdAt: 5_500, ifExists: 'fail', lost });
    expect(result).toMatchObject({ code: 'conflict', warning: undefined, message: 'refused' });
    expect((result as RunaiError).hint).toContain('set if-exists to skip to keep it');
    expect(done).toEqual(looked);
  });
});

describe('a refusal that is no conflict', () => {
  it.each<IfExists>(['fail', 'skip', 'rotate'])(
    'fails the step with if-exists: %s, without a look',
    async (ifExists) => {
      const { result, done } = await conflictAfter({ createdAt: 5_500, status: 403, ifExists, lost: [] });
      expect(result).toMatchObject({ code: 'forbidden', status: 403 });
      expect(done).toEqual([]);
    },
  );
});
