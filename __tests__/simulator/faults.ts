import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { RequestSeen } from './contract.ts';
import type { Answer } from './routes.ts';
import { page, refusal } from './routes.ts';

/** Before the first byte of the answer, in the middle of its head, or in the middle of its body. */
export type When = 'before-head' | 'in-head' | 'in-body';

export type EchoStyle = 'whole' | 'halves' | 'json' | 'url' | 'headers' | 'redirect' | 'base64' | 'commands';

type Kind =
  | { kind: 'status'; status: number; headers?: Record<string, string>; body?: unknown; contentType?: string }
  | { kind: 'delay'; ms: number }
  | { kind: 'reset'; when: When }
  | { kind: 'end'; when: When }
  | { kind: 'stall'; when: When }
  | { kind: 'drip'; ms: number }
  | { kind: 'html'; status: number }
  | { kind: 'truncated' }
  | { kind: 'transform'; change: (json: unknown) => unknown }
  | { kind: 'empty'; status?: number }
  | { kind: 'endless'; status?: number }
  | { kind: 'gzip-bomb'; mib?: number }
  | { kind: 'redirect'; status: 301 | 302 | 303 | 307 | 308; location: string }
  | { kind: 'echo'; status: number; style: EchoStyle };

/**
 * `work`: do what was asked before misbehaving. `delay`, `drip` and `transform` pass the real answer on, so they
 * always do; the others do not unless told to.
 */
export type Fault = Kind & { work?: boolean };

export interface FaultRule {
  method?: string;
  /** A string is looked for anywhere in path and query. */
  path?: RegExp | string;
  /** So many matching requests are served well first. */
  skip?: number;
  /** So many are then hit; 1 when left out. */
  times?: number;
  fault: Fault;
}

/** Rules in the order they were given; the first one with something left to do wins. */
export class Faults {
  #rules: { rule: FaultRule; skip: number; times: number }[] = [];

  add(rule: FaultRule): void {
    this.#rules.push({ rule, skip: rule.skip ?? 0, times: rule.times ?? 1 });
  }

  clear(): void {
    this.#rules = [];
  }

  /** The fault that a request meets, used up by one. */
  take(method: string, path: string): Fault | undefined {
    for (const entry of this.#rules) {
      if (!fits(entry.rule, method, path) || entry.times <= 0) continue;
      if (entry.skip > 0) {
        entry.skip -= 1;
        continue;
      }
      entry.times -= 1;
      return entry.rule.fault;
    }
    return undefined;
  }
}

function fits(rule: FaultRule, method: string, path: string): boolean {
  if (rule.method !== undefined && rule.method !== method) return false;
  if (rule.path === undefined) return true;
  if (typeof rule.path === 'string') return path.includes(rule.path);
  // A global expression would remember where it stopped.
  return new RegExp(rule.path.source, rule.path.flags.replace(/[gy]/g, '')).test(path);
}

export interface Exchange {
  request: RequestSeen;
  response: ServerResponse;
  /** The TCP socket, which TLS may lie on top of. */
  tcp: Socket;
  /** Does the work and gives the normal answer. */
  work: () => Answer;
  /** Sends an answer the normal way. */
  send: (answer: Answer) => void;
  date: () => string;
  /** Notes the status once a whole head has been sent. */
  answered: (status: number) => void;
  /** Aborted when the client goes or the simulator closes. */
  signal: AbortSignal;
}

