import { randomBytes } from 'node:crypto';
import { type ErrorCode, RunaiError } from '../errors.ts';
import type { Span } from '../http/clock.ts';
import type { Answer, Call } from '../http/exchange.ts';
import { operationOf, said } from '../http/problems.ts';
import type { Transport } from '../http/transport.ts';
import { type Key, readKey, readRepositoryIds, readSecret, type StoredSecret } from './answers.ts';
import { githubApi } from './api.ts';
import { type Place, placeInPath, placeInWords, type StoreTarget } from './place.ts';
import { seal } from './sealed-box.ts';

export interface StoreTools {
  transport: Transport;
  /** Makes a server's text safe to log. */
  clean: (text: string) => string;
}

interface GithubCall<T> extends Pick<Call<T>, 'method' | 'read' | 'statuses' | 'ifLost' | 'whenCancelled'> {
  /** Below the base URL of the API. */
  path: string;
  json?: unknown;
}

type When = Pick<Call<unknown>, 'whenCancelled'>;

/** How the actual write behaves: the warning if it failed but may have been done anyway, and what a signal stops. */
type WriteOptions = Pick<Call<unknown>, 'ifLost' | 'whenCancelled'>;

interface Write extends WriteOptions {
  path: string;
  value: string;
  key: Key;
  visibility: Visibility | undefined;
}

/** A store that was rehearsed, and is ready for the actual write. */
export interface Rehearsed {
  /** Such as `the secret RUNAI_CREDENTIALS of acme/app`. */
  description: string;
  /** @throws RunaiError `store`, or `interrupted` */
  write(value: string, options: WriteOptions): Promise<void>;
}

/** Who may read an organization secret. A write that leaves anything out removes it. */
interface Visibility {
  visibility: string;
  selected_repository_ids?: number[];
}

/** The list of the repositories that may read an organization secret: all pages are full, except the last. */
const PAGE = 100;
const REPOSITORY_PAGES = 100;
/** How many times a value is sealed, if the key keeps changing in the meantime. */
const KEY_TRIES = 3;

/**
 * One Actions secret in GitHub: of a repository, an environment or an organization. Its value can never be read back.
 */
export class Store {
  readonly #target: StoreTarget;
  readonly #tools: StoreTools;

  constructor(target: StoreTarget, tools: StoreTools) {
    this.#target = target;
    this.#tools = tools;
  }

  /** Such as `the secret RUNAI_CREDENTIALS of acme/app`. */
  get description(): string {
    return `the secret ${this.#target.name} of ${placeInWords(this.#target.place)}`;
  }

  /** What GitHub says about the secret; undefined if it does not exist. */
  async read(): Promise<StoredSecret | undefined> {
    const answer = await this.#send({ method: 'GET', path: this.#pathOf(this.#target.name), read: readSecret });
    return answer.status === 404 ? undefined : this.#valueOf(answer);
  }

  /** Converts a time on GitHub's clock to our clock; undefined if GitHub sent no `Date`. */
  ourTime(theirs: Span): Span | undefined {
    return this.#tools.transport.ourTime(this.#target.apiUrl, theirs);
  }

