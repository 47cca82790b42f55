import { serverText } from './answers.ts';
import { RunaiError } from './errors.ts';
import type { Answer, Call } from './exchange.ts';
import { type Effort, type Log, newEffort, operationOf, type Transport } from './http.ts';
import { unreadableHint } from './problems.ts';

/** The endpoints that exist in two generations, the older one first (Run:ai 2.20 to 3.0). */
const endpoints = {
  token: ['/api/v1/token', '/api/v2/token'],
  applications: ['/api/v1/apps', '/api/v1/service-accounts'],
  roles: ['/api/v1/authorization/roles', '/api/v2/authorization/roles'],
} as const;

export type Family = keyof typeof endpoints;
export type Generation = 'older' | 'newer';
const generations = ['older', 'newer'] as const;

export interface Endpoint {
  path: string;
  generation: Generation;
}

export interface ClientOptions {
  /** The control plane's URL, without a slash at its end. */
  baseUrl: string;
  transport: Transport;
  log: Log;
  /** Masks a secret, before anything else is done with it. */
  mask: (secret: string) => void;
  /** Makes a server's text fit to be logged. */
  clean: (text: string) => string;
  now: () => number;
}

/** A call to a path below the base URL; the bearer token is added to it. */
export interface ApiCall<T> extends Omit<Call<T>, 'url' | 'body' | 'headers'> {
  path: string;
  json?: unknown;
  form?: URLSearchParams;
}

const absentStatuses = new Set([404, 405, 410, 501]);
/** A page instead of an answer may be a passing fault: then all paths are tried again, but not for ever. */
const ROUNDS = 3;

/** The connection to one control plane: knows its URL, the bearer token, and which endpoints are there. */
export class Client {
  readonly baseUrl: string;
  readonly mask: (secret: string) => void;
  readonly clean: (text: string) => string;
  readonly log: Log;
  readonly now: () => number;
  readonly #transport: Transport;
  readonly #found = new Map<Family, Generation>();
  #bearer: string | undefined;

  constructor({ baseUrl, transport, log, mask, clean, now }: ClientOptions) {
    this.baseUrl = baseUrl;
    this.mask = mask;
    this.clean = clean;
    this.log = log;
    this.now = now;
    this.#transport = transport;
  }

  /** Uses `token` in all calls from now on. */
  authorize(token: string): void {
    this.#bearer = token;
  }

  /** Which generation of an endpoint this control plane has, once it was called. */
  generationOf(family: Family): Generation | undefined {
    return this.#found.get(family);
  }

