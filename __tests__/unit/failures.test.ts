import { describe, expect, it } from 'vitest';
import { githubApi } from '../../src/github/api.ts';
import type { Call, Result } from '../../src/http/exchange.ts';
import { classify, codeOf, operationOf, outOfTime, problemOf, said } from '../../src/http/problems.ts';
import type { Failure } from '../../src/http/retry.ts';
import { ProxyRefusal } from '../../src/http/tunnel.ts';
import { controlPlane } from '../../src/runai/service.ts';

const nodeError = (code: unknown) => Object.assign(new Error('secret text'), { code });
const clean = (text: string) => text;

const call: Call<unknown> = { method: 'POST', url: 'https://acme.run.ai/api/v1/apps?x=1', service: controlPlane };
const toGithub: Call<unknown> = { method: 'GET', url: 'https://api.github.com/repos/acme/app', service: githubApi };

interface Options {
  of?: Call<unknown>;
  proxy?: URL;
}

function problem(result: Result<unknown>, { of = call, proxy }: Options = {}) {
  return problemOf(of, result, { attempts: 2, proxy, clean });
}

const failed = (error: unknown) => ({ failure: classify(error), error });

describe('errors of Node', () => {
  it.each<[string, Failure]>([
    ['ECONNREFUSED', 'refused'],
    ['ENOTFOUND', 'unknown-host'],
    ['EAI_AGAIN', 'no-name-server'],
    ['ENETUNREACH', 'no-route'],
    ['EHOSTUNREACH', 'no-route'],
    ['ECONNRESET', 'reset'],
    ['EPIPE', 'reset'],
    ['ETIMEDOUT', 'timeout'],
    ['ABORT_ERR', 'timeout'],
    ['HPE_INVALID_CONSTANT', 'protocol'],
    ['HPE_HEADER_OVERFLOW', 'protocol'],
    ['EPROTO', 'tls'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'tls'],
    ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'tls'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'certificate'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'certificate'],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'certificate'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'certificate'],
    ['CERT_HAS_EXPIRED', 'certificate'],
    ['CERT_NOT_YET_VALID', 'certificate'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'certificate'],
    ['SOMETHING_ELSE', 'reset'],
  ])('%s means %s, and is named with the host and the code', (code, expected) => {
    expect(classify(nodeError(code))).toBe(expected);
    expect(problem(failed(nodeError(code))).message).toMatch(
      new RegExp(`^got no answer: [^()]+ \\(acme\\.run\\.ai:443, ${code}\\)$`),
    );
  });

  it.each([
    [null],
    ['text'],
    [nodeError('a ECONNRESET')],
    [nodeError('ECONNRESET a')],
    [nodeError(7)],
    [nodeError('with spaces')],
    [new Error('secret')],
  ])('without a code show none, and nothing of their text: %s', (thrown) => {
    expect(codeOf(thrown)).toBe('unknown');
    expect(problem(failed(thrown)).describe()).toMatch(/\(acme\.run\.ai:443\)/);
    expect(problem(failed(thrown)).describe()).not.toContain('secret');
  });
});

