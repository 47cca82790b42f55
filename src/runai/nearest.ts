const SHOWN = 5;
const SEARCHED = 2_000;

/** A sentence with the names most similar to the one that was not found. */
export function nearest(wanted: string, names: string[], clean: (text: string) => string): string {
  const all = [...new Set(names)];
  const [only] = all;
  if (only === undefined) return ' These credentials cannot see any: do they have the permission?';
  if (all.length === 1) return ` The only existing name: ${clean(only)}.`;
  const ranked = all
    .slice(0, SEARCHED)
    .map((name) => ({ name, distance: distance(wanted.toLowerCase(), name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const shown = ranked.slice(0, SHOWN).map(({ name }) => clean(name));
  return ` The closest of the ${all.length} existing names: ${shown.join(', ')}.`;
}

/** How many letters must be changed, added or removed to turn one name into the other (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a.slice(0, 100)].entries()) {
    const next = [i + 1];
    for (let j = 1; j <= Math.min(b.length, 100); j++) {
      const substitution = (row[j - 1] as number) + (letter === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row.at(-1) as number;
}
