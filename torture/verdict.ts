import type { Simulator } from '../__tests__/simulator/simulator.ts';
import type { Trouble } from './faults.ts';
import { megabytes } from './report.ts';
import type { Situation } from './requests.ts';
import type { MeasuredResult } from './step.ts';

export type Verdict = 'ok' | 'error' | 'violation';

export interface Judgement {
  verdict: Verdict;
  /** A sentence for each thing that is wrong. */
  wrong: string[];
  leaks: number;
  hangs: number;
  losses: number;
  /** Late, or too late to meet the fault or its answer: which a busy machine brings about as well. */
  unsure: boolean;
}

/** What the control plane held when the run began. */
export interface Before {
  secrets: Map<string, string | undefined>;
}

export interface Evidence {
  situation: Situation;
  trouble: Trouble;
  lasting: boolean;
  /** Seconds. */
  timeout: number;
  simulator: Simulator;
  before: Before;
  result: MeasuredResult;
  /** Whether the run met the fault at all. */
  met: boolean;
  /** Requests that followed a redirect. */
  strayed: number;
}

export const memoryLimit = 100e6;
const grace = 2000;

/** The secrets of all objects, by the objects' ids. */
export function secretsOf({ applications, users }: Simulator): Map<string, string | undefined> {
  const pairs = [...applications, ...users].map((object) => {
    return [object.id, 'secret' in object ? object.secret : object.password] as const;
  });
  return new Map(pairs);
}

/** Exactly one verdict for a cell, and everything that is wrong with it. */
export function judge(evidence: Evidence): Judgement {
  const hung = hangs(evidence);
  const lost = [...losses(evidence), ...silentLosses(evidence)];
  const leaked = leaks(evidence);
  const { exitCode } = evidence.result;
  const ends = exitCode === 0 ? successProblems(evidence) : failureProblems(evidence);
  const wrong = [...hung, ...lost, ...leaked, ...ends, ...others(evidence)];
  const verdict = wrong.length > 0 ? 'violation' : exitCode === 0 ? 'ok' : 'error';
  const cutShort = evidence.lasting && wrong.length > 0 && /came in time/.test(evidence.result.errors.join());
  const unsure = hung.length > 0 || !evidence.met || cutShort;
  return { verdict, wrong, leaks: leaked.length, hangs: hung.length, losses: lost.length, unsure };
}

function hangs({ result, timeout }: Evidence): string[] {
  if (result.hung) return ['the run had to be killed'];
  const late = result.duration - timeout * 1000;
  return late > grace ? [`the run ended ${Math.round(late)} ms after its deadline`] : [];
}

function leaks({ result, simulator }: Evidence): string[] {
  const lines = result.log.filter(({ command }) => command !== 'add-mask').map(({ text }) => text);
  const said = [...lines, result.stderr, result.summary, ...result.strayFiles].join('\n');
  return simulator.secretsIssued.some((secret) => said.includes(secret)) ? ['a secret was printed'] : [];
}

/** Objects made twice, or taken from somebody. */
function losses({ situation, simulator, before, result }: Evidence): string[] {
  const wrong: string[] = [];
  const isNew = ({ id }: { id: string }) => !before.secrets.has(id);
  const made = [...simulator.applications, ...simulator.users].filter(isNew).length;
  if (made > 1) wrong.push(`${made} objects were made`);
  const mayReset = situation.kind === 'reset' || /rotate|take over|list users/.test(situation.name);
  const changed = [...secretsOf(simulator)].some(([id, secret]) => {
    return before.secrets.has(id) && before.secrets.get(id) !== secret;
  });
  if (changed && !mayReset) wrong.push('an object of somebody else got a new secret');
  if (changed && result.exitCode === 0 && !hasSecret(result)) wrong.push('a secret was reset and not published');
  const rules = simulator.accessRules.map(({ subjectId, roleId, scopeId }) => `${subjectId} ${roleId} ${scopeId}`);
  if (new Set(rules).size < rules.length) wrong.push('an access rule was made twice');
  return wrong;
}

function hasSecret({ outputs }: MeasuredResult): boolean {
  return Boolean(outputs['client-secret'] || outputs['temporary-password']);
}

function publishedWorks({ result: { outputs }, simulator }: Evidence): boolean {
  const [secret, password] = [outputs['client-secret'] ?? '', outputs['temporary-password'] ?? ''];
  return (
    simulator.isValidSecret(outputs['client-id'] ?? '', secret) ||
    simulator.isValidPassword(outputs['email'] ?? '', password)
  );
}

/** A run that failed after the server had issued a secret: it is published, or the error says how to get another. */
function silentLosses(evidence: Evidence): string[] {
  const { result, simulator, before } = evidence;
  if (result.exitCode === 0) return [];
  const issued = [...secretsOf(simulator)].some(([id, secret]) => before.secrets.get(id) !== secret);
  if (!issued || publishedWorks(evidence)) return [];
  if (hasSecret(result)) return ['the published secret does not work'];
  if (expected(evidence) === 'ok') return ['a secret was issued, and the run failed without it after one fault'];
  return saysWhatToDo(result) ? [] : [`a secret was issued, and the error does not say so: ${result.errors.join()}`];
}

/** An error after which nobody knows a secret: what may have happened, and how to get another one. */
export function saysWhatToDo({ errors }: MeasuredResult): boolean {
  return /\bmay\b.*\bagain\b/s.test(errors.join());
}

function expected({ situation, trouble, lasting }: Evidence): 'ok' | 'error' | 'either' {
  if (lasting) return 'either';
  return trouble.once === 'ends' ? 'error' : (situation.ends ?? 'ok');
}

function successProblems(evidence: Evidence): string[] {
  const { situation, simulator, result } = evidence;
  const wrong = situation.check(simulator, result.outputs);
  if (result.errors.length > 0) wrong.push('exit code 0 with an error');
  if (expected(evidence) === 'error') wrong.push('the run succeeded all the same');
  return wrong;
}

function failureProblems(evidence: Evidence): string[] {
  const { result, simulator, situation, trouble } = evidence;
  const wrong: string[] = [];
  const [error = '', ...more] = result.errors;
  if (result.exitCode !== 1) wrong.push(`exit code ${result.exitCode}, signal ${result.signal}`);
  if (error === '' || more.length > 0) wrong.push(`${result.errors.length} errors instead of 1`);
  if (/error of its own/.test(error)) wrong.push('an error of its own');
  const names = /(GET|POST|DELETE) https?:\/\//.test(error) || error.includes(new URL(simulator.url).host);
  if (!names) wrong.push('the error names no request and no host');
  const reason = situation.ends === 'error' ? new RegExp(`409|${trouble.says.source}`, 's') : trouble.says;
  if (!reason.test(error)) wrong.push(`the error does not name the cause, ${trouble.says}`);
  if (expected(evidence) === 'ok') wrong.push('the run failed after one passing fault');
  return wrong.map((text) => `${text}: ${error}`);
}

function others({ simulator, result, met, strayed }: Evidence): string[] {
  const wrong = simulator.violations.map((violation) => `breach of the contract: ${violation}`);
  if (!met) wrong.push('the fault was never met');
  if (strayed > 0) wrong.push('a redirect was followed');
  if (result.stderr !== '') wrong.push(`on standard error: ${result.stderr.slice(0, 200)}`);
  const memory = result.peakMemory ?? 0;
  if (memory > memoryLimit) wrong.push(`${megabytes(memory)} of memory`);
  if (memory === 0) wrong.push('no memory figure');
  return wrong;
}
