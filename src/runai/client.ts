import { RunaiError } from './errors.ts';
import type { Answer, Call } from './exchange.ts';
import { type Effort, type Log, newEffort, operationOf, type Transport } from './http.ts';
import { unreadableHint } from './problems.ts';
import { inItsOwnWords, meaningOf } from './statuses.ts';

/** The endpoints that exist in two generations (Run:ai 2.20 to 3.0). */
const endpoints = {
  token: { older: '/api/v1/token', newer: '/api/v2/token' },
  applications: { older: '/api/v1/apps', newer: '/api/v1/service-accounts' },
  roles: { older: '/api/v1/authorization/roles', newer: '/api/v2/authorization/roles' },
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
    return endpoints[family][this.#found.get(family) ?? 'older'];
  }

  serverTime(ours: number): { earliest: number; latest: number } | undefined {
    return this.#transport.serverTime(this.baseUrl, ours);
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
  async call<T>(call: ApiCall<T>, effort?: Effort): Promise<T> {
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
    const order = known ? [known] : this.#isNewer() ? generations.toReversed() : generations;
    let answer: Answer<T> | undefined;
    let page: Answer<T> | undefined;
    for (let round = 1; round <= ROUNDS; round++) {
      for (const generation of order) {
        const path = endpoints[family][generation];
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
    const paths = order.map((generation) => endpoints[family][generation]);
    throw this.#nothingThere(paths, page ?? (answer as Answer<T>));
  }

  #isNewer(): boolean {
    return [...this.#found.values()].includes('newer');
  }

  #nothingThere<T>(paths: string[], answer: Answer<T>): RunaiError {
    const { status } = answer;
    if (isPage(answer)) {
      const message = `${this.baseUrl} answered ${status} with a web page on ${paths.join(' and ')}`;
      return new RunaiError('unreadable', message, { status, hint: unreadableHint });
    }
    const missing = paths.length > 1 ? `neither ${paths.join(' nor ')}` : `no ${paths[0]}`;
    const hint =
      this.#bearer === undefined
        ? 'Either url is not the address of a Run:ai control plane, its path included, or its version is older than 2.20.'
        : 'Something in front of the control plane may not let this path through, or its version is one that this action does not know.';
    return new RunaiError('not-run-ai', `${this.baseUrl} has ${missing} (${status})`, { status, hint });
  }

  /** What an answer that cannot be used means, in words. */
  problem<T>(answer: Answer<T>, { method, path }: { method: string; path: string }): RunaiError {
    const { status, attempts } = answer;
    const operation = operationOf({ method, url: this.baseUrl + path }, this.clean);
    const { code, hint } = meaningOf(status, { method, path });
    return new RunaiError(code, inItsOwnWords(answer, this.clean), { operation, status, attempts, hint });
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
