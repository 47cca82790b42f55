import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { actionFile, root } from '../support/runner.ts';
import { read } from './documents.ts';

const folder = mkdtempSync(join(tmpdir(), 'trying-it-'));
const noInputs = join(folder, 'none.env');
writeFileSync(noInputs, '');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('npm run local', () => {
  const local = (...options: string[]) => {
    const script = join(root, 'scripts/local.ts');
    const { PATH, SystemRoot } = process.env;
    const env = { PATH, ...(SystemRoot && { SystemRoot }) };
    const child = spawnSync(process.execPath, [script, '--inputs', noInputs, ...options], { env, encoding: 'utf8' });
    return { exitCode: child.status, stdout: child.stdout, stderr: child.stderr };
  };

  it('finds each input of action.yml in .env.example, and nothing else', () => {
    const variables = [...read('.env.example').matchAll(/^RUNAI_(\w+)=/gm)].map(([, name = '']) => name);
    const inputs = variables.map((name) => name.toLowerCase().replaceAll('_', '-'));
    expect(inputs.toSorted()).toEqual(Object.keys(actionFile.inputs).toSorted());
  });

  it('refuses a file that does not exist', () => {
    const { exitCode, stderr } = local('--inputs', join(folder, 'nope.env'));
    expect([exitCode, stderr]).toEqual([2, expect.stringMatching(/^--inputs .*nope\.env: there is no such file$/m)]);
  });

  it('shows no option in its help that would put a secret on the command line', () => {
    const { exitCode, stdout } = local('--help');
    expect(exitCode).toBe(0);
    expect(stdout).not.toMatch(/--(client-secret|password|credentials|access-token|github-token)/);
  });

  it('has the project, the department and the cluster that the documents name', () => {
    const rules = ['project:team-a', 'department:research', 'cluster:prod'].map((scope) => `Viewer @ ${scope}`);
    const options = ['--mode', 'create-app', '--app-name', 'ci', '--access-rules', rules.join('\n')];
    const { exitCode, stdout } = local(...options);
    expect(exitCode, stdout).toBe(0);
  });

  it('keeps the columns of a table in the summary apart', () => {
    const emails = 'ada@example.com\ngrace@example.com';
    const { stdout } = local('--mode', 'create-user', '--email', emails);
    const [, summary = ''] = stdout.split('Job summary:');
    const rows = summary.split('\n').filter((line) => line.includes(' | '));
    expect(rows.length).toBe(3);
    expect(new Set(rows.map((row) => row.split(' | ').length)).size).toBe(1);
  });

  it('leaves an option empty that is given as empty', () => {
    const options = ['--mode', 'create-app', '--app-name', 'ci', '--store-as', 'RUNAI_CREDENTIALS'];
    const { exitCode, stdout } = local(...options, '--github-token', '');
    expect([exitCode, stdout]).toEqual([1, expect.stringMatching(/^Error: .*github-token/m)]);
  });

  it('prints the log and the outputs of a step, and hides its secrets', () => {
    const { exitCode, stdout } = local('--mode', 'create-app', '--app-name', 'ci');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^Created the application ci on /m);
    expect(stdout).toMatch(/^ {2}client-secret: \*\*\* \(32 characters; --show-secrets prints them\)$/m);
    expect(stdout).toMatch(/^ {2}created: true$/m);
  });

  it('stores without an account, as docs/trying-it.md shows', () => {
    const { exitCode, stdout } = local('--mode', 'create-app', '--app-name', 'ci', '--store-as', 'RUNAI_CREDENTIALS');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^ {2}stored: true$/m);
    expect(stdout).toMatch(/^ {2}RUNAI_CREDENTIALS in the repository: \*\*\* \(35 characters; /m);
    expect(stdout).not.toContain('REHEARSAL');
  });

  it.each(['environment:production', 'organization'])(
    'opens secrets, and what was stored, when asked to (%s)',
    (place) => {
      const storing = ['--store-as', 'RUNAI_CREDENTIALS', '--store-in', place, '--show-secrets'];
      const { exitCode, stdout } = local('--mode', 'create-app', '--app-name', 'ci', ...storing);
      expect(exitCode).toBe(0);
      const [, stored] = /^ {2}RUNAI_CREDENTIALS in the [\w ]+: ci:(\w{32})$/m.exec(stdout) ?? [];
      expect(stored).toBe(/^ {2}client-secret: (\w{32})$/m.exec(stdout)?.[1]);
    },
  );

  it('stores nothing where the step fails', () => {
    const { exitCode, stdout } = local('--mode', 'rotate-app', '--app-name', 'ci', '--store-as', 'RUNAI_CREDENTIALS');
    expect(exitCode).toBe(1);
    expect(stdout).not.toContain('Stored at GitHub');
  });

  it('fails where the step fails', () => {
    const { exitCode, stdout } = local('--mode', 'create-app', '--app-name', 'Not A Name');
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^Error: create-app: there is a problem with the inputs: app-name/m);
    expect(stdout).toContain('See https://github.com/your-org/runai-auth/blob/v1/docs/troubleshooting.md#inputs');
  });
});
