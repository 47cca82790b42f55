import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Application } from '../../src/runai/applications.ts';
import { assess, isMember, type Member, memberName, type Situation, tagOf } from '../../src/runai/family.ts';

const HOUR = 3_600_000;
const now = Date.parse('2026-03-10T12:00:00Z');
const family = { name: 'ci-runner', tag: 'a1b2c3' };

/** A time of a server, so many hours ago, known to the second. */
const ago = (hours: number) => ({ earliest: now - hours * HOUR, latest: now - hours * HOUR + 999 });

interface Sketch {
  name: string;
  /** Hours ago; null where the control plane does not say. */
  made: number | null;
  /** Hours ago; never if omitted; null where the control plane does not say. */
  used?: number | null;
}

function member({ name, made, used }: Sketch): Member {
  const createdAt = made === null ? undefined : ago(made);
  const lastLogin = used === undefined ? 'never' : used === null ? undefined : ago(used);
  const application: Application = {
    id: name,
    name,
    clientId: name,
    createdAt: createdAt?.earliest,
    lastLogin: typeof lastLogin === 'object' ? lastLogin.earliest : lastLogin,
    enabled: true,
    endpoint: '/api/v1/service-accounts',
  };
  return { application, createdAt, lastLogin };
}

interface Case extends Partial<Omit<Situation, 'members' | 'storedAt'>> {
  members: Sketch[];
  /** Hours ago; there is none if omitted. */
  stored?: number;
}

/** With an overlap of 24 hours unless the case says otherwise. */
function look({ members, stored, ...rest }: Case) {
  const { inUse, isDue, example, standings } = assess({
    members: members.map(member),
    storedAt: stored === undefined ? undefined : ago(stored),
    now,
    overlap: 24 * HOUR,
    rotateAfter: undefined,
    isCertain: true,
    ...rest,
  });
  return {
    inUse: inUse?.application.name,
    isDue,
    example: example?.application.name,
    standings: standings.map(({ member: { application }, role }) => `${application.name}: ${role}`),
    retired: standings.filter(({ retire }) => retire).map((standing) => standing.member.application.name),
    reasons: Object.fromEntries(standings.map((standing) => [standing.member.application.name, standing.reason])),
  };
}

describe('the names of a family', () => {
  it('consist of the prefix, the tag, and the time in UTC to the second', () => {
    expect(memberName(family, now)).toBe('ci-runner-a1b2c3-20260310-120000');
    expect(memberName(family, now + 999)).toBe('ci-runner-a1b2c3-20260310-120000');
    expect(memberName(family, Date.parse('2026-01-02T03:04:05Z'))).toBe('ci-runner-a1b2c3-20260102-030405');
  });

  it('have a tag of the first six digits of the SHA-256 of what identifies the stored secret', () => {
    for (const identity of ['repository:1296269:RUNAI', 'environment:1:prod/ü:RUNAI', 'organization:9919:RUNAI']) {
      const digest = createHash('sha256').update(Buffer.from(identity, 'utf8')).digest('hex');
      expect(tagOf(identity)).toBe(digest.slice(0, 6));
    }
    // Worked out with sha256sum.
    expect(tagOf('repository:1296269:RUNAI_CREDENTIALS')).toBe('74788d');
  });

  it.each([
    ['ci-runner-a1b2c3-20260310-120000', true],
    ['ci-runner', false],
    ['ci-runner-a1b2c3', false],
    ['ci-runner-a1b2c3-20260310', false],
    ['ci-runner-a1b2c3-20260310-12000', false],
    ['ci-runner-a1b2c3-20260310-120000-2', false],
    ['ci-runner-ffffff-20260310-120000', false],
    ['ci-runner-2-a1b2c3-20260310-120000', false],
    ['x-ci-runner-a1b2c3-20260310-120000', false],
    ['ci-runner-a1b2c3-2026031x-120000', false],
  ])('%s: %s', (name, expected) => {
    expect(isMember(family, { name })).toBe(expected);
  });

  it.each(['ci-runner-a1b2c3-x20260310-120000', 7, null, undefined, ['ci-runner-a1b2c3-20260310-120000']])(
    'are never %j',
    (name) => {
      expect(isMember(family, { name })).toBe(false);
    },
  );

  it('distinguish two families if the prefix of one starts with that of the other', () => {
    const longer = { name: 'ci-runner-gpu', tag: 'a1b2c3' };
    const name = memberName(longer, now);
    expect([isMember(longer, { name }), isMember(family, { name })]).toEqual([true, false]);
  });
});

