import type { Agent, ClientRequest, RequestOptions } from 'node:http';
import { isIP } from 'node:net';

/** The proxy answered something other than 200, or could not be reached at all (then `status` is undefined). */
export class ProxyRefusal extends Error {
  readonly status: number | undefined;

  constructor(status: number | undefined, cause?: unknown) {
    super('the proxy refused the connection', { cause });
    this.status = status;
  }
}

export interface Tunnel {
  /** Why the last CONNECT failed, if it did. */
  readonly refusal: ProxyRefusal | undefined;
  /** Ends a CONNECT that is still waiting when the attempt is over. */
  watch(signal: AbortSignal): void;
}

/** The parts of the `tunnel` package's agent that are used here. */
interface TunnelAgent {
  request: (options: RequestOptions) => ClientRequest;
  proxyOptions: { proxyAuth?: string };
}

/**
 * Mends what the library's agent for proxies leaves open: a CONNECT cannot be aborted, the reason for its failure is
 * lost, its certificate is checked for the wrong name, and it builds the credentials with a deprecated call that prints a
 * warning. `checks` are the options of TLS for a proxy that is reached by https. Returns undefined for an agent that is
 * not one for proxies (`no_proxy`, a loopback host).
 */
export function prepareTunnel(agent: Agent, { proxy, checks }: { proxy: URL; checks: object }): Tunnel | undefined {
  if (!('proxyOptions' in agent)) return undefined;
  const tunnelAgent = agent as unknown as TunnelAgent;
  const authorization = credentialsOf(proxy);
  const open = tunnelAgent.request;
  const state: { refusal: ProxyRefusal | undefined; pending: ClientRequest | undefined } = {
    refusal: undefined,
    pending: undefined,
  };
  const host = proxy.hostname.replace(/^\[(.*)\]$/, '$1');
  // Without a name of its own, a proxy's certificate would be held against the name of the host behind it.
  Object.assign(tunnelAgent.proxyOptions, checks, { host, servername: isIP(host) ? '' : host });
  delete tunnelAgent.proxyOptions.proxyAuth;
  tunnelAgent.request = (options) => {
    if (authorization) options.headers = { ...options.headers, 'proxy-authorization': authorization };
    const request = open(options);
    state.pending = request;
    request.once('error', (cause) => {
      state.refusal ??= new ProxyRefusal(undefined, cause);
    });
    request.once('connect', ({ statusCode }) => {
      state.pending = undefined;
      if (statusCode !== 200) state.refusal = new ProxyRefusal(statusCode);
    });
    return request;
  };
  return {
    get refusal() {
      return state.refusal;
    },
    watch(signal) {
      state.refusal = undefined;
      signal.addEventListener('abort', () => {
        if (!state.pending) return;
        state.refusal = new ProxyRefusal(undefined, signal.reason);
        state.pending.destroy();
      });
    },
  };
}

/** The `Proxy-Authorization` of a proxy URL with user info, if it has any. */
export function credentialsOf(proxy: URL): string | undefined {
  if (!proxy.username && !proxy.password) return undefined;
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`;
}
