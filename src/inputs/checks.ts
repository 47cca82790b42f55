import type { InputReader } from './reader.ts';
import type { InputName } from './specs.ts';

export const secretsHint =
  'A secret or variable that does not exist is an empty string, and so is the output of a step that was skipped, or a secret output of another job: check its name, and its repository or environment. Runs from forks and from Dependabot get no secrets.';

/** A token is sent in a header, which cannot carry every character. */
export function checkHeader(reader: InputReader, name: InputName, source: string): void {
  if (fitsHeader(reader.given(name))) return;
  reader.report(
    `${name} contains a line break or another character that a header cannot carry: is it the whole output of ${source}, and nothing else?`,
  );
}

/** Whether a header can carry a text: printable ASCII. */
export function fitsHeader(text: string): boolean {
  return /^[ -~]*$/.test(text);
}

/** Whether a secret may be sent to this address. */
export function isSafeUrl(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { protocol, hostname } = new URL(address);
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
}

/** Hosts that never leave the machine, where plain http is harmless. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
