import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { actionFolder } from '../support/runner.ts';
import { read, snippetsOf } from './documents.ts';

const snippets = snippetsOf('docs/other-ci.md');
const [library = '', job = '', storing = ''] = snippets
  .filter(({ language }) => language === 'bash')
  .map(({ text }) => text);
const jenkins = /sh '''([\s\S]*?)'''/.exec(read('docs/other-ci.md'))?.[1] ?? '';
const gitlab = parse(snippets.find(({ text }) => text.startsWith('# .gitlab-ci.yml'))?.text ?? '');

const missing = ['bash', 'curl', 'awk', 'sed'].filter((tool) => spawnSync(tool, ['--version']).error);
const skipped = missing.length > 0 ? ` (skipped: no ${missing.join(', no ')})` : '';

describe.skipIf(missing.length > 0)(`the script of docs/other-ci.md${skipped}`, () => {
  let simulator: Simulator;
  let folder: string;

  beforeAll(async () => {
    simulator = await startSimulator();
    folder = mkdtempSync(join(tmpdir(), 'other-ci-'));
    mkdirSync(join(folder, 'tmp'));
    cpSync(actionFolder(), join(folder, 'runai-auth'), { recursive: true });
    writeFileSync(join(folder, 'runai.sh'), library);
    writeFileSync(join(folder, 'deploy.sh'), '#!/bin/sh\nprintf %s "$RUNAI_TOKEN" > token\n', { mode: 0o755 });
  });
  afterAll(async () => {
    await simulator.close();
    rmSync(folder, { recursive: true });
  });

  /** Runs a job as GitLab and Jenkins do: a shell with the variables of the job, no runner of GitHub's about. */
  async function run(
    script: string,
    variables: Record<string, string> = {},
    use: (child: ChildProcess) => void = () => {},
  ) {
    const env = {
      PATH: [dirname(process.execPath), process.env['PATH']].join(':'),
      TMPDIR: join(folder, 'tmp'),
      RUNAI_URL: simulator.url,
      ...variables,
    };
    const child = spawn('bash', ['-c', script], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    use(child);
    let log = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (log += chunk));
    const status = await new Promise((resolve) => child.on('close', resolve));
    return { status, log };
  }

  const application = () => {
    const { clientId, secret } = simulator.addApplication({ name: `ci-${Math.random().toString(36).slice(2)}` });
    return { RUNAI_CLIENT_ID: clientId, RUNAI_CLIENT_SECRET: secret };
  };

  it('gets a token and uses it, and prints no secret', async () => {
    const { username, password } = simulator.admin;
    const variables = { RUNAI_USERNAME: username, RUNAI_PASSWORD: password };
    const { status, log } = await run(job, variables);
    expect(status, log).toBe(0);
    expect(log).toContain('Requested a token');
    expect(log).not.toContain(password);
    expect(log).not.toContain('::add-mask::');
  });

  it('runs twice in one job, and reads the outputs of the run before', async () => {
    const { username, password } = simulator.admin;
    const script = [
      'source ./runai.sh',
      'export RUNAI_MODE=create-app RUNAI_APP_NAME=first',
      'runai; output app-name',
      'export RUNAI_APP_NAME=second',
      'runai; output app-name; output client-secret > secret',
    ].join('\n');
    const { status, log } = await run(script, { RUNAI_USERNAME: username, RUNAI_PASSWORD: password });
    expect(status, log).toBe(0);
    expect(log.match(/^(first|second)$/gm)).toEqual(['first', 'second']);
    const secret = readFileSync(join(folder, 'secret'), 'utf8').trim();
    expect(simulator.isValidSecret('second', secret)).toBe(true);
    expect(log).not.toContain(secret);
  });

  it('ends the job where the step fails, and says why', async () => {
    const variables = { ...application(), RUNAI_CLIENT_SECRET: 'wrong' };
    const { status, log } = await run('source ./runai.sh\nexport RUNAI_MODE=token\nrunai\necho went on', variables);
    expect(status).not.toBe(0);
    expect(log).not.toContain('went on');
    expect(log).toMatch(/^Error: token: /m);
    const failed = await run('source ./runai.sh\nexport RUNAI_MODE=token\nrunai || output error-code', variables);
    expect(failed.log).toMatch(/^credentials$/m);
  });

  it('shows an error of several lines as several lines, and no commands', async () => {
    const { log } = await run('source ./runai.sh\nrunai', { RUNAI_MODE: 'token', RUNAI_NOTIFY: '100%' });
    expect(log).toMatch(/^Error: token: there are \d problems with the inputs:$/m);
    expect(log).not.toMatch(/^::|%0A|%25/m);
  });

  it('stops with one clear message in another shell than bash', () => {
    const { status, stderr } = spawnSync('sh', ['-c', '. ./runai.sh'], { cwd: folder, encoding: 'utf8' });
    if (status !== 0) expect(stderr).toBe('runai.sh needs bash\n');
  });

  /** The job that keeps a new secret, for an application of its own. */
  function storingJob(name: string) {
    const text = storing.replace(/^export .*/m, `export RUNAI_MODE=create-app RUNAI_APP_NAME=${name}`);
    writeFileSync(join(folder, 'store.sh'), `#!/bin/sh\ncat > stored-${name}\n`, { mode: 0o755 });
    const { username, password } = simulator.admin;
    const variables = { RUNAI_USERNAME: username, RUNAI_PASSWORD: password };
    const stored = () => readFileSync(join(folder, `stored-${name}`), 'utf8').split(':') as [string, string];
    return { text, variables, stored };
  }

  it('stores a new secret although the step failed after it was issued, and fails then', async () => {
    const { text, variables, stored } = storingJob('half');
    simulator.addProject({ name: 'team-a' });
    simulator.fault({ path: 'authorization/access-rules', method: 'POST', fault: { kind: 'status', status: 403 } });
    const rules = { RUNAI_ACCESS_RULES: 'ML engineer @ project:team-a' };
    const { status, log } = await run(text, { ...variables, ...rules });
    simulator.clearFaults();
    expect(status, log).toBe(1);
    expect(log).toContain('Failed: forbidden');
    expect(simulator.isValidSecret(...stored())).toBe(true);
  });

  it.each(['the shell', 'all processes'])(
    'stores a new secret when the job is cancelled (signal to %s)',
    async (whom) => {
      const { text, variables, stored } = storingJob(whom === 'the shell' ? 'shell' : 'all');
      simulator.fault({ path: 'service-accounts', method: 'POST', fault: { kind: 'delay', ms: 1500 } });
      const before = simulator.requests.length;
      const running = run(text, variables, (child) => {
        const timer = setInterval(() => {
          const created = simulator.requests
            .slice(before)
            .some(({ method, path }) => method === 'POST' && !path.endsWith('/token'));
          if (!created) return;
          clearInterval(timer);
          process.kill(whom === 'the shell' ? child.pid! : -child.pid!, 'SIGTERM');
        }, 20);
        child.once('close', () => clearInterval(timer));
      });
      const { status, log } = await running;
      simulator.clearFaults();
      expect(status, log).toBe(1);
      expect(simulator.isValidSecret(...stored())).toBe(true);
    },
  );

  it('leaves no file with a secret in it', async () => {
    const { log } = await run(
      'source ./runai.sh\nexport RUNAI_MODE=token\nrunai\necho "$GITHUB_OUTPUT"',
      application(),
    );
    const path = log.trim().split('\n').at(-1) ?? '';
    expect(path).toContain(folder);
    expect(existsSync(path)).toBe(false);
  });

  it('works as the job for Jenkins has it, but for the clone', async () => {
    const lines = jenkins.split('\n').filter((line) => !/^ *(git clone|rm -rf) /.test(line));
    const script = lines.join('\n').replace('https://acme.run.ai', simulator.url);
    const { status, log } = await run(script, { ...application(), RUNAI_URL: '' });
    expect(status, log).toBe(0);
    expect(simulator.isValidToken(readFileSync(join(folder, 'token'), 'utf8'))).toBe(true);
  });

  it('works line by line as the job for GitLab has it, but for the clone', async () => {
    const lines = (gitlab.deploy.script as string[]).filter((line) => !line.startsWith('git clone'));
    const { status, log } = await run(lines.join('\n'), application());
    expect(status, log).toBe(0);
    expect(simulator.isValidToken(readFileSync(join(folder, 'token'), 'utf8'))).toBe(true);
  });
});