describe('in use is the newest member that was made before the stored secret was written', () => {
  it.each<[string, Case, string | undefined]>([
    ['the only one', { members: [{ name: 'a', made: 30 }], stored: 29 }, 'a'],
    [
      'the newer of two',
      {
        members: [
          { name: 'a', made: 60 },
          { name: 'b', made: 30 },
        ],
        stored: 29,
      },
      'b',
    ],
    [
      'in whatever order they are listed',
      {
        members: [
          { name: 'b', made: 30 },
          { name: 'a', made: 60 },
        ],
        stored: 29,
      },
      'b',
    ],
    [
      'not one that was made after the secret',
      {
        members: [
          { name: 'a', made: 60 },
          { name: 'b', made: 10 },
        ],
        stored: 59,
      },
      'a',
    ],
    ['none, where all were made after it', { members: [{ name: 'a', made: 10 }], stored: 11 }, undefined],
    ['none, where there is no secret', { members: [{ name: 'a', made: 10 }] }, undefined],
    ['none, where there is no member', { members: [], stored: 10 }, undefined],
    ['not one of unknown age', { members: [{ name: 'a', made: null }], stored: 10 }, undefined],
    [
      'one that was made in the second in which the secret was written',
      { members: [{ name: 'a', made: 30 }], stored: 30 },
      'a',
    ],
  ])('%s', (_name, given, expected) => {
    expect(look(given).inUse).toBe(expected);
  });

  it('and where the two times are closer than the clocks are known, the member counts', () => {
    const made = { earliest: now - 10_000, latest: now - 8_000 };
    const one = { ...member({ name: 'a', made: 0 }), createdAt: made };
    const situation = { members: [one], now, overlap: HOUR, rotateAfter: undefined, isCertain: true };
    const at = (latest: number) => assess({ ...situation, storedAt: { earliest: latest - 1_000, latest } }).inUse;
    expect(at(made.earliest)).toBe(one);
    expect(at(made.earliest - 1)).toBeUndefined();
  });
});

describe('the next one is due', () => {
  const members = [{ name: 'a', made: 100 }];
  it.each<[string, Case, boolean]>([
    ['when none is in use', { members: [], stored: 1 }, true],
    ['when there is no secret', { members }, true],
    ['when the secret is as old as the overlap', { members, stored: 24.001 }, true],
    ['but not before', { members, stored: 23.9 }, false],
    ['when it is as old as rotate-after-days as well', { members, stored: 72.001, rotateAfter: 72 * HOUR }, true],
    ['but not when only the overlap is over', { members, stored: 71.9, rotateAfter: 72 * HOUR }, false],
    ['nor if the clocks are too coarse to tell that it is due', { members, stored: 24 }, false],
  ])('%s', (_name, given, expected) => {
    expect(look(given).isDue).toBe(expected);
  });

  it('to the millisecond', () => {
    const situation = { members: [member({ name: 'a', made: 100 })], overlap: 24 * HOUR, isCertain: true };
    const dueAfter = (age: number, rotateAfter: number | undefined) => {
      const storedAt = { earliest: now - age, latest: now - age };
      return assess({ ...situation, storedAt, now, rotateAfter }).isDue;
    };
    expect([dueAfter(24 * HOUR, undefined), dueAfter(24 * HOUR - 1, undefined)]).toEqual([true, false]);
    expect([dueAfter(72 * HOUR, 72 * HOUR), dueAfter(72 * HOUR - 1, 72 * HOUR)]).toEqual([true, false]);
  });

  it('by the runner’s clock, if a server does not send its time', () => {
    expect(look({ members, stored: 25, isCertain: false }).isDue).toBe(true);
    expect(look({ members, stored: 23, isCertain: false }).isDue).toBe(false);
  });
});

