import { data, Evaluator, Lexer, Parser } from '@actions/expressions';

/** What an expression can see: its contexts by name, and the results of the steps or jobs before it. */
export interface Scope {
  contexts: Record<string, unknown>;
  status: 'success' | 'failure';
}

const statusFunctions = ['success', 'failure', 'always', 'cancelled'] as const;

function definitions(status: Scope['status']) {
  const value = { success: status === 'success', failure: status === 'failure', always: true, cancelled: false };
  return statusFunctions.map((name) => {
    const call = () => new data.BooleanData(value[name]);
    return { name, minArgs: 0, maxArgs: 0, call };
  });
}

function run(expression: string, { contexts, status }: Scope) {
  const functions = definitions(status);
  const tree = new Parser(new Lexer(expression).lex().tokens, Object.keys(contexts), functions).parse();
  const known = JSON.parse(JSON.stringify(contexts), data.reviver) as data.Dictionary;
  return new Evaluator(tree, known, new Map(functions.map((one) => [one.name, one]))).evaluate();
}

/** The value of one expression, as plain JSON. */
export function evaluate(expression: string, scope: Scope): unknown {
  return JSON.parse(JSON.stringify(run(expression, scope), data.replacer));
}

const templates = /\$\{\{((?:'[^']*'|[^'])*?)\}\}/g;

/** A text with its expressions filled in. */
export function fillIn(text: unknown, scope: Scope): string {
  return String(text ?? '').replace(templates, (_, expression: string) => run(expression, scope).coerceString());
}

/** Each value of a mapping, filled in. */
export function fillInAll(mapping: Record<string, unknown> = {}, scope: Scope): Record<string, string> {
  return Object.fromEntries(Object.entries(mapping).map(([name, value]) => [name, fillIn(value, scope)]));
}

/** A text that is just one expression evaluates to its value, of whatever type. */
export function valueIn(text: unknown, scope: Scope): unknown {
  const [, expression] = (typeof text === 'string' && /^\$\{\{(.*)\}\}$/s.exec(text.trim())) || [];
  return expression === undefined ? text : evaluate(expression, scope);
}

/** An `if:`. One without a status function also requires success, as on GitHub. */
export function isTrue(condition: unknown, scope: Scope): boolean {
  if (condition === undefined) return scope.status === 'success';
  const expression = String(condition).replace(/^\s*\$\{\{(.*)\}\}\s*$/s, '$1');
  const asks = statusFunctions.some((name) => new RegExp(`\\b${name}\\s*\\(`).test(expression));
  const holds = evaluate(`!!(${expression})`, scope) === true;
  return holds && (asks || scope.status === 'success');
}