  /**
   * Makes sure that the secret can be written, by writing and deleting another one with a similar name.
   * @throws RunaiError with the code of the cause
   */
  rehearse(): Promise<Rehearsed> {
    return this.#rehearse().catch((error) => {
      throw error instanceof RunaiError ? error.warn('Nothing was issued, and the stored secret is unchanged.') : error;
    });
  }

  async #rehearse(): Promise<Rehearsed> {
    const { place, name } = this.#target;
    const visibility = place.kind === 'organization' ? await this.#visibility() : undefined;
    const key = await this.#readKey({});
    const path = this.#pathOf(`${name}_REHEARSAL`);
    const unseen = visibility && { visibility: 'selected', selected_repository_ids: [] };
    this.#check(await this.#put({ path, value: randomBytes(16).toString('hex'), key, visibility: unseen }));
    const deleted = await this.#send({ method: 'DELETE', path });
    if (deleted.status !== 404) this.#check(deleted);
    return {
      description: this.description,
      write: (value, options) => this.#write(value, { key, visibility, ...options }).catch(asStoreError),
    };
  }

  async #write(
    value: string,
    { key, ...rest }: { key: Key; visibility: Visibility | undefined } & WriteOptions,
  ): Promise<void> {
    const path = this.#pathOf(this.#target.name);
    let current = key;
    for (let count = 1; ; count++) {
      const answer = await this.#put({ path, value, key: current, ...rest });
      if (answer.status !== 422 || count === KEY_TRIES) return this.#check(answer);
      current = await this.#readKey(rest);
    }
  }

  #put({ path, value, key, visibility, ...options }: Write): Promise<Answer<unknown>> {
    const json = { encrypted_value: seal(value, key.bytes), key_id: key.id, ...visibility };
    return this.#send({ method: 'PUT', path, json, statuses: [201, 204], ...options });
  }

  async #readKey({ whenCancelled }: When): Promise<Key> {
    const call = { method: 'GET' as const, path: this.#pathOf('public-key'), read: readKey };
    return this.#valueOf(await this.#send({ ...call, ...(whenCancelled && { whenCancelled }) }));
  }

  async #visibility(): Promise<Visibility> {
    const secret = await this.read();
    if (!secret) {
      throw new RunaiError(
        'not-found',
        `there is no ${this.description.replace('the ', '')}, or the token cannot see it`,
        {
          hint: "An organization's secret must exist, so that it is clear which repositories may read it: create it once by hand, with any value. If the application exists already, issue the first credentials with if-exists: rotate, or with rotate-app without rotate-after-days: any other run would take that value for them.",
        },
      );
    }
    const { visibility = 'selected' } = secret;
    if (visibility !== 'selected') return { visibility };
    return { visibility, selected_repository_ids: await this.#selectedRepositories() };
  }

  async #selectedRepositories(): Promise<number[]> {
    const ids = new Set<number>();
    let total = 0;
    for (let page = 1; page <= REPOSITORY_PAGES; page++) {
      const path = `${this.#pathOf(this.#target.name)}/repositories?per_page=${PAGE}&page=${page}`;
      const found = this.#valueOf(await this.#send({ method: 'GET', path, read: readRepositoryIds }));
      for (const id of found.ids) ids.add(id);
      // If one is added or removed meanwhile, others move to another page.
      total = Math.max(total, found.total);
      if (found.ids.length === PAGE) continue;
      // A repository that is left out of the write loses access.
      if (ids.size < total) throw missingRepositories(this.description);
      return [...ids];
    }
    throw new RunaiError('unreadable', 'GitHub sent an endless list of repositories');
  }

  #send<T>({ path, json, ...rest }: GithubCall<T>): Promise<Answer<T>> {
    const { apiUrl, githubToken } = this.#target;
    const headers = {
      accept: 'application/vnd.github+json',
      authorization: `Bearer ${githubToken}`,
      'x-github-api-version': '2022-11-28',
      ...(json !== undefined && { 'content-type': 'application/json' }),
    };
    const body = json === undefined ? undefined : JSON.stringify(json);
    return this.#tools.transport.send({ ...rest, service: githubApi, url: apiUrl + path, headers, body });
  }

  #valueOf<T>(answer: Answer<T>): T {
    if (answer.body.kind === 'read') return answer.body.value;
    throw this.#refusal(answer);
  }

  #check(answer: Answer<unknown>): void {
    if (answer.status < 200 || answer.status > 299) throw this.#refusal(answer);
  }

  #pathOf(secret: string): string {
    return `${placeInPath(this.#target.place)}/secrets/${encodeURIComponent(secret)}`;
  }

  /** The error for a refusal by GitHub. All messages for refusals are in this file. */
  #refusal({ request, status, attempts, body, lost, ifLost }: Answer<unknown>): RunaiError {
    const { clean } = this.#tools;
    const { place } = this.#target;
    const { code, hint } = meaningOf({ status, isPage: body.kind === 'page', place });
    const warning = lost.length > 0 ? ifLost : undefined;
    const details = { operation: operationOf(request, clean), status, attempts, warning, hint };
    return new RunaiError(code, `answered ${status}${said(body, clean)}`, details);
  }
}

function missingRepositories(description: string): RunaiError {
  return new RunaiError('unreadable', `GitHub lists fewer repositories for ${description} than it counts`, {
    hint: 'Nothing was changed. The list may have changed while it was read: run this again. If that does not help, check that github-token may see all repositories that have access to the secret.',
  });
}

function asStoreError(error: unknown): never {
  throw error instanceof RunaiError && error.code !== 'interrupted' ? error.with({ code: 'store' }) : error;
}

function meaningOf({ status, isPage, place }: { status: number; isPage: boolean; place: Place }): {
  code: ErrorCode;
  hint: string;
} {
  if (isPage && (status === 401 || status === 403)) {
    return {
      code: 'blocked',
      hint: "Something in front of GitHub's API refused the request: let this runner through.",
    };
  }
  switch (status) {
    case 401:
      return { code: 'token-rejected', hint: 'GitHub did not accept github-token: it has expired, or was revoked.' };
    case 403:
      return {
        code: 'forbidden',
        hint: `github-token needs the permission ${permissions[place.kind]}. The job's own GITHUB_TOKEN can never write secrets: use a GitHub App or a fine-grained token.`,
      };
    case 404:
      return {
        code: 'not-found',
        hint: `GitHub does not show ${placeInWords(place)} to this token: check store-in, and that github-token has access there, with the permission ${permissions[place.kind]}.`,
      };
    default:
      return { code: 'rejected', hint: 'GitHub did not accept the request.' };
  }
}

const permissions: Record<Place['kind'], string> = {
  repository: 'repository "Secrets: write"',
  environment: 'repository "Environments: write"',
  organization: 'organization "Secrets: write"',
};
