import { checkBypass } from '@actions/http-client/lib/proxy';
import { RunaiError } from '../errors.ts';

type Environment = Record<string, string | undefined>;

/**
 * The proxy for https requests, from `https_proxy` or `HTTPS_PROXY`. (`http_proxy` is never needed: plain http goes to
 * loopback hosts only, and those are never reached through a proxy.)
 * @param targets the addresses that the run may connect to
 * @throws RunaiError `proxy` for a setting that cannot be used, if a target needs it
 */
export function httpsProxy(targets: URL[], { env, mask }: { env: Environment; mask: (secret: string) => void }) {
  const name = env['https_proxy'] ? 'https_proxy' : 'HTTPS_PROXY';
  const setting = env[name];
  if (!setting) return undefined;
  const proxy = parse(setting.includes('://') ? setting : `http://${setting}`);
  if (proxy) maskCredentials(proxy, mask);
  if (proxy || !targets.some(needsProxy)) return proxy;
  throw new RunaiError('proxy', `the environment variable ${name} is not the URL of a proxy`, {
    hint: 'Write it as http://host:port or http://name:password@host:port, with special characters percent-encoded.',
  });
}

/** Whether to use a proxy for this address: not if `no_proxy` lists it, and not for a loopback host. */
export function needsProxy(url: URL): boolean {
  return url.protocol === 'https:' && !checkBypass(url);
}

/** The `Proxy-Authorization` of a proxy URL with user info, if it has any. */
export function credentialsOf(proxy: URL): string | undefined {
  if (!proxy.username && !proxy.password) return undefined;
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`;
}

function parse(setting: string): URL | undefined {
  try {
    const proxy = new URL(setting);
    credentialsOf(proxy);
    return /^https?:$/.test(proxy.protocol) && proxy.hostname ? proxy : undefined;
  } catch {
    return undefined;
  }
}

function maskCredentials(proxy: URL, mask: (secret: string) => void): void {
  mask(proxy.password);
  mask(decodeURIComponent(proxy.password));
  mask(credentialsOf(proxy)?.replace('Basic ', '') ?? '');
}
