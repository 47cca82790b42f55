/** The versions a simulator can be; `next` stands for a later one that has dropped `/api/v1/token`. */
export const versions = ['2.20', '2.22', '2.24', '3.0', 'next'] as const;

export type Version = (typeof versions)[number];

/** The versions that have a feature, from the first to the last, inclusive; an omitted bound is open. */
export interface Span {
  from?: Version;
  until?: Version;
}

function bounds(span: Span): { first: number; last: number } {
  const first = span.from === undefined ? 0 : versions.indexOf(span.from);
  const last = span.until === undefined ? versions.length - 1 : versions.indexOf(span.until);
  return { first, last };
}

export function within(version: Version, span: Span): boolean {
  const { first, last } = bounds(span);
  const at = versions.indexOf(version);
  return at >= first && at <= last;
}

/** The version itself when it lies in the span, otherwise the closest one that does. */
export function nearest(version: Version, span: Span): Version {
  const { first, last } = bounds(span);
  return versions[Math.min(Math.max(versions.indexOf(version), first), last)] ?? version;
}

/** How a control plane, or something in front of it, answers a path that does not exist. */
export type MissingEndpoint = 'json-404' | 'html-200' | 'html-404' | '405' | '410' | '501';

/** Predefined roles, enough of them to need several pages when a page is small. */
export const defaultRoles: readonly { id: number; name: string }[] = [
  { id: 1, name: 'System administrator' },
  { id: 2, name: 'Department administrator' },
  { id: 3, name: 'Project administrator' },
  { id: 4, name: 'Cloud operator' },
  { id: 5, name: 'Data and storage administrator' },
  { id: 6, name: 'Research manager' },
  { id: 7, name: 'L1 researcher' },
  { id: 8, name: 'L2 researcher' },
  { id: 9, name: 'ML engineer' },
  { id: 10, name: 'Environment administrator' },
  { id: 11, name: 'Template administrator' },
  { id: 12, name: 'Viewer' },
];

export const administratorRole = 'System administrator';
