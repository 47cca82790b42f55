import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { needleOf, redact as redactNeedles } from '../../src/redact.ts';
import { createSecrets } from '../../src/secrets.ts';
import { cleanText, maskForms } from '../../src/text.ts';

const redact = (text: string, secrets: string[]) => redactNeedles(text, secrets.map(needleOf));

describe('the forms of a secret that are masked', () => {
  it.each<[string, string, string[]]>([
    ['a plain one has one form', 'abc123', ['abc123']],
    ['one character is a secret as well', 'x', ['x']],
    ['an empty one has none', '', []],
    ['a blank one has none: it would hide every blank', ' \n', []],
    ['blanks around it', ' abc ', [' abc ', 'abc', '%20abc%20', '+abc+']],
    ['each line of several', 'ab\r\n cd \n', ['ab\r\n cd \n', 'ab\r\n cd', 'ab', ' cd ', 'cd']],
    ['escaped for JSON', 'a"\\b', ['a"\\b', 'a\\"\\\\b']],
    ['percent-encoded, and form-encoded', 'a b/ü', ['a b/ü', 'a%20b%2F%C3%BC', 'a+b%2F%C3%BC']],
    ['half a character', 'a\ud800', ['a\ud800', 'a%EF%BF%BD']],
  ])('%s', (_name, secret, expected) => {
    expect(maskForms(secret)).toEqual(expect.arrayContaining(expected));
    if (expected.length < 2) expect(maskForms(secret)).toEqual(expected);
  });

  it('are announced once each, and never for an empty value', () => {
    const announced: string[] = [];
    const { mask } = createSecrets((form) => announced.push(form));
    mask('');
    mask(' \n');
    mask('a b');
    mask('a b');
    expect(announced).toEqual(['a b', 'a%20b', 'a+b']);
  });
});

const secret = 'S3cr&t/Wörd+"quote"\\end';
const bytes = Buffer.from(secret);
const shifted = (offset: number) => Buffer.concat([Buffer.from('xyz'.slice(0, offset)), bytes, Buffer.from('!')]);

