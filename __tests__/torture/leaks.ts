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
import { type Github, startGithub } from '../simulator/github.ts';
import type { EchoStyle, Simulator, Version } from '../simulator/simulator.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { type Certificate, createAuthority } from '../support/certificates.ts';
import { Haystack, isFormOf } from '../support/haystack.ts';
import { startProxy } from '../support/proxy.ts';
import { actionFile, runStep, type StepResult, secretOutputs } from '../support/runner.ts';
import { base64, echoes, fitsHeader, type Heard, headerKinds, type Kind, kindNames, kinds, type Raw } from './forms.ts';
import { githubPrefix, type RequestName, requests, type Way, type WayName, wayNames, ways } from './leak-ways.ts';
import {
  located,
  type PartOptions,
  type PartResult,
  type Problem,
  pick,
  pool,
  problem,
  problemsOf,
  randomFrom,
  sample,
  shuffled,
  table,
} from './report.ts';

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

/** Sits in front of both services: accepts a secret of any kind as a token, issues them, and echoes requests raw. */
interface Front {
  origin: string;
  issued: string[];
  /** The bodies of all answers. */
  sent: string[];
  close(): Promise<void>;
}

interface FrontOptions {
  simulator: Simulator;
  github: Github;
  /** What a service knows by another name: tokens and secrets, by those that the step knows. */
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
    // The action accepts no token with a space in it: Run:ai issues none.
    if (tokenFields.includes(name) && (!fitsHeader(made) || made.includes(' '))) continue;
    tokens.set(made, fields[name]);
    issued.push(made);
    fields[name] = made;
  }
  return JSON.stringify(fields);
}

/**
 * The body with each value by the name that the service knows. An id stays as it is, even one that is a token: the
 * service may quote it, and the step does not know the service's own token.
 */
function translated(body: string, { tokens }: FrontOptions): string {
  if (body.startsWith('{')) {
    return JSON.stringify(JSON.parse(body), (name, value) =>
      typeof value === 'string' && name !== 'subjectId' ? (tokens.get(value) ?? value) : value,
    );
  }
  const form = [...new URLSearchParams(body)].map(
    ([name, value]) => [name, tokens.get(value) ?? value] satisfies [string, string],
  );
  return new URLSearchParams(form).toString();
}

