// One story, told by the committed bundle: each step is a separate process, against a simulated Run:ai and a simulated
// GitHub. Everything the story claims is checked.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Github, startGithub } from '../../__tests__/simulator/github.ts';
import { within } from '../../__tests__/simulator/profiles.ts';
import { type Simulator, startSimulator, type Version } from '../../__tests__/simulator/simulator.ts';
import { Haystack } from '../../__tests__/support/haystack.ts';
import { asShown } from '../../__tests__/support/log.ts';
import { type RunningStep, type StepResult, secretOutputs, startStep } from '../../__tests__/support/runner.ts';
import { onWindows } from '../../__tests__/support/system.ts';

export type Kind = 'title' | 'input' | 'log' | 'output' | 'proven' | 'wrong';

export interface Line {
  scene: Scene;
  kind: Kind;
  text: string;
}

const scenes = { opening, bootstrap, deployAgain, rotate, signIn, cancel, end };

export type Scene = keyof typeof scenes;

export interface Telling {
  version: Version;
  print: (line: Line) => void;
  /** The folder of an action other than the committed one. */
  action?: string;
}

type Inputs = Record<string, string>;

/** Tells the story. Returns whether all of its claims are true. */
export async function tell(telling: Telling): Promise<boolean> {
  const simulator = await startSimulator({ version: telling.version });
  const github = await startGithub();
  const stage = new Stage(telling, simulator, github);
  try {
    simulator.addProject({ name: 'team-a' });
    for (const [name, play] of Object.entries(scenes)) {
      stage.scene = name as Scene;
      await play(stage);
    }
    return stage.isTrue;
  } finally {
    await Promise.all([simulator.close(), github.close()]);
  }
}

class Stage {
  readonly simulator: Simulator;
  readonly github: Github;
  readonly printed: string[] = [];
  scene: Scene = 'opening';
  isTrue = true;
  readonly #telling: Telling;

  constructor(telling: Telling, simulator: Simulator, github: Github) {
    this.#telling = telling;
    this.simulator = simulator;
    this.github = github;
  }

  say(kind: Kind, text: string): void {
    this.printed.push(text);
    this.#telling.print({ scene: this.scene, kind, text });
  }

  claim(text: string, isTrue: boolean): void {
    this.isTrue &&= isTrue;
    this.say(isTrue ? 'proven' : 'wrong', text);
  }

  /** Runs a step, as the administrator unless it brings credentials, and shows what GitHub would. */
  async step(inputs: Inputs, act = async (_: RunningStep): Promise<void> => {}): Promise<StepResult> {
    const { simulator, github } = this;
    const shown = Object.entries(inputs).map(([name, value]) => `${name}: ${secretInputs.has(name) ? '***' : value}`);
    this.say('input', shown.join(', '));
    const signIn = inputs['credentials'] ? {} : simulator.admin;
    const { action } = this.#telling;
    const running = startStep({
      inputs: { url: simulator.url, ...signIn, ...inputs },
      env: { GITHUB_API_URL: github.url, GITHUB_REPOSITORY: github.repository },
      ...(action && { action }),
    });
    await act(running);
    const result = await running.result;
    for (const line of asShown(result.log)) this.say('log', line);
    const outputs = Object.entries(result.outputs).map(
      ([name, value]) => `${name}=${secretOutputs.includes(name) ? '***' : value}`,
    );
    this.say('output', outputs.join(' '));
    return result;
  }
}

const secretInputs = new Set(['credentials', 'github-token']);
const secretName = 'RUNAI_CREDENTIALS';

const storing = ({ github }: Stage) => ({ 'store-as': secretName, 'github-token': github.token });

/** What a workflow runs on every deploy. */
const deployStep = (stage: Stage) => ({
  mode: 'create-app',
  'app-name': 'ci',
  'if-exists': 'repair',
  'access-rules': 'ML engineer @ project:team-a',
  ...storing(stage),
});

/** The endpoint where Run:ai creates applications. */
const creates = ({ simulator }: Stage) => ({
  method: 'POST',
  path: within(simulator.version, { from: '2.24' }) ? '/service-accounts' : '/apps',
});

function opening(stage: Stage): void {
  stage.say('title', `Run:ai ${stage.simulator.version} and GitHub are simulated; the action is the real one.`);
}

