// What a platform engineer would write by hand: one request, one output, nothing else.
const { appendFileSync } = require('node:fs');
const { request } = require('node:https');

const { RUNAI_URL: url, RUNAI_USERNAME: username, RUNAI_PASSWORD: password, GITHUB_OUTPUT: output } = process.env;
const options = { method: 'POST', headers: { 'content-type': 'application/json' } };
const call = request(`${url}/api/v1/token`, options, async (answer) => {
  const { accessToken } = JSON.parse(Buffer.concat(await answer.toArray()).toString());
  console.log(`::add-mask::${accessToken}`);
  appendFileSync(output, `access-token=${accessToken}\n`);
});
call.end(JSON.stringify({ grantType: 'password', username, password }));
