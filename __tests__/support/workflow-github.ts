import { readFileSync, writeFileSync } from 'node:fs';

/** Where GitHub keeps a secret or a variable: `repository`, `organization`, or an environment by its name. */
export interface Place {
  environment?: string | undefined;
  organization?: boolean;
}

export interface Variable {
  value: string;
  /** ISO 8601. */
  updatedAt: string;
}

/** One `gh` command, as it came. */
export interface GhCall {
  args: string[];
  stdin: string;
  /** Whether the command was told to fail. */
  failed: boolean;
}

/** Commands that `gh` is told to fail: `before` it has done anything, or `after` all was done. */
export interface GhFault {
  when: 'before' | 'after';
  skip: number;
  times: number;
}

export interface GitHubState {
  secrets: Record<string, Record<string, string>>;
  variables: Record<string, Record<string, Variable>>;
  /** What each token may do, as `{ environments: 'write' }`. */
  tokens: Record<string, Record<string, string>>;
  calls: GhCall[];
  fault?: GhFault | undefined;
}

const placeKey = ({ environment, organization }: Place): string =>
  organization ? 'organization' : environment === undefined ? 'repository' : `environment:${environment}`;

/**
 * What GitHub remembers of one repository, in a file: the stand-in for `gh` is a process of its own and works on the
 * same file. Names are kept in upper case, as GitHub does.
 */
export class GitHub {
  readonly file: string;

  constructor(file: string) {
    this.file = file;
  }

  static create(file: string): GitHub {
    const github = new GitHub(file);
    github.save({ secrets: {}, variables: {}, tokens: {}, calls: [] });
    return github;
  }

  get state(): GitHubState {
    return JSON.parse(readFileSync(this.file, 'utf8'));
  }

  save(state: GitHubState): void {
    writeFileSync(this.file, JSON.stringify(state));
  }

  change(edit: (state: GitHubState) => void): void {
    const state = this.state;
    edit(state);
    this.save(state);
  }

  setSecret(name: string, value: string, place: Place = {}): void {
    this.change(({ secrets }) => {
      const key = placeKey(place);
      secrets[key] = { ...secrets[key], [name.toUpperCase()]: value };
    });
  }

  setVariable(name: string, value: string, { updatedAt = new Date(), ...place }: Place & { updatedAt?: Date } = {}) {
    this.change(({ variables }) => {
      const key = placeKey(place);
      const variable = { value, updatedAt: updatedAt.toISOString().replace(/\.\d+Z$/, 'Z') };
      variables[key] = { ...variables[key], [name.toUpperCase()]: variable };
    });
  }

  variablesAt(place: Place): Record<string, Variable> {
    return this.state.variables[placeKey(place)] ?? {};
  }

  /** What a job sees: the environment's own values go before the repository's, and those before the organisation's. */
  secretsFor(environment?: string): Record<string, string> {
    return this.#layers(this.state.secrets, environment);
  }

  variablesFor(environment?: string): Record<string, string> {
    const layers = this.#layers(this.state.variables, environment);
    return Object.fromEntries(Object.entries(layers).map(([name, { value }]) => [name, value]));
  }

  #layers<T>(all: Record<string, Record<string, T>>, environment: string | undefined): Record<string, T> {
    const own = environment === undefined ? {} : all[placeKey({ environment })];
    return { ...all[placeKey({ organization: true })], ...all[placeKey({})], ...own };
  }
}
