import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Simulator, startSimulator, type Version } from '../simulator/simulator.ts';
import { runStep } from '../support/runner.ts';

/** Any text that an environment variable can hold, from one character to a certificate. */
const anySecret = fc
  .oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 80 }),
    fc.string({
      unit: fc.constantFrom(...' \t\r\n"\\%:#[]&=+\'`$(){}<>|;*?~!éü👩‍🚀'.split('')),
      minLength: 1,
      maxLength: 40,
    }),
    fc.constantFrom(
      '%0A',
      '::add-mask::x',
      '##[error]x',
      '{"a":"b"}',
      '-----BEGIN KEY-----\nabc\n-----END KEY-----\n',
      '%',
      'x',
    ),
  )
  .map((text) => text.replaceAll('\u0000', '').toWellFormed())
  .filter((text) => text !== '');

const simulators = new Map<Version, Simulator>();
beforeAll(async () => {
  for (const version of ['2.22', 'next'] as const) simulators.set(version, await startSimulator({ version }));
});
afterAll(() => Promise.all([...simulators.values()].map((simulator) => simulator.close())));

const runs = { numRuns: 25, interruptAfterTimeLimit: 40_000 };

it.each<Version>(['2.22', 'next'])(
  'any password and any client secret arrives as it is, and masked (%s)',
  async (version) => {
    const simulator = simulators.get(version) as Simulator;
    let count = 0;
    await fc.assert(
      fc.asyncProperty(anySecret, fc.boolean(), async (secret, isUser) => {
        const name = `app-${count++}`;
        if (isUser) simulator.addUser({ email: `${name}@example.com`, password: secret });
        else simulator.addApplication({ name, secret });
        const credentials = isUser
          ? { username: `${name}@example.com`, password: secret }
          : { 'client-id': name, 'client-secret': secret };
        const result = await runStep({ inputs: { mode: 'token', url: simulator.url, ...credentials } });
        expect(result.exitCode).toBe(0);
        expect(simulator.isValidToken(result.outputs['access-token'] ?? '')).toBe(true);
        if (secret.trim() !== '') expect(result.masks).toContain(secret);
        const firstOther = result.log.findIndex(({ command }) => command !== 'add-mask');
        const masksOfInput = result.log.findLastIndex(({ command, text }) => command === 'add-mask' && text === secret);
        expect(masksOfInput).toBeLessThan(firstOther);
      }),
      runs,
    );
    expect(simulator.violations).toEqual([]);
  },
);

it('any secret that the server issues is published as it is, and masked', async () => {
  const simulator = simulators.get('2.22') as Simulator;
  let count = 0;
  await fc.assert(
    fc.asyncProperty(anySecret, async (secret) => {
      simulator.clearFaults();
      const change = (json: unknown) => ({ ...(json as object), secret });
      simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'transform', change } });
      const { url, admin } = simulator;
      const result = await runStep({ inputs: { mode: 'create-app', url, 'app-name': `new-${count++}`, ...admin } });
      expect(result.exitCode).toBe(0);
      expect(result.outputs['client-secret']).toBe(secret);
      if (secret.trim() !== '') expect(result.masks).toContain(secret);
    }),
    runs,
  );
});
