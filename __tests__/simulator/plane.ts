import type { Endpoint } from './endpoints.ts';
import type { MissingEndpoint, Version } from './profiles.ts';
import type { State } from './state.ts';

/** The resources that permissions apply to, by the control plane's own names. */
export type Resource =
  | 'apps'
  | 'service-account'
  | 'users'
  | 'access_rules'
  | 'roles'
  | 'project'
  | 'department'
  | 'cluster';

/** Which of the optional fields a token answer carries. */
export interface TokenFields {
  idToken?: boolean;
  refreshToken?: boolean;
  /** Only up to 2.22. */
  externalToken?: boolean;
  /** Only from 2.24 on. */
  expiresIn?: boolean;
}

export interface Oidc {
  requestToken: string;
  audience: string;
  subject: string;
  issuer: string;
  /** Seconds. */
  lifetime: number;
}

export interface Plane {
  version: Version;
  state: State;
  now: () => number;
  tokenLifetime: number;
  usersPageLimit: number;
  rolesPageLimit: number;
  ignoreUserFilter: boolean;
  guideShapes: boolean;
  omitClientId: boolean;
  nullCreatedAt: boolean;
  refuseDuplicateRules: boolean;
  ignoreOrgUnitFilter: boolean;
  orgUnitsPageLimit: number;
  clustersInObject: boolean;
  /** What nobody may access, not even the administrator. */
  forbidden: Set<Resource>;
  wrongPasswordStatus: 400 | 401;
  missingEndpoint: MissingEndpoint;
  tokenFields: TokenFields;
  externalIsAdministrator: boolean;
  oidc: Oidc;
}

export interface Call {
  plane: Plane;
  endpoint: Endpoint;
  id: string;
  query: URLSearchParams;
  fields: Record<string, unknown>;
  /** Who asks, as `createdBy` shows it. */
  caller: string;
}

export const text = (value: unknown): string => (typeof value === 'string' ? value : '');

export interface Page {
  limit: number;
  offset: number;
}

export function pageOf(query: URLSearchParams, { usual, most }: { usual: number; most: number }): Page {
  const limit = Number(query.get('limit') ?? usual);
  const offset = Number(query.get('offset') ?? 0);
  return { limit: Math.min(limit > 0 ? limit : usual, most), offset: offset > 0 ? offset : 0 };
}
