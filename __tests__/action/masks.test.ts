// What is masked, and before what. Every other test of a step checks that each secret is masked before any line that follows.
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Simulator, startSimulator, type Version } from '../simulator/simulator.ts';
import { asShown } from '../support/log.ts';
import { runStep } from '../support/runner.ts';
import { openStage } from '../support/stage.ts';

/** A secret with all the characters that some encoding writes in another way. */
const awkward = 'a"\\/ +&=%\'(*)!~é\u{1f680}';

describe.concurrent('a secret is masked in each form that it can take on the way', () => {
  const forms = {
    'as it is': awkward,
    'in JSON': 'a\\"\\\\/ +&=%\'(*)!~é\u{1f680}',
    'by encodeURIComponent': "a%22%5C%2F%20%2B%26%3D%25'(*)!~%C3%A9%F0%9F%9A%80",
    "by Python's quote, RFC 3986 to the letter": 'a%22%5C%2F%20%2B%26%3D%25%27%28%2A%29%21~%C3%A9%F0%9F%9A%80',
    'in a form': 'a%22%5C%2F+%2B%26%3D%25%27%28*%29%21%7E%C3%A9%F0%9F%9A%80',
    'in lower-case digits': "a%22%5c%2f%20%2b%26%3d%25'(*)!~%c3%a9%f0%9f%9a%80",
    'to the letter, in lower-case digits': 'a%22%5c%2f%20%2b%26%3d%25%27%28%2a%29%21~%c3%a9%f0%9f%9a%80',
    'in a form, in lower-case digits': 'a%22%5c%2f+%2b%26%3d%25%27%28*%29%21%7e%c3%a9%f0%9f%9a%80',
  };

  it('that of an input', async () => {
    await using stage = await openStage({ admin: { username: 'admin@runai.example', password: awkward } });
    const { masks } = await stage.run({ mode: 'token' });
    expect(masks).toEqual(expect.arrayContaining(Object.values(forms)));
    // Nothing else is: each mask hides something in all later logs of the job.
    expect(masks.filter((mask) => mask.startsWith('a%') || mask.startsWith('a"')).sort()).toEqual(
      Object.values(forms)
        .filter((form) => !form.startsWith('a\\'))
        .sort(),
    );
  });

  it('that of an answer', async () => {
    await using stage = await openStage();
    const change = (json: unknown) => ({ ...(json as object), secret: awkward });
    stage.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'transform', change } });
    const { masks } = await stage.run({ mode: 'create-app', 'app-name': 'trainer' });
    expect(masks).toEqual(expect.arrayContaining(Object.values(forms)));
    expect(masks).toContain(`trainer:${awkward}`);
  });

  it('that of several lines: each of them, and trimmed', async () => {
    const password = '-----BEGIN KEY-----\r\n  abcdefgh \nijklmnop\n';
    await using stage = await openStage({ admin: { username: 'admin@runai.example', password } });
    const { masks } = await stage.run({ mode: 'token' });
    const lines = ['-----BEGIN KEY-----', '  abcdefgh ', 'abcdefgh', 'ijklmnop'];
    expect(masks).toEqual(expect.arrayContaining([password, password.trim(), ...lines]));
    expect(masks.every((mask) => mask.trim() !== '')).toBe(true);
  });
});

describe.concurrent('what is masked of credentials', () => {
  it('is the whole, and the half that is secret: ids stay to be read', async () => {
    await using stage = await openStage();
    stage.simulator.addApplication({ name: 'ci', secret: 'kW3-pQ8_vN5.zT2r' });
    const { masks } = await stage.run({ mode: 'token', credentials: 'ci:kW3-pQ8_vN5.zT2r' });
    expect(masks).toEqual(expect.arrayContaining(['ci:kW3-pQ8_vN5.zT2r', 'kW3-pQ8_vN5.zT2r']));
    expect(masks).not.toContain('ci');
  });

  it('is all of it where it is not of the form', async () => {
    await using stage = await openStage();
    const { masks, errors } = await stage.run({ mode: 'token', credentials: 'kW3-pQ8_vN5.zT2r' });
    expect(masks).toContain('kW3-pQ8_vN5.zT2r');
    expect(errors[0]).toContain('not of the form <client-id>:<client-secret>');
  });

  it('leaves ids, names and addresses to be read', async () => {
    await using stage = await openStage();
    const store = { 'store-as': 'RUNAI_CREDENTIALS', 'github-token': stage.github.token };
    const app = await stage.run({ mode: 'create-app', 'app-name': 'trainer', ...store });
    const user = await stage.run({ mode: 'create-user', email: 'ada@acme.example' });
    for (const { outputs, masks } of [app, user]) {
      const open = ['app-id', 'app-name', 'client-id', 'user-id', 'email'].map((name) => outputs[name] ?? '');
      for (const value of open.filter(Boolean))
        expect(asShown([...masks.map((text) => ({ command: 'add-mask', text })), { text: value }])).toEqual([value]);
    }
  });
});

describe.concurrent('of an answer', () => {
  const issued = 'aX4mR9wQ2tB7nL5c';

  it.each([
    ['a field that is called like a secret', { refreshToken: issued }, true],
    ['one below other fields', { details: [{ deeper: { clientSecret: issued } }] }, true],
    ['one that only sounds like a secret', { nextPageToken: '1', hasSecret: 'true', tokenType: issued }, false],
  ])('%s is masked from 8 characters on: %j', async (_what, more, isMasked) => {
    await using stage = await openStage();
    const body = { message: 'no', ...more };
    stage.simulator.fault({ fault: { kind: 'status', status: 400, body } });
    const { masks } = await stage.run({ mode: 'token' });
    expect(masks.includes(issued)).toBe(isMasked);
    for (const short of ['1', 'true']) expect(masks).not.toContain(short);
  });

  it('the secret is masked before the rest of it is judged', async () => {
    await using stage = await openStage();
    const change = () => ({ secret: issued });
    stage.simulator.fault({ method: 'POST', path: '/apps', fault: { kind: 'transform', change } });
    const { log } = await stage.run({ mode: 'create-app', 'app-name': 'trainer' }, { debug: true });
    const masked = log.findIndex(({ command, text }) => command === 'add-mask' && text === issued);
    const next = log.findIndex(({ text }) => /Created the application/.test(text));
    expect(masked).toBeGreaterThan(-1);
    expect(masked).toBeLessThan(next);
  });
});

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

const runs = { numRuns: 15, interruptAfterTimeLimit: 40_000 };

describe.concurrent('any secret', () => {
  it.each<Version>(['2.22', 'next'])('arrives as it is, and masked before all else (%s)', async (version) => {
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
  });

  it('that the server issues is published as it is, and masked', async () => {
    const simulator = await startSimulator({ version: '2.22' });
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
    await simulator.close();
  });
});
