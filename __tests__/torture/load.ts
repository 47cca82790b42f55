import { type Simulator, startSimulator } from '../__tests__/simulator/simulator.ts';
import { emptyResult, megabytes, type PartOptions, type PartResult, seconds, spread } from './report.ts';
import { type MeasuredResult, runMeasured } from './step.ts';

const perSecond = 10;
const timeout = 300;

interface Load {
  count: number;
  simulator: Simulator;
  inputs: (index: number) => Record<string, string>;
}

/** So many runs, all started at the same moment. */
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

function endsOf(results: readonly MeasuredResult[]): Pick<PartResult, 'hangs' | 'failures'> {
  const hangs = results.filter(({ hung, duration }) => hung || duration > (timeout + 2) * 1000).length;
  const failed = results.filter(({ exitCode }) => exitCode !== 0);
  const failures = failed.map(({ exitCode, errors }) => `exit code ${exitCode}: ${errors.join(' | ')}`);
  return { hangs, failures: hangs === 0 ? failures : [...failures, `${hangs} runs hung`] };
}

/** Many runs, and a control plane that wants fewer requests: each run gets its own application in the end. */
async function rateLimited(count: number): Promise<PartResult> {
  const simulator = await startSimulator({ rateLimit: perSecond });
  const inputs = (index: number) => ({ mode: 'create-app', 'app-name': `app-${index}` });
  const results = await allAtOnce({ count, simulator, inputs });
  const { hangs, failures } = endsOf(results);
  const works = ({ outputs }: MeasuredResult) =>
    simulator.isValidSecret(outputs['client-id'] ?? '', outputs['client-secret'] ?? '');
  const losses = results.filter((result) => result.exitCode === 0 && !works(result)).length;
  if (losses > 0) failures.push(`${losses} published secrets do not work`);
  if (simulator.applications.length !== count) failures.push(`${simulator.applications.length} applications were made`);
  const title = `${count} runs at once, at most ${perSecond} requests a second: ${count - failures.length} succeeded`;
  await simulator.close();
  const lines = [title, ...figures(results, simulator)];
  return { ...emptyResult(title), cells: count, hangs, losses, failures, lines };
}

/** Many runs that create the same application, and are content when it is there. */
async function sameApplication(count: number): Promise<PartResult> {
  const simulator = await startSimulator();
  const inputs = () => ({ mode: 'create-app', 'app-name': 'shared-app', 'if-exists': 'skip' });
  const results = await allAtOnce({ count, simulator, inputs });
  const { hangs, failures } = endsOf(results);
  const made = results.filter(({ outputs }) => outputs['created'] === 'true');
  const skipped = results.filter(({ outputs }) => outputs['created'] === 'false' && !('client-secret' in outputs));
  if (made.length !== 1) failures.push(`${made.length} runs say that they made the application`);
  if (skipped.length !== count - 1) failures.push(`${skipped.length} runs instead of ${count - 1} left it alone`);
  if (simulator.applications.length !== 1) failures.push(`${simulator.applications.length} applications were made`);
  const works = simulator.isValidSecret('shared-app', made[0]?.outputs['client-secret'] ?? '');
  if (!works) failures.push('the secret of the one that made it does not work');
  const title = `${count} runs at once, one application, if-exists: skip: ${made.length} created, ${skipped.length} skipped`;
  await simulator.close();
  const lines = [title, ...figures(results, simulator)];
  return { ...emptyResult(title), cells: count, hangs, losses: works ? 0 : 1, failures, lines };
}

/** Many runs at once. */
export async function run({ short }: PartOptions): Promise<PartResult> {
  const results = [await rateLimited(short ? 20 : 100), await sameApplication(short ? 10 : 50)];
  const sum = (field: 'cells' | 'hangs' | 'losses') => results.reduce((all, one) => all + one[field], 0);
  return {
    ...emptyResult('Load: many runs at once'),
    cells: sum('cells'),
    hangs: sum('hangs'),
    losses: sum('losses'),
    failures: results.flatMap(({ failures }) => failures),
    lines: results.flatMap(({ lines }) => lines),
  };
}
