/** The kinds of scope that an access rule can be for (Run:ai 2.20 to 3.0). */
export const scopeTypes = ['system', 'tenant', 'cluster', 'department', 'project'] as const;
export type ScopeType = (typeof scopeTypes)[number];

export interface Scope {
  scopeType: ScopeType;
  scopeId: string;
}
