// A stand-in for GitHub's command line, run as a process of its own: the few calls that release.yml makes, on a file that
// takes the place of GitHub.
import { readFileSync, writeFileSync } from 'node:fs';

export interface ReleaseState {
  /** The commit of the release's tag. */
  tagged: string;
  releases: { tag_name: string; draft: boolean; prerelease: boolean }[];
  /** The tags of major versions. */
  majors: Record<string, string>;
  /** Whether GitHub lets the workflow move a tag. */
  mayMove: boolean;
  /** All calls so far, and those of them that have changed something. */
  calls: string[];
  changes: string[];
  /** The number of the call that fails, from 0, and whether that is before or after it does its work. */
  failure?: { call: number; when: 'before' | 'after' };
}

const file = process.env['GH_STATE'] ?? '';
const state: ReleaseState = JSON.parse(readFileSync(file, 'utf8'));
const args = process.argv.slice(2);
const line = args.join(' ');
const repository = 'repos/your-org/runai-auth';

function end(exitCode: number, text = ''): never {
  writeFileSync(file, JSON.stringify(state));
  (exitCode === 0 ? process.stdout : process.stderr).write(text && `${text}\n`);
  process.exit(exitCode);
}

const option = (name: string) => args[args.indexOf(name) + 1] ?? '';
const field = (name: string) => args.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';

function createRelease(): void {
  if (state.releases.some(({ tag_name, draft }) => tag_name === args[2] && !draft)) end(1, 'HTTP 422: already_exists');
  if (readFileSync(option('--notes-file'), 'utf8').trim() === '') end(1, 'no notes');
  state.releases.push({ tag_name: args[2] ?? '', draft: false, prerelease: false });
}

function setMajor(name: string): void {
  if (!state.mayMove) end(1, 'gh: Resource not accessible by integration (HTTP 403)');
  state.majors[name] = field('sha');
}

function answer(): string {
  const [, major = ''] = /git\/refs?\/tags\/(v\d+)/.exec(line) ?? [];
  if (line.startsWith(`api ${repository}/commits/tags/`) && option('--jq') === '.sha') return state.tagged;
  if (line.startsWith('release view ') && option('--jq') === '.isDraft') {
    const found = state.releases.find(({ tag_name }) => tag_name === args[2]);
    return found ? String(found.draft) : end(1, 'release not found');
  }
  if (line === `api ${repository}/releases --paginate --jq .[] | select(.draft or .prerelease | not) | .tag_name`) {
    const shown = state.releases.filter(({ draft, prerelease }) => !(draft || prerelease));
    return shown.map(({ tag_name }) => tag_name).join('\n');
  }
  if (line === `api ${repository}/git/ref/tags/${major} --silent`)
    return major in state.majors ? '' : end(1, 'gh: Not Found (HTTP 404)');
  return change(major);
}

function change(major: string): string {
  if (line.startsWith('release create ')) createRelease();
  else if (line.startsWith(`api ${repository}/git/refs/tags/${major} --method PATCH`)) {
    if (!(major in state.majors) || field('force') !== 'true') end(1, 'HTTP 422');
    setMajor(major);
  } else if (line.startsWith(`api ${repository}/git/refs -f ref=refs/tags/`)) {
    const name = field('ref').slice('refs/tags/'.length);
    if (name in state.majors) end(1, 'HTTP 422: Reference already exists');
    setMajor(name);
  } else end(1, `this stand-in does not know gh ${line}`);
  state.changes.push(line);
  return '';
}

const failure = state.failure?.call === state.calls.length ? state.failure.when : undefined;
state.calls.push(line);
if (failure === 'before') end(1, 'HTTP 502');
const text = answer();
if (failure === 'after') end(1, 'HTTP 502');
end(0, text);
