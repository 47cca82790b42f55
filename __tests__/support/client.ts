import { RunaiError } from '../../src/errors.ts';
import { Cancellation } from '../../src/http/cancellation.ts';
import type { Clock } from '../../src/http/clock.ts';
import { Transport, type TransportOptions } from '../../src/http/transport.ts';
import { trust } from '../../src/http/trust.ts';
import { Client } from '../../src/runai/client.ts';
import { requestToken } from '../../src/runai/tokens.ts';
import { createSecrets } from '../../src/secrets.ts';
import { type Simulator, type SimulatorOptions, startSimulator } from '../simulator/simulator.ts';

export interface TestClock extends Clock {
  /** The pauses that were slept, in milliseconds. */
  pauses: number[];
}

/** A clock on which pauses take no time, and limits strike after a moment. */
export function testClock(): TestClock {
  let skipped = 0;
  const pauses: number[] = [];
  return {
    pauses,
    now: () => Date.now() + skipped,
    async sleep(ms) {
      pauses.push(ms);
      skipped += ms;
    },
    after(ms, action) {
      // Long enough for a loopback server on a busy machine, unless it stalls on purpose.
      const timer = setTimeout(() => {
        skipped += ms;
        action();
      }, 1_000);
      return () => clearTimeout(timer);
    },
  };
}

export interface Setup extends AsyncDisposable {
  simulator: Simulator;
  client: Client;
  transport: Transport;
  cancellation: Cancellation;
  clock: TestClock;
  log: string[];
  masks: string[];
}

interface Options extends Partial<TransportOptions> {
  /** Certificates in PEM form, to be trusted in addition. */
  roots?: string[];
  /** The client id that signs in. */
  callerId?: string;
}

/** A simulator, and a client for it that has not signed in. */
export async function connect(
  { clock = testClock(), ...more }: Options & { clock?: TestClock } = {},
  options: SimulatorOptions = {},
): Promise<Setup> {
  const simulator = await startSimulator({ now: clock.now, ...options });
  return { simulator, clock, ...clientFor(simulator.url, { clock, ...more }, simulator) };
}

export function clientFor(
  baseUrl: string,
  { clock = testClock(), roots, callerId, ...more }: Options & { clock?: TestClock } = {},
  simulator?: Simulator,
) {
  const log: string[] = [];
  const masks: string[] = [];
  const write = (text: string) => log.push(text);
  const logger = { debug: (text: () => string) => void write(text()), info: write, notice: write, warning: write };
  const { mask, clean } = createSecrets((form) => masks.push(form));
  const cancellation = more.cancellation ?? new Cancellation();
  const transport = new Transport({
    budget: 60_000,
    clock,
    random: () => 1,
    log: logger,
    mask,
    clean,
    trust: trust(roots),
    proxy: undefined,
    userAgent: 'runai-auth/test',
    ...more,
    cancellation,
  });
  const caller = { caller: callerId ? `the application ${callerId}` : 'the user admin', callerId };
  const client = new Client({ baseUrl, transport, log: logger, ...caller, mask, clean, now: clock.now });
  return { client, transport, cancellation, log, masks, [Symbol.asyncDispose]: async () => simulator?.close() };
}

/** A simulator, and a client that has signed in to it, with the requests for that forgotten. */
export async function signedIn(
  options: Parameters<typeof connect>[0] = {},
  simulator: SimulatorOptions = {},
): Promise<Setup> {
  const setup = await connect(options, simulator);
  await signIn(setup.client, setup.simulator);
  setup.simulator.requests.length = 0;
  return setup;
}

/** The requests that the simulator has seen, as `POST /api/v1/apps`. */
export function sent({ simulator }: Setup): string[] {
  return simulator.requests.map(({ method, path }) => `${method} ${path}`);
}

/** Signs in as the simulator's administrator. */
export async function signIn(client: Client, simulator: Simulator): Promise<void> {
  client.authorize((await requestToken(client, adminGrant(simulator))).accessToken);
}

/** The grant of the simulator's administrator. */
export function adminGrant({ admin }: Simulator) {
  return { type: 'password' as const, ...admin };
}

/** The error that a promise is rejected with. Fails where it is not, or with anything but a RunaiError. */
export async function failure(promise: Promise<unknown>): Promise<RunaiError> {
  const error = await promise.then(
    (value) => new Error(`expected an error, got ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof RunaiError) return error;
  throw error;
}
