import { checkBypass } from '@actions/http-client/lib/proxy';
import { RunaiError } from './runai/errors.ts';
import { credentialsOf } from './runai/tunnel.ts';

type Environment = Record<string, string | undefined>;

/**
 * The proxy for https requests, from `https_proxy` or `HTTPS_PROXY`; `no_proxy` and loopback hosts are left to the
 * HTTP library. (`http_proxy` is never needed: plain http goes to loopback hosts only.)
 * @throws RunaiError `proxy` for a setting that cannot be used: the library would silently connect directly
 */
export function httpsProxy(targets: URL[], { env, mask }: { env: Environment; mask: (secret: string) => void }) {
  const name = env['https_proxy'] ? 'https_proxy' : 'HTTPS_PROXY';
  const setting = env[name];
  if (!setting) return undefined;
  const proxy = parse(setting.includes('://') ? setting : `http://${setting}`);
  if (proxy) {
    maskCredentials(proxy, mask);
    // The library reads the variable by itself, and takes the host of `host:port` for a scheme.
    env[name] = proxy.href;
    return proxy;
  }
  if (targets.every(checkBypass)) return undefined;
  throw new RunaiError('proxy', `The environment variable ${name} is not the URL of a proxy`, {
    hint: 'Write it as http://host:port or http://name:password@host:port, with special characters percent-encoded.',
  });
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
