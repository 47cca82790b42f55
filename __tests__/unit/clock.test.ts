import { describe, expect, it } from 'vitest';
import { isoTime, systemClock } from '../../src/http/clock.ts';

describe('the clock of a run', () => {
  it('does not follow one that is set back or forward', () => {
    const real = Date.now;
    try {
      for (const change of [-3_600_000, 3_600_000]) {
        const before = systemClock.now();
        Date.now = () => real() + change;
        const after = systemClock.now();
        expect(after).toBeGreaterThanOrEqual(before);
        expect(after).toBeLessThan(before + 60_000);
      }
    } finally {
      Date.now = real;
    }
  });

  it('ends a pause early when the signal is given, before it or during it', async () => {
    await systemClock.sleep(3_600_000, AbortSignal.abort());
    const controller = new AbortController();
    const pause = systemClock.sleep(3_600_000, controller.signal);
    controller.abort();
    await pause;
  });

  it('fires unless it is cancelled', async () => {
    const struck: string[] = [];
    const forget = systemClock.after(1, () => struck.push('forgotten'));
    forget();
    await new Promise<void>((resolve) => systemClock.after(5, resolve));
    expect(struck).toEqual([]);
  });
});

it('a time is written in UTC, to the second', () => {
  expect(isoTime(Date.parse('2026-01-02T03:04:05.678+02:00'))).toBe('2026-01-02T01:04:05Z');
});
