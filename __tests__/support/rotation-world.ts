import { RunaiError } from '../../src/errors.ts';
import { Store } from '../../src/github/store.ts';
import { Cancellation } from '../../src/http/cancellation.ts';
import { exchange } from '../../src/http/connection.ts';
import type { Answer, Call } from '../../src/http/exchange.ts';
import { Transport } from '../../src/http/transport.ts';
import { trust } from '../../src/http/trust.ts';
import type { Credentials, InputsFor } from '../../src/inputs.ts';
import type { Context } from '../../src/modes/context.ts';
import { rotateApp } from '../../src/modes/rotate-app.ts';
import { Client } from '../../src/runai/client.ts';
import { isMember, tagOf } from '../../src/runai/family.ts';
import { type Github, startGithub } from '../simulator/github.ts';
import {
  type Application,
  type FaultRule,
  type RecordedRequest,
  type Simulator,
  startSimulator,
} from '../simulator/simulator.ts';
import { Process, Simulation } from './simulation.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** How well the clocks of the servers are known at worst: whole seconds on both sides, and answers on their way. */
const TOLERANCE = 5_000;

export const secretName = 'RUNAI_CREDENTIALS';
const identity = `repository:1296269:${secretName}`;
const family = { name: 'ci-runner', tag: tagOf(identity) };
const rule = { roleId: 1, scopeType: 'tenant', scopeId: 'acme' } as const;

export interface WorldOptions {
  overlapHours: number;
  rotateAfterDays: number | undefined;
  /** Whether the input access-rules says what the applications may do, or they get it one from the other. */
  rules: 'input' | 'copied';
  version: '2.24' | '3.0';
  /** How far the clocks of the servers are ahead, in milliseconds. */
  skew: { plane: number; github: number };
  /** Whether the control plane knows times to the second only. */
  wholeSeconds: boolean;
  /** Whether runs sign in with the stored credentials. */
  signsInAsItself: boolean;
  /** Jobs that come again and again. */
  jobs: RegularJob[];
}

/** A job reads the stored secret when it begins, and signs in at these shares of `overlap-hours` later. */
export interface RegularJob {
  /** In shares of `overlap-hours`. */
  every: number;
  signsInAfter: number[];
}

/** The ways in which one run can go. */
export interface RunOptions {
  /** How far the clock of the runner is ahead, in milliseconds. */
  skew: number;
  /** Between requests, in milliseconds. */
  latency: number;
  faults: (FaultRule & { server: Server })[];
  /** The run is killed before its n-th request, or after its answer; or cancelled before it. */
  end?: { call: number; how: 'killed before' | 'killed after' | 'cancelled' } | undefined;
  /** Servers without a `Date`. */
  silent: Server[];
  /** What is answered with 504 and done so many milliseconds later. */
  late?: { what: 'store' | 'create'; ms: number } | undefined;
}

export type Server = 'plane' | 'github';

export const cleanRun: RunOptions = { skew: 0, latency: 50, faults: [], silent: [] };

type Outputs = Record<string, string | number | boolean | undefined>;

/** A run, while it is under way and after. */
interface Run {
  process: Process;
  outputs: Outputs;
  /** The names of the applications that it made. */
  log: string[];
}

/** How things stood before a run. */
interface Before {
  writtenAt: number;
  credentials: string[];
  canCopyRules: boolean;
}

/** Someone who read the stored secret. */
interface Reading {
  clientId: string;
  at: number;
}

/**
 * A control plane, GitHub, the jobs that use the stored secret, the people who change it, and what must hold of all of
 * that whatever a run does. Only `rotateApp` is the real thing, and the way to it: client, transport, store.
 */
