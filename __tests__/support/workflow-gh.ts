// A stand-in for GitHub's command line, run as a process of its own: the few commands that the recipes use, held to what
// the real one takes, and to what the token may do.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { GitHub, type Place } from './workflow-github.ts';

const github = new GitHub(process.env['GITHUB_STAND_IN'] ?? '');
const args = process.argv.slice(2);
const [group = '', verb = ''] = args;

// Standard input is read only where the real command reads it.
const stdin = group === 'secret' && verb === 'set' ? readFileSync(0, 'utf8') : '';

function fail(message: string): never {
  process.stderr.write(`gh: ${message}\n`);
  process.exit(1);
}

/** Notes the call, and returns when it is to fail, if it is. */
function note(): 'before' | 'after' | undefined {
  let when: 'before' | 'after' | undefined;
  github.change((state) => {
    const { fault } = state;
    if (fault && fault.skip > 0) fault.skip -= 1;
    else if (fault && fault.times > 0) {
      fault.times -= 1;
      when = fault.when;
    }
    state.calls.push({ args, stdin, failed: when !== undefined });
  });
  return when;
}

const option = { type: 'string' } as const;

function readOptions() {
  const options = {
    env: option,
    org: option,
    visibility: option,
    repos: option,
    body: option,
    json: option,
    jq: option,
  };
  const { values, positionals } = parseArgs({ args: args.slice(2), options, allowPositionals: true });
  if (values.org === undefined && !process.env['GH_REPO']) fail('not a git repository, and GH_REPO is not set');
  if (values.org !== undefined && (values.visibility !== 'selected' || !values.repos))
    fail('without --visibility and --repos, every private repository would get it');
  return { ...values, name: positionals[0] ?? '' };
}

function authorize({ environment, organization }: Place, level: 'read' | 'write'): void {
  const granted = github.state.tokens[process.env['GH_TOKEN'] ?? ''];
  if (!granted) fail('HTTP 401: Bad credentials');
  const own = organization ? `organization-${group}s` : environment === undefined ? `${group}s` : 'environments';
  if (granted[own] !== 'write' && granted[own] !== level)
    fail(`HTTP 403: Resource not accessible by integration (needs ${own}: ${level})`);
}

const slotFilter = /^\.\[\] \| select\(\.name == "(\w+)"\) \| "\\\(\.value\) \\\(\.updatedAt \| fromdate\)"$/;

/** Knows one shape of --jq filter: the value of one variable, and when it was set, in seconds. */
function listVariables(place: Place, { json, jq = '' }: { json?: string | undefined; jq?: string | undefined }): void {
  const [, name] = slotFilter.exec(jq) ?? [];
  if (name === undefined || json !== 'name,value,updatedAt')
    fail(`this stand-in does not know --json ${json} --jq ${jq}`);
  const found = github.variablesAt(place)[name];
  if (found) process.stdout.write(`${found.value} ${Math.floor(Date.parse(found.updatedAt) / 1000)}\n`);
}

type Options = ReturnType<typeof readOptions>;

const commands: Record<string, (options: Options, place: Place) => void> = {
  'secret set': ({ name, body }, place) => {
    if (body !== undefined) fail('a secret in an argument can be read by every process');
    github.setSecret(name, stdin.replace(/[\r\n]+$/, ''), place);
  },
  'variable set': ({ name, body = '' }, place) => github.setVariable(name, body, place),
  'variable list': (options, place) => listVariables(place, options),
};

function carryOut(): void {
  const command = commands[`${group} ${verb}`];
  if (!command) fail(`this stand-in does not know gh ${group} ${verb}`);
  const options = readOptions();
  const place = { environment: options.env, organization: options.org !== undefined };
  authorize(place, verb === 'list' ? 'read' : 'write');
  command(options, place);
}

const failure = note();
if (failure === 'before') fail('HTTP 502: Bad gateway');
carryOut();
if (failure === 'after') fail('HTTP 502: Bad gateway');
