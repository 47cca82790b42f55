import { describe, expect, it, vi } from 'vitest';
import { Cancellation } from '../../src/http/cancellation.ts';

const kinds = [undefined, 'finish', 'begin'] as const;

function refusals(cancellation: Cancellation): string[] {
  return kinds.filter((kind) => {
    try {
      cancellation.refuse(kind);
      return false;
    } catch (error) {
      expect(error).toMatchObject({ code: 'interrupted', message: `stopped by ${cancellation.by}` });
      return true;
    }
  }) as string[];
}

const ended = (cancellation: Cancellation) => kinds.filter((kind) => cancellation.signalFor(kind).aborted);

describe('a run that is cancelled', () => {
  it('refuses nothing before that', () => {
    const cancellation = new Cancellation();
    expect([refusals(cancellation), ended(cancellation), cancellation.by]).toEqual([[], [], undefined]);
  });

  it('starts only what must still be done, and waits 5 seconds for what was issued', () => {
    vi.useFakeTimers();
    try {
      const cancellation = new Cancellation();
      cancellation.cancel('SIGTERM');
      expect(refusals(cancellation)).toEqual([undefined, 'finish']);
      expect(ended(cancellation)).toEqual([undefined]);
      vi.advanceTimersByTime(4_999);
      expect(ended(cancellation)).toEqual([undefined]);
      vi.advanceTimersByTime(1);
      expect(ended(cancellation)).toEqual([...kinds]);
      expect(refusals(cancellation)).toEqual([...kinds]);
    } finally {
      vi.useRealTimers();
    }
  });

  it('only counts the first signal', () => {
    const cancellation = new Cancellation();
    cancellation.cancel('SIGINT');
    cancellation.cancel('SIGTERM');
    expect(cancellation.by).toBe('SIGINT');
  });
});
