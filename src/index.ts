import { run } from './main.ts';

// A look-up of a host name cannot be called off, and would keep the process alive. What was written goes out first.
void run().then(() => process.stdout.write('', () => process.exit()));
