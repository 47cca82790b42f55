import type { Fault, When } from '../__tests__/simulator/simulator.ts';
import { connectionFaults, type FrontFault, tlsFaults } from './front.ts';
import type { Situation } from './requests.ts';

/** Where a redirect can lead: `elsewhere` is a server that notes who comes. */
export interface Places {
  here: string;
  elsewhere: string;
  /** The control plane's clock. */
  now: () => number;
}

export interface Trouble {
  name: string;
  /** The line of the table that it is counted on; its own when left out. */
  group?: string;
  /** What the control plane does, or what happens below HTTP, or a URL that leads nowhere. */
  how: { http: (places: Places) => Fault } | { front: FrontFault; work: boolean } | { url: string };
  /** After one such fault, the next attempt succeeds, or the run ends with an error. */
  once: 'passes' | 'ends';
  /** What an error says about it. */
  says: RegExp;
  /** An attempt waits for its whole time. */
  waits?: true;
  /** Also tried with no end to it, or only so. */
  lasting?: true | 'only';
  /** What it is tried on; everything when left out. */
  on?: (situation: Situation) => boolean;
}

type Spec = Omit<Trouble, 'how' | 'name'>;

const passing = (says: RegExp, more: Partial<Spec> = {}): Spec => ({ once: 'passes', says, ...more });

/** The fault with the work left undone, and with the work done before it. */
function bothWays(name: string, spec: Spec, fault: (places: Places) => Fault): Trouble[] {
  return [
    { ...spec, name, how: { http: fault } },
    { ...spec, name: `${name}, work done`, how: { http: (places) => ({ ...fault(places), work: true }) } },
  ];
}

const moments: readonly When[] = ['before-head', 'in-head', 'in-body'];
const closed = /was closed before|was not HTTP/;
const late = /in time/;

const broken: Trouble[] = moments.flatMap((when) => [
  ...bothWays(`reset ${when}`, passing(closed, { lasting: true }), () => ({ kind: 'reset', when })),
  ...bothWays(`end ${when}`, passing(closed), () => ({ kind: 'end', when })),
  ...bothWays(`stall ${when}`, passing(late, { waits: true, lasting: true }), () => ({ kind: 'stall', when })),
]);

const drips: Trouble[] = [
  { ...passing(late), name: 'a byte per millisecond', how: { http: () => ({ kind: 'drip', ms: 1 }) } },
  {
    ...passing(late, { waits: true, lasting: true }),
    name: 'a byte per 200 ms',
    how: { http: () => ({ kind: 'drip', ms: 200 }) },
  },
];

const lasting = new Set([429, 503]);
const statuses: Trouble[] = [408, 500, 502, 503, 504].flatMap((status) =>
  bothWays(`${status}`, passing(new RegExp(`${status}`), lasting.has(status) ? { lasting: true } : {}), () => ({
    kind: 'status',
    status,
  })),
);
// Both say that the request was not processed (RFC 6585, 4; RFC 8470, 5.2), so there is no other way.
const unprocessed: Trouble[] = [425, 429].map((status) => ({
  ...passing(new RegExp(`${status}`), { lasting: true }),
  name: `${status}`,
  how: { http: () => ({ kind: 'status', status }) },
}));

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
  how: { http: ({ now }) => ({ kind: 'status', status: 429, headers: { 'retry-after': value(now()) } }) },
}));

/** A delete has no body to tell a lie by: a 2xx answer is all the truth there is. */
const readsBody = ({ kind }: Situation) => kind !== 'delete';
const strange = /not JSON|empty body|JSON without|more than 2 MiB|web page/;
const bodies: Trouble[] = [
  ...bothWays('HTML with 502', passing(/502/, { lasting: true }), () => ({ kind: 'html', status: 502 })),
  ...bothWays('HTML with 200', passing(strange, { lasting: true }), () => ({ kind: 'html', status: 200 })),
  ...bothWays('text with 200', passing(strange, { on: readsBody }), () => ({
    kind: 'status',
    status: 200,
    body: 'upstream is warming up',
  })),
  ...bothWays('empty with 200', passing(strange, { lasting: true, on: readsBody }), () => ({ kind: 'empty' })),
  ...bothWays('empty with 204', passing(strange, { on: readsBody }), () => ({ kind: 'empty', status: 204 })),
  ...bothWays('null', passing(strange, { on: readsBody }), () => ({ kind: 'status', status: 200, body: null })),
  ...bothWays('truncated', passing(strange, { lasting: true, on: readsBody }), () => ({ kind: 'truncated' })),
  ...bothWays('endless', passing(strange, { lasting: true, on: readsBody }), () => ({ kind: 'endless' })),
  ...bothWays('endless with 502', passing(/502/), () => ({ kind: 'endless', status: 502 })),
  ...bothWays('gzip bomb', passing(strange, { on: readsBody }), () => ({ kind: 'gzip-bomb' })),
  ...bothWays('an error page of 300 levels', passing(/503/), () => ({
    kind: 'status',
    status: 503,
    body: `${'['.repeat(300)}${']'.repeat(300)}`,
  })),
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
];
function mapped(json: unknown, change: (value: unknown) => unknown): unknown {
  if (Array.isArray(json)) return json.map((item) => mapped(item, change));
  if (!isObject(json)) return change(json);
  return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, change(value)]));
}
/** There is nothing to change in an empty list or body, or in a refusal. */
const answersObject = ({ kind, name }: Situation) => kind !== 'delete' && !/taken|not there/.test(name);
const transforms: Trouble[] = changes.map(([name, change]) => ({
  ...passing(strange, { on: answersObject }),
  name: `wrong types: ${name}`,
  how: { http: () => ({ kind: 'transform', change }) },
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
    group: `${status}, to six places`,
    how: { http: (places) => ({ kind: 'redirect', status, location: location(places) }) as const },
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
  untrusted: /certificate.*ca-certificate/s,
  'wrong-host': /certificate.*ca-certificate/s,
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
  };
  const layer = tlsFaults.some((one) => one === front) ? 'TLS' : 'TCP';
  const name = `${layer}: ${front}`;
  const after: Trouble = { ...spec, name: `${name}, work done`, how: { front, work: true } };
  return [
    { ...spec, name, how: { front, work: false } },
    ...(/refused|never|reset$|untrusted/.test(front) ? [after] : []),
  ];
});

/** Only what comes first in a run can look up a name: afterwards there is a connection. */
const unknownHost: Trouble = {
  name: 'unknown host',
  how: { url: 'https://console.invalid' },
  once: 'ends',
  says: /could not be resolved/,
  lasting: 'only',
  on: ({ first, name }) =>
    first === true || /^(create app, old|create user|reset secret, rotate|delete app)$/.test(name),
};

export const troubles: readonly Trouble[] = [
  unknownHost,
  ...fronts,
  ...broken,
  ...drips,
  ...statuses,
  ...unprocessed,
  ...retryAfters,
  ...bodies,
  ...transforms,
  ...redirects,
  ...redirectsAfterwards,
];