async function bootstrap(stage: Stage): Promise<void> {
  const { simulator } = stage;
  stage.say('title', 'A deploy creates an application and stores its credentials. The answer to the create is lost.');
  simulator.fault({ ...creates(stage), fault: { kind: 'reset', when: 'before-head', work: true } });
  const { exitCode, outputs } = await stage.step(deployStep(stage));
  const isOnce = simulator.applications.length === 1 && outputs['created'] === 'true';
  stage.claim('It was created once, and GitHub holds credentials that work.', isOnce && works(stage, stored(stage)));
  stage.claim('They are in the outputs as well.', exitCode === 0 && outputs['credentials'] === stored(stage));
}

async function deployAgain(stage: Stage): Promise<void> {
  stage.say('title', 'The next deploy runs the same step.');
  const before = stored(stage);
  const { exitCode, outputs } = await stage.step(deployStep(stage));
  const isKept = stored(stage) === before && works(stage, before);
  stage.claim('Nothing was changed.', exitCode === 0 && isKept && outputs['stored'] === 'false');
}

async function rotate(stage: Stage): Promise<void> {
  stage.say('title', 'A scheduled run rotates the secret.');
  const before = stored(stage);
  const { exitCode } = await stage.step({ mode: 'rotate-app', 'app-name': 'ci', ...storing(stage) });
  const isNew = works(stage, stored(stage)) && !works(stage, before);
  stage.claim('GitHub holds the new credentials. They work, and the old ones do not.', exitCode === 0 && isNew);
}

async function signIn(stage: Stage): Promise<void> {
  const { simulator } = stage;
  stage.say('title', 'A job signs in with them. Run:ai fails at first, and its error repeats the secret.');
  simulator.fault({ method: 'POST', path: '/token', fault: { kind: 'echo', status: 503, style: 'whole' } });
  const credentials = stored(stage);
  const { exitCode, outputs, log } = await stage.step({ mode: 'token', credentials });
  const isThere = simulator.isValidToken(outputs['access-token'] ?? '');
  stage.claim('The job has a token that works.', exitCode === 0 && isThere);
  const secret = credentials.slice(credentials.indexOf(':') + 1);
  const isRepeated = log.some(({ command, text }) => command !== 'add-mask' && text.includes(secret));
  stage.claim('The log would not show the secret even if GitHub masked nothing.', !isRepeated);
}

async function cancel(stage: Stage): Promise<void> {
  const { simulator } = stage;
  stage.say('title', 'A run is cancelled while Run:ai is creating an application.');
  if (onWindows) return stage.say('log', '(Left out: Windows has no signals.)');
  const { method, path } = creates(stage);
  simulator.fault({ method, path, fault: { kind: 'delay', ms: 500 } });
  const before = simulator.requests.length;
  const { exitCode, outputs } = await stage.step({ mode: 'create-app', 'app-name': 'preview' }, async ({ child }) => {
    const isAsked = () => simulator.requests.slice(before).some((request) => request.path.endsWith(path));
    while (!isAsked() && child.exitCode === null) await sleep(5);
    child.kill('SIGTERM');
  });
  stage.claim('Its secret is not lost: it is in the outputs, and works.', works(stage, outputs['credentials']));
  stage.claim('The step failed, as a cancelled one must (exit code 143).', exitCode === 143);
}

function end(stage: Stage): void {
  const { simulator, github, printed } = stage;
  const haystack = new Haystack(printed);
  const secrets = [...new Set([...simulator.secretsIssued, ...github.tokens])];
  stage.say('title', 'In total');
  const count = `${simulator.requests.length} requests to Run:ai and ${github.requests.length} to GitHub`;
  const isDocumented = [...simulator.violations, ...github.violations].length === 0;
  stage.claim(`${count}, all of them as documented.`, isDocumented);
  const found = secrets.some((secret) => haystack.find(secret));
  stage.claim(
    `Of the ${secrets.length} secrets, not even 8 characters are in the text above, however encoded.`,
    !found,
  );
}

const stored = ({ github }: Stage) => github.secretValue('repository', secretName) ?? '';

function works({ simulator }: Stage, credentials = ''): boolean {
  const colon = credentials.indexOf(':');
  return simulator.isValidSecret(credentials.slice(0, colon), credentials.slice(colon + 1));
}