  /** The endpoint of a family that was called before. */
  endpoint(family: Family): string {
    return endpoints[family][generations.indexOf(this.#found.get(family) ?? 'older')] as string;
  }

  serverTime(ours: number): { earliest: number; latest: number } | undefined {
    return this.#transport.serverTime(ours);
  }

  /** Sends one call and returns its answer, whatever the status. */
  send<T>(call: ApiCall<T>, effort?: Effort): Promise<Answer<T>> {
    const { path, json, form, ...rest } = call;
    const authorization = this.#bearer === undefined ? {} : { authorization: `Bearer ${this.#bearer}` };
    const content = encode({ json, form });
    const headers = { ...authorization, ...content.headers };
    return this.#transport.send({ ...rest, ...content, url: this.baseUrl + path, headers }, effort);
  }

  /** Sends a call that is not about the control plane's API, to an absolute URL. */
  sendElsewhere<T>(call: Call<T>): Promise<Answer<T>> {
    return this.#transport.send(call);
  }

  /** Sends one call and returns what was read from its answer; anything but a usable 2xx answer is an error. */
  async get<T>(call: ApiCall<T>, effort?: Effort): Promise<T> {
    return this.valueOf(await this.send(call, effort), call);
  }

  /** What was read from an answer. @throws RunaiError for any other status, or for a page instead of an answer */
  valueOf<T>(answer: Answer<T>, call: { method: string; path: string }): T {
    if (answer.body.kind === 'read') return answer.body.value;
    throw this.problem(answer, call);
  }

  /**
   * Sends a call to whichever generation of an endpoint is there: the older one first, unless this run has met a newer
   * one already. One that answers 404, 405, 410 or 501, or a page instead of JSON, is not there.
   */
  async onEndpoint<T>(
    family: Family,
    callTo: (endpoint: Endpoint) => ApiCall<T>,
    effort: Effort = newEffort(),
  ): Promise<Answer<T>> {
    const known = this.#found.get(family);
    const order = known ? [known] : this.#found.size > 0 && this.#isNewer() ? generations.toReversed() : generations;
    let answer: Answer<T> | undefined;
    let page: Answer<T> | undefined;
    for (let round = 1; round <= ROUNDS; round++) {
      for (const generation of order) {
        const path = endpoints[family][generations.indexOf(generation)] as string;
        effort.attempts = 0;
        answer = await this.send({ ...callTo({ path, generation }), probe: true }, effort);
        if (!isAbsent(answer)) {
          this.#found.set(family, generation);
          return answer;
        }
        if (isPage(answer)) page = answer;
      }
      if (!page) break;
    }
    // A page stands for something in between, which is more than an endpoint that is missing says.
    throw this.#nothingThere(family, page ?? (answer as Answer<T>));
  }

  #isNewer(): boolean {
    return [...this.#found.values()].includes('newer');
  }

  #nothingThere<T>(family: Family, answer: Answer<T>): RunaiError {
    const paths = endpoints[family].join(' and ');
    if (isPage(answer)) {
      return new RunaiError('unreadable', `${this.baseUrl} answered ${answer.status} with a web page on ${paths}`, {
        status: answer.status,
        hint: unreadableHint,
      });
    }
    return new RunaiError(
      'not-run-ai',
      `${this.baseUrl} has neither ${endpoints[family].join(' nor ')} (${answer.status})`,
      {
        status: answer.status,
        hint: 'Either url is not the address of a Run:ai control plane, its path included, or its version is older than 2.20.',
      },
    );
  }

  /** What an answer that cannot be used means, in words. */
  problem<T>(answer: Answer<T>, { method, path }: { method: string; path: string }): RunaiError {
    const { status, body, attempts } = answer;
    const operation = operationOf({ method, url: this.baseUrl + path }, this.clean);
    const says = serverText(body.kind === 'json' ? body.json : undefined, this.clean);
    const [code, hint] = meaningOf(status, { method, path });
    return new RunaiError(code, `answered ${status}${says}`, { operation, status, attempts, hint });
  }
}

function encode({ json, form }: { json?: unknown; form?: URLSearchParams | undefined }) {
  if (form) return { body: form.toString(), headers: { 'content-type': 'application/x-www-form-urlencoded' } };
  return json === undefined ? {} : { body: JSON.stringify(json), headers: { 'content-type': 'application/json' } };
}

function isPage(answer: Answer<unknown>): boolean {
  return answer.body.kind === 'page' && answer.status >= 200 && answer.status < 300;
}

function isAbsent(answer: Answer<unknown>): boolean {
  return absentStatuses.has(answer.status) || isPage(answer);
}

type Meaning = ['token-rejected' | 'forbidden' | 'conflict' | 'rejected', string];

function meaningOf(status: number, call: { method: string; path: string }): Meaning {
  switch (status) {
    case 401:
      return [
        'token-rejected',
        'The access token was not accepted: it has expired, was revoked, or belongs to another control plane or tenant than url.',
      ];
    case 403:
      return [
        'forbidden',
        `The credentials work, but lack a permission: give them a role that allows ${permissionFor(call)} at the scope in question. A new application has no permissions at all until an access rule gives it some.`,
      ];
    case 409:
      return [
        'conflict',
        'It exists already: set if-exists to skip to keep it, or to rotate to get a new secret or password for it.',
      ];
    default:
      return ['rejected', 'The control plane did not accept the request: its own words above say why.'];
  }
}

/** The action and the resource type, as Run:ai's roles name them. */
function permissionFor({ method, path }: { method: string; path: string }): string {
  const resources: [RegExp, string][] = [
    [/\/apps\b/, 'apps'],
    [/\/service-accounts\b/, 'service-account'],
    [/\/users\b/, 'users'],
    [/\/access-rules\b/, 'access_rules'],
    [/\/roles\b/, 'roles'],
  ];
  const resource = resources.find(([pattern]) => pattern.test(path))?.[1] ?? 'this';
  const onOne = /\/(secret|password)$/.test(path);
  const action = { GET: 'read', DELETE: 'delete' }[method] ?? (onOne ? 'update' : 'create');
  return `${action} on ${resource}`;
}
