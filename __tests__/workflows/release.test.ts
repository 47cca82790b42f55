import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ReleaseState } from '../support/release-gh.ts';
import { root } from '../support/runner.ts';
import { missingForScripts, runBash, skippedFor } from '../support/scripts.ts';
import { readWorkflow } from '../support/workflow.ts';

const workflow = readWorkflow(join(root, '.github/workflows/release.yml'));
const scripts = (workflow.jobs['release']?.steps ?? []).flatMap(({ run }) => run ?? []);
const tested = 'c0ffee0000000000000000000000000000000000';
const older = '0ddba11000000000000000000000000000000000';

const changelog = `# Changelog

## [Unreleased]

- Later

## [1.1.0] - 2026-03-01

### Added

- New

## [1.0.0] - 2026-01-01

- First

[1.1.0]: https://example.com/1.1.0
`;

const published = (...tags: string[]) =>
  tags.map((tag) => ({ tag_name: tag, draft: false, prerelease: tag.includes('-') }));

const missing = missingForScripts('awk', 'grep', 'sort');

describe.skipIf(missing.length > 0)(`a release${skippedFor(missing)}`, () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'release-'));
    writeFileSync(join(folder, 'CHANGELOG.md'), changelog);
    const gh = fileURLToPath(new URL('../support/release-gh.ts', import.meta.url));
    writeFileSync(join(folder, 'gh'), `#!/bin/sh\nexec '${process.execPath}' '${gh}' "$@"\n`, { mode: 0o755 });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const stateFile = () => join(folder, 'github.json');
  const state = (): ReleaseState => JSON.parse(readFileSync(stateFile(), 'utf8'));
  function given(known: Partial<ReleaseState>): void {
    const nothing = { tagged: tested, releases: [], majors: {}, mayMove: true, changes: [], calls: [] };
    writeFileSync(stateFile(), JSON.stringify({ ...nothing, ...known }));
  }

  /** Runs the scripts of the job one after the other, up to one that fails. */
  function release(tag: string): { succeeded: boolean; text: string } {
    const env = {
      GITHUB_REF_NAME: tag,
      GITHUB_REPOSITORY: 'your-org/runai-auth',
      RUNNER_TEMP: folder,
      COMMIT: tested,
      GH_STATE: stateFile(),
      PATH: [folder, process.env['PATH']].join(delimiter),
    };
    let text = '';
    for (const script of scripts) {
      const { status, stdout, stderr } = runBash(script, { env, cwd: folder });
      text += stdout + stderr;
      if (status !== 0) return { succeeded: false, text };
    }
    return { succeeded: true, text };
  }

  it('is published, and moves the tag of its major version', () => {
    given({ releases: published('v1.0.0'), majors: { v1: older } });
    expect(release('v1.1.0')).toMatchObject({ succeeded: true });
    expect(state()).toMatchObject({ releases: published('v1.0.0', 'v1.1.0'), majors: { v1: tested } });
    expect(state().changes).toHaveLength(2);
  });

  it('makes the tag of its major version the first time', () => {
    given({});
    expect(release('v1.0.0')).toMatchObject({ succeeded: true });
    expect(state().majors).toEqual({ v1: tested });
  });

  it.each([
    ['a newer minor version', published('v1.2.0', 'v1.10.0')],
    ['two digits that sort before one', published('v1.10.0')],
  ])('does not take the tag back from %s', (_what, releases) => {
    given({ releases, majors: { v1: older } });
    expect(release('v1.1.0')).toMatchObject({ succeeded: true });
    expect(state().majors).toEqual({ v1: older });
  });

  it.each([
    ['a pre-release', published('v1.2.0-rc.1')],
    ['a pre-release of its own version', published('v1.1.0-rc.1')],
    ['a draft', [{ tag_name: 'v1.2.0', draft: true, prerelease: false }]],
    ['another major version', published('v2.0.0', 'v10.0.0')],
  ])('moves the tag although there is %s', (_what, releases) => {
    given({ releases, majors: { v1: older } });
    expect(release('v1.1.0')).toMatchObject({ succeeded: true });
    expect(state().majors).toEqual({ v1: tested });
  });

  it('is for no tag of a pre-release, and would not move the tag of the major version for one', () => {
    expect(workflow.on).toMatchObject({ push: { tags: ['v[0-9]+.[0-9]+.[0-9]+'] } });
    writeFileSync(join(folder, 'CHANGELOG.md'), changelog.replace('[1.1.0]', '[1.1.0-rc.1]'));
    given({ releases: published('v1.0.0'), majors: { v1: older } });
    release('v1.1.0-rc.1');
    expect(state().majors).toEqual({ v1: older });
  });

  it('is of the commit that was tested, even when the tag was moved before the approval', () => {
    given({ tagged: older });
    const { succeeded, text } = release('v1.1.0');
    expect(succeeded).toBe(false);
    expect(text).toContain(`::error::v1.1.0 is on ${older} now, but ${tested} was tested: nothing is released`);
    expect(state().changes).toEqual([]);
  });

  it('takes its notes from the section of its version', () => {
    given({});
    const notes = () => readFileSync(join(folder, 'notes.md'), 'utf8').trim();
    release('v1.1.0');
    expect(notes()).toBe('### Added\n\n- New');
    release('v1.0.0');
    expect(notes()).toBe('- First');
  });

  it('stops where the changelog does not know the version', () => {
    given({});
    const { succeeded, text } = release('v1.0.1');
    expect(succeeded).toBe(false);
    expect(text).toContain('::error::CHANGELOG.md says nothing about v1.0.1');
    expect(state().changes).toEqual([]);
  });

  it('can be run again, whichever call to GitHub failed, and whether it did its work', () => {
    const before = { releases: published('v1.0.0'), majors: { v1: older } };
    given(before);
    release('v1.1.0');
    const { calls, changes } = state();
    expect(changes).toHaveLength(2);
    const failures = calls.flatMap((line, call): ReleaseState['failure'][] =>
      changes.includes(line)
        ? [
            { call, when: 'before' },
            { call, when: 'after' },
          ]
        : [{ call, when: 'before' }],
    );
    for (const failure of failures) {
      given({ ...before, ...(failure && { failure }) });
      const what = `${failure?.when} ${calls[failure?.call ?? 0]}`;
      if (!release('v1.1.0').succeeded) expect(release('v1.1.0'), what).toMatchObject({ succeeded: true });
      const after = { releases: published('v1.0.0', 'v1.1.0'), majors: { v1: tested } };
      expect(state(), what).toMatchObject(after);
    }
  });

  it('says how to move the tag by hand where GitHub does not let the workflow', () => {
    given({ majors: { v1: older }, mayMove: false });
    const { succeeded, text } = release('v1.1.0');
    expect(succeeded).toBe(false);
    expect(text).toContain('Resource not accessible by integration');
    expect(text).toContain(`git push --force origin ${tested}:refs/tags/v1`);
    expect(state().releases).toEqual(published('v1.1.0'));
  });
});
