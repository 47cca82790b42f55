import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
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

const published = (...tags: string[]) => tags.map((tag) => `${tag} published`);

/** What GitHub knows before a release. */
interface Known {
  tagged?: string;
  /** Each with its state: published, draft or prerelease. */
  releases?: string[];
  /** The commit that v1 is on, if it is there. */
  v1?: string;
  refusesToMove?: boolean;
  /** When the call of a number, from 1, fails: `before` or `after` it does its work. */
  failure?: string;
}

const missing = missingForScripts('awk', 'grep', 'sort', 'sed');

describe.skipIf(missing.length > 0)(`a release${skippedFor(missing)}`, () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'release-'));
    write('CHANGELOG.md', changelog);
    cpSync(new URL('gh.sh', import.meta.url), join(folder, 'gh'));
    chmodSync(join(folder, 'gh'), 0o755);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
  const read = (name: string) => readFileSync(join(folder, name), 'utf8').trimEnd();
  const linesOf = (name: string) => read(name).split('\n').filter(Boolean);

  function given({ tagged = tested, releases = [], v1, refusesToMove, failure = '' }: Known): void {
    rmSync(join(folder, 'github'), { recursive: true, force: true });
    mkdirSync(join(folder, 'github/majors'), { recursive: true });
    const files = { tagged, releases: releases.map((line) => `${line}\n`).join(''), calls: '', changes: '', failure };
    for (const [name, text] of Object.entries(files)) write(`github/${name}`, text);
    if (v1) write('github/majors/v1', v1);
    if (refusesToMove) write('github/refuses-to-move', '');
  }

  const releases = () => linesOf('github/releases');
  const changes = () => linesOf('github/changes');
  const majors = () =>
    Object.fromEntries(readdirSync(join(folder, 'github/majors')).map((name) => [name, read(`github/majors/${name}`)]));

  /** Runs the scripts of the job one after the other, up to one that fails. */
  function release(tag: string): { succeeded: boolean; text: string } {
    const env = {
      GITHUB_REF_NAME: tag,
      GITHUB_REPOSITORY: 'your-org/runai-auth',
      RUNNER_TEMP: folder,
      COMMIT: tested,
      GH_STATE: join(folder, 'github'),
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
    given({ releases: published('v1.0.0'), v1: older });
    expect(release('v1.1.0')).toMatchObject({ succeeded: true });
    expect([releases(), majors()]).toEqual([published('v1.0.0', 'v1.1.0'), { v1: tested }]);
    expect(changes()).toHaveLength(2);
  });

  it('makes the tag of its major version the first time', () => {
    given({});
    expect(release('v1.0.0')).toMatchObject({ succeeded: true });
    expect(majors()).toEqual({ v1: tested });
  });

  it('does not take the tag back from a newer minor version', () => {
    given({ releases: published('v1.10.0'), v1: older });
    expect(release('v1.1.0')).toMatchObject({ succeeded: true });
    expect(majors()).toEqual({ v1: older });
  });

  it('takes 1.10 for newer than 1.9', () => {
    write('CHANGELOG.md', changelog.replace('[1.1.0]', '[1.10.0]'));
    given({ releases: published('v1.9.0'), v1: older });
    expect(release('v1.10.0')).toMatchObject({ succeeded: true });
    expect(majors()).toEqual({ v1: tested });
  });

  it.each([
    ['a pre-release', ['v1.2.0-rc.1 prerelease']],
    ['a pre-release of its own version', ['v1.1.0-rc.1 prerelease']],
    ['a pre-release that nobody has marked as one', published('v1.2.0-rc.1')],
    ['a draft', ['v1.2.0 draft']],
    ['another major version', published('v2.0.0', 'v10.0.0')],
  ])('moves the tag although there is %s', (_what, known) => {
    given({ releases: known, v1: older });
    expect(release('v1.1.0')).toMatchObject({ succeeded: true });
    expect(majors()).toEqual({ v1: tested });
  });

  it('is for no tag of a pre-release, and would not move the tag of the major version for one', () => {
    expect(workflow.on).toMatchObject({ push: { tags: ['v[0-9]+.[0-9]+.[0-9]+'] } });
    write('CHANGELOG.md', changelog.replace('[1.1.0]', '[1.1.0-rc.1]'));
    given({ releases: published('v1.0.0'), v1: older });
    release('v1.1.0-rc.1');
    expect(majors()).toEqual({ v1: older });
  });

  it('is of the commit that was tested, even when the tag was moved before the approval', () => {
    given({ tagged: older });
    const { succeeded, text } = release('v1.1.0');
    expect(succeeded).toBe(false);
    expect(text).toContain(`::error::v1.1.0 is on ${older} now, but ${tested} was tested: nothing is released`);
    expect(changes()).toEqual([]);
  });

  it('takes its notes from the section of its version', () => {
    given({});
    release('v1.1.0');
    expect(read('notes.md').trim()).toBe('### Added\n\n- New');
    release('v1.0.0');
    expect(read('notes.md').trim()).toBe('- First');
  });

  it('stops where the changelog does not know the version', () => {
    given({});
    const { succeeded, text } = release('v1.0.1');
    expect(succeeded).toBe(false);
    expect(text).toContain('::error::CHANGELOG.md says nothing about v1.0.1');
    expect(changes()).toEqual([]);
  });

  it.each(['before', 'after'])('can be run again, whichever call to GitHub failed, %s it did its work', (when) => {
    const known = { releases: published('v1.0.0'), v1: older };
    given(known);
    release('v1.1.0');
    const calls = linesOf('github/calls');
    expect(calls.length).toBeGreaterThan(4);
    for (const [index, call] of calls.entries()) {
      given({ ...known, failure: `${when} ${index + 1}` });
      if (!release('v1.1.0').succeeded) expect(release('v1.1.0'), call).toMatchObject({ succeeded: true });
      expect([releases(), majors()], call).toEqual([published('v1.0.0', 'v1.1.0'), { v1: tested }]);
    }
  });

  it('says how to move the tag by hand where GitHub does not let the workflow', () => {
    given({ v1: older, refusesToMove: true });
    const { succeeded, text } = release('v1.1.0');
    expect(succeeded).toBe(false);
    expect(text).toContain('Resource not accessible by integration');
    expect(text).toContain(`git push --force origin ${tested}:refs/tags/v1`);
    expect(releases()).toEqual(published('v1.1.0'));
  });
});