describe('a server that quotes a secret back', () => {
  it.each([
    ['whole', secret],
    ['in another case', secret.toUpperCase()],
    ['escaped for JSON', JSON.stringify(secret)],
    ['escaped for JSON twice', JSON.stringify(JSON.stringify(secret))],
    ['escaped for JSON in ASCII', 'S3cr\\u0026t/W\\u00f6rd+\\"quote\\"\\\\end'],
    ['percent-encoded', encodeURIComponent(secret)],
    ['form-encoded', new URLSearchParams({ s: secret }).toString()],
    ['escaped for XML', 'S3cr&amp;t/Wörd+&quot;quote&quot;\\end'],
    ['in hexadecimal', bytes.toString('hex').toUpperCase()],
    ['in base64', shifted(0).toString('base64')],
    ['in base64 behind one byte', shifted(1).toString('base64')],
    ['in base64url behind two bytes', shifted(2).toString('base64url')],
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
  ])('%s, shows nothing of it', (_how, text) => {
    const shown = cleanText(`You sent ${text}, which is wrong`, [needleOf(secret)]);
    expect(shown).toMatch(/^You sent .*\*\*\*.*, which is wrong$/);
    for (let at = 0; at + 8 <= secret.length; at++)
      expect(shown.toLowerCase()).not.toContain(secret.slice(at, at + 8).toLowerCase());
    expect(shown.replace(/^You sent |, which is wrong$/g, '').replaceAll('***', '').length).toBeLessThan(20);
  });

  it('shows nothing of a secret with invisible characters, however they are written', () => {
    const odd = 'Xbusgc\u202eW27Zn6\u00advdL\u2028q';
    for (const text of [odd, encodeURIComponent(odd), JSON.stringify(odd), odd.replace(/[^\x20-\x7e]/g, '')]) {
      expect(redact(`<${text}>`, [odd])).toMatch(/^<"?\*\*\*"?>$/);
    }
  });

  it.each([
    ['whole', secret],
    ['in base64', bytes.toString('base64')],
    ['in base64 without padding', bytes.toString('base64').replace(/=+$/, '')],
    ['in hexadecimal', bytes.toString('hex')],
    ['percent-encoded', encodeURIComponent(secret)],
  ])('%s, hides just that', (_how, text) => {
    expect(redact(`(${text})`, [secret])).toMatch(/^\(\*\*\*=*\)$/);
  });

  it.each([3, 4, 5, 6, 7])(
    'hides a secret of %i characters in base64 and hexadecimal, whatever stands before it',
    (length) => {
      const short = 'kZ7pQ2x'.slice(0, length);
      const sure = Buffer.from(short)
        .toString('base64')
        .slice(0, Math.floor((length * 8) / 6));
      expect(redact(`<${sure}>`, [short])).not.toContain(sure);
      expect(redact(`<${Buffer.from(short).toString('hex')}>`, [short])).toBe('<***>');
      for (const before of ['', 'a', 'ab']) {
        const encoded = Buffer.from(`${before}${short}${length > 4 ? 'zz' : ''}`).toString('base64');
        if (length > 4) expect(redact(encoded, [short])).toContain('***');
      }
    },
  );

  it('hides a part of exactly eight characters, at the beginning, in the middle and at the end', () => {
    const long = 'kZ7pQ2xW9mB4';
    for (const at of [0, 2, 4]) {
      expect(redact(long.slice(at, at + 8), [long])).toBe('***');
      expect(redact(`<${long.slice(at, at + 7)}>`, [long])).toBe(`<${long.slice(at, at + 7)}>`);
    }
  });

  it('hides every place of several', () => {
    expect(redact('a kZ7 b kZ7', ['kZ7'])).toBe('a *** b ***');
    expect(redact('kZ7', ['kZ7'])).toBe('***');
  });

  it('keeps all that is no secret', () => {
    expect(redact('Resource with this name already exists', ['another secret', 'xyz'])).toBe(
      'Resource with this name already exists',
    );
  });

  it('hides a short secret wherever it stands', () => {
    expect(redact('pin 42, not 421', ['42'])).toBe('pin ***, not ***1');
  });

  it.each(['+', '\\', '+\\'])('hides %s, of which nothing is left when it is decoded', (odd) => {
    expect(redact(`a${odd}b`, [odd])).toBe('a***b');
    expect(redact('ab', [odd])).toBe('ab');
  });

  it('hides a part of eight characters that its encoding makes up of +, / and their substitutes', () => {
    const odd = '???>>>???>>>';
    const base64 = Buffer.from(odd).toString('base64');
    expect(base64).toBe('Pz8/Pj4+Pz8/Pj4+');
    expect(redact(`<${base64}>`, [odd])).toMatch(/^<\*\*\*\+?>$/);
    expect(redact(`<${Buffer.from(odd).toString('base64url')}>`, [odd])).toBe('<***>');
  });

  it.each([1, 2, 4, 8])('hides a secret that looks encoded itself, when it is encoded %i times', (times) => {
    const odd = 'jYm7FR%2525tPyYf%2525rKBA%25252BpM%0D%0Af7r%0D%0AXF';
    let text = odd;
    for (let time = 0; time < times; time++) text = encodeURIComponent(text);
    expect(redact(`<${text}>`, [odd])).toBe('<***>');
  });

  it('goes on behind a character reference that stands for nothing', () => {
    const text = '&#x110000; &#1114112; &#x10ffff; kZ7pQ2xW';
    expect(redact(text, ['kZ7pQ2xW'])).toBe('&#x110000; &#1114112; &#x10ffff; ***');
    expect(redact('&#x10ffff;', ['\u{10ffff}'])).toBe('***');
  });

  it('never lets eight characters of any secret through', () => {
    const parts = fc.tuple(
      fc.string({ minLength: 16, maxLength: 60, unit: 'binary' }),
      fc.nat(40),
      fc.string(),
      fc.string(),
    );
    fc.assert(
      fc.property(parts, ([value, at, before, after]) => {
        const part = value.slice(at);
        fc.pre(part.length >= 8 && !before.includes(part.slice(0, 8)));
        const shown = redact(`${before}${part}${after}`, [value]);
        expect(shown).not.toContain(part.slice(0, 8));
      }),
    );
  });
});

describe('text of a server', () => {
  it.each([
    ['line breaks', 'a\r\n::error::b', 'a : :error: :b'],
    ['escape sequences', 'a\u001b[31mb\u0007', 'a [31mb'],
    ['commands of the older kind', '##[add-mask]x', '# # [add-mask]x'],
    ['commands', '::stop-commands::x', ': :stop-commands: :x'],
    ['characters that turn the direction of writing', 'abc\u202edef', 'abc def'],
  ])('loses its %s', (_name, text, expected) => {
    expect(cleanText(text, [])).toBe(expected);
  });

  it('is cut to 300 characters', () => {
    expect(cleanText('y'.repeat(5000), [])).toBe(`${'y'.repeat(300)}...`);
    expect(cleanText('y'.repeat(300), [])).toBe('y'.repeat(300));
  });

  it('of any kind stays one line without commands', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        const shown = cleanText(text, []);
        expect(shown).not.toMatch(/[\r\n\u0000-\u001f]|::|##\[/);
      }),
    );
  });
});
