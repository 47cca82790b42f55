// Servers that close, reset or forget a connection after each answer: no request meets a connection that was used before.
import { describe, expect, it } from 'vitest';
import type { AfterAnswer } from '../simulator/simulator.ts';
import { openStage, sent } from '../support/stage.ts';

const endings: AfterAnswer[] = ['close', 'close-soon', 'reset-on-reuse', 'silent-on-reuse'];

describe.concurrent.each(endings)('behind servers whose connections end so: %s', (afterAnswer) => {
  it('every mode passes, and nothing is sent twice', async () => {
    await using stage = await openStage({ afterAnswer, github: { afterAnswer } });
    const { simulator, github } = stage;
    const store = { 'store-as': 'RUNAI_CREDENTIALS', 'github-token': github.token };
    const rules = { 'access-rules': 'ML engineer @ project:1\nViewer @ project:2' };
    const steps = [
      { mode: 'token' },
      { mode: 'create-app', 'app-name': 'trainer', ...store, ...rules },
      { mode: 'rotate-app', 'app-name': 'trainer', ...store },
      { mode: 'create-user', email: 'ada@acme.example\nbob@acme.example', ...rules },
      { mode: 'delete-app', 'app-name': 'trainer' },
    ];
    for (const inputs of steps) {
      const { exitCode, log, duration } = await stage.run(inputs);
      expect(exitCode).toBe(0);
      expect(log.filter(({ text }) => text.includes('trying again'))).toEqual([]);
      expect(duration).toBeLessThan(10_000);
    }
    expect(simulator.connections).toBe(simulator.requests.length);
    expect(github.connections).toBe(github.requests.length);
    expect(sent(simulator, 'POST', /apps$/)).toHaveLength(1);
  });
});

describe.concurrent('two runs of one name at once', () => {
  it.each([1, 2, 3, 4])('end with one application, whose secret works, and one conflict (try %i)', async () => {
    await using stage = await openStage({ afterAnswer: 'close' });
    const create = { mode: 'create-app', 'app-name': 'trainer' };
    const results = await Promise.all([stage.run(create), stage.run(create)]);
    const made = results.filter(({ outputs }) => outputs['created'] === 'true');
    const other = results.filter(({ outputs }) => outputs['error-code'] === 'conflict');
    expect([made.length, other.length]).toEqual([1, 1]);
    expect(stage.simulator.isValidSecret('trainer', made[0]?.outputs['client-secret'] ?? '')).toBe(true);
  });
});
