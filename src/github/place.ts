/** Where a secret is stored in GitHub. */
export type Place =
  | { kind: 'repository'; repository: string }
  | { kind: 'environment'; repository: string; environment: string }
  | { kind: 'organization'; organization: string };

export interface StoreTarget {
  /** The secret's name, in capitals, as GitHub keeps it. */
  name: string;
  place: Place;
  githubToken: string;
  /** Without a trailing slash. */
  apiUrl: string;
  /**
   * Distinguishes this stored secret from any other, even after the repository was renamed. Undefined if the runner
   * does not say.
   */
  identity: string | undefined;
}

export function placeInWords(place: Place): string {
  if (place.kind === 'organization') return `the organization ${place.organization}`;
  if (place.kind === 'repository') return place.repository;
  return `the environment ${place.environment} of ${place.repository}`;
}

export function placeInPath(place: Place): string {
  if (place.kind === 'organization') return `/orgs/${encodeURIComponent(place.organization)}/actions`;
  const repository = `/repos/${place.repository.split('/').map(encodeURIComponent).join('/')}`;
  if (place.kind === 'repository') return `${repository}/actions`;
  return `${repository}/environments/${encodeURIComponent(place.environment)}`;
}
