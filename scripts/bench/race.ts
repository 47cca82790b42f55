// Compares whole processes: each round runs all of them in turn, so that a busy machine is busy for all.
import { spawn } from 'node:child_process';

export interface Contender {
  name: string;
  command: string[];
  /** Creates the environment of one run. */
  env: () => Record<string, string>;
}

export interface Figures {
  /** Milliseconds of wall time from start to end, by round. */
  times: number[];
  requests: number;
  connections: number;
}

/** A server that counts requests and connections. */
interface Server {
  requests: unknown[];
  readonly connections: number;
}

export interface Course {
  rounds: number;
  /** Where the processes run. */
  folder: string;
  servers: Server[];
  /** Throws if a process did not do what it was asked to do. */
  check: (contender: Contender) => void;
}

/** Runs all contenders once to warm the system's caches, then `rounds` times, alternating the order. */
export async function race(contenders: Contender[], course: Course): Promise<Map<string, Figures>> {
  const figures = new Map<string, Figures>();
  for (let round = 0; round <= course.rounds; round++) {
    for (const contender of round % 2 ? contenders : contenders.toReversed()) {
      const before = counted(course.servers);
      const time = await run(contender, course.folder);
      course.check(contender);
      const { requests, connections } = counted(course.servers);
      const earlier = round > 0 ? (figures.get(contender.name)?.times ?? []) : [];
      figures.set(contender.name, {
        times: round > 0 ? [...earlier, time] : [],
        requests: requests - before.requests,
        connections: connections - before.connections,
      });
    }
  }
  return figures;
}

function counted(servers: Server[]): { requests: number; connections: number } {
  const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);
  return {
    requests: sum(servers.map(({ requests }) => requests.length)),
    connections: sum(servers.map(({ connections }) => connections)),
  };
}

/** Runs a process to its end. Returns how many milliseconds that took. */
export async function run({ name, command, env }: Contender, folder: string): Promise<number> {
  const [file = '', ...args] = command;
  const startedAt = performance.now();
  const child = spawn(file, args, { cwd: folder, env: env(), stdio: ['ignore', 'ignore', 'inherit'] });
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', resolve);
  });
  const time = performance.now() - startedAt;
  if (exitCode !== 0) throw new Error(`${name} ended with exit code ${exitCode}`);
  return time;
}

export function median(numbers: number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const two = sorted.slice(Math.ceil(middle) - 1, Math.floor(middle) + 1);
  return two.reduce((total, number) => total + number, 0) / two.length;
}

/** The median of the ratios of each round. */
export function ratio(times: number[] = [], others: number[] = []): number {
  return median(times.map((time, round) => time / (others[round] as number)));
}