function forward(message: IncomingMessage, body: string, options: FrontOptions): Promise<IncomingMessage> {
  const { simulator, github, tokens } = options;
  const token = message.headers.authorization?.replace('Bearer ', '') ?? '';
  const { method, url: path = '', headers } = message;
  const content = path.startsWith(githubPrefix) ? body : translated(body, options);
  const changed = {
    ...(tokens.has(token) && { authorization: `Bearer ${tokens.get(token)}` }),
    ...(content !== '' && { 'content-length': Buffer.byteLength(content) }),
  };
  const { port } = path.startsWith(githubPrefix) ? github : simulator;
  return new Promise((resolve, reject) => {
    const place = { host: '127.0.0.1', port, method, path, agent: false as const };
    const onward = httpRequest({ ...place, headers: { ...headers, ...changed } }, resolve);
    onward.on('error', reject);
    onward.end(content);
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
  problems: Problem[];
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

/** A host name that only the proxy can resolve. */
const hiddenName = 'runai.test';
let authority: Promise<{ root: string; server: Certificate }> | undefined;

function certificates(): Promise<{ root: string; server: Certificate }> {
  authority ??= createAuthority().then(async ({ cert, issue }) => ({
    root: cert,
    server: await issue({ hosts: [hiddenName] }),
  }));
  return authority;
}

/** A proxy on the way, with its own password. */
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
  github: Github;
  front: Front;
  secret: string;
  githubToken: string;
}

/** Sets up the control plane, with a front that takes the secret for what the simulator wants. */
async function setUp(one: Case, random: () => number): Promise<Stage> {
  const { issued, wrong, way, version } = one;
  const { inHeader, proxied } = ways[way] as Way;
  const secret = kinds[one.kind](random);
  const admin = { username: 'admin@runai.example', password: secret };
  const simulator = await startSimulator({ version, admin, externalTokens: [secret] });
  const github = await startGithub({ pathPrefix: githubPrefix });
  const style = simulatorStyles.find((known) => known === wrong?.style);
  const valid = way.includes('OIDC') ? simulator.oidc.requestToken : inHeader && (await signIn(simulator));
  // The simulator quotes the token that it gets, so that has to be the step's own.
  const tokens = new Map(valid && !style ? [[secret, valid]] : []);
  const githubToken = style ? github.token : kinds[pick(random, headerKinds)](random);
  tokens.set(githubToken, github.token);
  const issue = issued && !style ? () => kinds[issued](random) : undefined;
  const tls = proxied && (await certificates()).server;
  const front = await startFront({ simulator, github, tokens, wrong, issue, random, tls });
  if (wrong && style) {
    const fault = { kind: 'echo' as const, status: style === 'redirect' ? 307 : wrong.status, style };
    for (const service of [simulator, github]) service.fault({ ...requests[wrong.asked], times: 1000, fault });
  }
  return { simulator, github, front, githubToken, secret: valid && style ? valid : secret };
}

async function carryOut(one: Case): Promise<Verdict> {
  const random = randomFrom(one.seed);
  const { prepare, proxied } = ways[one.way] as Way;
  const { front, ...stage } = await setUp(one, random);
  const { simulator, github, secret, githubToken } = stage;
  const detour = proxied && (await startDetour(one.wrong, random));
  try {
    const { inputs, env = {} } = prepare({ ...stage, origin: front.origin });
    const timeout = one.wrong && (retried.includes(one.wrong.status) || one.wrong.style === 'not HTTP') ? '1' : '20';
    const trust = detour && { 'ca-certificate': (await certificates()).root };
    const all = { url: front.origin, 'timeout-seconds': timeout, ...trust, ...inputs };
    const step = await runStep({ inputs: all, env: { ...env, ...detour?.env }, debug: one.debug });
    const given = [secret, ...(detour?.secrets ?? []), ...('github-token' in inputs ? [githubToken] : [])];
    const wholes = 'credentials' in inputs ? [inputs['credentials'] ?? ''] : [];
    // A secret that was never sent to the step cannot leak, but what it has in common with others shows.
    const sent = front.sent.join();
    const got = simulator.secretsIssued.filter((issued) => sent.includes(JSON.stringify(issued).slice(1, -1)));
    return judge(one, { step, given, wholes, githubToken, others: [...got, ...front.issued], simulator, github });
  } finally {
    await detour?.close();
    await front.close();
    await Promise.all([simulator.close(), github.close()]);
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
  /** Texts that it was given with a secret in them. */
  wholes: string[];
  githubToken: string;
  /** All others that must not show. */
  others: string[];
  simulator: Simulator;
  github: Github;
}

function judge(one: Case, evidence: Evidence): Verdict {
  const { step, given, wholes, others, simulator } = evidence;
  const secrets = [...new Set([...given, ...others])].filter(Boolean);
  const leaks = leaksOf(step, { secrets, serverNamed: one.wrong?.style.startsWith('ids ') ? serverNamed : [] });
  const used = simulator.requests.flatMap(({ headers }) => String(headers['authorization'] ?? '').slice(7) || []);
  // A token of the simulator's own stands in for the one that the step used.
  const bearers = one.issued || ways[one.way].asks[0] !== 'grant' ? [] : used;
  // A server that calls anything an access token has it masked.
  const masksAnything = one.wrong?.style === 'wrong types';
  const problems = [
    ...wrongCommands(step),
    ...(masksAnything ? [] : wrongMasks(step, [...secrets, ...wholes])),
    ...unmasked(step, { given, bearers }),
  ];
  // A header cannot carry every secret, and the control plane takes no longer password.
  const unfit = (ways[one.way] as Way).inHeader && !given.every(fitsHeader);
  const refused = unfit || given.some((secret) => secret.length > 255);
  if (!one.wrong && !refused && step.exitCode !== 0) problems.push(`failed undisturbed: ${step.errors[0]}`);
  const all = [...problemsOf('leak', [...leaks, ...sentAstray(evidence)]), ...problemsOf('other', problems)];
  return { case: one, problems: step.hung ? [...all, problem('hang', 'the step had to be killed')] : all };
}

/** Secrets of one service that the other one was sent. Short ones turn up by chance. */
function sentAstray({ given, others, githubToken, simulator, github }: Evidence): string[] {
  const [toPlane = '', toGithub = ''] = [simulator, github].map(({ requests }) =>
    requests.map(({ rawHeaders, path, body }) => [...rawHeaders, path, body].join('\n')).join('\n'),
  );
  const own = [...given, ...others].filter((secret) => secret !== githubToken && secret.length > 8);
  return [
    ...own.filter((secret) => toGithub.includes(secret)).map((secret) => `GitHub was sent ${show(secret)}`),
    ...(toPlane.includes(githubToken) ? ['the control plane was sent the token for GitHub'] : []),
  ];
}

/**
 * An id is what the control plane says it is: to refuse one that contains a secret would lose the secret that came with
 * it. The runner masks such an output, and drops it between jobs.
 */
const serverNamed = ['app-id', 'app-name', 'client-id', 'user-id', 'users', 'created-at'];

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

/** Nothing that a server says may become a workflow command. */
function wrongCommands({ log, stdout, errors, exitCode, outputs }: StepResult): string[] {
  const allowed = [undefined, 'add-mask', 'debug', 'error', 'warning', 'notice'];
  const problems = log.filter(({ command }) => !allowed.includes(command)).map(({ command }) => `a command ${command}`);
  if (/^\s*##\[/m.test(stdout)) problems.push('a line that begins with ##[');
  if (errors.length !== (exitCode === 0 ? 0 : 1)) problems.push(`${errors.length} errors with exit code ${exitCode}`);
  for (const name of Object.keys(outputs)) if (!(name in actionFile.outputs)) problems.push(`an output ${show(name)}`);
  return problems;
}

/** Nothing but secrets is masked. */
function wrongMasks({ masks, outputs }: StepResult, secrets: readonly string[]): string[] {
  // What is published may be several secrets in one text.
  const known = [...secrets, ...secretOutputs.flatMap((name) => outputs[name] ?? [])];
  return masks.filter((mask) => !isFormOf(mask, known)).map((mask) => `a mask that is no secret: ${show(mask)}`);
}

/** What should have been masked and was not, or too late. */
function unmasked(step: StepResult, { given, bearers }: { given: string[]; bearers: string[] }): string[] {
  const published = secretOutputs.map((name) => step.outputs[name] ?? '').filter((value) => value !== '{}');
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
    kindNames.map((kind) => ({ way, kind, debug: half(), ...(half() && { issued: kind }), ...more() })),
  );
  const failures = wayNames.flatMap((way) =>
    (ways[way] as Way).asks.flatMap((asked) =>
      [...simulatorStyles, ...ourStyles].map((style) => {
        const wrong = { asked, style, status: pick(random, statuses) };
        const issued = half() ? pick(random, kindNames) : undefined;
        // What a header cannot carry is refused before anything is sent: worth a try, but not each time.
        const kind = pick(random, (ways[way] as Way).inHeader && random() < 0.9 ? headerKinds : kindNames);
        return { way, kind, debug: half(), wrong, ...(issued && { issued }), ...more() };
      }),
    ),
  );
  return shuffled([...successes, ...failures], random);
}

/** What a short run has to cover. */
function traitsOf({ way, kind, wrong }: Case): string[] {
  return [way, kind, ...(wrong ? [wrong.style, wrong.asked] : ['success'])];
}

function summarize(verdicts: readonly Verdict[]): string[] {
  const row = (name: string, list: readonly Verdict[]) => {
    const failed = list.filter(({ case: { wrong } }) => wrong).length;
    const leaks = list.flatMap(({ problems }) => problems.filter(({ kind }) => kind === 'leak')).length;
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
export async function run({ short, seed, wanted }: PartOptions): Promise<PartResult> {
  const random = randomFrom(seed);
  const all = allCases(random).filter((one) => wanted(nameOf(one)));
  const cases = short ? sample(all, { most: 0, keysOf: traitsOf, random }) : all;
  const verdicts = await pool(cases, { atOnce: 4, work: carryOut });
  return {
    title: 'Leaks',
    cells: verdicts.length,
    problems: verdicts.flatMap((one) => located(nameOf(one.case), one.problems)),
    lines: summarize(verdicts),
  };
}
