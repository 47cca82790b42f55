import { defineConfig } from 'vitest/config';
import './scripts/needs-node-24.mjs';

export default defineConfig({
  test: {
    include: ['__tests__/**/*.test.ts'],
    // Child processes and TLS on a busy machine: the limit is there to end a hang, not to measure.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
