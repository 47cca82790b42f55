// The steps in which secrets are searched for.
import type { Github } from '../simulator/github.ts';
import type { Simulator } from '../simulator/simulator.ts';

/** The requests that a mode makes, and how to recognize each. */
export const requests = {
  connect: { method: 'CONNECT', path: /./ },
  oidc: { method: 'GET', path: /^\/_oidc\// },
  grant: { method: 'POST', path: /\/token$/ },
  create: { method: 'POST', path: /\/(apps|service-accounts|users)$/ },
  list: { method: 'GET', path: /\/(apps|service-accounts|users)(\?|$)/ },
  reset: { method: 'POST', path: /\/(secret|password)$/ },
  delete: { method: 'DELETE', path: /\/(apps|service-accounts)\// },
  roles: { method: 'GET', path: /\/roles(\?|$)/ },
  'list of rules': { method: 'GET', path: /\/access-rules\?/ },
  rule: { method: 'POST', path: /\/access-rules$/ },
  key: { method: 'GET', path: /\/public-key$/ },
  'look at what is stored': { method: 'GET', path: /\/secrets\/RUNAI$/ },
  rehearsal: { method: 'PUT', path: /\/secrets\/RUNAI_REHEARSAL$/ },
  'end of the rehearsal': { method: 'DELETE', path: /\/secrets\/RUNAI_REHEARSAL$/ },
  store: { method: 'PUT', path: /\/secrets\/RUNAI$/ },
} as const;
export type RequestName = keyof typeof requests;

/** What a step is given, and what the control plane holds before it. */
export interface Setup {
  inputs: Record<string, string>;
  env?: Record<string, string>;
}

export interface Scene {
  secret: string;
  githubToken: string;
  simulator: Simulator;
  github: Github;
  origin: string;
}

export interface Way {
  asks: RequestName[];
  /** The header of a request carries the secret. */
  inHeader?: true;
  /** Over TLS, through a proxy that requires a password. */
  proxied?: true;
  prepare(scene: Scene): Setup;
}

const byPassword = ({ secret, simulator }: Scene) => ({ username: simulator.admin.username, password: secret });
const byToken = ({ secret }: Scene) => ({ 'access-token': secret });
const rules = { 'access-rules': 'ML engineer @ project:4501234\n8 @ department:77' };

function byApplication({ secret, simulator }: Scene): Record<string, string> {
  const { clientId } = simulator.addApplication({ name: 'app-one', secret });
  simulator.addAccessRule({ subjectId: clientId, subjectType: 'app', roleId: 1, scopeId: 'all', scopeType: 'tenant' });
  return { 'client-id': clientId, 'client-secret': secret };
}

function byOidc({ simulator, secret, origin }: Scene) {
  const url = `${origin}${new URL(simulator.oidc.url).pathname}?api-version=2.0`;
  const env = { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: secret };
  return { inputs: { 'oidc-audience': simulator.oidc.audience }, env };
}

/** Both services are behind the same front. */
export const githubPrefix = '/github';

function storing({ githubToken, github, origin }: Scene): Required<Setup> {
  return {
    inputs: { 'store-as': 'RUNAI', 'github-token': githubToken },
    env: {
      GITHUB_API_URL: origin + githubPrefix,
      GITHUB_REPOSITORY: github.repository,
      GITHUB_REPOSITORY_ID: String(github.repositoryId),
    },
  };
}

export const ways = {
  'token, password': { asks: ['grant'], prepare: (scene) => ({ inputs: { mode: 'token', ...byPassword(scene) } }) },
  'token, client secret': {
    asks: ['grant'],
    prepare: (scene) => ({ inputs: { mode: 'token', ...byApplication(scene) } }),
  },
  'token, external token': {
    asks: ['grant'],
    prepare: ({ secret }) => ({ inputs: { mode: 'token', 'external-token': secret } }),
  },
  'token, OIDC': {
    asks: ['oidc', 'grant'],
    inHeader: true,
    prepare: (scene) => ({ env: byOidc(scene).env, inputs: { mode: 'token', ...byOidc(scene).inputs } }),
  },
  'create-app, password': {
    asks: ['grant', 'create', 'list of rules', 'roles', 'rule'],
    prepare: (scene) => ({ inputs: { mode: 'create-app', 'app-name': 'app-two', ...byPassword(scene), ...rules } }),
  },
  'create-app, proxy': {
    asks: ['connect', 'grant', 'create'],
    proxied: true,
    prepare: (scene) => ({ inputs: { mode: 'create-app', 'app-name': 'app-two', ...byPassword(scene) } }),
  },
  'create-app, access token': {
    asks: ['create'],
    inHeader: true,
    prepare: (scene) => ({ inputs: { mode: 'create-app', 'app-name': 'app-two', ...byToken(scene) } }),
  },
  'create-app, rotate': {
    asks: ['grant', 'create', 'list', 'reset'],
    prepare(scene) {
      scene.simulator.addApplication({ name: 'app-two' });
      return { inputs: { mode: 'create-app', 'app-name': 'app-two', 'if-exists': 'rotate', ...byApplication(scene) } };
    },
  },
  'create-user, password': {
    asks: ['grant', 'create', 'list of rules', 'rule'],
    prepare: (scene) => ({
      inputs: { mode: 'create-user', email: 'new@runai.example', ...byPassword(scene), ...rules },
    }),
  },
  'create-user, rotate': {
    asks: ['create', 'list', 'reset'],
    inHeader: true,
    prepare(scene) {
      scene.simulator.addUser({ email: 'new@runai.example' });
      return {
        inputs: { mode: 'create-user', email: 'new@runai.example', 'if-exists': 'rotate', ...byToken(scene) },
      };
    },
  },
  'rotate-app, password': {
    asks: ['grant', 'list', 'reset'],
    prepare(scene) {
      scene.simulator.addApplication({ name: 'app-two' });
      return { inputs: { mode: 'rotate-app', 'app-name': 'app-two', ...byPassword(scene) } };
    },
  },
  'delete-app, access token': {
    asks: ['list', 'delete'],
    inHeader: true,
    prepare(scene) {
      const { id } = scene.simulator.addApplication({ name: 'app-two' });
      return { inputs: { mode: 'delete-app', 'app-id': id, ...byToken(scene) } };
    },
  },
  'delete-app, OIDC': {
    asks: ['oidc', 'grant', 'list', 'delete'],
    inHeader: true,
    prepare(scene) {
      scene.simulator.addApplication({ name: 'app-two' });
      const { env, inputs } = byOidc(scene);
      return { env, inputs: { mode: 'delete-app', 'app-name': 'app-two', ...inputs } };
    },
  },
  'token, credentials': {
    asks: ['grant'],
    prepare: (scene) => ({
      inputs: { mode: 'token', credentials: `${byApplication(scene)['client-id']}:${scene.secret}` },
    }),
  },
  'create-user, several': {
    asks: ['grant', 'create', 'list', 'reset'],
    prepare(scene) {
      scene.simulator.addUser({ email: 'old@runai.example' });
      const email = 'new@runai.example\nold@runai.example';
      return { inputs: { mode: 'create-user', email, 'if-exists': 'rotate', ...byPassword(scene) } };
    },
  },
  'create-app, store': {
    asks: ['key', 'rehearsal', 'end of the rehearsal', 'grant', 'create', 'store'],
    prepare(scene) {
      const { inputs, env } = storing(scene);
      return { env, inputs: { mode: 'create-app', 'app-name': 'app-two', ...byPassword(scene), ...inputs } };
    },
  },
  'rotate-app, store': {
    asks: ['key', 'rehearsal', 'grant', 'list', 'reset', 'store'],
    prepare(scene) {
      scene.simulator.addApplication({ name: 'app-two' });
      const { inputs, env } = storing(scene);
      return { env, inputs: { mode: 'rotate-app', 'app-name': 'app-two', ...byPassword(scene), ...inputs } };
    },
  },
  'rotate-app, overlap': {
    asks: ['look at what is stored', 'rehearsal', 'list', 'create', 'store'],
    prepare(scene) {
      const { inputs, env } = storing(scene);
      const overlap = { 'app-name': 'app-two', 'overlap-hours': '24' };
      return { env, inputs: { mode: 'rotate-app', ...overlap, ...byPassword(scene), ...inputs } };
    },
  },
} as const satisfies Record<string, Way>;
export type WayName = keyof typeof ways;
export const wayNames = Object.keys(ways) as WayName[];
