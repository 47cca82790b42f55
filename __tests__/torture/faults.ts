import type { Fault, When } from '../simulator/simulator.ts';
import { connectionFaults, type FrontFault, tlsFaults } from './front.ts';
import type { Target } from './targets.ts';
import type { Oddities } from './tasks.ts';

/** Where a redirect can lead: `elsewhere` is a server that records its visitors. */
export interface Places {
  here: string;
  elsewhere: string;
  /** The server's clock. */
  now: () => number;
}

export interface Trouble {
  name: string;
  /** The line of the table that it is counted on; its own if omitted. */
  group?: string;
  /**
   * What the server does, or what happens below HTTP, or a URL that leads nowhere, or a server that is odd all along.
   */
  how:
    | { http: (places: Places) => Fault }
    | { front: FrontFault; work: boolean }
    | { url: string }
    | { server: NonNullable<Oddities['simulator']> };
  /** After one such fault, the next attempt succeeds, or the run ends with an error, or it depends on the request. */
  once: 'passes' | 'ends' | 'either';
  /** What an error message says about it. */
  says: RegExp;
  /** An attempt waits for its whole time. */
  waits?: true;
  /** Also tried as a permanent fault, or only as one. */
  lasting?: true | 'only';
  /** What it is tried on; everything if omitted. */
  on?: (target: Target) => boolean;
  /** Its effect does not depend on the purpose of the request. */
  detail?: true;
}

type Spec = Omit<Trouble, 'how' | 'name'>;

const passing = (says: RegExp, more: Partial<Spec> = {}): Spec => ({ once: 'passes', says, ...more });
const detail = { detail: true as const };

/** The fault with the work left undone, and with the work done before it. */
function bothWays(name: string, spec: Spec, fault: (places: Places) => Fault): Trouble[] {
  return [
    { ...spec, name, how: { http: fault } },
    { ...spec, name: `${name}, work done`, how: { http: (places) => ({ ...fault(places), work: true }) } },
  ];
}

const moments: readonly When[] = ['before-head', 'in-head', 'in-body'];
const closed = /was closed before|was not valid HTTP/;
const late = /in time/;

const broken: Trouble[] = moments.flatMap((when) => {
  const more = when === 'in-head' ? detail : {};
  return [
    ...bothWays(`reset ${when}`, passing(closed, { lasting: true, ...more }), () => ({ kind: 'reset', when })),
    ...bothWays(`end ${when}`, passing(closed, { ...detail }), () => ({ kind: 'end', when })),
    ...bothWays(`stall ${when}`, passing(late, { waits: true, lasting: true, ...more }), () => ({
      kind: 'stall',
      when,
    })),
  ];
});

const drips: Trouble[] = [
  { ...passing(late, detail), name: 'a byte per millisecond', how: { http: () => ({ kind: 'drip', ms: 1 }) } },
  {
    ...passing(late, { waits: true, lasting: true, ...detail }),
    name: 'a byte per 200 ms',
    how: { http: () => ({ kind: 'drip', ms: 200 }) },
  },
];

const statuses: Trouble[] = [408, 500, 502, 503, 504].flatMap((status) => {
  const spec = passing(new RegExp(`${status}`), status === 503 ? { lasting: true } : {});
  return bothWays(`${status}`, spec, () => ({ kind: 'status', status }));
});
// Both say that the request was not processed (RFC 6585, 4; RFC 8470, 5.2), so there is no other way.
const unprocessed: Trouble[] = [425, 429].map((status) => ({
  ...passing(new RegExp(`${status}`), status === 429 ? { lasting: true } : detail),
  name: `${status}`,
  how: { http: () => ({ kind: 'status', status }) },
}));

/** A gateway gives up, and behind it the work is done some time later: before or after the next attempt. */
const lateWork: Trouble[] = [
  ...[300, 1500, 3500].map((ms): Trouble => {
    const fault: Fault = { kind: 'status', status: 504, workAfter: ms };
    return { ...passing(/504/), name: `504, work done after ${ms} ms`, how: { http: () => fault } };
  }),
  {
    ...passing(late, { waits: true, on: ({ kind }) => /create|reset|store/.test(kind) }),
    name: 'stall, work done after 6500 ms',
    how: { http: () => ({ kind: 'stall', when: 'before-head', workAfter: 6500 }) },
  },
];

