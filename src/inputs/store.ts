import type { Place, StoreTarget } from '../github/place.ts';
import { checkHeader, isSafeUrl, secretsHint } from './checks.ts';
import type { InputReader } from './reader.ts';

/** The secret to store the credentials in; undefined if nothing is to be stored. */
export function readStore(reader: InputReader): StoreTarget | undefined {
  const name = reader.given('store-as');
  if (!name) {
    for (const other of ['store-in', 'github-token'] as const) {
      if (reader.given(other)) reader.report(`${other} is set without store-as`);
    }
    return undefined;
  }
  if (!/^[a-z_][a-z0-9_]*$/i.test(name) || /^github_/i.test(name)) {
    reader.report(
      'store-as must be the name of a secret: letters, digits and _, not starting with a digit or with GITHUB_',
    );
  }
  const githubToken = reader.given('github-token');
  if (!githubToken)
    reader.report(`github-token is missing: store-as needs a token that may write secrets. ${secretsHint}`);
  checkHeader(reader, 'github-token', 'the step that creates it');
  const secret = name.toUpperCase();
  const place = readPlace(reader);
  return { name: secret, place, githubToken, apiUrl: readApiUrl(reader), identity: identityOf(reader, place, secret) };
}

function readPlace(reader: InputReader): Place {
  const value = reader.given('store-in') || 'repository';
  const { GITHUB_REPOSITORY: repository = '' } = reader.source.env;
  if (!/^[^/\s]+\/[^/\s]+$/.test(repository)) {
    reader.report('store-as: the environment variable GITHUB_REPOSITORY does not say which repository this is');
  }
  if (value === 'repository') return { kind: 'repository', repository };
  if (value === 'organization') return { kind: 'organization', organization: repository.split('/')[0] as string };
  const [, environment = ''] = /^environment:\s*(\S.*)$/.exec(value) ?? [];
  // In a path, a segment of dots means another folder.
  if (!environment || /^\.\.?$/.test(environment)) {
    reader.report(`store-in is ${reader.quote(value)}: it must be repository, environment:<name> or organization`);
  }
  return { kind: 'environment', repository, environment };
}

function readApiUrl(reader: InputReader): string {
  const url = reader.source.env['GITHUB_API_URL'] || 'https://api.github.com';
  if (!isSafeUrl(url) || /[?#]/.test(url))
    reader.report('store-as: the environment variable GITHUB_API_URL is not an https URL');
  return url.replace(/\/+$/, '');
}

function identityOf(reader: InputReader, place: Place, secret: string): string | undefined {
  const { env } = reader.source;
  const repository = env['GITHUB_REPOSITORY_ID'] || env['GITHUB_REPOSITORY']?.toLowerCase();
  const owner = env['GITHUB_REPOSITORY_OWNER_ID'] || env['GITHUB_REPOSITORY_OWNER']?.toLowerCase();
  if (place.kind === 'organization') return owner && `organization:${owner}:${secret}`;
  if (!repository) return undefined;
  if (place.kind === 'repository') return `repository:${repository}:${secret}`;
  return `environment:${repository}:${place.environment.toLowerCase()}:${secret}`;
}
