import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { inputSpecs } from '../../src/inputs.ts';
import { root } from '../support/runner.ts';
import { read } from './documents.ts';

describe('npm run local', () => {
  const local = (...options: string[]) => {
    const script = join(root, 'scripts/local.ts');
    const { PATH, SystemRoot } = process.env;
    const env = { PATH, ...(SystemRoot && { SystemRoot }) };
    const child = spawnSync(process.execPath, [script, '--inputs', 'none', ...options], { env, encoding: 'utf8' });
    return { exitCode: child.status, stdout: child.stdout };
  };

  it('knows each variable of .env.example as an input', () => {
    const variables = [...read('.env.example').matchAll(/^RUNAI_(\w+)=/gm)].map(([, name = '']) => name);
    expect(variables.length).toBeGreaterThan(5);
    for (const name of variables) expect(inputSpecs).toHaveProperty(name.toLowerCase().replaceAll('_', '-'));
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
  });
});