const waits: readonly [string, (now: number) => string, Spec['once']][] = [
  ['1 second', () => '1', 'passes'],
  ['0 seconds', () => '0', 'passes'],
  ['a date to come', (now) => new Date(now + 1500).toUTCString(), 'passes'],
  ['a date gone by', (now) => new Date(now - 1e9).toUTCString(), 'passes'],
  ['negative', () => '-5', 'passes'],
  ['garbage', () => 'soon \u00e9, please', 'passes'],
  ['beyond the deadline', () => '86400', 'ends'],
  ['a number without end', () => '9'.repeat(400), 'ends'],
  ['a date beyond the deadline', (now) => new Date(now + 1e12).toUTCString(), 'ends'],
];
const retryAfters: Trouble[] = waits.map(([name, value, once]) => ({
  once,
  says: /429.*(deadline|Too many|scripted)/s,
  name: `429, Retry-After: ${name}`,
  group: '429 with nine kinds of Retry-After',
  how: { http: ({ now }) => ({ kind: 'status', status: 429, headers: { 'retry-after': value(now()) } }) },
  ...detail,
}));

/** Answers that only GitHub sends. */
const ofLimit = passing(/403/, { on: ({ service }) => service === 'github' });
const github: Trouble[] = [
  {
    ...ofLimit,
    name: '403 of a limit, Retry-After',
    how: { http: () => ({ kind: 'status', status: 403, headers: { 'retry-after': '1' } }) },
  },
  {
    ...ofLimit,
    name: '403 of a limit, reset',
    how: {
      http: ({ now }) => {
        const reset = `${Math.floor(now() / 1000) + 2}`;
        return { kind: 'status', status: 403, headers: { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': reset } };
      },
    },
  },
];

const strange = /not JSON|empty body|JSON without|larger than 2 MiB|web page|documented answer|still in the list/;
/** The documented answer to a write or a delete is a status, so any body will do. */
const readsBody = ({ kind }: Target) => !/delete|rehearse|store/.test(kind);
const bodies: Trouble[] = [
  ...bothWays('HTML with 502', passing(/502/), () => ({ kind: 'html', status: 502 })),
  ...bothWays('HTML with 200', passing(strange, { once: 'either', lasting: true }), () => ({
    kind: 'html',
    status: 200,
  })),
  ...bothWays('text with 200', passing(strange, { once: 'either', lasting: true }), () => ({
    kind: 'status',
    status: 200,
    body: 'upstream is warming up',
  })),
  ...bothWays('empty with 200', passing(strange, { once: 'either', ...detail }), () => ({ kind: 'empty' })),
  ...bothWays('empty with 204', passing(strange, { on: readsBody, ...detail }), () => ({ kind: 'empty', status: 204 })),
  ...bothWays('null', passing(strange, { on: readsBody, ...detail }), () => ({
    kind: 'status',
    status: 200,
    body: null,
  })),
  ...bothWays('truncated', passing(strange, { lasting: true, on: readsBody }), () => ({ kind: 'truncated' })),
  ...bothWays('endless', passing(strange, { lasting: true, on: readsBody, ...detail }), () => ({ kind: 'endless' })),
  ...bothWays('endless with 502', passing(/502/, detail), () => ({ kind: 'endless', status: 502 })),
  ...bothWays('gzip bomb', passing(strange, { on: readsBody, ...detail }), () => ({ kind: 'gzip-bomb' })),
  ...bothWays('an error page of 300 levels', passing(/503/, detail), () => ({
    kind: 'status',
    status: 503,
    body: `${'['.repeat(300)}${']'.repeat(300)}`,
  })),
];

/** Correct answers with something odd about them. */
const odd: Trouble[] = [
  { ...passing(/./), name: 'an answer after 1200 ms', how: { http: () => ({ kind: 'delay', ms: 1200 }) } },
  { ...passing(/./, detail), name: 'a byte order mark', how: { http: () => ({ kind: 'bom' }) } },
  { ...passing(/./, detail), name: 'gzip that nobody asked for', how: { http: () => ({ kind: 'gzip' }) } },
  {
    ...passing(/./, { once: 'either' }),
    name: 'no Date',
    how: { http: () => ({ kind: 'headers', headers: { date: undefined } }) },
  },
];

const isObject = (json: unknown): json is Record<string, unknown> => typeof json === 'object' && json !== null;
const changes: readonly [string, (json: unknown) => unknown][] = [
  ['every value a number', (json) => mapped(json, () => 7)],
  ['every value null', (json) => mapped(json, () => null)],
  ['every value an object', (json) => mapped(json, (value) => ({ value }))],
  ['every value empty text', (json) => mapped(json, () => '')],
  ['a list for an object', (json) => (Array.isArray(json) ? { items: json } : [json])],
  ['a number', () => 42],
  ['text', () => 'ok'],
  ['an id that is none', (json) => (isObject(json) && 'id' in json ? { ...json, id: 'not an id' } : json)],
];
function mapped(json: unknown, change: (value: unknown) => unknown): unknown {
  if (Array.isArray(json)) return json.map((item) => mapped(item, change));
  if (!isObject(json)) return change(json);
  return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, change(value)]));
}
const hasTotal = ({ method, name }: Target) => method === 'GET' && name.endsWith('/access-rules');

