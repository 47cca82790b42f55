import { describe, expect, it } from 'vitest';
import type { TokenRequest } from '../../src/github/oidc.ts';
import { signIn } from '../../src/modes/sign-in.ts';
import { claimsOf } from '../../src/runai/tokens.ts';
import type { Fault, SimulatorOptions, Version } from '../simulator/simulator.ts';
import { clientFor, connect, failure, type Setup, sent, testClock } from '../support/client.ts';
import { contextFor } from '../support/context.ts';

function identityOf({ simulator }: Setup, change: Partial<TokenRequest> = {}) {
  const { url, requestToken, audience } = simulator.oidc;
  return { by: 'oidc' as const, url, requestToken, audience, ...change };
}

const exchange = (setup: Setup, change?: Partial<TokenRequest>) => signIn(contextFor(setup), identityOf(setup, change));

async function signedIn(options: SimulatorOptions = {}) {
  await using setup = await connect({}, options);
  const { accessToken } = await exchange(setup);
  expect(setup.simulator.isValidToken(accessToken)).toBe(true);
  expect(setup.simulator.violations).toEqual([]);
  const identity = setup.simulator.secretsIssued.find(
    (secret) => claimsOf(secret)['aud'] === setup.simulator.oidc.audience,
  );
  expect(setup.masks).toContain(identity);
  return sent(setup);
}

describe("the job's own identity", () => {
  it.each<Version>(['2.22', '2.24', '3.0', 'next'])('is exchanged for a token on %s, and masked', async (version) => {
    const [first] = await signedIn({ version, oidcAudience: 'https://runai.acme.example/a b&c' });
    expect(first).toContain('GET /_oidc/token?api-version=2.0&audience=https%3A%2F%2Frunai.acme.example%2Fa+b%26c');
  });

  it('may have a subject with immutable ids', async () => {
    await signedIn({ oidcSubject: 'ids' });
  });

  it('is requested again after a hiccup', async () => {
    await using setup = await connect();
    setup.simulator.fault({ path: '_oidc', fault: { kind: 'reset', when: 'in-body' } });
    await exchange(setup);
    expect(sent(setup).filter((request) => request.includes('_oidc'))).toHaveLength(2);
  });
});

describe('a refusal by the control plane shows what the token says about the job, which is not secret', () => {
  it.each([
    ['names', 'repo:acme/app:ref:refs/heads/main'],
    ['ids', 'repo:acme@9919/app@1296269:ref:refs/heads/main'],
  ] as const)('with a subject of %s', async (oidcSubject, subject) => {
    await using setup = await connect({}, { oidcSubject });
    const error = await failure(exchange(setup, { audience: 'somebody-else' }));
    expect(error.code).toBe('credentials');
    expect(error.hint).toContain('the tenant must trust the identity provider that issued it');
    expect(error.hint).toContain(
      `The job's token says: iss https://token.actions.githubusercontent.com, aud somebody-else, sub ${subject}.`,
    );
    expect(sent(setup).filter((request) => request.includes('_oidc'))).toHaveLength(1);
  });

  it('but not if it was not checked', async () => {
    await using setup = await connect();
    setup.simulator.fault({ method: 'POST', times: Infinity, fault: { kind: 'html', status: 403 } });
    const error = await failure(exchange(setup));
    expect(error.code).toBe('blocked');
    expect(error.hint).not.toContain("The job's token says");
  });
});

describe("a job's token that has expired while the control plane was away", () => {
  /** The control plane is busy for 5 minutes, which is as long as the token lives. */
  async function away() {
    const setup = await connect({ budget: 3_600_000 });
    const fault: Fault = { kind: 'status', status: 503, headers: { 'retry-after': '300' } };
    setup.simulator.fault({ method: 'POST', path: '/token', fault });
    return setup;
  }

  it('is fetched again, once', async () => {
    await using setup = await away();
    const { accessToken } = await exchange(setup);
    expect(setup.simulator.isValidToken(accessToken)).toBe(true);
    const requests = sent(setup).map((request) => (request.includes('_oidc') ? 'fetch' : 'exchange'));
    expect(requests).toEqual(['fetch', 'exchange', 'exchange', 'fetch', 'exchange']);
  });

  it('and is refused for good after that', async () => {
    await using setup = await away();
    const error = await failure(exchange(setup, { audience: 'somebody-else' }));
    expect(error.code).toBe('credentials');
    expect(sent(setup).filter((request) => request.includes('_oidc'))).toHaveLength(2);
  });
});

describe("GitHub's token service, and not url, is named", () => {
  it('when it refuses, with the permission that the job needs', async () => {
    await using setup = await connect();
    const error = await failure(exchange(setup, { requestToken: 'of-another-job' }));
    expect(error).toMatchObject({ code: 'oidc', status: 401, attempts: 1 });
    expect(error.describe()).toMatch(
      /^GET http:\S+\/_oidc\/token answered 401: ".*" \(1 attempt\)\. GitHub's token service issued no OIDC token: does the job have permissions: id-token: write\?$/,
    );
    expect(sent(setup)).toHaveLength(1);
  });

  it.each<[string, Fault, RegExp]>([
    ['stalls', { kind: 'stall', when: 'before-head' }, /GET \S+ got no answer: no complete answer came in time/],
    ['stalls in the middle', { kind: 'stall', when: 'in-body' }, /GET \S+ got no answer: no complete answer/],
    ['is down', { kind: 'status', status: 503 }, /GET \S+ answered 503.*see GitHub's status page/],
    ['answers without a token', { kind: 'status', status: 200, body: {} }, /answered 200 with JSON without value/],
    ['answers with a page', { kind: 'html', status: 200 }, /GET \S+ answered 200 with a web page/],
    ['refuses with a page', { kind: 'html', status: 403 }, /GET \S+ answered 403 \(1 attempt\)/],
    ['redirects', { kind: 'redirect', status: 302, location: 'https://x.example' }, /answered 302, a redirect/],
  ])('when it %s', async (_what, fault, says) => {
    await using setup = await connect({ budget: 2_000 });
    setup.simulator.fault({ path: '_oidc', times: Infinity, fault });
    const error = await failure(exchange(setup));
    expect(error.code).toBe('oidc');
    expect(error.describe()).toMatch(says);
    expect(error.hint).toContain("GitHub's token service");
    expect(error.hint).not.toMatch(/\burl\b/);
    expect(sent(setup).filter((request) => request.startsWith('POST'))).toEqual([]);
  });

  it('when it cannot be reached', async () => {
    await using elsewhere = await connect();
    const url = elsewhere.simulator.oidc.url;
    await elsewhere.simulator.close();
    await using setup = clientFor('https://acme.run.ai', { clock: testClock(), budget: 1_000 });
    const identity = { by: 'oidc' as const, url, requestToken: 'x', audience: 'runai' };
    const error = await failure(signIn(contextFor(setup), identity));
    expect(error.code).toBe('oidc');
    expect(error.describe()).toMatch(
      /the connection was refused.*This is GitHub's token service, from which a job gets its OIDC token, not the control plane/,
    );
  });
});