function headText(answer: Answer, date: string): string {
  const headers: Record<string, string> = {
    ...answer.headers,
    date,
    connection: 'close',
    'content-length': String(Buffer.byteLength(answer.body)),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${answer.status} Answer\r\n${lines.join('')}\r\n`;
}

/** What a broken answer would have been, when the work is not done. */
function pretended(): Answer {
  const value = { id: '00000000-0000-4000-8000-000000000000', accessToken: 'never issued', name: 'never made' };
  return { ...refusal(200, ''), body: JSON.stringify(value) };
}

/** The bytes that get through before the break. */
function firstPart(exchange: Exchange, answer: Answer, when: When): string {
  const head = headText(answer, exchange.date());
  if (when === 'before-head') return '';
  if (when === 'in-head') return head.slice(0, Math.floor(head.length / 2));
  exchange.answered(answer.status);
  return head + answer.body.slice(0, Math.floor(answer.body.length / 2));
}

async function written(exchange: Exchange, text: string): Promise<void> {
  const socket = exchange.response.socket;
  if (!socket || text === '') return;
  await new Promise<void>((resolve) => {
    socket.write(text, () => resolve());
  });
}

async function breakOff(exchange: Exchange, fault: Extract<Kind, { when: When }>, answer: Answer): Promise<void> {
  await written(exchange, firstPart(exchange, answer, fault.when));
  if (fault.kind === 'end') exchange.response.socket?.end();
  // A reset overtakes what the client has not been told about yet.
  if (fault.kind === 'reset') setImmediate(() => exchange.tcp.resetAndDestroy());
}

async function drip(exchange: Exchange, answer: Answer, ms: number): Promise<void> {
  const bytes = Buffer.from(headText(answer, exchange.date()) + answer.body);
  exchange.answered(answer.status);
  for (const byte of bytes) {
    if (exchange.signal.aborted) return;
    exchange.response.socket?.write(Buffer.of(byte));
    await sleep(ms, undefined, { signal: exchange.signal });
  }
  exchange.response.socket?.end();
}

async function endless(exchange: Exchange, status: number): Promise<void> {
  const { response } = exchange;
  exchange.answered(status);
  response.writeHead(status, { 'content-type': 'application/json' });
  const chunk = 'x'.repeat(16 * 1024);
  const body = function* (): Generator<string> {
    yield '{"accessToken":"';
    while (!exchange.signal.aborted) yield chunk;
  };
  await pipeline(Readable.from(body()), response, { signal: exchange.signal });
}

const bombs = new Map<number, Buffer>();

function bomb(mib: number): Buffer {
  const known = bombs.get(mib);
  if (known) return known;
  const made = gzipSync(Buffer.alloc(mib * 1024 * 1024), { level: 1 });
  bombs.set(mib, made);
  return made;
}

function sendBomb(exchange: Exchange, mib: number): void {
  const body = bomb(mib);
  exchange.answered(200);
  exchange.response.writeHead(200, {
    'content-type': 'application/json',
    'content-encoding': 'gzip',
    'content-length': body.length,
  });
  exchange.response.end(body);
}

function scripted(fault: Extract<Kind, { kind: 'status' }>): Answer {
  const usual = refusal(fault.status, `A scripted ${fault.status}`);
  const body =
    fault.body === undefined ? usual.body : typeof fault.body === 'string' ? fault.body : JSON.stringify(fault.body);
  const type = fault.contentType ?? (typeof fault.body === 'string' ? 'text/plain; charset=utf-8' : undefined);
  return { ...usual, body, headers: { ...usual.headers, ...(type ? { 'content-type': type } : {}), ...fault.headers } };
}

function truncated(answer: Answer): Answer {
  return { ...answer, body: answer.body.slice(0, Math.max(1, Math.floor(answer.body.length / 2))) };
}

function transformed(answer: Answer, change: (json: unknown) => unknown): Answer {
  const value: unknown = answer.body === '' ? undefined : JSON.parse(answer.body);
  return { ...answer, body: JSON.stringify(change(value)) ?? '' };
}

/** Each value that the request carried, the secret ones among them. */
function valuesIn(request: RequestSeen): string[] {
  const authorization = String(request.headers['authorization'] ?? '').replace(/^Bearer /, '');
  let values: unknown[];
  try {
    values = Object.values(JSON.parse(request.body) as Record<string, unknown>);
  } catch {
    values = [...new URLSearchParams(request.body).values()];
  }
  return [...values.map(String), authorization].filter((value) => value !== '');
}

const workflowCommands = [
  '::stop-commands::x',
  '::add-mask::a',
  '::set-output name=x::y',
  '::error::forged',
  '##[error]forged',
  '##[group]forged',
];

interface Echo {
  message: string;
  details: string;
  headers?: Record<string, string>;
}

function commandsEcho(sent: string): Echo {
  const separators = ['\r\n', '\n', '\r', '\u2028', '\u0085'];
  const lines = workflowCommands.map((command, index) => `${separators[index % separators.length]}${command}`);
  const controls = '\u001b[2J\u001b[31m\u0000\u0007\b\u202e\u2066\u200b\u009b';
  return {
    message: `Refused ${sent}${lines.join('')}${controls}`,
    details: `${controls}${lines.join('')}\n${sent}\n::add-mask::${sent}`,
  };
}

function halvesEcho(values: string[]): Echo {
  const middle = (value: string) => Math.ceil(value.length / 2);
  return {
    message: `Refused ${values.map((value) => value.slice(0, middle(value))).join(' ')}`,
    details: values.map((value) => value.slice(middle(value))).join(' '),
  };
}

function base64Echo(request: RequestSeen, values: string[]): Echo {
  const all = [request.body, ...values, values.join(':')];
  return {
    message: `Refused ${all.map((value) => Buffer.from(value).toString('base64')).join(' ')}`,
    details: all.map((value) => Buffer.from(value).toString('base64url')).join(' '),
  };
}

function echoOf(request: RequestSeen, style: EchoStyle): Echo {
  const authorization = String(request.headers['authorization'] ?? '');
  const sent = `${request.body} ${authorization}`.trim();
  const inUrl = encodeURIComponent(sent);
  const values = valuesIn(request);
  switch (style) {
    case 'whole':
      return { message: `Refused ${sent}`, details: [...values, sent].join('\n') };
    case 'halves':
      return halvesEcho(values);
    case 'json':
      return { message: `Refused ${JSON.stringify(sent)}`, details: JSON.stringify(values) };
    case 'url':
      return { message: `Refused ${inUrl}`, details: new URLSearchParams({ sent }).toString() };
    case 'headers': {
      const safe = sent.replace(/[^\t\x20-\x7e]/g, '?');
      return {
        message: 'Refused',
        details: 'See the headers',
        headers: { 'x-request-echo': safe, 'www-authenticate': `Bearer realm="${safe.replaceAll('"', "'")}"` },
      };
    }
    case 'redirect':
      return {
        message: 'Moved',
        details: inUrl,
        headers: { location: `https://elsewhere.example/signin?state=${inUrl}#${inUrl}` },
      };
    case 'base64':
      return base64Echo(request, values);
    case 'commands':
      return commandsEcho(sent);
  }
}