/** A list that is shorter than it says. */
const shortLists: Trouble[] = [
  {
    ...passing(/access rules/, { once: 'either', on: hasTotal }),
    name: 'an empty page',
    how: {
      http: () => {
        const change = (json: unknown) => ({ ...(json as object), accessRules: [] });
        return { kind: 'transform', change };
      },
    },
  },
];

const transforms: Trouble[] = changes.map(([name, change]) => ({
  // Rows of a list that cannot be read are skipped; an answer with a secret in it is published, and the run fails.
  ...passing(
    new RegExp(`${strange.source}|answer cannot be used|fields that cannot be read|named|no application|409`),
    {
      once: 'either',
      on: (target) => readsBody(target) && target.status < 300,
    },
  ),
  name: `wrong types: ${name}`,
  how: { http: () => ({ kind: 'transform', change }) },
}));

/** Something on the way answers, in the server's own words or with a page; nothing was done. */
const lies: Trouble[] = [
  ...[400, 401, 403, 404, 409, 422].map((status) => ({ status, fault: { kind: 'status', status } as Fault })),
  ...[401, 403, 404].map((status) => ({ status, fault: { kind: 'html', status } as Fault })),
].map(({ status, fault }) => ({
  ...passing(new RegExp(`${status}|404|no application|has neither|there is no secret`), {
    once: 'either',
    // By the contract, a conflict means that the rule is there.
    on: ({ kind }) => !(kind === 'rule' && status === 409),
  }),
  name: `${status}${fault.kind === 'html' ? ', a page' : ''} for nothing`,
  group: 'a refusal for nothing',
  how: { http: () => fault },
}));

const targets: readonly [string, (places: Places) => string][] = [
  ['the same host', ({ here }) => `${here}/signin`],
  ['a path only', () => '/signin?back=1'],
  ['another host', ({ elsewhere }) => `${elsewhere}/signin`],
  ['another scheme', ({ here }) => here.replace('http:', 'https:')],
  ['file scheme', () => 'file:///etc/passwd'],
  ['itself', () => ''],
];
const redirects: Trouble[] = ([301, 302, 303, 307, 308] as const).flatMap((status) =>
  targets.map(([name, location]) => ({
    once: 'ends' as const,
    says: /redirect/,
    name: `${status} to ${name}`,
    group: 'five redirects to six places',
    how: { http: (places) => ({ kind: 'redirect', status, location: location(places) }) as const },
    ...detail,
  })),
);
const redirectsAfterwards: Trouble[] = ([302, 303] as const).map((status) => ({
  once: 'ends',
  says: /redirect/,
  name: `${status} to another host, work done`,
  how: { http: ({ elsewhere }) => ({ kind: 'redirect', status, location: elsewhere, work: true }) },
}));

