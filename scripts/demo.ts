// The whole story against the simulator: an administrator's token, an application, its own token, a user. Each step
// runs the bundle in a process of its own, and shows what GitHub would.
import { startSimulator } from '../__tests__/simulator/simulator.ts';
import { asShown } from '../__tests__/support/log.ts';
import { runStep, type StepResult, secretOutputs } from '../__tests__/support/runner.ts';

async function step(title: string, inputs: Record<string, string>): Promise<StepResult['outputs']> {
  console.log(`\n▶ ${title}`);
  for (const [name, value] of Object.entries(inputs)) console.log(`    ${name}: ${shownInput(name, value)}`);
  const result = await runStep({ inputs });
  for (const line of asShown(result.log)) console.log(`  ${line}`);
  for (const [name, value] of Object.entries(result.outputs)) {
    console.log(`  → ${name} = ${secretOutputs.includes(name) ? `*** (${value.length} characters)` : value}`);
  }
  if (result.exitCode !== 0) throw new Error(`the step "${title}" failed with exit code ${result.exitCode}`);
  return result.outputs;
}

function shownInput(name: string, value: string): string {
  return /password|secret|token/.test(name) && name !== 'mode' ? '***' : value;
}

function must(outputs: StepResult['outputs'], name: string): string {
  const value = outputs[name];
  if (!value) throw new Error(`the output ${name} is missing`);
  return value;
}

async function story(version: '2.22' | '3.0'): Promise<void> {
  const simulator = await startSimulator({ version });
  console.log(`\n═══ A simulated Run:ai ${version} control plane at ${simulator.url}`);
  try {
    const { url, admin } = simulator;
    const token = must(
      await step('Get a token as the administrator', { mode: 'token', url, ...admin }),
      'access-token',
    );
    const app = await step('Create an application, with access to a project', {
      mode: 'create-app',
      url,
      'access-token': token,
      'app-name': 'ci-pipeline',
      'access-rules': 'ML engineer @ project:4501234',
    });
    const [id, secret] = [must(app, 'client-id'), must(app, 'client-secret')];
    const own = await step('Get a token as that application', {
      mode: 'token',
      url,
      'client-id': id,
      'client-secret': secret,
    });
    const user = await step('Create a user', {
      mode: 'create-user',
      url,
      'access-token': token,
      email: 'jo@example.com',
    });
    const works = [
      simulator.isValidToken(must(own, 'access-token')),
      simulator.isValidSecret(id, secret),
      simulator.isValidPassword(must(user, 'email'), must(user, 'temporary-password')),
      simulator.violations.length === 0,
    ];
    if (works.includes(false)) throw new Error('the control plane does not know what the steps published');
  } finally {
    await simulator.close();
  }
}

await story('2.22');
await story('3.0');
console.log(
  '\nDone: on Run:ai 2.22 and 3.0, an administrator’s token made an application and a user; the application got a token of its own, and all that was published works.',
);
