import { appendFileSync } from 'node:fs';

const { RUNAI_URL: url, RUNAI_USERNAME: username, RUNAI_PASSWORD: password, GITHUB_OUTPUT: output } = process.env;
const answer = await fetch(`${url}/api/v1/token`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ grantType: 'password', username, password }),
});
const { accessToken } = await answer.json();
console.log(`::add-mask::${accessToken}`);
appendFileSync(output, `access-token=${accessToken}\n`);