export class World {
  readonly simulation = new Simulation(Date.parse('2026-03-01T00:00:00.500Z'));
  readonly violations: string[] = [];
  /** What happened, for people. */
  readonly trace: string[] = [];
  runs = 0;
  readonly options: WorldOptions;
  plane!: Simulator;
  github!: Github;
  readonly #silent = new Set<Server>();
  /** Credentials and client ids that a person has made useless. */
  readonly #ruined = new Set<string>();
  #readings: Reading[] = [];
  /** When a job last signed in, by client id. */
  readonly #used = new Map<string, number>();
  #members: Application[] = [];
  #writes = 0;
  /** The client ids that were ever stored, in order. */
  readonly #storedIds: string[] = [];
  /** When the secret was last written, by anybody. */
  writtenAt = 0;
  /** Work that will still be done late. */
  #late = 0;
  /** What the last successful run said is in use. */
  reported: string | undefined;

  private constructor(options: WorldOptions) {
    this.options = options;
  }

  static async start(options: WorldOptions): Promise<World> {
    const world = new World(options);
    const { simulation } = world;
    const clockOf = (server: Server) => () => {
      const now = simulation.now + options.skew[server];
      return server === 'plane' && options.wholeSeconds ? now - (now % 1000) : now;
    };
    // Asked for just before the header is written: by then, some time has passed since the work was done.
    const silence = (server: Server) => {
      simulation.now += 3;
      return world.#silent.has(server);
    };
    const serverOptions = (server: Server) => ({
      now: clockOf(server),
      get omitDate() {
        return silence(server);
      },
    });
    // A copy with Object.assign would call the getter once and for all.
    world.plane = await startSimulator(define(serverOptions('plane'), { version: options.version }));
    world.github = await startGithub(serverOptions('github'));
    world.plane.addApplication({ name: 'by-hand', secret: 'made-by-hand' });
    for (const job of options.jobs) world.#repeat(job);
    return world;
  }

  async close(): Promise<void> {
    await Promise.all([this.plane.close(), this.github.close()]);
    this.violations.push(...this.plane.violations, ...this.github.violations);
  }

  get overlap(): number {
    return this.options.overlapHours * HOUR;
  }

  /** How old the stored secret is when the next rotation is due. */
  get dueAfter(): number {
    return Math.max(this.overlap, (this.options.rotateAfterDays ?? 0) * DAY);
  }

  get members(): Application[] {
    return this.plane.applications.filter((application) => isMember(family, application));
  }

  get stored(): string | undefined {
    return this.github.secretValue('repository', secretName);
  }

  /** The member of the family that the stored credentials belong to. */
  get storedMember(): Application | undefined {
    return this.members.find(({ clientId }) => clientId === this.stored?.split(':')[0]);
  }

  /** The member whose credentials were stored before those that are stored now. */
  get storedBefore(): Application | undefined {
    return this.members.find(({ clientId }) => clientId === this.#storedIds.at(-2));
  }

  note(text: string): void {
    this.trace.push(`${new Date(this.simulation.now).toISOString()} ${text}`);
  }

  #violated(text: string): void {
    this.note(`VIOLATION: ${text}`);
    this.violations.push(text);
  }

  async pass(ms: number): Promise<void> {
    await this.simulation.advanceTo(this.simulation.now + Math.max(0, ms));
  }

  // --- Jobs

