import { leave, run } from './main.ts';

// A look-up of a host name cannot be called off, and would keep the process alive.
void run().then(leave);
