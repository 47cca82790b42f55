import { describe, expect, it } from 'vitest';
import { RunaiError } from '../../src/errors.ts';
import type { LostAttempt } from '../../src/http/exchange.ts';
import type { Client } from '../../src/runai/client.ts';
import { createOnce, type IfExists, type Issued } from '../../src/runai/create.ts';

type ServerTime = (ours: number) => { earliest: number; latest: number } | undefined;

interface Case {
  createdAt: number | undefined;
  status?: number;
  ifExists?: IfExists | 'refuse';
  lost?: LostAttempt[];
  serverTime?: ServerTime;
  /** What fails after the conflict. */
  fails?: 'find' | 'renew';
}

interface Made extends Issued {
  how: string;
}

/** A server whose clock is the same as ours, or up to half a second ahead. */
const closeTo: ServerTime = (ours) => ({ earliest: ours, latest: ours + 500 });
const lostOnce = [{ from: 10_500, to: 20_000, late: false }];
const lateOnce = [{ from: 10_500, to: 20_000, late: true }];
const now = 30_000;

/** What is done about an existing thing, after the attempts that were lost. */
async function conflictAfter({
  createdAt,
  status = 409,
  ifExists = 'skip',
  lost = lostOnce,
  serverTime = closeTo,
  fails,
}: Case) {
  const done: string[] = [];
  const refused = new RunaiError('rejected', 'refused', {
    status,
    warning: lost.length > 0 ? 'May exist.' : undefined,
  });
  const client = { serverTime, now: () => now, refusal: () => refused } as unknown as Client;
  const step = (name: string) => {
    done.push(name);
    if (name === fails) throw new RunaiError('forbidden', `${name} was refused`);
  };
  const request = { method: 'POST' as const, url: 'https://acme.run.ai/api/v1/apps' };
  const answer = {
    request,
    status,
    body: { kind: 'empty' as const },
    attempts: 1,
    lost,
    ifLost: '',
  };
  const result = await createOnce<{ createdAt: number | undefined }, Made>(client, {
    ifExists,
    create: async () => ({ answer, path: '/api/v1/apps', others: [] }),
    find: async () => {
      step('find');
      return { createdAt };
    },
    renew: async () => {
      step('renew');
      return { how: 'renewed', flaw: undefined };
    },
    keep: () => ({ how: 'kept', flaw: undefined }),
  }).catch((error: unknown) => error);
  return { result, done };
}

const ours = { how: 'renewed', created: true };
const kept = { how: 'kept', created: false };
const renewed = { how: 'renewed', created: false };
const somebodyElses = { code: 'conflict', warning: undefined, hint: expect.stringContaining('set if-exists to skip') };
const unknown = {
  code: 'conflict',
  warning: expect.stringContaining('An earlier attempt of this run may have created it, and then its secret is lost'),
  hint: expect.stringContaining('run this again with if-exists: rotate'),
};

describe('an object that exists after a lost attempt', () => {
  it.each<[string, number | undefined, object]>([
    ['a moment before the attempt', 10_499, kept],
    ['as the attempt began', 10_500, ours],
    ['in the second in which it began, for all that its time says', 10_000, ours],
    ['in the second before', 9_000, kept],
    ['as late as the answer that ended it', 20_500, ours],
    ['a moment later', 20_501, kept],
    ['at an unknown time', undefined, unknown],
    ['as late as now, for all that is known of the clock', 30_500, kept],
    ['in the future', 30_501, unknown],
  ])('made %s, with if-exists: skip', async (_when, createdAt, expected) => {
    expect((await conflictAfter({ createdAt })).result).toMatchObject(expected);
  });

  it.each([
    ['a whole second that may reach it', { from: 10_999, createdAt: 10_000 }, ours],
    ['a whole second that cannot', { from: 11_000, createdAt: 10_000 }, kept],
  ])('made in %s', async (_when, { from, createdAt }, expected) => {
    const lost = [{ from, to: 20_000, late: false }];
    expect((await conflictAfter({ createdAt, lost })).result).toMatchObject(expected);
  });

  it.each<[string, number, object]>([
    ['before the next attempt began, is the work of the late one', 20_500, ours],
    ['after that, cannot be told from somebody else’s', 20_501, unknown],
    ['before the attempt, is somebody else’s', 10_499, kept],
  ])('that may have been made late: %s', async (_when, createdAt, expected) => {
    expect((await conflictAfter({ createdAt, lost: lateOnce })).result).toMatchObject(expected);
  });

  it('may be the work of any lost attempt', async () => {
    const lost = [...lostOnce, { from: 25_000, to: 26_000, late: false }];
    expect((await conflictAfter({ createdAt: 25_500, lost })).result).toMatchObject(ours);
    expect((await conflictAfter({ createdAt: 22_000, lost })).result).toMatchObject(kept);
  });

  it('after a late attempt and another one, is uncertain only if it is newer than both', async () => {
    const lost = [...lateOnce, { from: 25_000, to: 26_000, late: false }];
    expect((await conflictAfter({ createdAt: 27_000, lost })).result).toMatchObject(unknown);
    expect((await conflictAfter({ createdAt: 22_000, lost })).result).toMatchObject(kept);
  });

  it.each<[string, number, object]>([
    ['that the attempt may just have reached', 9_000, unknown],
    ['in the midst of the attempt', 15_000, ours],
    ['that the answer may just have reached', 22_000, unknown],
    ['before the attempt in any case', 7_000, kept],
  ])(
    'made at a time %s, where slow answers leave the clock unknown to 3 seconds',
    async (_when, createdAt, expected) => {
      const serverTime: ServerTime = (at) => ({ earliest: at - 1_500, latest: at + 2_500 });
      expect((await conflictAfter({ createdAt, serverTime })).result).toMatchObject(expected);
    },
  );

  it.each([
    ['no moment', (): undefined => undefined],
    ['the end alone', (at: number) => (at === 20_000 ? closeTo(at) : undefined)],
  ])('cannot be told from somebody else’s where the server’s clock is known for %s', async (_what, serverTime) => {
    expect((await conflictAfter({ createdAt: 15_000, serverTime })).result).toMatchObject(unknown);
  });
});

