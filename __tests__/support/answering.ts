import { once } from 'node:events';
import { createServer, type OutgoingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Reply {
  status?: number;
  json?: unknown;
  /** In place of JSON. */
  body?: string | Buffer;
  headers?: OutgoingHttpHeaders;
}

export interface Answering extends AsyncDisposable {
  url: string;
  /** As `POST /api/v1/apps`. */
  requests: string[];
}

/** A server that answers as a test says: for answers that no control plane would give. */
export async function answering(
  reply: (request: { method: string; path: string }, count: number) => Reply | 'nothing',
): Promise<Answering> {
  const requests: string[] = [];
  const server = createServer({ maxHeaderSize: 64 * 1024 }, (message, response) => {
    const request = { method: message.method ?? '', path: message.url ?? '' };
    const answer = reply(request, requests.length);
    requests.push(`${request.method} ${request.path}`);
    if (answer === 'nothing') return response.destroy();
    const { status = 200, json, body = JSON.stringify(json) ?? '', headers } = answer;
    return response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
