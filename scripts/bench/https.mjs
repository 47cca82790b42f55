// What a platform engineer would write by hand: one request, one output, nothing else.
import { appendFileSync } from 'node:fs';
import { request } from 'node:https';

const { RUNAI_URL: url, RUNAI_USERNAME: username, RUNAI_PASSWORD: password, GITHUB_OUTPUT: output } = process.env;
const call = request(
  `${url}/api/v1/token`,
  { method: 'POST', headers: { 'content-type': 'application/json' } },
  async (answer) => {
    const { accessToken } = JSON.parse(Buffer.concat(await answer.toArray()).toString());
    console.log(`::add-mask::${accessToken}`);
    appendFileSync(output, `access-token=${accessToken}\n`);
  },
);
call.end(JSON.stringify({ grantType: 'password', username, password }));
