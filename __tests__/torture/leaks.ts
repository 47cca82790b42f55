import { once } from 'node:events';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { EchoStyle, Simulator, Version } from '../__tests__/simulator/simulator.ts';
import { startSimulator } from '../__tests__/simulator/simulator.ts';
import { type Certificate, createAuthority } from '../__tests__/support/certificates.ts';
import { startProxy } from '../__tests__/support/proxy.ts';
import { actionFile, runStep, type StepResult, secretOutputs } from '../__tests__/support/runner.ts';
import {
  base64,
  echoes,
  fitsHeader,
  Haystack,
  type Heard,
  headerKinds,
  isFormOf,
  type Kind,
  kindNames,
  kinds,
  pick,
  type Raw,
} from './forms.ts';
import { emptyResult, type PartOptions, type PartResult, pool, randomFrom, shuffled, table } from './report.ts';

/** The requests that a mode makes, each with what it looks like. */
const requests = {
  connect: { method: 'CONNECT', path: /./ },
  oidc: { method: 'GET', path: /^\/_oidc\// },
  grant: { method: 'POST', path: /\/token$/ },
  create: { method: 'POST', path: /\/(apps|service-accounts|users)$/ },
  list: { method: 'GET', path: /\/(apps|service-accounts|users)(\?|$)/ },
  reset: { method: 'POST', path: /\/(secret|password)$/ },
  delete: { method: 'DELETE', path: /./ },
  roles: { method: 'GET', path: /\/roles(\?|$)/ },
  'list of rules': { method: 'GET', path: /\/access-rules\?/ },
  rule: { method: 'POST', path: /\/access-rules$/ },
} as const;
type RequestName = keyof typeof requests;

/** What a step is given, and what the control plane holds before it. */
interface Setup {
  inputs: Record<string, string>;
  env?: Record<string, string>;
}

interface Scene {
  secret: string;
  simulator: Simulator;
  origin: string;
}

interface Way {
  asks: RequestName[];
  /** The header of a request carries the secret. */
  inHeader?: true;
  /** Over TLS, through a proxy that wants a password. */
  proxied?: true;
  prepare(scene: Scene): Setup;
}

const byPassword = ({ secret, simulator }: Scene) => ({ username: simulator.admin.username, password: secret });
const byToken = ({ secret }: Scene) => ({ 'access-token': secret });
const rules = { 'access-rules': 'ML engineer @ project:4501234\n8 @ department:77' };

function byApplication({ secret, simulator }: Scene): Record<string, string> {
  const { clientId } = simulator.addApplication({ name: 'app-one', secret });
  simulator.addAccessRule({ subjectId: clientId, subjectType: 'app', roleId: 1, scopeId: 'all', scopeType: 'tenant' });
  return { 'client-id': clientId, 'client-secret': secret };
}

function byOidc({ simulator, secret, origin }: Scene) {
  const url = `${origin}${new URL(simulator.oidc.url).pathname}?api-version=2.0`;
  const env = { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: secret };
  return { inputs: { 'oidc-audience': simulator.oidc.audience }, env };
}

const ways = {
  'token, password': { asks: ['grant'], prepare: (scene) => ({ inputs: { mode: 'token', ...byPassword(scene) } }) },
  'token, client secret': {
    asks: ['grant'],
    prepare: (scene) => ({ inputs: { mode: 'token', ...byApplication(scene) } }),
  },
  'token, external token': {
    asks: ['grant'],
    prepare: ({ secret }) => ({ inputs: { mode: 'token', 'external-token': secret } }),
  },
  'token, OIDC': {
    asks: ['oidc', 'grant'],
    inHeader: true,
    prepare: (scene) => ({ env: byOidc(scene).env, inputs: { mode: 'token', ...byOidc(scene).inputs } }),
  },
  'create-app, password': {
    asks: ['grant', 'create', 'list of rules', 'roles', 'rule'],
    prepare: (scene) => ({ inputs: { mode: 'create-app', 'app-name': 'app-two', ...byPassword(scene), ...rules } }),
  },
  'create-app, proxy': {
    asks: ['connect', 'grant', 'create'],
    proxied: true,
    prepare: (scene) => ({ inputs: { mode: 'create-app', 'app-name': 'app-two', ...byPassword(scene) } }),
  },
  'create-app, access token': {
    asks: ['create'],
    inHeader: true,
    prepare: (scene) => ({ inputs: { mode: 'create-app', 'app-name': 'app-two', ...byToken(scene) } }),
  },
  'create-app, rotate': {
    asks: ['grant', 'create', 'list', 'reset'],
    prepare(scene) {
      scene.simulator.addApplication({ name: 'app-two' });
      return { inputs: { mode: 'create-app', 'app-name': 'app-two', 'if-exists': 'rotate', ...byApplication(scene) } };
    },
  },
  'create-user, password': {
    asks: ['grant', 'create', 'list of rules', 'rule'],
    prepare: (scene) => ({
      inputs: { mode: 'create-user', email: 'new@runai.example', ...byPassword(scene), ...rules },
    }),
  },
  'create-user, rotate': {
    asks: ['create', 'list', 'reset'],
    inHeader: true,
    prepare(scene) {
      scene.simulator.addUser({ email: 'new@runai.example' });
      return {
        inputs: { mode: 'create-user', email: 'new@runai.example', 'if-exists': 'rotate', ...byToken(scene) },
      };
    },
  },
  'rotate-app, password': {
    asks: ['grant', 'list', 'reset'],
    prepare(scene) {
      scene.simulator.addApplication({ name: 'app-two' });
      return { inputs: { mode: 'rotate-app', 'app-name': 'app-two', ...byPassword(scene) } };
    },
  },
  'delete-app, access token': {
    asks: ['list', 'delete'],
    inHeader: true,
    prepare(scene) {
      const { id } = scene.simulator.addApplication({ name: 'app-two' });
      return { inputs: { mode: 'delete-app', 'app-id': id, ...byToken(scene) } };
    },
  },
  'delete-app, OIDC': {
    asks: ['oidc', 'grant', 'list', 'delete'],
    inHeader: true,
    prepare(scene) {
      scene.simulator.addApplication({ name: 'app-two' });
      const { env, inputs } = byOidc(scene);
      return { env, inputs: { mode: 'delete-app', 'app-name': 'app-two', ...inputs } };
    },
  },
} as const satisfies Record<string, Way>;
type WayName = keyof typeof ways;
const wayNames = Object.keys(ways) as WayName[];

const simulatorStyles: EchoStyle[] = ['whole', 'halves', 'json', 'url', 'headers', 'redirect', 'base64', 'commands'];
const ourStyles = Object.keys(echoes);
const statuses = [400, 401, 403, 404, 409, 422, 429, 500, 503];
const retried = [429, 500, 503];

interface Case {
  way: WayName;
  kind: Kind;
  debug: boolean;
  version: Version;
  seed: number;
  /** The request that goes wrong, and how; a success without it. */
  wrong?: { asked: RequestName; style: string; status: number };
  /** What the control plane issues is of this kind too. */
  issued?: Kind;
}

/** Stands before the simulator: takes a secret of any kind for a token, issues them, and quotes requests raw. */
interface Front {
  origin: string;
  issued: string[];
  /** The bodies of all answers. */
  sent: string[];
  close(): Promise<void>;
}

interface FrontOptions {
  simulator: Simulator;
  /** Tokens that are taken, by the ones that the simulator knows. */
  tokens: Map<string, string>;
  wrong: Case['wrong'];
  issue: (() => string) | undefined;
  random: () => number;
  tls: Certificate | undefined;
}

async function readAll(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function hear(message: IncomingMessage, body: string, random: () => number): Heard {
  const authorization = message.headers.authorization ?? '';
  const form = message.headers['content-type']?.includes('urlencoded');
  const fields: unknown[] = form
    ? [...new URLSearchParams(body).values()]
    : Object.values(body ? JSON.parse(body) : {});
  const values = [authorization.replace('Bearer ', ''), ...fields.map(String).slice(1)].filter(Boolean);
  return { values, whole: `${authorization} ${body}`.trim(), random };
}

function rawText({ status, raw }: { status: number; raw: Raw }): string {
  const { reason = 'Answer', type = 'application/json', headers = {}, body } = raw;
  const all = { 'content-type': type, ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${raw.status ?? status} ${reason}\r\n${lines.join('')}\r\n${body}`;
}

const issuedFields = ['secret', 'clientSecret', 'tempPassword', 'idToken', 'id_token', 'refreshToken', 'refresh_token'];
const tokenFields = ['accessToken', 'access_token'];

/** The body of an answer with other secrets in it; a token that is to be used stays one that a header can carry. */
function reissue(body: string, { issue, tokens }: FrontOptions, issued: string[]): string {
  if (!issue || !body.startsWith('{')) return body;
  const fields = JSON.parse(body) as Record<string, unknown>;
  for (const name of [...issuedFields, ...tokenFields]) {
    if (typeof fields[name] !== 'string') continue;
    const made = issue();
    if (tokenFields.includes(name)) {
      // The action takes no token with a blank in it: none of Run:ai's has one.
      if (!fitsHeader(made) || made.includes(' ')) continue;
      tokens.set(made, fields[name]);
    }
    issued.push(made);
    fields[name] = made;
  }
  return JSON.stringify(fields);
}

function forward(
  message: IncomingMessage,
  body: string,
  { simulator, tokens }: FrontOptions,
): Promise<IncomingMessage> {
  const token = message.headers.authorization?.replace('Bearer ', '') ?? '';
  const authorization = tokens.has(token) ? { authorization: `Bearer ${tokens.get(token)}` } : {};
  const { method, url: path, headers } = message;
  return new Promise((resolve, reject) => {
    const onward = httpRequest(
      {
        host: '127.0.0.1',
        port: simulator.port,
        method,
        path,
        headers: { ...headers, ...authorization },
        agent: false,
      },
      resolve,
    );
    onward.on('error', reject);
    onward.end(body);
  });
}

async function serve(
  options: FrontOptions,
  { issued, sent }: Pick<Front, 'issued' | 'sent'>,
  message: IncomingMessage,
  response: ServerResponse,
) {
  const body = await readAll(message);
  const { wrong, random } = options;
  const echo = wrong && hits(wrong.asked, message) ? echoes[wrong.style] : undefined;
  if (wrong && echo && response.socket) {
    const raw = echo(hear(message, body, random));
    issued.push(...(raw.issued ?? []));
    response.socket.end(rawText({ status: wrong.status, raw }));
    return;
  }
  const answer = await forward(message, body, options);
  const { 'content-length': _, ...headers } = answer.headers;
  const passed = reissue(await readAll(answer), options, issued);
  sent.push(passed);
  response.writeHead(answer.statusCode ?? 500, headers);
  response.end(passed);
}

function hits(name: RequestName, { method, url = '' }: IncomingMessage): boolean {
  return requests[name].method === method && requests[name].path.test(url);
}

async function startFront(options: FrontOptions): Promise<Front> {
  const front = { issued: [] as string[], sent: [] as string[] };
  const listener: RequestListener = (message, response) => {
    serve(options, front, message, response).catch(() => response.destroy());
  };
  const server: Server = options.tls ? createHttpsServer(options.tls, listener) : createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `${options.tls ? `https://${hiddenName}` : 'http://127.0.0.1'}:${(server.address() as AddressInfo).port}`,
    ...front,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

interface Verdict {
  case: Case;
  problems: string[];
  leaks: number;
  hung: boolean;
}

const nameOf = ({ way, kind, debug, version, wrong, issued, seed }: Case) =>
  [
    way,
    `${kind}`,
    wrong ? `${wrong.style} on ${wrong.asked} (${wrong.status})` : 'success',
    ...(issued ? [`issues ${issued}`] : []),
    ...(debug ? ['debug'] : []),
    `${version}, seed ${seed}`,
  ].join('; ');

/** A name that only the proxy can find. */
const hiddenName = 'runai.test';
let authority: Promise<{ root: string; server: Certificate }> | undefined;

function certificates(): Promise<{ root: string; server: Certificate }> {
  authority ??= createAuthority().then(async ({ cert, issue }) => ({
    root: cert,
    server: await issue({ hosts: [hiddenName] }),
  }));
  return authority;
}

/** A proxy on the way, with a password of its own. */
async function startDetour(wrong: Case['wrong'], random: () => number) {
  const username = 'build-bot';
  const password = kinds[pick(random, kindNames)](random);
  const pair = base64(`${username}:${password}`);
  const quote = wrong?.asked === 'connect' ? echoes[wrong.style] : undefined;
  const raw = quote?.({ values: [pair, password], whole: `Proxy-Authorization: Basic ${pair}`, random });
  const answer = raw && wrong && rawText({ status: wrong.status, raw: { ...raw, status: wrong.status } });
  const script = answer === undefined ? [] : Array(1000).fill({ answer });
  const proxy = await startProxy({ credentials: { username, password }, script });
  const inUrl = encodeURIComponent(password);
  return {
    env: { https_proxy: `http://${username}:${inUrl}@127.0.0.1:${proxy.port}` },
    secrets: [password, inUrl, pair],
    close: proxy.close,
  };
}

interface Stage {
  simulator: Simulator;
  front: Front;
  secret: string;
}

/** Sets up the control plane, with a front that takes the secret for what the simulator wants. */
async function setUp(one: Case, random: () => number): Promise<Stage> {
  const { issued, wrong, way, version } = one;
  const { inHeader, proxied } = ways[way] as Way;
  const secret = kinds[one.kind](random);
  const admin = { username: 'admin@runai.example', password: secret };
  const simulator = await startSimulator({ version, admin, externalTokens: [secret] });
  const style = simulatorStyles.find((known) => known === wrong?.style);
  const valid = way.includes('OIDC') ? simulator.oidc.requestToken : inHeader && (await signIn(simulator));
  // The simulator quotes the token that it gets, so that has to be the step's own.
  const tokens = new Map(valid && !style ? [[secret, valid]] : []);
  const issue = issued && !style ? () => kinds[issued](random) : undefined;
  const tls = proxied && (await certificates()).server;
  const front = await startFront({ simulator, tokens, wrong, issue, random, tls });
  if (wrong && style) {
    const fault = { kind: 'echo' as const, status: style === 'redirect' ? 307 : wrong.status, style };
    simulator.fault({ ...requests[wrong.asked], times: 1000, fault });
  }
  return { simulator, front, secret: valid && style ? valid : secret };
}

async function carryOut(one: Case): Promise<Verdict> {
  const random = randomFrom(one.seed);
  const { prepare, proxied } = ways[one.way] as Way;
  const { simulator, front, secret } = await setUp(one, random);
  const detour = proxied && (await startDetour(one.wrong, random));
  try {
    const { inputs, env = {} } = prepare({ secret, simulator, origin: front.origin });
    const timeout = one.wrong && (retried.includes(one.wrong.status) || one.wrong.style === 'not HTTP') ? '1' : '20';
    const trust = detour && { 'ca-certificate': (await certificates()).root };
    const all = { url: front.origin, 'timeout-seconds': timeout, ...trust, ...inputs };
    const step = await runStep({ inputs: all, env: { ...env, ...detour?.env }, debug: one.debug });
    const given = [secret, ...(detour?.secrets ?? [])];
    // A secret that was never sent to the step cannot leak, but what it has in common with others shows.
    const sent = front.sent.join();
    const got = simulator.secretsIssued.filter((issued) => sent.includes(JSON.stringify(issued).slice(1, -1)));
    return judge(one, { step, given, others: [...got, ...front.issued], simulator });
  } finally {
    await detour?.close();
    await front.close();
    await simulator.close();
  }
}

async function signIn({ url, admin, version }: Simulator): Promise<string> {
  const newer = version === '3.0' || version === 'next';
  const fields = { [newer ? 'grant_type' : 'grantType']: 'password', ...admin };
  const body = newer ? new URLSearchParams(fields) : JSON.stringify(fields);
  const headers = newer ? {} : { 'content-type': 'application/json' };
  const answer = await fetch(`${url}/api/v${newer ? 2 : 1}/token`, { method: 'POST', body, headers });
  const tokens = (await answer.json()) as Record<string, string>;
  return tokens['accessToken'] ?? tokens['access_token'] ?? '';
}

interface Evidence {
  step: StepResult;
  /** The secrets that the step was given. */
  given: string[];
  /** All others that must not show. */
  others: string[];
  simulator: Simulator;
}

function judge(one: Case, { step, given, others, simulator }: Evidence): Verdict {
  const secrets = [...new Set([...given, ...others])].filter(Boolean);
  const leaks = leaksOf(step, { secrets, serverNamed: one.wrong?.style.startsWith('ids ') ? serverNamed : [] });
  const used = simulator.requests.flatMap(({ headers }) => String(headers['authorization'] ?? '').slice(7) || []);
  // A token of the simulator's own stands in for the one that the step used.
  const bearers = one.issued || ways[one.way].asks[0] !== 'grant' ? [] : used;
  const problems = [...leaks, ...wrongCommands(step, secrets), ...unmasked(step, { given, bearers })];
  if (step.hung) problems.push('the step had to be killed');
  // A header cannot carry every secret, and the control plane takes no longer password.
  const unfit = (ways[one.way] as Way).inHeader && !given.every(fitsHeader);
  const refused = unfit || given.some((secret) => secret.length > 255);
  if (!one.wrong && !refused && step.exitCode !== 0) problems.push(`failed undisturbed: ${step.errors[0]}`);
  return { case: one, problems, leaks: leaks.length, hung: step.hung };
}

/**
 * An id is what the control plane says it is: to refuse one that holds a secret would lose the secret that came with
 * it. The runner masks such an output, and drops it between jobs.
 */
const serverNamed = ['app-id', 'app-name', 'client-id', 'user-id', 'created-at'];

/** Everything that a step leaves behind in plain sight, by its name. */
function visible(step: StepResult, left: readonly string[]): Record<string, string[]> {
  // As a runner reads it: in a command, %25 stands for a percent sign.
  const shown = step.log.filter(({ command }) => command !== 'add-mask').map(({ text }) => text);
  const summary = step.summary.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
  const plain = Object.entries(step.outputs).filter(([name]) => ![...secretOutputs, ...left].includes(name));
  return {
    stdout: shown,
    stderr: [step.stderr],
    summary: [step.summary, summary],
    files: step.strayFiles,
    outputs: plain.flat(),
  };
}

function leaksOf(
  step: StepResult,
  { secrets, serverNamed: left }: { secrets: readonly string[]; serverNamed: readonly string[] },
): string[] {
  return Object.entries(visible(step, left)).flatMap(([place, texts]) => {
    if (texts.join('') === '') return [];
    const haystack = new Haystack(texts);
    return secrets.flatMap((secret) => {
      const hit = haystack.find(secret);
      return hit ? [`LEAK in ${place}: ${hit.form} of ${show(secret)}: ${show(hit.part)}`] : [];
    });
  });
}

const show = (value: string) => JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);

/** Nothing that a server says may become a workflow command, and nothing but secrets is masked. */
function wrongCommands(
  { log, stdout, masks, errors, exitCode, outputs }: StepResult,
  secrets: readonly string[],
): string[] {
  const allowed = [undefined, 'add-mask', 'debug', 'error', 'warning', 'notice'];
  const problems = log.filter(({ command }) => !allowed.includes(command)).map(({ command }) => `a command ${command}`);
  if (/^\s*##\[/m.test(stdout)) problems.push('a line that begins with ##[');
  if (errors.length !== (exitCode === 0 ? 0 : 1)) problems.push(`${errors.length} errors with exit code ${exitCode}`);
  for (const name of Object.keys(outputs)) if (!(name in actionFile.outputs)) problems.push(`an output ${show(name)}`);
  for (const mask of masks) if (!isFormOf(mask, secrets)) problems.push(`a mask that is no secret: ${show(mask)}`);
  return problems;
}

/** What should have been masked and was not, or too late. */
function unmasked(step: StepResult, { given, bearers }: { given: string[]; bearers: string[] }): string[] {
  const published = secretOutputs.map((name) => step.outputs[name] ?? '');
  const wanted = [...given, ...bearers, ...published].filter((secret) => secret.trim() !== '');
  const problems = wanted
    .filter((secret) => !isMasked(secret, step.masks))
    .map((secret) => `not masked: ${show(secret)}`);
  const firstLine = step.log.findIndex(({ command }) => command !== 'add-mask' && command !== 'warning');
  for (const secret of given) {
    const mask = step.log.findIndex(({ command, text }) => command === 'add-mask' && text === secret);
    if (firstLine >= 0 && mask > firstLine) problems.push(`masked too late: ${show(secret)}`);
  }
  return problems;
}

// A runner looks for each line of what it masks, so the lines must be masked beside the whole.
function isMasked(secret: string, masks: readonly string[]): boolean {
  const lines = secret.split(/[\r\n]+/).filter((line) => line.trim() !== '');
  return [secret, ...lines].every((form) => masks.includes(form));
}

const versions: Version[] = ['2.22', '2.24', '3.0', 'next'];

function allCases(random: () => number): Case[] {
  const more = () => ({ version: pick(random, versions), seed: Math.floor(random() * 1e9) });
  const half = () => random() < 0.5;
  const successes = wayNames.flatMap((way) =>
    kindNames.flatMap((kind) => [
      { way, kind, debug: half(), ...more() },
      { way, kind, debug: half(), issued: kind, ...more() },
    ]),
  );
  const failures = wayNames.flatMap((way) =>
    (ways[way] as Way).asks.flatMap((asked) =>
      [...simulatorStyles, ...ourStyles].flatMap((style) =>
        [false, true].map((debug) => {
          const wrong = { asked, style, status: pick(random, statuses) };
          const issued = half() ? pick(random, kindNames) : undefined;
          // What a header cannot carry is refused before anything is sent: worth a try, but not each time.
          const kind = pick(random, (ways[way] as Way).inHeader && random() < 0.9 ? headerKinds : kindNames);
          return { way, kind, debug, wrong, ...(issued && { issued }), ...more() };
        }),
      ),
    ),
  );
  return shuffled([...successes, ...failures], random);
}

/** So many of the cases, among them every way, kind, request and style. */
function some(cases: readonly Case[], count: number): Case[] {
  const met = new Set<string>();
  const isNews = ({ way, kind, wrong }: Case) => {
    const traits = [way, kind, ...(wrong ? [wrong.style, `${way} ${wrong.asked}`] : [`${way} succeeds`])];
    const news = traits.some((trait) => !met.has(trait));
    for (const trait of traits) met.add(trait);
    return news;
  };
  const needed = cases.filter(isNews);
  const rest = cases.filter((one) => !needed.includes(one));
  return [...needed, ...rest].slice(0, Math.max(count, needed.length));
}

function summarize(verdicts: readonly Verdict[]): string[] {
  const row = (name: string, list: readonly Verdict[]) => {
    const failed = list.filter(({ case: { wrong } }) => wrong).length;
    const leaks = list.reduce((all, one) => all + one.leaks, 0);
    return [name, String(list.length - failed), String(failed), String(leaks)];
  };
  const of = (way: WayName) => verdicts.filter((one) => one.case.way === way);
  return table([
    ['way', 'undisturbed', 'disturbed', 'leaks'],
    ...wayNames.map((way) => row(way, of(way))),
    row('all', verdicts),
  ]);
}

/** Looks for secrets in everything that a step leaves behind, whatever they are made of and whatever a server says. */
export async function run({ short }: PartOptions): Promise<PartResult> {
  const seed = Number(process.env['TORTURE_SEED'] ?? 20_260_101);
  const cases = allCases(randomFrom(seed));
  const verdicts = await pool(short ? some(cases, 120) : cases, { atOnce: 4, work: carryOut });
  const problems = verdicts.flatMap((one) => one.problems.map((problem) => `${nameOf(one.case)}: ${problem}`));
  const leaks = verdicts.reduce((all, one) => all + one.leaks, 0);
  return {
    ...emptyResult('Leaks'),
    cells: verdicts.length,
    leaks,
    hangs: verdicts.filter(({ hung }) => hung).length,
    failures: problems,
    lines: [...summarize(verdicts), '', `${verdicts.length} runs, ${leaks} leaks; TORTURE_SEED=${seed}`],
  };
}
