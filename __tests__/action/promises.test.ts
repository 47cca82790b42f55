// Whether the checks that every test of a step makes would notice: with bundles that are broken on purpose.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { actionFolder } from '../support/runner.ts';
import { openStage } from '../support/stage.ts';

const temp = mkdtempSync(join(tmpdir(), 'broken-'));
afterAll(() => rmSync(temp, { recursive: true, force: true }));

/** A copy of the action with a part of its text replaced. */
function broken(part: string, replacement: string): string {
  const folder = mkdtempSync(join(temp, 'action-'));
  cpSync(actionFolder(), folder, { recursive: true });
  const files = readdirSync(join(folder, 'dist')).map((name) => join(folder, 'dist', name));
  const touched = files.filter((file) => readFileSync(file, 'utf8').includes(part));
  expect(touched).not.toEqual([]);
  for (const file of touched) writeFileSync(file, readFileSync(file, 'utf8').replaceAll(part, replacement));
  return folder;
}

const createUser = { mode: 'create-user', email: 'ada@acme.example' };
const said = 'Requested a token from ${';

describe.concurrent('the checks notice a bundle', () => {
  it.each([
    ['that masks nothing', createUser, '"add-mask"', '"add-matcher"'],
    ['that prints a secret', createUser, said, `${said}process.env.INPUT_PASSWORD}${said.slice(-2)}`],
    ['that forgets an output', createUser, '"temporary-passwords"', '"temporary-password"'],
    ['that has an output which is not declared', createUser, '"user-id"', '"user-number"'],
    ['that ends green after an error', { mode: 'rotate-app', 'app-name': 'none' }, 'process.exit()', 'process.exit(0)'],
  ])('%s', async (_what, inputs, part, replacement) => {
    await using stage = await openStage();
    await expect(stage.run(inputs, { action: broken(part, replacement) })).rejects.toThrow();
  });

  it('but not one that is whole', async () => {
    await using stage = await openStage();
    expect((await stage.run(createUser, { action: broken('add-mask', 'add-mask') })).exitCode).toBe(0);
  });
});
