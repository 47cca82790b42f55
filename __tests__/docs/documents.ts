import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { parse } from 'yaml';
import { root } from '../support/runner.ts';

export const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** The pages of the user's documentation. */
export const pages = [
  'README.md',
  ...readdirSync(join(root, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])),
];

/** Every document whose links and names have to be right. */
export const documents = [...pages, 'CHANGELOG.md', '.github/CONTRIBUTING.md', '.github/SECURITY.md'];

export interface Snippet {
  /** `README.md:42` */
  name: string;
  language: string;
  text: string;
}

/** The code blocks of a document. */
export function snippetsOf(document: string): Snippet[] {
  const text = read(document);
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map((match) => ({
    name: `${document}:${text.slice(0, match.index).split('\n').length}`,
    language: match[1] ?? '',
    text: match[2] ?? '',
  }));
}

export interface Step {
  id?: string;
  uses?: string;
  run?: string;
  with?: Record<string, string | number | boolean>;
}

export interface Job {
  uses?: string;
  with?: Record<string, unknown>;
  secrets?: Record<string, unknown>;
  steps?: Step[];
  permissions?: Record<string, string>;
}

/** The jobs of a YAML snippet: of a whole workflow, or one that is made of a list of steps. */
export function jobsOf({ name, text }: Snippet): Job[] {
  const content = parse(text);
  if (Array.isArray(content)) return [{ steps: content }];
  if (content?.jobs) return Object.values(content.jobs);
  // GitLab's jobs are of another kind.
  if (text.startsWith('# .gitlab-ci.yml\n')) return [];
  throw new Error(`${name} is neither a workflow nor a list of steps`);
}

/** Whether the target of a link in a document is there. */
export function isAlive(document: string, target: string): boolean {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? document : posix.join(dirname(document), path);
  // A path above the project is a page of the repository on GitHub, such as ../../security.
  if (file.startsWith('..')) return true;
  if (!existsSync(join(root, file))) return false;
  return anchor === undefined || anchorsOf(read(file)).includes(anchor);
}

/** What GitHub makes of the headings of a text. */
export function anchorsOf(markdown: string): string[] {
  const prose = markdown.replace(/^```[\s\S]*?^```/gm, '');
  return [...prose.matchAll(/^#+ (.+)$/gm)].map(([, text = '']) =>
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
