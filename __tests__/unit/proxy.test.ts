import { afterEach, describe, expect, it, vi } from 'vitest';
import { credentialsOf, httpsProxy, needsProxy } from '../../src/http/proxy.ts';

const target = new URL('https://acme.run.ai');
const loopback = new URL('http://127.0.0.1:8080');

function read(env: Record<string, string>, targets = [target]) {
  const masks: string[] = [];
  const proxy = httpsProxy(targets, { env, mask: (secret) => masks.push(secret) });
  return { href: proxy?.href, masks: masks.filter((mask) => mask !== '') };
}

afterEach(() => vi.unstubAllEnvs());

describe('the proxy for https', () => {
  it.each<[string, Record<string, string>, string | undefined]>([
    ['is none by default', {}, undefined],
    ['comes from https_proxy', { https_proxy: 'http://proxy.example:3128' }, 'http://proxy.example:3128/'],
    ['comes from HTTPS_PROXY', { HTTPS_PROXY: 'http://proxy.example:3128' }, 'http://proxy.example:3128/'],
    ['comes from https_proxy first', { https_proxy: 'http://a:1', HTTPS_PROXY: 'http://b:1' }, 'http://a:1/'],
    ['comes from HTTPS_PROXY when the other is empty', { https_proxy: '', HTTPS_PROXY: 'http://b:1' }, 'http://b:1/'],
    ['never comes from http_proxy', { http_proxy: 'http://a:1', HTTP_PROXY: 'http://b:1' }, undefined],
    ['may be written with a slash', { https_proxy: 'http://proxy.example:3128/' }, 'http://proxy.example:3128/'],
    ['may be written without a scheme', { https_proxy: '127.0.0.1:3128' }, 'http://127.0.0.1:3128/'],
    ['may be a name and a port', { https_proxy: 'proxy.example:3128' }, 'http://proxy.example:3128/'],
    ['may speak TLS', { https_proxy: 'https://proxy.example' }, 'https://proxy.example/'],
  ])('%s', (_name, env, expected) => {
    expect(read(env).href).toBe(expected);
  });

  const unusable = [
    'socks5://127.0.0.1:1080',
    'socks5h://127.0.0.1:1080',
    'http://',
    'http://:3128',
    'http://127.0.0.1:99999',
    'http://127.0.0.1:port',
    'http://name:p%ZZ@127.0.0.1:3128',
    '://127.0.0.1:3128',
    'ftp://127.0.0.1:3128',
    'not a proxy',
  ];

  it.each(unusable)('written as %s is an error that names the variable, and not the value', (setting) => {
    for (const name of ['https_proxy', 'HTTPS_PROXY']) {
      let thrown: unknown;
      try {
        read({ [name]: setting });
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toMatchObject({
        code: 'proxy',
        message: `the environment variable ${name} is not the URL of a proxy`,
        hint: expect.not.stringContaining('ZZ'),
      });
    }
  });

  it('written wrongly does not matter where nothing is reached through it', () => {
    for (const setting of unusable) expect(read({ https_proxy: setting }, [loopback]).href).toBeUndefined();
  });

  it('written wrongly matters where only one of several targets needs it', () => {
    expect(() => read({ https_proxy: 'not a proxy' }, [loopback, target])).toThrow('https_proxy');
  });
});

describe('the credentials of a proxy', () => {
  const [name, password] = ['build bot', 'p@ss:w%rd/Ω"x'];
  const raw = encodeURIComponent(password);
  const pair = Buffer.from(`${name}:${password}`).toString('base64');
  const setting = `${encodeURIComponent(name)}:${raw}@proxy.example:3128`;

  it.each(['http://', 'https://', ''])(
    'are masked in every form they are sent in, from %sname:password@host',
    (scheme) => {
      expect(read({ https_proxy: scheme + setting }).masks).toEqual([raw, password, pair]);
    },
  );

  it('are decoded, and sent as RFC 7617 says', () => {
    expect(credentialsOf(new URL(`http://${setting}`))).toBe(`Basic ${pair}`);
    expect(credentialsOf(new URL('http://name@proxy.example'))).toBe(
      `Basic ${Buffer.from('name:').toString('base64')}`,
    );
    expect(credentialsOf(new URL('http://proxy.example'))).toBeUndefined();
  });
});

describe('a proxy is needed', () => {
  it.each<[string, string, Record<string, string>, boolean]>([
    ['for https', 'https://acme.run.ai', {}, true],
    ['not for http', 'http://acme.run.ai', {}, false],
    ['not for a loopback address', 'https://127.0.0.1', {}, false],
    ['not for localhost', 'https://localhost', {}, false],
    ['not for a host of no_proxy', 'https://acme.run.ai', { no_proxy: 'acme.run.ai' }, false],
    ['not for a domain of NO_PROXY', 'https://acme.run.ai', { NO_PROXY: 'example.com, .run.ai' }, false],
    ['not for a host and port of no_proxy', 'https://acme.run.ai:8443', { no_proxy: 'acme.run.ai:8443' }, false],
    ['not where no_proxy lists everything', 'https://acme.run.ai', { no_proxy: '*' }, false],
    ['for a host that no_proxy does not list', 'https://acme.run.ai', { no_proxy: 'run.example,me.run.ai' }, true],
  ])('%s: %s', (_name, address, env, expected) => {
    for (const [name, value] of Object.entries({ no_proxy: '', NO_PROXY: '', ...env })) vi.stubEnv(name, value);
    expect(needsProxy(new URL(address))).toBe(expected);
  });
});