function echoed(request: RequestSeen, fault: Extract<Kind, { kind: 'echo' }>): Answer {
  const { message, details, headers = {} } = echoOf(request, fault.style);
  const answer = refusal(fault.status, message, details);
  const oauth = { error: 'invalid_request', error_description: `${message} ${details}` };
  const body = request.path.includes('/api/v2/token') ? JSON.stringify(oauth) : answer.body;
  return { ...answer, body, headers: { ...answer.headers, ...headers } };
}

/** Faults that come to one plain answer. `answer` is the real one where the work was done. */
function replaced(fault: Kind, exchange: Exchange, answer: Answer): Answer {
  switch (fault.kind) {
    case 'status':
      return scripted(fault);
    case 'html':
      return page(fault.status);
    case 'truncated':
      return truncated(answer);
    case 'transform':
      return transformed(answer, fault.change);
    case 'empty':
      return { status: fault.status ?? 200, headers: {}, body: '', documented: false };
    case 'redirect':
      return { ...refusal(fault.status, 'Moved'), headers: { location: fault.location } };
    case 'echo':
      return echoed(exchange.request, fault);
    default:
      return answer;
  }
}

const alwaysWorking: readonly string[] = ['delay', 'drip', 'transform'];

/** Lets a request meet its fault. */
export async function misbehave(exchange: Exchange, fault: Fault): Promise<void> {
  const works = fault.work === true || alwaysWorking.includes(fault.kind);
  const answer = works ? exchange.work() : pretended();
  switch (fault.kind) {
    case 'delay':
      await sleep(fault.ms, undefined, { signal: exchange.signal });
      return exchange.send(answer);
    case 'reset':
    case 'end':
    case 'stall':
      return await breakOff(exchange, fault, answer);
    case 'drip':
      return await drip(exchange, answer, fault.ms);
    case 'endless':
      return await endless(exchange, fault.status ?? 200);
    case 'gzip-bomb':
      return sendBomb(exchange, fault.mib ?? 64);
    default:
      return exchange.send(replaced(fault, exchange, answer));
  }
}

/** Whether the client gets the control plane's own words, so that the contract speaks about them. */
export function keepsTheAnswer(fault: Fault): boolean {
  return fault.kind === 'delay' || fault.kind === 'drip';
}
