import type { Clock } from '../../src/http/clock.ts';

interface Event {
  at: number;
  fire: () => unknown;
}

/**
 * Simulated time, which passes only once nothing is left to do at the current moment: hours take no time, and runs are
 * deterministic.
 */
export class Simulation {
  /** Milliseconds since the epoch. */
  now: number;
  readonly #events: Event[] = [];

  constructor(start: number) {
    this.now = start;
  }

  /** Schedules an event. Of two events at the same moment, the one scheduled first comes first. */
  at(at: number, fire: () => unknown): void {
    const later = this.#events.findIndex((event) => event.at > at);
    this.#events.splice(later === -1 ? this.#events.length : later, 0, { at, fire });
  }

  /** Lets everything scheduled until then happen. */
  async advanceTo(time: number): Promise<void> {
    while (this.#events[0] && this.#events[0].at <= time) await this.#next();
    this.now = Math.max(this.now, time);
  }

  /** Lets things happen until the condition holds. */
  async until(isOver: () => boolean): Promise<void> {
    while (!isOver()) await this.#next();
  }

  async #next(): Promise<void> {
    const event = this.#events.shift();
    if (!event) throw new Error('Nothing is planned any more');
    this.now = Math.max(this.now, event.at);
    await event.fire();
  }
}

/** A program in simulated time. It does one thing at a time, and others get their turn only while it pauses. */
export class Process {
  isOver = false;
  /** The error that it ended with, if any. */
  error: unknown;
  /** Whether it was killed. */
  wasKilled = false;
  readonly #simulation: Simulation;
  #yield: () => void = () => {};

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  /** Runs until the first pause. */
  start(program: () => Promise<void>): Promise<void> {
    return this.#resume(() => {
      program()
        .catch((error: unknown) => {
          this.error = error;
        })
        .finally(() => this.#end());
    });
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#simulation.at(this.#simulation.now + ms, () => this.#resume(resolve));
      this.#yield();
    });
  }

  /** Stops the process where it is: whoever awaits this waits forever. */
  kill(): Promise<never> {
    this.wasKilled = true;
    this.#end();
    return new Promise(() => {});
  }

  /** The clock of the machine that the process runs on. */
  clock(skew: number): Clock {
    return {
      now: () => this.#simulation.now + skew,
      sleep: (ms, signal) => (signal.aborted ? Promise.resolve() : this.pause(ms)),
      // Every server in the simulation answers or closes the connection at once.
      after: () => () => {},
    };
  }

  #end(): void {
    this.isOver = true;
    this.#yield();
  }

  /** Resolves when the process pauses or has ended. */
  #resume(go: () => void): Promise<void> {
    return new Promise((resolve) => {
      this.#yield = resolve;
      go();
    });
  }
}