describe('an older member is retired', () => {
  const old = { name: 'old', made: 200, used: 30 };
  const used = { name: 'used', made: 50, used: 2 };
  const stored = 49;

  it('when the one in use has signed in after the overlap, and the old one rests', () => {
    expect(look({ members: [old, used], stored })).toMatchObject({
      standings: ['used: in use', 'old: previous'],
      retired: ['old'],
      reasons: { old: undefined, used: undefined },
    });
  });

  it('when it has never signed in', () => {
    expect(look({ members: [{ name: 'old', made: 200 }, used], stored }).retired).toEqual(['old']);
  });

  it('as soon as the one in use has signed in after the overlap', () => {
    const just = { name: 'just', made: 50, used: 24.99 };
    expect(look({ members: [{ name: 'old', made: 200 }, just], stored }).retired).toEqual(['old']);
  });

  it('with all that are older', () => {
    const older = { name: 'older', made: 300 };
    expect(look({ members: [older, used, old], stored }).retired).toEqual(['old', 'older']);
  });

  it('also in a run that is not due', () => {
    expect(look({ members: [old, used], stored, rotateAfter: 100 * HOUR })).toMatchObject({
      isDue: false,
      retired: ['old'],
    });
  });
});

describe('a member is kept', () => {
  const old = { name: 'old', made: 200, used: 30 };
  const used = { name: 'used', made: 50, used: 2 };

  it.each<[string, Case, string]>([
    [
      'while the secret is younger than the overlap',
      { members: [old, { ...used, made: 24 }], stored: 23 },
      'the stored secret was written too recently',
    ],
    [
      'while nobody has signed in with the stored credentials',
      { members: [old, { name: 'used', made: 50 }], stored: 49 },
      'nobody has signed in with the stored credentials since the overlap ended',
    ],
    [
      'when the one in use signed in before the secret was written, as the verification does',
      { members: [old, { name: 'used', made: 50, used: 49.5 }], stored: 49 },
      'nobody has signed in with the stored credentials since the overlap ended',
    ],
    [
      'when it signed in within the overlap, as a job may that had read the secret before',
      { members: [old, { name: 'used', made: 50, used: 30 }], stored: 49 },
      'nobody has signed in with the stored credentials since the overlap ended',
    ],
    [
      'when it signed in at the very second in which the overlap ended',
      { members: [old, { name: 'used', made: 50, used: 25 }], stored: 49 },
      'nobody has signed in with the stored credentials since the overlap ended',
    ],
    [
      'while it signs in itself',
      { members: [{ ...old, used: 23.9 }, used], stored: 49 },
      'it has signed in too recently',
    ],
    [
      'when it is not known when it was last used',
      { members: [{ ...old, used: null }, used], stored: 49 },
      'the control plane does not say when it was last used',
    ],
    [
      'when it is not known when the one in use was last used',
      { members: [old, { ...used, used: null }], stored: 49 },
      'nobody has signed in with the stored credentials since the overlap ended',
    ],
    [
      'when this step signs in with it, whatever the list says of that',
      { members: [old, used], stored: 49, signedInAs: 'old' },
      'this step signs in with it',
    ],
    [
      'when its age is not known',
      { members: [{ name: 'old', made: null }, used], stored: 49 },
      'the control plane does not say when it was created',
    ],
    [
      'while a server does not send its time, or a member cannot be read',
      { members: [old, used], stored: 49, isCertain: false },
      'it is not certain which one is in use',
    ],
  ])('%s', (_name, given, reason) => {
    expect(look(given)).toMatchObject({ retired: [], reasons: { old: reason } });
  });

  it('while the sign-in may lie before the end of the overlap, for all that the clocks tell', () => {
    const storedAt = { earliest: now - 49 * HOUR, latest: now - 49 * HOUR + 5_000 };
    const end = storedAt.latest + 24 * HOUR;
    const situation = { storedAt, now, overlap: 24 * HOUR, rotateAfter: undefined, isCertain: true };
    const retired = (earliest: number) => {
      const inUse = { ...member(used), lastLogin: { earliest, latest: earliest + 5_000 } };
      return assess({ ...situation, members: [member(old), inUse] }).standings.filter(({ retire }) => retire).length;
    };
    expect([retired(end), retired(end + 1)]).toEqual([0, 1]);
  });

  it('until the overlap is over to the millisecond, since the secret was written and since it signed in', () => {
    const overlap = 24 * HOUR;
    const at = (time: number) => ({ earliest: time, latest: time });
    const retired = (storedAt: number, lastLogin: number) => {
      const members = [
        { ...member(old), lastLogin: at(lastLogin) },
        { ...member({ ...used, made: 70 }), lastLogin: at(now) },
      ];
      const situation = { members, storedAt: at(storedAt), now, overlap, rotateAfter: undefined, isCertain: true };
      return assess(situation).standings.filter(({ retire }) => retire).length;
    };
    expect([retired(now - overlap - 1, now - overlap), retired(now - overlap - 1, now - overlap + 1)]).toEqual([1, 0]);
    expect(retired(now - overlap + 1, now - overlap)).toBe(0);
  });

  it('when it is newer than the one in use: left behind by an interrupted run', () => {
    const left = { name: 'left', made: 1 };
    expect(look({ members: [old, used, left], stored: 49 })).toMatchObject({
      inUse: 'used',
      standings: ['left: left behind', 'used: in use', 'old: previous'],
      retired: ['old'],
    });
  });

  it('when none is in use', () => {
    expect(look({ members: [old, used] })).toMatchObject({
      isDue: true,
      standings: ['used: left behind', 'old: left behind'],
      retired: [],
    });
  });

  it('when somebody else wrote the secret after an interrupted run: nobody signs in with the one left behind', () => {
    const left = { name: 'left', made: 40 };
    expect(look({ members: [old, used, left], stored: 30 })).toMatchObject({
      inUse: 'left',
      isDue: true,
      retired: [],
      reasons: { used: 'nobody has signed in with the stored credentials since the overlap ended' },
    });
  });

  it('when it is as old as the one in use to the second', () => {
    const twin = { ...used, name: 'twin' };
    expect(look({ members: [used, twin], stored: 49 }).retired).toEqual([]);
  });
});

