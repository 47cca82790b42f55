import { expect, it } from 'vitest';
import { errorCodes, RunaiError } from '../../src/errors.ts';

it('an error is described in one paragraph: the request, what happened, how often it was tried, what to do', () => {
  const details = {
    operation: 'create-app: POST https://acme.run.ai/api/v1/apps',
    attempts: 3,
    warning: 'It may exist.',
    hint: 'Run this again.',
  };
  expect(new RunaiError('unavailable', 'answered 503', details).describe()).toBe(
    'create-app: POST https://acme.run.ai/api/v1/apps answered 503 (3 attempts). It may exist. Run this again.',
  );
  expect(new RunaiError('inputs', 'url is missing').describe()).toBe('url is missing.');
  expect(new RunaiError('inputs', 'is it right?', { attempts: 1 }).describe()).toBe('is it right (1 attempt).');
});

it('an error keeps what it knows when something is added to it', () => {
  const cause = new Error('lost');
  const error = new RunaiError('unavailable', 'answered 503', { status: 503, attempts: 2, hint: 'Wait.', cause });
  const changed = error.with({ code: 'oidc', operation: 'GET https://example.com/' });
  expect(changed).toMatchObject({
    code: 'oidc',
    message: 'answered 503',
    status: 503,
    attempts: 2,
    hint: 'Wait.',
    cause,
  });
  expect(changed.operation).toBe('GET https://example.com/');
  expect(error.operation).toBeUndefined();
  expect(error.with({ hint: undefined }).hint).toBeUndefined();
});

it('a warning is added once, after the existing ones', () => {
  const error = new RunaiError('unavailable', 'x').warn('It may exist.').warn('It may be open.').warn('It may exist.');
  expect(error.warning).toBe('It may exist. It may be open.');
});

it('each code exists once', () => {
  expect(new Set(errorCodes).size).toBe(errorCodes.length);
});
