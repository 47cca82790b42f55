import { defineConfig } from 'vitest/config';

// The tests that run in this process: mutants are switched on there, not in the bundle.
export default defineConfig({
  test: {
    include: ['__tests__/{unit,client}/**/*.test.ts'],
    // It takes long, and what it shows of a rule, the unit tests show of its words.
    exclude: ['**/*.property.test.ts'],
    testTimeout: 60_000,
  },
});
