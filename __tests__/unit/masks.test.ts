import { describe, expect, it } from 'vitest';
import { createSecrets } from '../../src/secrets.ts';
import { maskForms } from '../../src/text.ts';

describe('the forms of a secret that are masked', () => {
  it.each<[string, string, string[]]>([
    ['a plain one has one form', 'abc123', ['abc123']],
    ['one character is a secret as well', 'x', ['x']],
    ['an empty one has none', '', []],
    ['whitespace has none: it would hide every space', ' \n', []],
    ['spaces around it', ' abc ', [' abc ', 'abc', '%20abc%20', '+abc+']],
    ['each line of several', 'ab\r\n cd \n', ['ab\r\n cd \n', 'ab\r\n cd', 'ab', ' cd ', 'cd']],
    ['escaped for JSON', 'a"\\b', ['a"\\b', 'a\\"\\\\b']],
    ['percent-encoded, and form-encoded', 'a b/ü', ['a b/ü', 'a%20b%2F%C3%BC', 'a+b%2F%C3%BC']],
    ['percent-encoded with digits in lower case', 'a b/ü', ['a%20b%2f%c3%bc', 'a+b%2f%c3%bc']],
    ["percent-encoded to the letter of RFC 3986, as Python's quote does it", "a!'()*b", ['a%21%27%28%29%2Ab']],
    ['the same with digits in lower case', "a!'()*b", ['a%21%27%28%29%2ab']],
    ['percent-encoded as a browser does it', "a!'()*b/", ["a!'()*b%2F", "a!'()*b%2f"]],
    ['half a character', 'a\ud800', ['a\ud800', 'a%EF%BF%BD']],
  ])('%s', (_name, secret, expected) => {
    expect(maskForms(secret)).toEqual(expect.arrayContaining(expected));
  });

  it.each([
    ['abc123', ['abc123']],
    ['x', ['x']],
    ['', []],
    [' \n', []],
    ['a b', ['a b', 'a%20b', 'a+b']],
  ])('of %j are no others', (secret, expected) => {
    expect(maskForms(secret)).toEqual(expected);
  });

  it('never include a blank line of a multi-line secret', () => {
    expect(maskForms('one\n\n \ntwo').filter((form) => form.trim() === '')).toEqual([]);
  });
});

describe('a secret', () => {
  function announced() {
    const forms: string[] = [];
    return { forms, secrets: createSecrets((form) => forms.push(form)) };
  }

  it('is announced once in each form, and never when it is blank', () => {
    const { forms, secrets } = announced();
    for (const secret of ['', ' \n', 'a b', 'a b', 'a+b']) secrets.mask(secret);
    expect(forms).toEqual(['a b', 'a%20b', 'a+b', 'a%2Bb', 'a%2bb']);
  });

  it('is searched for in what a server says from then on', () => {
    const { secrets } = announced();
    expect(secrets.clean('no kZ7pQ2xW9mB4')).toBe('no kZ7pQ2xW9mB4');
    secrets.mask('kZ7pQ2xW9mB4');
    expect(secrets.clean('no kZ7pQ2xW9mB4')).toBe('[left out: it repeats part of a secret]');
  });

  it('that is only part of a text is masked with the whole text, and the other parts are shown', () => {
    const { forms, secrets } = announced();
    secrets.maskWhole('ci-runner-client:kZ7pQ2xW9mB4');
    expect(forms).toEqual([
      'ci-runner-client:kZ7pQ2xW9mB4',
      'ci-runner-client%3AkZ7pQ2xW9mB4',
      'ci-runner-client%3akZ7pQ2xW9mB4',
    ]);
    expect(secrets.clean('no client ci-runner-client')).toBe('no client ci-runner-client');
  });
});
