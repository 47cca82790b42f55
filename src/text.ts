/** The shortest part of a secret that is hidden in a server's text: shorter ones turn up by accident. */
const PART_LENGTH = 8;
const TEXT_LIMIT = 300;
/** A server's text is cut to this length before it is searched for secrets, so that the search stays short. */
const SEARCH_LIMIT = 2048;

// C0, C1, zero-width, bidirectional and line-separator characters: they move the cursor, forge lines or hide text.
const controls = /[\u0000-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]+/g;

/** Replaces every run of control characters, line breaks among them, by one blank. */
export function oneLine(text: string): string {
  return text.replace(controls, ' ').trim();
}

/** Makes text harmless to a runner that reads workflow commands (`::name::`, `##[name]`) out of the log. */
function defuse(text: string): string {
  return text.replace(/:(?=:)/g, ': ').replace(/#(?=#|\[)/g, '# ');
}

/**
 * The forms in which a secret can turn up in a log, because this action, a shell or a tool wrote it so: as it is,
 * trimmed, line by line, escaped for JSON, percent-encoded, form-encoded. Never a blank one: it would hide every blank.
 */
export function maskForms(secret: string): string[] {
  if (secret.trim() === '') return [];
  const whole = secret.toWellFormed();
  const forms = [secret, secret.trim(), ...secret.split(/[\r\n]+/).flatMap((line) => [line, line.trim()])];
  forms.push(JSON.stringify(secret).slice(1, -1), encodeURIComponent(whole), formEncode(whole));
  return [...new Set(forms)].filter((form) => form.trim() !== '');
}

/** The forms in which a server, a proxy or a log-in page may quote a secret back. */
function echoForms(secret: string): string[] {
  const bytes = Buffer.from(secret, 'utf8');
  const escapedXml = secret.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  const namedXml = escapedXml.replaceAll('&#38;', '&amp;').replaceAll('&#60;', '&lt;').replaceAll('&#62;', '&gt;');
  const quotedXml = namedXml.replaceAll('&#34;', '&quot;').replaceAll('&#39;', '&apos;');
  const base64 = [0, 1, 2].flatMap((offset) => base64At(bytes, offset));
  const asciiJson = JSON.stringify(secret)
    .slice(1, -1)
    .replace(/[<>&\u0080-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const others = [oneLine(secret), asciiJson, escapedXml, namedXml, quotedXml, bytes.toString('hex'), ...base64];
  return [...maskForms(secret), ...others].map(foldCase).filter((form) => form.trim() !== '');
}

/** Shorter base64 says too little of a secret, and turns up by accident. */
const BASE64_LENGTH = 4;

/** What base64 text holds of `bytes` when `offset` bytes stand before them, in both alphabets. */
function base64At(bytes: Buffer, offset: number): string[] {
  const shifted = Buffer.concat([Buffer.alloc(offset), bytes]);
  const stable = shifted
    .toString('base64')
    .replace(/=+$/, '')
    .slice(offset === 0 ? 0 : offset + 1);
  const sure = shifted.length % 3 === 0 ? stable : stable.slice(0, -1);
  return [sure, sure.replaceAll('+', '-').replaceAll('/', '_')].filter((form) => form.length >= BASE64_LENGTH);
}

function formEncode(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}

// Only ASCII, so that every index stays where it was.
function foldCase(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Hides every secret in `text`, in any form and any case, and every part of one that is 8 characters or longer. */
export function redact(text: string, secrets: Iterable<string>): string {
  const folded = foldCase(text);
  const hidden = new Uint8Array(text.length);
  for (const form of new Set([...secrets].flatMap(echoForms))) {
    const length = Math.min(form.length, PART_LENGTH);
    for (let at = 0; at + length <= folded.length; at++) {
      if (form.includes(folded.slice(at, at + length))) hidden.fill(1, at, at + length);
    }
  }
  let result = '';
  for (let at = 0; at < text.length; at++) {
    if (!hidden[at]) result += text[at];
    else if (!hidden[at - 1]) result += '***';
  }
  return result;
}

/** A server's text, fit to be logged: one line, no secrets, no workflow commands, at most 300 characters. */
export function cleanText(text: string, secrets: Iterable<string>): string {
  const safe = defuse(redact(oneLine(text.slice(0, SEARCH_LIMIT)), secrets));
  return safe.length > TEXT_LIMIT ? `${safe.slice(0, TEXT_LIMIT)}…` : safe;
}
