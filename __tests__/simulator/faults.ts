import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { Answer, RequestSeen } from './answers.ts';
import { given, json, page } from './answers.ts';
import type { EchoStyle } from './echo.ts';
import { echoOf } from './echo.ts';

/** Before the first byte of the answer, in the middle of its head, or in the middle of its body. */
export type When = 'before-head' | 'in-head' | 'in-body';

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
  | { kind: 'echo'; status: number; style: EchoStyle }
  /** Adds to the headers of the real answer; what is `undefined` is left out, `date` too. */
  | { kind: 'headers'; headers: Record<string, string | undefined> }
  /** The real answer with a byte order mark before it. */
  | { kind: 'bom' }
  /** The real answer, compressed whether the client asked for it or not. */
  | { kind: 'gzip' };

/**
 * `work`: do what was asked before misbehaving. Faults that pass the real answer on always do; the others do not
 * unless told to. `workAfter`: do it so many milliseconds later, whatever the client has been told by then.
 */
export type Fault = Kind & { work?: boolean; workAfter?: number };

export interface FaultRule {
  method?: string;
  /** A string is searched for anywhere in path and query. */
  path?: RegExp | string;
  /** How many matching requests are served normally first. */
  skip?: number;
  /** How many are then hit; 1 if omitted. */
  times?: number;
  fault: Fault;
}

/** Rules in order; the first one that still applies wins. */
export class Faults {
  #rules: { rule: FaultRule; skip: number; times: number }[] = [];

  add(rule: FaultRule): void {
    this.#rules.push({ rule, skip: rule.skip ?? 0, times: rule.times ?? 1 });
  }

  clear(): void {
    this.#rules = [];
  }

  /** The fault that a request meets, which counts as one use. */
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
  /** The TCP socket, possibly underneath TLS. */
  tcp: Socket;
  /** Does the work and gives the normal answer. */
  work: () => Answer;
  workLater: (ms: number) => void;
  /** Sends an answer the normal way. */
  send: (answer: Answer) => void;
  /** How the service words an error. */
  refusal: (status: number, message: string, details?: string) => Answer;
  /** Empty where the server sends none. */
  dateHeader: () => Record<string, string>;
  /** Notes the status once a whole head has been sent. */
  answered: (status: number) => void;
  /** Aborted when the client goes or the simulator closes. */
  signal: AbortSignal;
}

function headText({ dateHeader }: Exchange, answer: Answer): string {
  const headers = given({
    ...dateHeader(),
    ...answer.headers,
    connection: 'close',
    'content-length': Buffer.byteLength(answer.body),
  });
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${answer.status} Answer\r\n${lines.join('')}\r\n`;
}

/** What a broken answer would have been if the work is not done. */
function pretended(): Answer {
  const value = { id: '00000000-0000-4000-8000-000000000000', accessToken: 'never issued', name: 'never made' };
  return json(200, value);
}

/** The bytes that get through before the break. */
function firstPart(exchange: Exchange, answer: Answer, when: When): string {
  const head = headText(exchange, answer);
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
  // A reset overtakes data that has not reached the client yet.
  if (fault.kind === 'reset') setImmediate(() => exchange.tcp.resetAndDestroy());
}

async function drip(exchange: Exchange, answer: Answer, ms: number): Promise<void> {
  const bytes = Buffer.from(headText(exchange, answer) + answer.body);
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
  response.writeHead(status, { ...exchange.dateHeader(), 'content-type': 'application/json' });
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

/** Sends an already compressed body instead of the answer's own. */
function sendGzip(exchange: Exchange, answer: Answer, body: Buffer): void {
  exchange.answered(answer.status);
  exchange.response.writeHead(answer.status, {
    ...given({ ...exchange.dateHeader(), ...answer.headers }),
    'content-encoding': 'gzip',
    'content-length': body.length,
  });
  exchange.response.end(body);
}

function scripted({ refusal }: Exchange, fault: Extract<Kind, { kind: 'status' }>): Answer {
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

function echoed({ request, refusal }: Exchange, fault: Extract<Kind, { kind: 'echo' }>): Answer {
  const { message, details, headers = {} } = echoOf(request, fault.style);
  const answer = refusal(fault.status, message, details);
  const oauth = { error: 'invalid_request', error_description: `${message} ${details}` };
  const body = request.path.includes('/api/v2/token') ? JSON.stringify(oauth) : answer.body;
  return { ...answer, body, headers: { ...answer.headers, ...headers } };
}

/** Faults that amount to one plain answer. `answer` is the real one if the work was done. */
function replaced(fault: Kind, exchange: Exchange, answer: Answer): Answer {
  switch (fault.kind) {
    case 'status':
      return scripted(exchange, fault);
    case 'html':
      return page(fault.status);
    case 'truncated':
      return truncated(answer);
    case 'transform':
      return transformed(answer, fault.change);
    case 'empty':
      return { status: fault.status ?? 200, headers: {}, body: '', documented: false };
    case 'redirect':
      return { ...exchange.refusal(fault.status, 'Moved'), headers: { location: fault.location } };
    case 'echo':
      return echoed(exchange, fault);
    case 'headers':
      return { ...answer, headers: { ...answer.headers, ...fault.headers } };
    case 'bom':
      return { ...answer, body: `\ufeff${answer.body}` };
    default:
      return answer;
  }
}

const alwaysWorking: readonly string[] = ['delay', 'drip', 'transform', 'headers', 'bom', 'gzip'];

/** Lets a request meet its fault. */
export async function misbehave(exchange: Exchange, fault: Fault): Promise<void> {
  if (fault.workAfter !== undefined) exchange.workLater(fault.workAfter);
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
      return sendGzip(exchange, pretended(), bomb(fault.mib ?? 64));
    case 'gzip':
      return sendGzip(exchange, answer, gzipSync(answer.body));
    default:
      return exchange.send(replaced(fault, exchange, answer));
  }
}

const passingOn: readonly string[] = ['delay', 'drip', 'headers', 'bom', 'gzip'];

/** Whether the client gets the control plane's own words, so that the contract applies to them. */
export function keepsTheAnswer(fault: Fault): boolean {
  return passingOn.includes(fault.kind);
}
