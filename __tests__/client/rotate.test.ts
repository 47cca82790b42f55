import { describe, expect, it } from 'vitest';
import { createApp } from '../../src/modes/create-app.ts';
import { rotateApp } from '../../src/modes/rotate-app.ts';
import type { ApplicationKey } from '../../src/runai/applications.ts';
import type { SimulatorOptions, Version } from '../simulator/simulator.ts';
import { connect, failure, type Setup } from '../support/client.ts';
import { contextFor } from '../support/context.ts';

const name = 'trainer';
const clientId = 'client-of-trainer';
const secret = 'the-old-secret';

interface Given {
  callerId?: string;
  enabled?: boolean;
  budget?: number;
  options?: SimulatorOptions;
}

/** A control plane with an application, and the inputs that all modes share. */
async function existing({ callerId, enabled = true, budget = 60_000, options = {} }: Given = {}) {
  const setup = await connect({ budget, ...(callerId && { callerId }) }, options);
  const { simulator } = setup;
  simulator.addApplication({ name: `${name}-2` });
  const { id } = simulator.addApplication({ name, clientId, secret, enabled });
  const credentials = { by: 'user' as const, ...simulator.admin };
  const common = { url: simulator.url, credentials, roots: undefined, timeoutSeconds: 60 };
  return { ...setup, id, common, context: contextFor(setup) };
}

type Existing = Awaited<ReturnType<typeof existing>>;

function rotate({ context, common }: Existing, key: ApplicationKey): Promise<void> {
  const none = { store: undefined, rotateAfter: undefined, overlap: undefined };
  return rotateApp({ ...common, mode: 'rotate-app', key, ...none }, context);
}

const untouched = ({ simulator }: Setup) => simulator.applications.find((one) => one.name === name)?.secret === secret;

describe.each<Version>(['2.20', '2.24', '3.0'])('a rotation in place on %s', (version) => {
  it.each(['name', 'id'] as const)('by %s makes a new secret, and the old one stops working', async (by) => {
    await using setup = await existing({ options: { version } });
    await rotate(setup, by === 'name' ? { name } : { id: setup.id });
    const { 'client-secret': issued, ...rest } = setup.context.outputs;
    expect(rest).toEqual({
      'app-id': setup.id,
      'app-name': name,
      'client-id': clientId,
      credentials: `${clientId}:${issued}`,
      rotated: true,
    });
    expect(setup.simulator.isValidSecret(clientId, issued as string)).toBe(true);
    expect(setup.simulator.isValidSecret(clientId, secret)).toBe(false);
    expect(setup.masks).toContain(issued);
    expect(JSON.stringify(setup.context.summaries)).not.toContain(issued);
    expect(setup.simulator.violations).toEqual([]);
  });
});

it('a rotation that fails until the deadline publishes nothing, and says that the old secret may be dead', async () => {
  await using setup = await existing({ budget: 2_000 });
  const fault = { kind: 'status' as const, status: 503, work: true };
  setup.simulator.fault({ method: 'POST', path: '/secret', times: Infinity, fault });
  const error = await failure(rotate(setup, { name }));
  expect(error.describe()).toMatch(
    /POST http:\S+\/secret answered 503.*attempts\)\. An attempt may have issued a new secret/,
  );
  expect(setup.context.outputs).toEqual({});
});

it('the application that the job signs in with is not rotated', async () => {
  await using setup = await existing({ callerId: clientId });
  const error = await failure(rotate(setup, { name }));
  expect(error).toMatchObject({
    code: 'rejected',
    message: 'the application trainer is the one that this step signs in with',
    hint: expect.stringContaining('Nothing was changed.'),
  });
  expect(untouched(setup)).toBe(true);
});

describe('a warning says that a disabled application gets no token until it is enabled', () => {
  const warning = 'The application trainer is disabled: it gets no token until it is enabled in the control plane.';

  it.each(['skip', 'rotate'] as const)('when create-app meets it with if-exists: %s', async (ifExists) => {
    await using setup = await existing({ enabled: false });
    const inputs = { ...setup.common, mode: 'create-app' as const, name, ifExists, accessRules: [], store: undefined };
    await createApp(inputs, setup.context);
    expect(setup.context.warnings).toEqual([warning]);
    expect(setup.context.outputs['created']).toBe(false);
    expect(untouched(setup)).toBe(ifExists === 'skip');
  });

  it('when rotate-app gives it a new secret', async () => {
    await using setup = await existing({ enabled: false });
    await rotate(setup, { name });
    expect(setup.context.warnings).toEqual([warning]);
    expect(setup.context.outputs['rotated']).toBe(true);
  });

  it('and there is no warning for an enabled one', async () => {
    await using setup = await existing();
    await rotate(setup, { name });
    expect(setup.context.warnings).toEqual([]);
  });
});
