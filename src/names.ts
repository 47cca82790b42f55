/** A name in lower case, in ASCII only: the other letters have look-alikes, such as the Kelvin sign for a k. */
export function foldCase(name: string): string {
  return name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}
