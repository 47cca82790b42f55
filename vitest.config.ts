import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import './scripts/needs-node-24.mjs';

export default defineConfig({
  test: {
    // Most tests wait for a process of their own: one worker more than cores keeps all of them busy.
    maxWorkers: availableParallelism() + 1,
    include: ['__tests__/**/*.test.ts'],
    // Child processes and TLS on a busy machine: the limit is there to end a hang, not to measure.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
