const TEXT_LIMIT = 400;
/** A server's text is truncated to this length before it is searched for secrets, so that the search stays short. */
const SEARCH_LIMIT = 2048;

// They move the cursor, end lines, forge them, or hide text.
const controls = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]+/gu;

/** Replaces every run of control characters, including line breaks, with one space. */
export function oneLine(text: string): string {
  // Most text is plain, and the other expression takes time to compile.
  if (/^[\x20-\x7e]*$/.test(text)) return text.trim();
  return text.replace(controls, ' ').trim();
}

/** Makes text harmless to a runner that reads workflow commands (`::name::`, `##[name]`) out of the log. */
function defuse(text: string): string {
  return text.replace(/:(?=:)/g, ': ').replace(/#(?=#|\[)/g, '# ');
}

/**
 * The forms in which a secret can turn up in a log when this action, a shell or a tool writes it: as it is,
 * trimmed, line by line, escaped for JSON, form-encoded, and percent-encoded in both common ways, with hex digits in
 * either case. Never a form that is only whitespace: masking it would hide every space.
 */
export function maskForms(secret: string): string[] {
  if (secret.trim() === '') return [];
  const whole = secret.toWellFormed();
  const encoded = encodeURIComponent(whole);
  // RFC 3986 to the letter, as Python's quote(text, safe='') does it.
  const strict = encoded.replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
  const percent = [encoded, strict, new URLSearchParams([['', whole]]).toString().slice(1)];
  const forms = [secret, secret.trim(), ...secret.split(/[\r\n]+/).flatMap((line) => [line, line.trim()])];
  forms.push(JSON.stringify(secret).slice(1, -1), ...percent, ...percent.map(lowerDigits));
  return [...new Set(forms)].filter((form) => form.trim() !== '');
}

function lowerDigits(encoded: string): string {
  return encoded.replace(/%[0-9A-F]{2}/g, (digits) => digits.toLowerCase());
}

/** What replaces a server's text that repeats a secret, or part of one. */
export const leftOut = '[left out: it repeats part of a secret]';

/** A server's text, safe to log: one line, no secrets, no workflow commands, at most 400 characters. */
export function cleanText(text: string, repeatsSecret: (text: string) => boolean): string {
  const searched = text.slice(0, SEARCH_LIMIT);
  if (repeatsSecret(searched)) return leftOut;
  const safe = defuse(oneLine(searched));
  return safe.length > TEXT_LIMIT ? `${safe.slice(0, TEXT_LIMIT)}...` : safe;
}