describe('a proxy that refuses', () => {
  it.each<[number | undefined, unknown, Failure]>([
    [undefined, nodeError('ECONNREFUSED'), 'refused'],
    [undefined, nodeError('CERT_HAS_EXPIRED'), 'certificate'],
    [403, undefined, 'proxy-refused'],
    [407, undefined, 'proxy-refused'],
    [429, undefined, 'no-route'],
    [502, undefined, 'no-route'],
  ])('with the status %s means %s', (status, cause, expected) => {
    expect(classify(new ProxyRefusal(status, cause))).toBe(expected);
  });

  const proxy = new URL('http://name:hunter2@proxy.example:3128');
  it.each<[string, ProxyRefusal, string, RegExp]>([
    [
      'credentials',
      new ProxyRefusal(407),
      'proxy',
      /the proxy proxy\.example:3128 answered 407 to CONNECT.*https_proxy/,
    ],
    ['the host', new ProxyRefusal(403), 'proxy', /answered 403 to CONNECT.*list the host in no_proxy/],
    [
      'everybody',
      new ProxyRefusal(undefined, nodeError('ECONNREFUSED')),
      'proxy',
      /\(proxy proxy\.example:3128, ECONN/,
    ],
    ['a client without its root', new ProxyRefusal(undefined, nodeError('CERT_HAS_EXPIRED')), 'certificate', /ca-cert/],
  ])('%s is named, without its credentials', (_whom, refusal, code, expected) => {
    const error = problem(failed(refusal), { proxy });
    expect(error.code).toBe(code);
    expect(error.describe()).toMatch(expected);
    expect(error.describe()).not.toContain('hunter2');
  });
});

describe('the message for a request that got no usable answer', () => {
  it.each<[string, Result<unknown>, string, string]>([
    [
      'no connection',
      failed(nodeError('ECONNREFUSED')),
      'unreachable',
      'POST https://acme.run.ai/api/v1/apps got no answer: the connection was refused (acme.run.ai:443, ECONNREFUSED) (2 attempts). Check that url is right, and that this runner can reach acme.run.ai:443.',
    ],
    [
      'no answer in time',
      failed(nodeError('ABORT_ERR')),
      'unreachable',
      'POST https://acme.run.ai/api/v1/apps got no answer: no complete answer came in time (acme.run.ai:443, ABORT_ERR) (2 attempts). Check that url is right, and that this runner can reach acme.run.ai:443. If it is slow, raise timeout-seconds.',
    ],
    [
      'a page',
      { unreadable: 'a web page', status: 200 },
      'unreadable',
      'POST https://acme.run.ai/api/v1/apps answered 200 with a web page (2 attempts). This is not a Run:ai API response: check url, and whether a proxy or a login page is in front of the control plane.',
    ],
    [
      '503',
      { status: 503, body: { kind: 'json', json: { message: 'Busy', details: 'later' } } },
      'unavailable',
      'POST https://acme.run.ai/api/v1/apps answered 503: "Busy; later" (2 attempts). The control plane, or a gateway in front of it, could not handle the request: check its status, then run the job again.',
    ],
    [
      'a redirect',
      { redirect: 'https://console.example.com/login?state=x', status: 302 },
      'redirect',
      'POST https://acme.run.ai/api/v1/apps answered 302, a redirect (2 attempts). Redirects are not followed, because following them could send the credentials elsewhere. If https://console.example.com is your control plane, use it as url.',
    ],
  ])('%s', (_name, result, code, expected) => {
    const error = problem(result);
    expect(error.code).toBe(code);
    expect(error.describe()).toBe(expected);
  });

  it.each(['/elsewhere', 'not a url at all://', 'ftp://example.com/', ''])(
    'a redirect to %j leads nowhere that could be the url',
    (redirect) => {
      expect(problem({ redirect, status: 302 }).describe()).toContain('Check url, including its path.');
    },
  );

  it('names the proxy in between', () => {
    const error = problem(failed(nodeError('ECONNRESET')), { proxy: new URL('http://proxy.example:3128') });
    expect(error.describe()).toContain('can reach acme.run.ai:443 through the proxy');
  });

  it('at the deadline says so, and how long the server asks to wait', () => {
    const busy = problem({ status: 503, body: { kind: 'empty' } });
    expect(outOfTime(busy, { budget: 60_000, asked: undefined }).describe()).toMatch(
      /answered 503 \(2 attempts\)\. Gave up because the next attempt would come after the deadline of 60 s \(timeout-seconds\)\. The control plane/,
    );
    expect(outOfTime(busy, { budget: 60_000, asked: 119_500 }).describe()).toMatch(
      /answered 503; it asks to wait 120 s \(2 attempts\)\. Waiting that long would go past the deadline of 60 s \(timeout-seconds\): run the job again later/,
    );
  });
});

describe("each service gives its own advice, so that GitHub's failures are not blamed on url", () => {
  const results: [string, Result<unknown>][] = [
    ['no connection', failed(nodeError('ECONNREFUSED'))],
    ['a page', { unreadable: 'a web page', status: 200 }],
    ['503', { status: 503, body: { kind: 'empty' } }],
    ['a redirect', { redirect: 'https://elsewhere.example', status: 301 }],
  ];

  it.each(results)('for %s', (_name, result) => {
    expect(problem(result, { of: toGithub }).hint).toMatch(/GitHub|repository/);
    expect(problem(result, { of: toGithub }).hint).not.toMatch(/\burl\b/);
    expect(problem(result).hint).toMatch(/\burl\b|control plane/);
    expect(problem(result).hint).not.toMatch(/GitHub|repository/);
  });
});

describe('what a server says about a failure', () => {
  it.each([
    ['message and details', { message: 'No', details: 'role 7' }, ': "No; role 7"'],
    ['the words of OAuth 2', { error: 'invalid_grant', error_description: 'Wrong' }, ': "invalid_grant; Wrong"'],
    ['only whitespace', { message: ' \n' }, ''],
    ['what is no text', { message: { a: 1 }, details: 7 }, ''],
    ['nothing', null, ''],
    ['a list', ['message'], ''],
  ])('%s', (_name, json, expected) => {
    expect(said({ kind: 'json', json }, clean)).toBe(expected);
  });

  it('is cleaned as one text, since a secret may be spread over its parts', () => {
    expect(said({ kind: 'json', json: { message: 'a', details: 'b' } }, (text) => `<${text}>`)).toBe(': "<a; b>"');
  });

  it('is nothing in a page', () => {
    expect(said({ kind: 'page' }, clean)).toBe('');
  });
});

it('a request is named without its query, and with the parts of its path cleaned', () => {
  const url = 'https://acme.run.ai/api/v1/apps/hunter2?filterBy=x';
  expect(operationOf({ method: 'GET', url }, (part) => (part === 'hunter2' ? '<clean>' : part))).toBe(
    'GET https://acme.run.ai/api/v1/apps/<clean>',
  );
});
