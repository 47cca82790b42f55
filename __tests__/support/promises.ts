import { expect } from 'vitest';
import { errorCodes } from '../../src/errors.ts';
import { inputSpecs, type Mode } from '../../src/inputs.ts';
import type { Github } from '../simulator/github.ts';
import type { RecordedRequest, Simulator } from '../simulator/simulator.ts';
import { Haystack } from './haystack.ts';
import { actionFile, type StepOptions, type StepResult, secretOutputs } from './runner.ts';

type Inputs = StepOptions['inputs'];

interface Scene {
  inputs: Inputs;
  simulator: Simulator;
  github: Github | undefined;
  /** Whether the GITHUB_OUTPUT file could be written to. */
  hasOutputs: boolean;
}

/** Checks what is promised of every step, whatever it does. */
export function checkPromises(result: StepResult, scene: Scene): void {
  const { simulator, github } = scene;
  expect(result.hung).toBe(false);
  expect(result.stderr).toBe('');
  expect(result.strayFiles).toEqual([]);
  expect(simulator.violations).toEqual([]);
  expect(github?.violations ?? []).toEqual([]);
  checkEnd(result, scene);
  checkMasks(result, scene);
  checkServices(scene);
}

/** Success only with every promised output; a failure with one error line and one word for it. */
function checkEnd({ exitCode, errors, outputs }: StepResult, { inputs, hasOutputs }: Scene): void {
  expect(Object.keys(actionFile.outputs)).toEqual(expect.arrayContaining(Object.keys(outputs)));
  if (exitCode === 0) {
    expect(errors).toEqual([]);
    expect(outputs).not.toHaveProperty('error-code');
    expect(Object.keys(outputs)).toEqual(expect.arrayContaining(promisedBy(inputs, outputs)));
    return;
  }
  expect([1, 130, 143]).toContain(exitCode);
  expect(errors).toHaveLength(1);
  if (hasOutputs) expect(errorCodes).toContain(outputs['error-code']);
}

function promisedBy(inputs: Inputs, outputs: StepResult['outputs']): string[] {
  const application = ['app-id', 'app-name', 'client-id'];
  const issued = [...application, 'client-secret', 'credentials'];
  const stored = inputs['store-as'] ? ['stored'] : [];
  const { email = '', 'if-exists': ifExists, 'overlap-hours': overlap } = inputs;
  switch (inputs.mode as Mode) {
    case 'token':
      return ['access-token'];
    case 'create-app': {
      const isIssued = outputs['created'] === 'true' || ifExists === 'rotate' || outputs['stored'] === 'true';
      return [...(isIssued ? issued : application), 'created', ...stored];
    }
    case 'create-user':
      return ['users', 'temporary-passwords', ...(email.includes('\n') ? [] : ['user-id', 'email', 'created'])];
    case 'rotate-app': {
      const family = overlap ? [...application, 'retired-apps'] : [];
      return [...(outputs['rotated'] === 'true' ? issued : family), ...family, 'rotated', ...stored];
    }
    case 'delete-app':
      return ['deleted', ...(outputs['deleted'] === 'true' ? application : [])];
  }
}

const secretInputs = Object.entries(inputSpecs).flatMap(([name, spec]) => ('secret' in spec ? [name] : []));

/** The secrets of the inputs; of `credentials`, the half that is one. */
export function secretsIn(inputs: Inputs): string[] {
  return secretInputs.flatMap((name) => {
    const value = inputs[name] ?? '';
    if (value.trim() === '') return [];
    return [name === 'credentials' ? value.slice(value.indexOf(':') + 1) : value];
  });
}

/**
 * Each secret is masked before any line that follows, and turns up nowhere but in masks and in outputs that are secret.
 */
function checkMasks({ log, stderr, summary, outputs, masks }: StepResult, { inputs, simulator, github }: Scene): void {
  const given = secretsIn(inputs);
  const begin = log.findIndex(({ command }) => command !== 'add-mask');
  const first = log.slice(0, begin).map(({ text }) => text);
  expect(first).toEqual(expect.arrayContaining(given));
  for (const name of secretOutputs) {
    const value = outputs[name] ?? '';
    if (value.trim() !== '' && value !== '{}') expect(masks).toContain(value);
  }
  const shown = log.flatMap(({ command, text }) => (command === 'add-mask' ? [] : [text]));
  const open = Object.entries(outputs).flatMap(([name, value]) => (secretOutputs.includes(name) ? [] : [value]));
  const secrets = [...given, ...simulator.secretsIssued, ...(github?.tokens ?? [])];
  expect(leaksIn([...shown, stderr, summary, ...open], secrets)).toEqual([]);
}

/** The secrets that show in a text, whole or in part, in whatever encoding, each with the form that gave it away. */
function leaksIn(texts: string[], secrets: string[]): string[] {
  const haystack = new Haystack(texts);
  return [...new Set(secrets)].flatMap((secret) => {
    const hit = haystack.find(secret);
    return hit ? [`${secret}: ${hit.form} ${hit.part}`] : [];
  });
}

const textOf = ({ path, rawHeaders, body }: RecordedRequest) => [path, ...rawHeaders, body].join('\n');

/** GitHub's token goes to GitHub only. Of Run:ai's secrets, GitHub sees nothing but what is sealed. */
function checkServices({ inputs, simulator, github }: Scene): void {
  if (!github) return;
  const theirs = [...github.tokens, inputs['github-token'] ?? ''].filter(Boolean);
  const ours = [...secretsIn({ ...inputs, 'github-token': '' }), ...simulator.secretsIssued];
  expect(leaksIn(simulator.requests.map(textOf), theirs)).toEqual([]);
  expect(leaksIn(github.requests.map(textOf), ours)).toEqual([]);
}
