import { setTimeout as sleep } from 'node:timers/promises';
import { type Github, type GithubOptions, startGithub } from '../simulator/github.ts';
import { type RecordedRequest, type Simulator, type SimulatorOptions, startSimulator } from '../simulator/simulator.ts';
import { checkPromises } from './promises.ts';
import { type RunningStep, type StepOptions, type StepResult, startStep } from './runner.ts';

type Inputs = StepOptions['inputs'];
type Options = Omit<StepOptions, 'inputs'> & {
  /** Whether the GITHUB_OUTPUT file can be written to; true if omitted. */
  hasOutputs?: boolean;
};

export interface Stage extends AsyncDisposable {
  simulator: Simulator;
  github: Github;
  /** What a runner says about the repository and about GitHub. */
  env: Record<string, string>;
  /** Runs a step, as the administrator unless the inputs say otherwise, and checks what is promised of every step. */
  run(inputs: Inputs, options?: Options): Promise<StepResult>;
  start(inputs: Inputs, options?: Options): RunningStep;
  /** Moves the clocks of both servers forward; the step's own clock is unchanged. */
  pass(hours: number): Promise<void>;
}

const otherWays = ['client-id', 'credentials', 'external-token', 'oidc-audience', 'access-token', 'username'];

/** A control plane and a GitHub on the loopback interface, for the steps of one test. */
export async function openStage(options: SimulatorOptions & { github?: GithubOptions } = {}): Promise<Stage> {
  let ahead = 0;
  // In fractions of a millisecond, so that the requests to both servers can be put in order.
  const now = () => performance.timeOrigin + performance.now() + ahead;
  const simulator = await startSimulator({ now, ...options });
  const github = await startGithub({ now, ...options.github });
  const env = {
    GITHUB_API_URL: github.url,
    GITHUB_REPOSITORY: github.repository,
    GITHUB_REPOSITORY_ID: String(github.repositoryId),
    GITHUB_REPOSITORY_OWNER: github.organization,
    GITHUB_REPOSITORY_OWNER_ID: '9919',
  };
  const start = (given: Inputs, { hasOutputs = true, ...more }: Options = {}): RunningStep => {
    const admin = otherWays.some((name) => given[name] !== undefined) ? {} : simulator.admin;
    const inputs = { url: simulator.url, ...admin, ...given };
    const { child, result } = startStep({ ...more, inputs, env: { ...env, ...more.env } });
    const check = (step: StepResult) => {
      checkPromises(step, { inputs, simulator, github, hasOutputs });
      return step;
    };
    return { child, result: result.then(check) };
  };
  return {
    simulator,
    github,
    env,
    start,
    run: (inputs, more) => start(inputs, more).result,
    async pass(hours) {
      ahead += hours * 3_600_000;
      // The names of applications that take turns differ by the second of their creation.
      await sleep(1_000 - (Date.now() % 1_000));
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([simulator.close(), github.close()]);
    },
  };
}

type Server = Pick<Simulator | Github, 'requests'>;

/** The requests to a server with this method, and with this text in their path. */
export function sent({ requests }: Server, method: string, path: RegExp | string = ''): RecordedRequest[] {
  return requests.filter((request) => request.method === method && request.path.match(path));
}

/** Resolves once the server has received this many such requests. */
export async function received(server: Server, method: string, path: RegExp | string, count = 1): Promise<void> {
  while (sent(server, method, path).length < count) await sleep(5);
}
