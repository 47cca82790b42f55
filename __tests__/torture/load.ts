import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import {
  megabytes,
  type PartOptions,
  type PartResult,
  type Problem,
  problemsOf,
  seconds,
  spread,
  unless,
} from './report.ts';
import { type MeasuredResult, runMeasured } from './step.ts';

const perSecond = 10;
const timeout = 300;

interface Load {
  count: number;
  simulator: Simulator;
  inputs: (index: number) => Record<string, string>;
}

/** A number of runs, all started at the same moment. */
function allAtOnce({ count, simulator, inputs }: Load): Promise<MeasuredResult[]> {
  const { username, password } = simulator.admin;
  const common = { url: simulator.url, username, password, 'timeout-seconds': String(timeout) };
  const runs = Array.from({ length: count }, (_, index) =>
    runMeasured({ inputs: { ...common, ...inputs(index) }, patience: (timeout + 30) * 1000 }),
  );
  return Promise.all(runs);
}

function figures(results: readonly MeasuredResult[], simulator: Simulator): string[] {
  const refused = simulator.requests.filter(({ status }) => status === 429).length;
  const durations = results.map(({ duration }) => duration);
  const memory = results.map(({ peakMemory }) => peakMemory ?? 0);
  return [
    `  requests: ${simulator.requests.length}, of which ${refused} were answered with 429`,
    `  duration of a run, min / median / max: ${spread(durations, seconds)}`,
    `  peak memory of a run, min / median / max: ${spread(memory, megabytes)}`,
  ];
}

function endsOf(results: readonly MeasuredResult[]): Problem[] {
  const late = results.filter(({ hung, duration }) => hung || duration > (timeout + 2) * 1000);
  const failed = results.filter(({ exitCode }) => exitCode !== 0);
  const texts = failed.map(({ exitCode, errors }) => `exit code ${exitCode}: ${errors.join(' | ')}`);
  return [
    ...problemsOf(
      'hang',
      late.map(({ duration }) => `a run took ${seconds(duration)}`),
    ),
    ...problemsOf('other', texts),
  ];
}

type Part = Omit<PartResult, 'title'>;

/** Many runs, and a control plane with a rate limit: each run gets its own application in the end. */
async function rateLimited(count: number): Promise<Part> {
  const simulator = await startSimulator({ rateLimit: perSecond });
  const inputs = (index: number) => ({ mode: 'create-app', 'app-name': `app-${index}` });
  const results = await allAtOnce({ count, simulator, inputs });
  const works = ({ outputs }: MeasuredResult) =>
    simulator.isValidSecret(outputs['client-id'] ?? '', outputs['client-secret'] ?? '');
  const untrue = results.filter((result) => result.exitCode === 0 && !works(result)).length;
  const made = simulator.applications.length;
  const problems = [
    ...endsOf(results),
    ...problemsOf('green and wrong', unless(untrue === 0, `${untrue} published secrets do not work`)),
    ...problemsOf('loss', unless(made === count, `${made} applications were made`)),
  ];
  await simulator.close();
  const title = `${count} runs at once, at most ${perSecond} requests a second`;
  return { cells: count, problems, lines: [title, ...figures(results, simulator)] };
}

/** Many runs that create the same application, and accept that it already exists. */
async function sameApplication(count: number): Promise<Part> {
  const simulator = await startSimulator();
  const inputs = () => ({ mode: 'create-app', 'app-name': 'shared-app', 'if-exists': 'skip' });
  const results = await allAtOnce({ count, simulator, inputs });
  const made = results.filter(({ outputs }) => outputs['created'] === 'true');
  const skipped = results.filter(({ outputs }) => outputs['created'] === 'false' && !('client-secret' in outputs));
  const works = simulator.isValidSecret('shared-app', made[0]?.outputs['client-secret'] ?? '');
  const there = simulator.applications.length;
  const problems = [
    ...endsOf(results),
    ...problemsOf('green and wrong', [
      ...unless(made.length === 1, `${made.length} runs say that they made the application`),
      ...unless(skipped.length === count - 1, `${skipped.length} runs instead of ${count - 1} left it alone`),
      ...unless(works, 'the secret of the one that made it does not work'),
    ]),
    ...problemsOf('loss', unless(there === 1, `${there} applications were made`)),
  ];
  await simulator.close();
  const title = `${count} runs at once, one application, if-exists: skip: ${made.length} created, ${skipped.length} skipped`;
  return { cells: count, problems, lines: [title, ...figures(results, simulator)] };
}

/** Many runs at once. */
export async function run({ short }: PartOptions): Promise<PartResult> {
  const results = [await rateLimited(short ? 12 : 100), await sameApplication(short ? 8 : 50)];
  return {
    title: 'Load: many runs at once',
    cells: results.reduce((all, { cells }) => all + cells, 0),
    problems: results.flatMap(({ problems }) => problems),
    lines: results.flatMap(({ lines }) => lines),
  };
}
