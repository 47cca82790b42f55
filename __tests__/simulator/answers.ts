export interface RequestSeen {
  method: string;
  /** Path and query, without the prefix that the service is served under. */
  path: string;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

export interface Answer {
  status: number;
  /** Names in lower case; `undefined` leaves out what the server would add, such as `date`. */
  headers: Record<string, string | undefined>;
  body: string;
  /** Whether the contract applies to it; it does not apply to answers of a gateway, a web UI or GitHub. */
  documented: boolean;
}

export function json(status: number, value: unknown): Answer {
  const headers = { 'content-type': 'application/json; charset=utf-8' };
  return { status, headers, body: JSON.stringify(value), documented: true };
}

export function empty(status: number): Answer {
  return { status, headers: {}, body: '', documented: true };
}

/** How the control plane words an error. */
export function refusal(status: number, message: string, details?: string): Answer {
  return json(status, details === undefined ? { code: status, message } : { code: status, message, details });
}

export const undocumented = (answer: Answer): Answer => ({ ...answer, documented: false });

export function page(status: number): Answer {
  const body =
    '<!doctype html>\n<html lang="en"><head><title>Run:ai</title></head>' +
    '<body><div id="root"></div><script src="/main.js"></script></body></html>\n';
  return { status, headers: { 'content-type': 'text/html; charset=utf-8' }, body, documented: false };
}

/** The headers that have a value. */
export function given(headers: Record<string, string | number | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
  );
}

export function bearer(request: RequestSeen): string {
  return /^Bearer (.+)$/.exec(String(request.headers['authorization'] ?? ''))?.[1] ?? '';
}

export function splitPath(path: string): { pathname: string; query: string } {
  const at = path.indexOf('?');
  return at < 0 ? { pathname: path, query: '' } : { pathname: path.slice(0, at), query: path.slice(at + 1) };
}
