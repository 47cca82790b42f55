import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { fetchIdToken } from '../../src/github/oidc.ts';
import { parseInputs } from '../../src/inputs.ts';
import { requestToken } from '../../src/runai/tokens.ts';
import { type Authority, type Certificate, createAuthority, selfSigned } from '../support/certificates.ts';
import { adminGrant, clientFor, connect, failure, type Setup } from '../support/client.ts';

let authority: Authority;
let other: Authority;
/** For `localhost`, as the simulator calls itself. */
let local: Certificate;

beforeAll(async () => {
  authority = await createAuthority('Private root');
  other = await createAuthority('Another root');
  local = await authority.issue({ hosts: ['localhost'] });
});

afterEach(() => vi.unstubAllEnvs());

/** The roots that the input `ca-certificate` gives. */
function rootsOf(ca: string): string[] | undefined {
  const given = { mode: 'token', url: 'https://acme.run.ai', username: 'u', password: 'p', 'ca-certificate': ca };
  const inputs: Record<string, string> = given;
  return parseInputs({
    read: (name) => inputs[name] ?? '',
    readFile: () => '',
    env: {},
    mask: () => {},
    maskWhole: () => {},
    clean: (text) => text,
    warn: () => {},
  }).roots;
}

interface Trust {
  tls: Certificate & { minVersion?: string; maxVersion?: string };
  /** What `ca-certificate` holds. */
  ca: string;
}

const hosts = ['localhost'];
const chained = (...chain: Certificate[]) => ({
  key: chain[0]?.key ?? '',
  cert: chain.map(({ cert }) => cert).join(''),
});

async function server({ tls, ca }: Trust): Promise<{ setup: Setup; client: Setup['client'] }> {
  const setup = await connect({}, { tls });
  const roots = rootsOf(ca);
  const { client } = clientFor(setup.simulator.url, roots ? { roots } : {});
  return { setup, client };
}

describe('a certificate is trusted', () => {
  const cases: Record<string, () => Trust | Promise<Trust>> = {
    'with its private root': () => ({ tls: local, ca: authority.cert }),
    'with its root as the last of several': () => ({
      tls: local,
      ca: `# ours\n${other.cert}\nand the real one\n${authority.cert}`,
    }),
    'with its root as the first of several': () => ({ tls: local, ca: authority.cert + other.cert }),
    'with a root of Windows line ends': () => ({ tls: local, ca: authority.cert.replaceAll('\n', '\r\n') }),
    'with a root beside a private key': () => ({ tls: local, ca: authority.key + authority.cert }),
    'over TLS 1.2': () => ({ tls: { ...local, maxVersion: 'TLSv1.2' }, ca: authority.cert }),
    'over TLS 1.3': () => ({ tls: { ...local, minVersion: 'TLSv1.3' }, ca: authority.cert }),
    'through an intermediate that the server sends': async () => {
      const intermediate = await authority.issueAuthority('Intermediate');
      return { tls: chained(await intermediate.issue({ hosts }), intermediate), ca: authority.cert };
    },
    'through an intermediate that is given beside the root': async () => {
      const intermediate = await authority.issueAuthority('Intermediate');
      return { tls: await intermediate.issue({ hosts }), ca: authority.cert + intermediate.cert };
    },
    'when it vouches for itself and is given': async () => {
      const certificate = await selfSigned({ hosts });
      return { tls: certificate, ca: certificate.cert };
    },
  };

  it.each(Object.entries(cases))('%s', async (_, make) => {
    const { setup, client } = await server(await make());
    await using _setup = setup;
    const { accessToken } = await requestToken(client, adminGrant(setup.simulator));
    expect(setup.simulator.isValidToken(accessToken)).toBe(true);
    expect(setup.simulator.connections).toBe(1);
  });
});

const past = { notBefore: new Date('2020-01-01'), notAfter: new Date('2020-02-01') };
const future = { notBefore: new Date('2098-01-01'), notAfter: new Date('2099-01-01') };

describe('a certificate is refused at once, with a hint about ca-certificate', () => {
  const unverified = 'UNABLE_TO_VERIFY_LEAF_SIGNATURE';
  const cases: Record<string, () => Promise<Trust & { code: string }>> = {
    'when its root is not given': async () => ({ tls: local, ca: '', code: unverified }),
    'when another root is given': async () => ({ tls: local, ca: other.cert, code: unverified }),
    'when the server sends the private root as well': async () => ({
      tls: chained(local, authority),
      ca: '',
      code: 'SELF_SIGNED_CERT_IN_CHAIN',
    }),
    'when its intermediate is missing': async () => {
      const intermediate = await authority.issueAuthority('Intermediate');
      return { tls: await intermediate.issue({ hosts }), ca: authority.cert, code: unverified };
    },
    'when it is made for another host': async () => ({
      tls: await authority.issue({ hosts: ['elsewhere.test'] }),
      ca: authority.cert,
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    }),
    'when it has expired': async () => ({
      tls: await authority.issue({ hosts, ...past }),
      ca: authority.cert,
      code: 'CERT_HAS_EXPIRED',
    }),
    'when it is not valid yet': async () => ({
      tls: await authority.issue({ hosts, ...future }),
      ca: authority.cert,
      code: 'CERT_NOT_YET_VALID',
    }),
    'when it vouches for itself': async () => ({
      tls: await selfSigned({ hosts }),
      ca: '',
      code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
    }),
  };

  it.each(Object.entries(cases))('%s', async (_, make) => {
    const { code, ...trust } = await make();
    const { setup, client } = await server(trust);
    await using _setup = setup;
    const error = await failure(requestToken(client, adminGrant(setup.simulator)));
    expect(error).toMatchObject({ code: 'certificate', attempts: 1 });
    expect(error.describe()).toMatch(new RegExp(`POST ${setup.simulator.url}/api/v1/token .*${code}.*ca-certificate`));
    expect(error.describe()).not.toMatch(/NODE_TLS|unauthorized|insecure|verify=|skip/i);
    expect([setup.simulator.connections, setup.simulator.requests]).toEqual([1, []]);
  });

  it('even if the environment says that certificates need no check', async () => {
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    for (const ca of ['', other.cert]) {
      const { setup, client } = await server({ tls: local, ca });
      await using _setup = setup;
      const error = await failure(requestToken(client, adminGrant(setup.simulator)));
      expect(error.code).toBe('certificate');
    }
    warning.mockRestore();
  });

  it("of GitHub's token service as well", async () => {
    const { setup } = await server({ tls: local, ca: '' });
    await using _setup = setup;
    const { url, requestToken: token, audience } = setup.simulator.oidc;
    const { transport } = clientFor(setup.simulator.url);
    const tools = { transport, mask: () => {}, clean: (text: string) => text };
    const error = await failure(fetchIdToken(tools, { url, requestToken: token, audience }));
    expect(error).toMatchObject({ code: 'certificate', hint: expect.stringContaining('ca-certificate') });
  });
});
