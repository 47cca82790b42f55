import { run } from './main.ts';

await run();
// A look-up of a host name cannot be called off, and would keep the process alive. What was written goes out first.
process.stdout.write('', () => process.exit());