const frontSays: Partial<Record<FrontFault, RegExp>> = {
  refused: /refused/,
  'never-accepted': /in time|refused/,
  silent: late,
  'silent-in-handshake': late,
  'old-version': /TLS/,
  plaintext: /TLS/,
  garbage: /TLS/,
  untrusted: /certificate is not trusted/,
  'wrong-host': /certificate is not trusted/,
};
const fronts: Trouble[] = [...connectionFaults, ...tlsFaults].flatMap((front) => {
  const silent = /silent|never/.test(front);
  const hopeless = /untrusted|wrong-host/.test(front);
  const refusal = frontSays[front] ?? closed;
  const spec: Spec = {
    once: hopeless ? 'ends' : 'passes',
    // The connection that the request came on is reset first of all.
    says: hopeless ? refusal : new RegExp(`${refusal.source}|${closed.source}`),
    ...(silent && { waits: true as const }),
    ...(/refused|never|silent|plaintext/.test(front) && { lasting: true as const }),
    ...(!/^refused|^untrusted/.test(front) && detail),
  };
  const layer = tlsFaults.some((one) => one === front) ? 'TLS' : 'TCP';
  const name = `${layer}: ${front}`;
  const after: Trouble = { ...spec, name: `${name}, work done`, how: { front, work: true } };
  return [
    { ...spec, name, how: { front, work: false } },
    ...(/refused|never|reset$|untrusted/.test(front) ? [after] : []),
  ];
});

/** Only what comes first on a server can look up its name: afterwards there is a connection. */
const unknownHost: Trouble = {
  name: 'unknown host',
  how: { url: 'https://console.invalid' },
  once: 'ends',
  says: /there is no such host name|could not be looked up/,
  lasting: 'only',
  on: ({ index }) => index === 0,
};

type Odd = NonNullable<Oddities['simulator']>;
const afterAnswers = ['close', 'close-soon', 'reset-on-reuse', 'silent-on-reuse'] as const;
const missing = ['html-200', 'html-404', '405', '501'] as const;
const oddities: readonly [string, Odd, Partial<Spec>?][] = [
  ...afterAnswers.map((afterAnswer): [string, Odd] => [`after an answer: ${afterAnswer}`, { afterAnswer }]),
  ['never a Date', { omitDate: true }, { once: 'either' }],
];
/** What only a control plane does. */
const planes: readonly [string, Odd, Partial<Spec>?][] = [
  ...missing.map((missingEndpoint): [string, Odd] => [`no such endpoint: ${missingEndpoint}`, { missingEndpoint }]),
  ['no clientId in the answer to a create', { omitClientId: true }],
  ['no createdAt', { nullCreatedAt: true }, { once: 'either' }],
  ['409 for a second access rule', { refuseDuplicateRules: true }],
];
/** Servers that are odd all along, tried once in a task. */
const servers: Trouble[] = [
  ...oddities.map(([name, server, more]) => ({ name, server, more, on: ({ index }: Target) => index === 0 })),
  ...planes.map(([name, server, more]) => ({
    name,
    server,
    more,
    on: ({ index, service, task }: Target) => index === 0 && service === 'simulator' && !task.simulator?.clientIdOf,
  })),
].map(({ name, server, more, on }) => ({ ...passing(/./, { ...more, on }), name, how: { server } }));

export const troubles: readonly Trouble[] = [
  unknownHost,
  ...fronts,
  ...servers,
  ...broken,
  ...drips,
  ...statuses,
  ...unprocessed,
  ...lateWork,
  ...retryAfters,
  ...github,
  ...bodies,
  ...odd,
  ...transforms,
  ...shortLists,
  ...lies,
  ...redirects,
  ...redirectsAfterwards,
];
