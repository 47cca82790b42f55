import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { onWindows } from '../support/system.ts';

describe('the command line', () => {
  const cli = fileURLToPath(new URL('cli.ts', import.meta.url));

  test('prints what a person needs and ends well when interrupted', async () => {
    const child = spawn(process.execPath, [cli, '--version', '3.0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    const printed: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      printed.push(line);
      if (line.startsWith('Ctrl+C')) child.kill('SIGINT');
    }
    const [code] = await exited;
    expect(code).toBe(onWindows ? null : 0);
    const text = printed.join('\n');
    expect(text).toMatch(/3\.0, simulated: http:\/\/127\.0\.0\.1:\d+/);
    expect(text).toContain('/api/v2/token');
    expect(text).not.toContain('/api/v1/apps');
  });

  test('names a version that it does not know', async () => {
    const child = spawn(process.execPath, [cli, '--version', '1.0'], { stdio: ['ignore', 'ignore', 'pipe'] });
    const exited = once(child, 'exit');
    const printed: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) printed.push(line);
    expect((await exited)[0]).toBe(1);
    expect(printed[0]).toContain('--version 1.0 is none of 2.20');
  });
});