  #repeat(job: RegularJob): void {
    this.simulation.at(this.simulation.now + job.every * this.overlap, () => {
      this.startJob(job.signsInAfter);
      this.#repeat(job);
    });
  }

  /** A job reads the secret now, and signs in later. */
  startJob(signsInAfter: number[]): void {
    const credentials = this.stored;
    if (credentials === undefined) return;
    const clientId = credentials.split(':')[0] as string;
    this.#readings.push({ clientId, at: this.simulation.now });
    this.note(`a job reads ${clientId}, to sign in after ${signsInAfter.join(', ')} overlaps`);
    for (const share of signsInAfter) {
      // The promises cover jobs that take at most the overlap.
      this.simulation.at(this.simulation.now + share * this.overlap, () => this.#signIn(credentials));
    }
  }

  #signIn(credentials: string): void {
    const [clientId = '', secret = ''] = credentials.split(/:(.*)/s);
    if (!this.plane.isValidSecret(clientId, secret)) {
      if (!this.#isRuined(credentials)) this.#violated(`a job could not sign in with ${clientId}`);
      return;
    }
    this.note(`a job signs in with ${clientId}`);
    this.#used.set(clientId, this.simulation.now);
    const application = this.plane.applications.find((one) => one.clientId === clientId);
    if (application) application.lastLogin = this.#planeTime();
  }

  #planeTime(): string {
    const now = this.simulation.now + this.options.skew.plane;
    return new Date(this.options.wholeSeconds ? now - (now % 1000) : now).toISOString();
  }

  #isRuined(credentials: string): boolean {
    return this.#ruined.has(credentials) || this.#ruined.has(credentials.split(':')[0] as string);
  }

  #works(credentials: string | undefined): boolean {
    const [clientId = '', secret = ''] = (credentials ?? '').split(/:(.*)/s);
    return this.plane.isValidSecret(clientId, secret);
  }

  // --- People

  /** Writes the secret by hand. */
  edit(what: 'foreign' | 'broken' | Application): void {
    const value =
      what === 'foreign'
        ? 'by-hand:made-by-hand'
        : what === 'broken'
          ? 'nonsense:at-all'
          : `${what.clientId}:${what.secret}`;
    if (what === 'broken') this.#ruined.add(value);
    this.note(`a person stores ${typeof what === 'string' ? what : what.name}`);
    this.github.editSecret('repository', secretName, { value });
    this.#written();
  }

  deleteSecret(): void {
    this.note('a person deletes the secret');
    this.github.deleteSecret('repository', secretName);
  }

  deleteMember(member: Application): void {
    this.note(`a person deletes ${member.name}`);
    this.#ruined.add(member.clientId);
    this.plane.applications.splice(this.plane.applications.indexOf(member), 1);
    this.#members = this.members;
  }

  setEnabled(member: Application, enabled: boolean): void {
    this.note(`a person ${enabled ? 'enables' : 'disables'} ${member.name}`);
    member.enabled = enabled;
    if (enabled) this.#ruined.delete(member.clientId);
    else this.#ruined.add(member.clientId);
  }

  /** Gives the stored application its access rule by hand, as people do who do not set access-rules. */
  giveRule(): void {
    const { storedMember } = this;
    if (!storedMember) return;
    const subjectType = this.options.version === '3.0' ? 'service-account' : 'app';
    this.plane.addAccessRule({ subjectId: storedMember.clientId, subjectType, ...rule });
  }

  // --- Runs

  /** Runs the action, or several at once, each a given number of milliseconds after the first. */
  async rotate(runs: { after: number; options: RunOptions; inPlace?: Application | undefined }[]): Promise<void> {
    const isAlone = runs.length === 1 && this.#late === 0;
    const started = this.simulation.now;
    const before: Before = {
      writtenAt: this.writtenAt,
      credentials: this.#credentials,
      canCopyRules: this.#canCopyRules,
    };
    const all: { run: Run; options: RunOptions; inPlace: Application | undefined }[] = [];
    for (const { after, options, inPlace } of runs) {
      this.simulation.at(started + after, () => {
        const { run, ready } = this.#start(options, inPlace);
        all.push({ run, options, inPlace });
        return ready;
      });
    }
    await this.simulation.until(() => all.length === runs.length && all.every(({ run }) => run.process.isOver));
    this.plane.clearFaults();
    this.github.clearFaults();
    this.#silent.clear();
    this.#observe();
    for (const { run, options, inPlace } of all) this.#checkRun(run, { options, inPlace, isAlone, before });
  }

  #start(options: RunOptions, inPlace: Application | undefined): { run: Run; ready: Promise<void> } {
    this.runs += 1;
    const process = new Process(this.simulation);
    const run: Run = { process, outputs: {}, log: [] };
    for (const server of options.silent) this.#silent.add(server);
    for (const { server, ...fault } of options.faults) this[server].fault(fault);
    if (options.late) this.#arm(options.late);
    if (inPlace) this.#ruined.add(`${inPlace.clientId}:${inPlace.secret}`);
    this.note(`run ${this.runs} begins${inPlace ? `: ${inPlace.name} in place` : ''}`);
    const { inputs, context } = this.#contextOf(run, { options, inPlace });
    return { run, ready: process.start(() => rotateApp(inputs, context)) };
  }

  #contextOf(run: Run, { options, inPlace }: { options: RunOptions; inPlace: Application | undefined }) {
    const { process, outputs, log } = run;
    const clock = process.clock(options.skew);
    const write = (text: string) => void log.push(text);
    const logger = { debug: () => {}, info: write, notice: write, warning: write };
    // What is masked, and how a server's text is made safe to show, does not concern the model.
    const [mask, clean] = [() => {}, (text: string) => text];
    const cancellation = new Cancellation();
    const transport = new WatchedTransport(
      {
        budget: 60_000,
        clock,
        random: () => 1,
        log: logger,
        mask,
        clean,
        trust: trust(undefined),
        proxy: undefined,
        userAgent: 'runai-auth/model',
        cancellation,
      },
      { process, cancellation, options, observe: () => this.#observe() },
    );
    const inputs = this.#inputsFor(inPlace);
    const { credentials } = inputs;
    const callerId = credentials.by === 'application' ? credentials.clientId : undefined;
    const client = new Client({
      baseUrl: this.plane.url,
      transport,
      log: logger,
      caller: 'the caller',
      callerId,
      mask,
      clean,
      now: clock.now,
    });
    const context: Context = {
      client,
      log: logger,
      publish: ({ secrets = {}, compounds = {}, values = {} }) => {
        Object.assign(outputs, secrets, compounds, values);
      },
      summarize: () => {},
      fetchIdToken: () => Promise.reject(new Error('not used')),
      openStore: async (target) => new Store(target, { transport, clean }),
    };
    return { inputs, context };
  }

  #inputsFor(inPlace: Application | undefined): InputsFor<'rotate-app'> {
    const { overlapHours, rotateAfterDays, rules } = this.options;
    const wanted = [{ role: `${rule.roleId}`, scopeType: rule.scopeType, scopeId: rule.scopeId }];
    return {
      mode: 'rotate-app',
      url: this.plane.url,
      credentials: this.#callerCredentials(inPlace),
      roots: undefined,
      timeoutSeconds: 60,
      key: { name: inPlace?.name ?? family.name },
      store: {
        name: secretName,
        place: { kind: 'repository', repository: this.github.repository },
        githubToken: this.github.token,
        apiUrl: this.github.url,
        identity,
      },
      rotateAfter: inPlace ? undefined : rotateAfterDays,
      overlap: inPlace
        ? undefined
        : { name: family.name, hours: overlapHours, accessRules: rules === 'input' ? wanted : undefined },
    };
  }

  /** The stored credentials, where runs use them and they may manage applications; otherwise the administrator's. */
  #callerCredentials(inPlace: Application | undefined): Credentials {
    const { storedMember, stored, plane } = this;
    const isAdministrator = plane.accessRules.some(({ subjectId }) => subjectId === storedMember?.clientId);
    if (!this.options.signsInAsItself || inPlace || !storedMember || !isAdministrator || !this.#works(stored)) {
      return { by: 'user', ...plane.admin };
    }
    return { by: 'application', clientId: storedMember.clientId, clientSecret: storedMember.secret };
  }

  /** Answers one request with 504, and does its work later. */
  #arm({ what, ms }: NonNullable<RunOptions['late']>): void {
    const server = what === 'store' ? this.github : this.plane;
    const isMeant = ({ method, path }: RecordedRequest) =>
      what === 'store'
        ? method === 'PUT' && path.endsWith(`/${secretName}`)
        : method === 'POST' && /\/(apps|service-accounts)$/.test(path);
    const known = server.requests.length;
    const path = what === 'store' ? /\/RUNAI_CREDENTIALS$/ : /\/(apps|service-accounts)$/;
    server.fault({ method: what === 'store' ? 'PUT' : 'POST', path, fault: { kind: 'status', status: 504 } });
    this.#late += 1;
    const look = (tries: number): void => {
      const request = server.requests.slice(known).find((one) => isMeant(one) && one.status === 504);
      if (request) this.simulation.at(this.simulation.now + ms, () => this.#deliver(server, request));
      else if (tries > 0) this.simulation.at(this.simulation.now + 1000, () => look(tries - 1));
      else this.#late -= 1;
    };
    look(120);
  }

  async #deliver(server: Simulator | Github, { method, path, headers, body }: RecordedRequest): Promise<void> {
    this.note(`${method} ${path} is carried out late`);
    const { host: _, connection: __, ...rest } = headers;
    const url = new URL(server.url).origin + path;
    const signal = new AbortController().signal;
    const message = { method, url, headers: rest, body };
    // It may meet a fault as well.
    await exchange(message, { trust: trust(undefined), proxy: undefined, signal }).catch(() => {});
    this.#late -= 1;
    this.#observe();
  }

  // --- What must be true

  /** Checks what has changed on the servers. */
  #observe(): void {
    const { members } = this;
    for (const gone of this.#members.filter((member) => !members.includes(member))) {
      this.#checkDeletion(gone);
    }
    this.#members = members;
    const { writes } = this.github;
    if (writes.length > this.#writes && writes.slice(this.#writes).some(({ name }) => name === secretName)) {
      this.#written();
    }
    this.#writes = writes.length;
  }

  #written(): void {
    const { stored = '' } = this;
    this.writtenAt = this.simulation.now;
    this.#storedIds.push(stored.split(':')[0] as string);
    this.note(`the secret is written: ${this.#storedIds.at(-1)}`);
  }

  /** Nothing that may be in use is deleted. */
  #checkDeletion({ name, clientId }: Application): void {
    const { now } = this.simulation;
    this.note(`${name} is deleted`);
    if (this.stored?.startsWith(`${clientId}:`)) this.#violated(`${name} was deleted, and is stored`);
    const held = this.#readings.some((reading) => reading.clientId === clientId && reading.at + this.overlap > now);
    if (held) this.#violated(`${name} was deleted, and a job may still hold its secret`);
    if ((this.#used.get(clientId) ?? 0) > now - this.overlap) this.#violated(`${name} was deleted, and was just used`);
  }

  #checkRun(
    { process, outputs, log }: Run,
    {
      options,
      inPlace,
      isAlone,
      before,
    }: {
      options: RunOptions;
      inPlace: Application | undefined;
      isAlone: boolean;
      before: Before;
    },
  ): void {
    const { error, wasKilled } = process;
    if (wasKilled) {
      this.note('a run was killed');
      return;
    }
    this.note(error instanceof Error ? `a run failed: ${error.message}` : `a run was green: ${log.join('; ')}`);
    if (error !== undefined && !(error instanceof RunaiError)) this.#violated(`a run failed with ${String(error)}`);
    const isClean = isAlone && options.faults.length === 0 && !options.end && options.silent.length === 0;
    this.#checkIssued(outputs, { options, isAlone, before });
    if (error !== undefined) {
      if (isClean && !options.late && !this.#mayFail(error)) this.#violated(`a clean run failed: ${String(error)}`);
      return;
    }
    this.#checkGreen(outputs, { isAlone: isAlone && !options.late });
    if (inPlace) return;
    this.reported = String(outputs['app-name']);
    if (isClean && !options.late) this.#checkHealed(outputs, before);
  }

  // A person can disable an application that a person then rotates in place.
  #mayFail(error: unknown): boolean {
    return error instanceof RunaiError && error.code === 'unverified';
  }

  /**
   * Everything that the control plane issued, in an answer that arrived, is published. If it is stored, it was
   * published before.
   */
  #checkIssued(
    outputs: Outputs,
    { options, isAlone, before }: { options: RunOptions; isAlone: boolean; before: Before },
  ): void {
    const losesAnswers = options.faults.some(({ server }) => server === 'plane') || options.late?.what === 'create';
    if (losesAnswers || options.end || !isAlone) return;
    for (const credentials of this.#credentials.filter((one) => !before.credentials.includes(one))) {
      const [clientId = '', secret] = credentials.split(':');
      const isPublished = outputs['credentials'] === credentials && outputs['client-secret'] === secret;
      if (!isPublished) this.#violated(`the secret of ${clientId} was not published`);
    }
  }

  get #credentials(): string[] {
    return this.members.map(({ clientId, secret }) => `${clientId}:${secret}`);
  }

  /** The outputs of a successful run describe the actual state. */
  #checkGreen(outputs: Outputs, { isAlone }: { isAlone: boolean }): void {
    const application = this.plane.applications.find(({ id }) => id === outputs['app-id']);
    const { name, clientId } = application ?? {};
    if (outputs['app-name'] !== name || outputs['client-id'] !== clientId) this.#violated('app-id is not what it says');
    for (const retired of String(outputs['retired-apps'] ?? '').split('\n')) {
      if (this.members.some((member) => member.name === retired)) this.#violated(`${retired} was not retired`);
    }
    if (outputs['stored'] !== outputs['rotated']) this.#violated('rotated and stored do not agree');
    if (!outputs['rotated']) return;
    const credentials = String(outputs['credentials']);
    const wasStored = this.github.writes.some(({ name: of, value }) => of === secretName && value === credentials);
    if (!wasStored) this.#violated('a successful rotation did not store its credentials');
    if (!isAlone) return;
    if (this.stored !== credentials) this.#violated('a successful rotation stored something else');
    if (!this.#works(credentials) && !this.#isRuined(credentials)) this.#violated('what was stored does not work');
  }

  /**
   * After a run without a fault, a working secret is stored; the one exception is what people did, until a rotation is
   * due.
   */
  #checkHealed(outputs: Outputs, before: Before): void {
    const { stored, storedMember } = this;
    const age = this.simulation.now - before.writtenAt;
    const mayWait = !outputs['rotated'] && age < this.dueAfter + TOLERANCE;
    if (!this.#works(stored) && !(mayWait && stored !== undefined && this.#isRuined(stored))) {
      this.#violated('after a clean run, the stored secret does not work');
    }
    const { ruled } = this;
    const isPromised = this.options.rules === 'input' || before.canCopyRules;
    if (outputs['rotated'] && isPromised && storedMember && !ruled.has(storedMember.clientId)) {
      this.#violated('after a clean rotation, the stored application has no access rules');
    }
  }

  /** The client ids of those that have an access rule. */
  get ruled(): Set<string> {
    return new Set(this.plane.accessRules.map(({ subjectId }) => subjectId));
  }

  /** Whether any member that somebody has signed in with would do as an example for the next. */
  get #canCopyRules(): boolean {
    const { ruled } = this;
    const used = this.members.filter(({ lastLogin }) => lastLogin !== null);
    return used.length > 0 && used.every(({ clientId }) => ruled.has(clientId));
  }

  /** The family is as small as it should be. */
  checkSize(most: number): void {
    const { members } = this;
    if (members.length > most) {
      this.#violated(`the family has ${members.length} members: ${members.map(({ name }) => name).join(', ')}`);
    }
  }
}

function define<A extends object, B extends object>(target: A, more: B): A & B {
  return Object.defineProperties(target, Object.getOwnPropertyDescriptors(more)) as A & B;
}

/** The real transport, with a stop before and after each request: there time passes, and there a run can end. */
class WatchedTransport extends Transport {
  readonly #watch: { process: Process; cancellation: Cancellation; options: RunOptions; observe: () => void };
  #calls = 0;

  constructor(
    options: ConstructorParameters<typeof Transport>[0],
    watch: { process: Process; cancellation: Cancellation; options: RunOptions; observe: () => void },
  ) {
    super(options);
    this.#watch = watch;
  }

  override async send<T>(call: Call<T>): Promise<Answer<T>> {
    const { process, cancellation, options, observe } = this.#watch;
    const ending = options.end?.call === ++this.#calls ? options.end.how : undefined;
    await process.pause(options.latency);
    if (ending === 'killed before') return process.kill();
    if (ending === 'cancelled') cancellation.cancel('SIGTERM');
    try {
      return await super.send(call);
    } finally {
      observe();
      if (ending === 'killed after') await process.kill();
    }
  }
}
