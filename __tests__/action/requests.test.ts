// All headers of one request to each service, since the transcripts leave out those that never change.
import { describe, expect, it } from 'vitest';
import { version } from '../../src/version.ts';
import type { RecordedRequest } from '../simulator/simulator.ts';
import { openStage, received, sent } from '../support/stage.ts';

/** The whole request, with what changes from run to run by its name. */
function shown(request: RecordedRequest | undefined): string {
  const { method = '', path = '', rawHeaders = [], body = '' } = request ?? {};
  const headers = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${rawHeaders[at + 1]}`] : []));
  return [`${method} ${path}`, ...headers, '', body]
    .join('\n')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:<port>')
    .replace(`runai-auth/${version}`, 'runai-auth/<version>')
    .replace(/Bearer \S+/g, 'Bearer <token>')
    .replace(/content-length: \d+/gi, (header) => header.replace(/\d+/, '<n>'))
    .replace(/"encrypted_value":"[^"]*","key_id":"\d+"/, '"encrypted_value":"<sealed>","key_id":"<key id>"');
}

const job = { GITHUB_REPOSITORY: 'acme/app', GITHUB_RUN_ID: '42' };
const store = { 'store-as': 'RUNAI_CREDENTIALS' };

describe('a request', () => {
  it('to the control plane without a token', async () => {
    await using stage = await openStage();
    await stage.run({ mode: 'token', username: 'jo', password: 'wrong-password' }, { env: job });
    expect(shown(stage.simulator.requests[0])).toMatchInlineSnapshot(`
      "POST /api/v1/token
      accept: application/json
      user-agent: runai-auth/<version> (+acme/app; run 42)
      content-type: application/json
      Content-Length: <n>
      Host: 127.0.0.1:<port>
      Connection: close

      {"grantType":"password","username":"jo","password":"wrong-password"}"
    `);
  });

  it('to the newer token endpoint, as a form', async () => {
    await using stage = await openStage({ version: 'next' });
    await stage.run({ mode: 'token', username: 'jo', password: 'wrong-password' }, { env: job });
    expect(shown(stage.simulator.requests[1])).toMatchInlineSnapshot(`
      "POST /api/v2/token
      accept: application/json
      user-agent: runai-auth/<version> (+acme/app; run 42)
      content-type: application/x-www-form-urlencoded
      Content-Length: <n>
      Host: 127.0.0.1:<port>
      Connection: close

      grant_type=password&username=jo&password=wrong-password"
    `);
  });

  it('to the control plane with a token', async () => {
    await using stage = await openStage();
    await stage.run({ mode: 'create-app', 'app-name': 'new-app' }, { env: job });
    expect(shown(sent(stage.simulator, 'POST', '/apps')[0])).toMatchInlineSnapshot(`
      "POST /api/v1/apps
      accept: application/json
      user-agent: runai-auth/<version> (+acme/app; run 42)
      authorization: Bearer <token>
      content-type: application/json
      Content-Length: <n>
      Host: 127.0.0.1:<port>
      Connection: close

      {"name":"new-app"}"
    `);
  });

  it('to the control plane without a body', async () => {
    await using stage = await openStage();
    await stage.run({ mode: 'delete-app', 'app-name': 'no-app' }, { env: job });
    expect(shown(sent(stage.simulator, 'GET')[0])).toMatchInlineSnapshot(`
      "GET /api/v1/apps
      accept: application/json
      user-agent: runai-auth/<version> (+acme/app; run 42)
      authorization: Bearer <token>
      Host: 127.0.0.1:<port>
      Connection: close

      "
    `);
  });

  it("to GitHub's API", async () => {
    await using stage = await openStage();
    const inputs = { mode: 'create-app', 'app-name': 'new-app', ...store, 'github-token': stage.github.token };
    await stage.run(inputs, { env: job });
    expect(shown(sent(stage.github, 'GET', 'public-key')[0])).toMatchInlineSnapshot(`
      "GET /repos/acme/app/actions/secrets/public-key
      accept: application/vnd.github+json
      user-agent: runai-auth/<version> (+acme/app; run 42)
      authorization: Bearer <token>
      x-github-api-version: 2022-11-28
      Host: 127.0.0.1:<port>
      Connection: close

      "
    `);
    expect(shown(sent(stage.github, 'PUT', /CREDENTIALS$/)[0])).toMatchInlineSnapshot(`
      "PUT /repos/acme/app/actions/secrets/RUNAI_CREDENTIALS
      accept: application/vnd.github+json
      user-agent: runai-auth/<version> (+acme/app; run 42)
      authorization: Bearer <token>
      x-github-api-version: 2022-11-28
      content-type: application/json
      Content-Length: <n>
      Host: 127.0.0.1:<port>
      Connection: close

      {"encrypted_value":"<sealed>","key_id":"<key id>"}"
    `);
  });

  it("to GitHub's token service", async () => {
    await using stage = await openStage();
    const { url, requestToken } = stage.simulator.oidc;
    const env = { ...job, ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken };
    await stage.run({ mode: 'token', 'oidc-audience': 'runai' }, { env });
    expect(shown(stage.simulator.requests[0])).toMatchInlineSnapshot(`
      "GET /_oidc/token?api-version=2.0&audience=runai
      accept: application/json
      user-agent: runai-auth/<version> (+acme/app; run 42)
      authorization: Bearer <token>
      Host: 127.0.0.1:<port>
      Connection: close

      "
    `);
  });
});

describe.concurrent('User-Agent', () => {
  const agentOf = async (env: Record<string, string>) => {
    await using stage = await openStage();
    await stage.run({ mode: 'token' }, { env });
    return stage.simulator.requests[0]?.headers['user-agent'];
  };

  it.each([
    ['names the repository and the run', job, `runai-auth/${version} (+acme/app; run 42)`],
    ['has no more than it knows', { ...job, GITHUB_REPOSITORY: '' }, `runai-auth/${version} (run 42)`],
    ['is the version alone elsewhere', { GITHUB_REPOSITORY: '', GITHUB_RUN_ID: '' }, `runai-auth/${version}`],
    [
      'holds no line break and nothing beyond ASCII',
      { GITHUB_REPOSITORY: 'acme/\u00e4pp\r\nx-forged: 1', GITHUB_RUN_ID: '42' },
      `runai-auth/${version} (+acme/ppx-forged: 1; run 42)`,
    ],
  ])('%s', async (_what, env, agent) => {
    expect(await agentOf(env)).toBe(agent);
  });
});

it('goes out again with the same headers after an answer that did not come', async () => {
  await using stage = await openStage();
  stage.simulator.fault({ path: '/apps', fault: { kind: 'reset', when: 'before-head' } });
  const step = stage.start({ mode: 'create-app', 'app-name': 'new-app' });
  await received(stage.simulator, 'POST', '/apps');
  await step.result;
  const [first, second] = sent(stage.simulator, 'POST', '/apps');
  expect(second?.rawHeaders).toEqual(first?.rawHeaders);
});