describe('the maker and if-exists decide together', () => {
  const makers: [string, Partial<Case> & { createdAt: number | undefined }, Record<IfExists, object>][] = [
    ['this run', { createdAt: 15_000 }, { fail: ours, skip: ours, rotate: ours }],
    ['somebody else', { createdAt: 5_500 }, { fail: somebodyElses, skip: kept, rotate: renewed }],
    [
      'somebody else, since no attempt was lost',
      { createdAt: 15_000, lost: [] },
      { fail: somebodyElses, skip: kept, rotate: renewed },
    ],
    ['nobody knows who', { createdAt: undefined }, { fail: unknown, skip: unknown, rotate: renewed }],
  ];
  const cases = makers.flatMap(([maker, given, expected]) =>
    (['fail', 'skip', 'rotate'] as const).map((ifExists) => ({ maker, ifExists, given, expected: expected[ifExists] })),
  );

  it.each(cases)('made by $maker, with if-exists: $ifExists', async ({ given, ifExists, expected }) => {
    expect((await conflictAfter({ ...given, ifExists })).result).toMatchObject(expected);
  });

  it('and a conflict that is final anyway is not looked into', async () => {
    const refuse = await conflictAfter({ createdAt: 15_000, ifExists: 'refuse' });
    expect(refuse).toMatchObject({ done: [], result: { code: 'conflict' } });
    expect((await conflictAfter({ createdAt: 5_500, ifExists: 'fail', lost: [] })).done).toEqual([]);
    expect((await conflictAfter({ createdAt: 5_500, ifExists: 'fail' })).done).toEqual(['find']);
  });
});

describe('the warning that it may exist is never dropped', () => {
  const warning = expect.stringContaining('An attempt may have created it anyway');

  it.each([
    ['the lookup fails', { fails: 'find' as const, createdAt: 15_000 }],
    ['the reset of what is our own fails', { fails: 'renew' as const, createdAt: 15_000 }],
    [
      'the reset of what may be our own fails',
      { fails: 'renew' as const, createdAt: undefined, ifExists: 'rotate' as const },
    ],
  ])('when %s after a lost answer', async (_what, given) => {
    expect((await conflictAfter(given)).result).toMatchObject({ code: 'forbidden', warning });
  });

  it.each<IfExists>(['fail', 'skip', 'rotate'])(
    'by a refusal that is no conflict, with if-exists: %s, without a look',
    async (ifExists) => {
      const { result, done } = await conflictAfter({ createdAt: 5_500, status: 403, ifExists });
      expect(result).toMatchObject({ status: 403, message: 'refused', warning: 'May exist.' });
      expect(done).toEqual([]);
    },
  );

  it('but there is none when no answer was lost', async () => {
    for (const fails of ['find', 'renew'] as const) {
      const { result } = await conflictAfter({ createdAt: 5_500, lost: [], ifExists: 'rotate', fails });
      expect(result).toMatchObject({ code: 'forbidden', warning: undefined });
    }
  });
});
