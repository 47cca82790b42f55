import { RunaiError } from '../errors.ts';
import type { Span } from '../http/clock.ts';
import type { Answer, Call } from '../http/exchange.ts';
import type { Log, Transport } from '../http/transport.ts';
import { isBlocked, refusalOf } from './refusals.ts';
import { controlPlane } from './service.ts';

/** Every endpoint, with the paths of its generations, oldest first (Run:ai 2.20 to 3.0). */
const endpoints = {
  token: ['/api/v1/token', '/api/v2/token'],
  applications: ['/api/v1/apps', '/api/v1/service-accounts'],
  users: ['/api/v1/users'],
  roles: ['/api/v1/authorization/roles', '/api/v2/authorization/roles'],
  accessRules: ['/api/v1/authorization/access-rules'],
  projects: ['/api/v1/org-unit/projects'],
  departments: ['/api/v1/org-unit/departments'],
  clusters: ['/api/v1/clusters'],
} as const;

export type Endpoint = keyof typeof endpoints;

export interface ClientOptions {
  /** The control plane's URL, without a trailing slash. */
  baseUrl: string;
  transport: Transport;
  log: Log;
  /** Who signs in, for messages, such as `the application ci-runner`. */
  caller: string;
  /** The client id that signs in, if it is an application's. */
  callerId: string | undefined;
  /** Masks a secret, before anything else is done with it. */
  mask: (secret: string) => void;
  /** Makes a server's text safe to log. */
  clean: (text: string) => string;
  now: () => number;
}

/** A call to a path below the base URL. The bearer token is added to it. */
export interface ApiCall<T> extends Omit<Call<T>, 'service' | 'url' | 'body' | 'headers'> {
  path: string;
  json?: unknown;
  form?: URLSearchParams;
  /** For a grant, which is requested without a token. */
  anonymous?: boolean;
}

/** The answer of an endpoint that exists in several generations. */
export interface Found<T> {
  answer: Answer<T>;
  /** The path of the generation that answered. */
  path: string;
  /** The answers of other generations that refused the request as well. */
  others: Answer<T>[];
}

const absentStatuses = new Set([404, 405, 410, 501]);
/** A web page instead of an answer may be a temporary fault: then all paths are tried again, up to this many rounds. */
const ROUNDS = 3;

/** A client for one control plane: knows its URL, the bearer token, and which endpoints exist. */
export class Client {
  readonly baseUrl: string;
  readonly caller: string;
  readonly callerId: string | undefined;
  readonly mask: (secret: string) => void;
  readonly clean: (text: string) => string;
  readonly log: Log;
  readonly now: () => number;
  readonly #transport: Transport;
  /** The path of each endpoint that has answered before. */
  readonly #known = new Map<Endpoint, string>();
  #bearer: string | undefined;
  #renew: (() => Promise<string>) | undefined;
  #renewal: Promise<void> | undefined;

  constructor({ baseUrl, transport, log, caller, callerId, mask, clean, now }: ClientOptions) {
    this.baseUrl = baseUrl;
    this.caller = caller;
    this.callerId = callerId;
    this.mask = mask;
    this.clean = clean;
    this.log = log;
    this.now = now;
    this.#transport = transport;
  }

  /**
   * Uses `token` in all calls from now on.
   * @param renew signs in again, for a run that outlives its token; used once
   */
  authorize(token: string, renew?: () => Promise<string>): void {
    this.#bearer = token;
    this.#renew = renew;
  }

  /** What the control plane's clock may have shown at a time on our clock; undefined if it sent no `Date`. */
  serverTime(ours: number): Span | undefined {
    return this.#transport.serverTime(this.baseUrl, ours);
  }

  /** Converts a time on the control plane's clock to our clock; undefined if it sent no `Date`. */
  ourTime(theirs: Span): Span | undefined {
    return this.#transport.ourTime(this.baseUrl, theirs);
  }

  /** Milliseconds until the run's deadline. */
  get remaining(): number {
    return this.#transport.remaining;
  }

  /** Waits, unless that would go past the deadline. Returns whether there was time. */
  wait(ms: number): Promise<boolean> {
    return this.#transport.wait(ms);
  }

