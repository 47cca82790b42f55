import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Index, indexOf } from '../../src/redact.ts';
import { createSecrets } from '../../src/secrets.ts';
import { leftOut } from '../../src/text.ts';

function clean(text: string, secrets: string[]): string {
  const run = createSecrets(() => {});
  for (const secret of secrets) run.mask(secret);
  return run.clean(text);
}

const secret = 'S3cr&t/Wörd+"quote"\\end';
const bytes = Buffer.from(secret);
const shifted = (offset: number) => Buffer.concat([Buffer.from('xyz'.slice(0, offset)), bytes, Buffer.from('!')]);

describe("a server's text that repeats a secret is left out whole", () => {
  it.each([
    ['as it is', secret],
    ['in another case', secret.toUpperCase()],
    ['escaped for JSON', JSON.stringify(secret)],
    ['escaped for JSON twice', JSON.stringify(JSON.stringify(secret))],
    ['escaped for JSON in ASCII', 'S3cr\\u0026t/W\\u00f6rd+\\"quote\\"\\\\end'],
    ['percent-encoded', encodeURIComponent(secret)],
    ['form-encoded', new URLSearchParams({ s: secret }).toString()],
    ['escaped for XML', 'S3cr&amp;t/Wörd+&quot;quote&quot;\\end'],
    ['in hexadecimal', bytes.toString('hex')],
    ['in hexadecimal with capitals', bytes.toString('hex').toUpperCase()],
    ['in base64', bytes.toString('base64')],
    ['in base64 with something after it', shifted(0).toString('base64')],
    ['in base64 behind one byte', shifted(1).toString('base64')],
    ['in base64url behind two bytes', shifted(2).toString('base64url')],
    ['in base64 without padding', bytes.toString('base64').replace(/=+$/, '')],
    ['its first half', secret.slice(0, 12)],
    ['its second half', secret.slice(-12)],
    ['with a zero-width character in it', secret.replace('W', '\u200bW')],
    ['with a line break at every third character', secret.replace(/.{3}/g, '$&\r\n')],
    ['percent-encoded twice', encodeURIComponent(encodeURIComponent(secret))],
    ['percent-encoded byte by byte', bytes.toString('hex').replace(/../g, '%$&')],
    [
      'percent-encoded by RFC 3986',
      encodeURIComponent(secret).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`),
    ],
    ['as escapes of source code', [...bytes].map((byte) => `\\x${byte.toString(16)}`).join('')],
    ['as escapes of JSON', [...secret].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')],
    ['with escaped slashes', JSON.stringify(secret).replaceAll('/', '\\/')],
    ['as character references', [...secret].map((c) => `&#x${c.charCodeAt(0).toString(16)};`).join('')],
    ['as decimal character references', [...secret].map((c) => `&#${c.charCodeAt(0)};`).join('')],
    ['in base64 with line breaks', shifted(0).toString('base64').replace(/.{5}/g, '$&\n')],
  ])('%s', (_how, text) => {
    expect(clean(`You sent ${text}, which is wrong`, [secret])).toBe(leftOut);
  });

  it('also when the secret has invisible characters, however they are written', () => {
    const odd = 'Xbusgc\u202eW27Zn6\u00advdL\u2028q';
    for (const text of [odd, encodeURIComponent(odd), JSON.stringify(odd), odd.replace(/[^\x20-\x7e]/g, '')]) {
      expect(clean(`<${text}>`, [odd])).toBe(leftOut);
    }
  });

  it.each([3, 4, 5, 6, 7])('also when the secret has %i characters, in hexadecimal or base64', (length) => {
    const short = 'kZ7pQ2x'.slice(0, length);
    expect(clean(`<${short}>`, [short])).toBe(leftOut);
    expect(clean(`<${Buffer.from(short).toString('hex')}>`, [short])).toBe(leftOut);
    expect(clean(`<${Buffer.from(short).toString('base64')}>`, [short])).toBe(leftOut);
    // With fewer bytes, most of the characters depend on what comes before and after them.
    if (length < 5) return;
    for (const before of ['', 'a', 'ab']) {
      expect(clean(Buffer.from(`${before}${short}zz`).toString('base64'), [short])).toBe(leftOut);
    }
  });

  it.each(['+', '\\', '+\\'])('also when the secret is %s, of which nothing is left when it is decoded', (odd) => {
    expect(clean(`a${odd}b`, [odd])).toBe(leftOut);
    expect(clean('ab', [odd])).toBe('ab');
  });

  it('also when its base64 is made up of +, / and their substitutes', () => {
    const odd = '???>>>???>>>';
    expect(Buffer.from(odd).toString('base64')).toBe('Pz8/Pj4+Pz8/Pj4+');
    expect(clean(`<${Buffer.from(odd).toString('base64')}>`, [odd])).toBe(leftOut);
    expect(clean(`<${Buffer.from(odd).toString('base64url')}>`, [odd])).toBe(leftOut);
  });

  it.each([1, 2, 4, 8])('also when the secret looks encoded itself, and is encoded %i times', (times) => {
    const odd = 'jYm7FR%2525tPyYf%2525rKBA%25252BpM%0D%0Af7r%0D%0AXF';
    let text = odd;
    for (let time = 0; time < times; time++) text = encodeURIComponent(text);
    expect(clean(`<${text}>`, [odd])).toBe(leftOut);
  });

  it('also after a character reference that means nothing', () => {
    expect(clean('&#x110000; &#1114112; kZ7pQ2xW', ['kZ7pQ2xW'])).toBe(leftOut);
    expect(clean('kZ7p&#x110000;Q2xW', ['kZ7pQ2xW'])).toBe(leftOut);
    expect(clean('&#x10ffff;', ['\u{10ffff}'])).toBe(leftOut);
  });

  it('whenever it contains eight characters of any secret', () => {
    const parts = fc.tuple(
      fc.string({ minLength: 16, maxLength: 60, unit: 'binary' }),
      fc.nat(40),
      fc.string(),
      fc.string(),
    );
    fc.assert(
      fc.property(parts, ([value, at, before, after]) => {
        const part = value.slice(at);
        fc.pre(part.length >= 8);
        expect(clean(`${before}${part}${after}`, [value])).toBe(leftOut);
      }),
      { numRuns: 50 },
    );
  });
});

describe('the search is bounded', () => {
  it('in how much of a secret is searched for', () => {
    const size = (secret: string) => {
      const index: Index = { parts: new Set(), wholes: [] };
      indexOf(secret, index);
      return index.parts.size + index.wholes.length;
    };
    const long = Array.from({ length: 20_000 }, (_, at) => at.toString(36)).join('-');
    expect(size(long)).toBe(size(long.slice(0, 16_384)));
    expect(size(long)).toBeLessThan(16_384 * 15);
    expect(clean(long.slice(16_000, 16_100), [long])).toBe(leftOut);
  });

  it('in how many characters of secrets are searched for: beyond that, no text is shown any more', () => {
    const secrets = Array.from({ length: 17 }, (_, at) => `${at}`.padStart(2, '0').repeat(8_000));
    expect(clean('Resource exists', secrets.slice(0, 16))).toBe('Resource exists');
    expect(clean('Resource exists', secrets)).toBe(leftOut);
  });

  it('in how often a text is decoded', () => {
    let text = 'kZ7pQ2xW9mB4';
    for (let time = 0; time < 40; time++) text = text.replaceAll('%', '%25').replace('k', '%6b');
    expect(() => clean(text, ['kZ7pQ2xW9mB4'])).not.toThrow();
  });
});

describe("a server's text is kept", () => {
  it('when a secret is so short that its hexadecimal or base64 form is in every text', () => {
    expect(Buffer.from('q!').toString('hex')).toBe('7121');
    expect(clean('<YQ> 61', ['a!'.slice(0, 1)])).toBe('<YQ> 61');
  });

  it('when a secret is blank, or was masked twice', () => {
    const long = 'kZ7pQ2xW9mB4'.repeat(12_000);
    expect(clean('two   words', ['   ', '\n', ''])).toBe('two   words');
    expect(clean('Resource exists', [long, long])).toBe('Resource exists');
  });

  it('when the secrets have as many characters as are searched for', () => {
    expect(clean('Resource exists', ['k'.repeat(256 * 1024)])).toBe('Resource exists');
    expect(clean('Resource exists', ['k'.repeat(256 * 1024 + 1)])).toBe(leftOut);
  });

  it('when it contains no secret', () => {
    const text = 'Resource with this name already exists';
    expect(clean(text, ['another secret', 'xyz'])).toBe(text);
  });

  it('when it contains seven characters of a secret, and no more', () => {
    const long = 'kZ7pQ2xW9mB4';
    for (const at of [0, 2, 4]) {
      expect(clean(`<${long.slice(at, at + 7)}>`, [long])).toBe(`<${long.slice(at, at + 7)}>`);
      expect(clean(`<${long.slice(at, at + 8)}>`, [long])).toBe(leftOut);
    }
  });

  it('when no secret is known', () => {
    expect(clean('You sent kZ7pQ2xW', [])).toBe('You sent kZ7pQ2xW');
  });
});

describe("a server's text", () => {
  it.each([
    ['line breaks', 'a\r\n::error::b', 'a : :error: :b'],
    ['escape sequences', 'a\u001b[31mb\u0007', 'a [31mb'],
    ['commands of the older kind', '##[add-mask]x', '# # [add-mask]x'],
    ['commands', '::stop-commands::x', ': :stop-commands: :x'],
    ['characters that turn the direction of writing', 'abc\u202edef', 'abc def'],
  ])('loses its %s', (_name, text, expected) => {
    expect(clean(text, [])).toBe(expected);
  });

  it('is truncated to 400 characters', () => {
    expect(clean('y'.repeat(5000), [])).toBe(`${'y'.repeat(400)}...`);
    expect(clean('y'.repeat(400), [])).toBe('y'.repeat(400));
  });

  it('of any kind stays one line without commands', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        expect(clean(text, [])).not.toMatch(/[\r\n\u0000-\u001f]|::|##\[/);
      }),
    );
  });

  it('is not searched where it cannot be shown, however long it is', () => {
    expect(clean(`${'y'.repeat(2048)}kZ7pQ2xW`, ['kZ7pQ2xW'])).toBe(`${'y'.repeat(400)}...`);
  });
});
