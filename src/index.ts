import { leave, run } from './main.ts';

// A DNS lookup cannot be cancelled, and would keep the process alive.
void run().then(leave);