  /** Sends one call and returns its answer, whatever the status. A token that was rejected is renewed, once. */
  async send<T>(call: ApiCall<T>): Promise<Answer<T>> {
    const answer = await this.#sendOnce(call);
    if (answer.status !== 401 || isBlocked(answer) || call.anonymous || !this.#renew) return answer;
    this.#renewal ??= this.#renewToken(this.#renew);
    const second = await this.#after([answer], call, async () => {
      await this.#renewal;
      return this.#sendOnce(call);
    });
    return { ...second, lost: [...answer.lost, ...second.lost] };
  }

  async #renewToken(renew: () => Promise<string>): Promise<void> {
    this.log.info('The access token is no longer accepted: signing in again');
    this.#bearer = await renew();
  }

  #sendOnce<T>(call: ApiCall<T>): Promise<Answer<T>> {
    const { path, json, form, anonymous, ...rest } = call;
    const bearer = anonymous ? undefined : this.#bearer;
    const content = encode({ json, form });
    const headers = { ...(bearer && { authorization: `Bearer ${bearer}` }), ...content.headers };
    return this.#transport.send({ ...rest, ...content, service: controlPlane, url: this.baseUrl + path, headers });
  }

  /** Sends one call and returns what was read from its answer; anything but a usable 2xx answer is an error. */
  async call<T>(call: ApiCall<T>): Promise<T> {
    return this.valueOf(await this.send(call));
  }

  /** What was read from an answer. @throws RunaiError for any other status */
  valueOf<T>(answer: Answer<T>, others: Answer<T>[] = []): T {
    if (answer.body.kind === 'read') return answer.body.value;
    throw this.refusal(answer, others);
  }

  /** The error for an answer that is not a success. */
  refusal<T>(answer: Answer<T>, others: Answer<T>[] = []): RunaiError {
    return refusalOf(answer, { caller: this.caller, clean: this.clean }, others);
  }

  /** Like `call`, to whichever generation of an endpoint exists. */
  async ask<T>(endpoint: Endpoint, callTo: (path: string) => ApiCall<T>): Promise<{ value: T; path: string }> {
    const { answer, path, others } = await this.find(endpoint, callTo);
    return { value: this.valueOf(answer, others), path };
  }

  /**
   * Sends a call to whichever generation of an endpoint exists: the oldest first, unless this run has already met a
   * newer one. One that answers 404, 405, 410 or 501, or a page instead of JSON, does not exist, unless it has answered
   * before; one that answers 403 may be closed to this caller, so the next one is tried. Any other answer is final.
   */
  async find<T>(endpoint: Endpoint, callTo: (path: string) => ApiCall<T>): Promise<Found<T>> {
    const tries: { path: string; answer: Answer<T> }[] = [];
    const known = this.#known.get(endpoint);
    const done = (found: Found<T>) => {
      this.#known.set(endpoint, known ?? found.path);
      const lost = tries.flatMap(({ answer }) => answer.lost);
      return { ...found, answer: { ...found.answer, lost } };
    };
    const paths = this.#order(endpoint);
    for (let round = 1; round <= ROUNDS; round++) {
      for (const path of paths) {
        const isKnown = path === known;
        // If there is no other path, a page is not an answer, and the work may have been done anyway.
        const call = { ...callTo(path), probe: !isKnown && paths.length > 1 };
        const earlier = tries.map(({ answer }) => answer);
        const answer = await this.#after(earlier, call, () => this.send(call));
        tries.push({ path, answer });
        // An endpoint that has answered before exists: then a 404 is about the requested object.
        const isThere = isKnown || !isAbsent(answer);
        if (isThere && answer.status !== 403) return done({ answer, path, others: [] });
      }
      const [first, ...others] = tries.filter(({ answer }) => answer.status === 403);
      if (first) return done({ ...first, others: others.map(({ answer }) => answer) });
      if (!tries.some(({ answer }) => isPage(answer))) break;
    }
    const answers = tries.map(({ answer }) => answer);
    throw this.#nothingThere(paths, answers);
  }

  /**
   * Sends a call after earlier ones for the same thing. Its error also says what those may have done; and if one of them
   * was refused, that counts more than that the next generation could not be reached.
   */
  async #after<T>(earlier: Answer<T>[], { ifLost }: ApiCall<T>, work: () => Promise<Answer<T>>): Promise<Answer<T>> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof RunaiError)) throw error;
      const isLost = earlier.some(({ lost }) => lost.length > 0);
      const known = isLost && ifLost ? error.warn(ifLost) : error;
      const refused = earlier.find(({ status }) => status === 403);
      if (!refused || error.code === 'interrupted') throw known;
      throw this.refusal(refused).with({ warning: known.warning });
    }
  }

  #order(endpoint: Endpoint): readonly string[] {
    const known = this.#known.get(endpoint);
    const paths: readonly string[] = endpoints[endpoint];
    if (known) return paths.slice(paths.indexOf(known));
    const isNewer = [...this.#known].some(([other, path]) => path !== endpoints[other][0]);
    return isNewer ? paths.toReversed() : paths;
  }

  #nothingThere<T>(paths: readonly string[], answers: Answer<T>[]): RunaiError {
    const answer = (answers.find(isPage) ?? answers.at(-1)) as Answer<T>;
    const { status } = answer;
    const warning = answers.find(({ lost }) => lost.length > 0)?.ifLost;
    if (isPage(answer)) {
      const message = `${this.baseUrl} answered ${status} with a web page on ${paths.join(' and ')}`;
      return new RunaiError('unreadable', message, { status, warning, hint: controlPlane.advice.unreadable });
    }
    const missing = paths.length > 1 ? `neither ${paths.join(' nor ')}` : `no ${paths[0]}`;
    const hint =
      this.#bearer === undefined
        ? 'Either url is not the address of a Run:ai control plane (check its path, too), or its version is older than 2.20.'
        : 'Something in front of the control plane may not let this path through, or this action does not know its version.';
    return new RunaiError('not-run-ai', `${this.baseUrl} has ${missing} (${status})`, { status, warning, hint });
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
