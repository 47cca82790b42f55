interface InputSpec {
  modes: readonly Mode[];
  secret?: true;
  default?: string;
}

export const modes = ['token', 'create-app', 'create-user', 'rotate-app', 'delete-app'] as const;
export type Mode = (typeof modes)[number];

const byKey = ['rotate-app', 'delete-app'] as const;
const storing = ['create-app', 'rotate-app'] as const;
const creates = ['create-app', 'create-user'] as const;

/** Every input of action.yml: the modes that use it, whether it is a secret, its default. */
export const inputSpecs = {
  mode: { modes },
  url: { modes },
  'client-id': { modes },
  'client-secret': { modes, secret: true },
  credentials: { modes, secret: true },
  username: { modes },
  password: { modes, secret: true },
  'external-token': { modes, secret: true },
  'oidc-audience': { modes },
  'access-token': { modes: [...creates, ...byKey], secret: true },
  'app-name': { modes: ['create-app', ...byKey] },
  'app-id': { modes: byKey },
  email: { modes: ['create-user'] },
  'reset-password': { modes: ['create-user'], default: 'false' },
  notify: { modes: ['create-user'] },
  'if-exists': { modes: creates, default: 'fail' },
  'access-rules': { modes: [...creates, 'rotate-app'] },
  'store-as': { modes: storing },
  'store-in': { modes: storing },
  'github-token': { modes: storing, secret: true },
  'rotate-after-days': { modes: ['rotate-app'] },
  'overlap-hours': { modes: ['rotate-app'] },
  'ca-certificate': { modes },
  'timeout-seconds': { modes, default: '60' },
} as const satisfies Record<string, InputSpec>;

export type InputName = keyof typeof inputSpecs;

export const inputNames = Object.keys(inputSpecs) as InputName[];
export const specOf = (name: InputName): InputSpec => inputSpecs[name];