describe('the next one gets the access rules of', () => {
  it.each<[string, Case, string | undefined]>([
    [
      'the one in use',
      {
        members: [
          { name: 'a', made: 200, used: 100 },
          { name: 'b', made: 50, used: 1 },
        ],
        stored: 49,
      },
      'b',
    ],
    [
      'one that works, where the one in use has never signed in',
      {
        members: [
          { name: 'a', made: 200, used: 1 },
          { name: 'b', made: 50 },
        ],
        stored: 49,
      },
      'a',
    ],
    [
      'the one in use, where none has signed in',
      {
        members: [
          { name: 'a', made: 200 },
          { name: 'b', made: 50 },
        ],
        stored: 49,
      },
      'b',
    ],
    [
      'never one that was left behind',
      {
        members: [
          { name: 'a', made: 200 },
          { name: 'b', made: 50 },
          { name: 'c', made: 1, used: 1 },
        ],
        stored: 49,
      },
      'b',
    ],
    [
      'the newest that has signed in, where none is in use',
      {
        members: [
          { name: 'a', made: 200, used: 1 },
          { name: 'b', made: 50 },
        ],
      },
      'a',
    ],
    ['nobody, where there is none', { members: [] }, undefined],
  ])('%s', (_name, given, expected) => {
    expect(look(given).example).toBe(expected);
  });
});
