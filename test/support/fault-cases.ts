/** Which cases a wrong helper is put through. */

/** So many of the other cases are tried with each fault: one in so many. */
const SHARE = 3;

/**
 * The case that a fault must fail, and others that it must not: a third of them, another third with each next fault, so
 * that every case meets many wrong helpers. All of them, which takes minutes, with `EVERY_CASE=1`.
 *
 * @param at the fault's place among the faults
 */
export function casesFor(at: number, fails: string, others: readonly string[]): string[] {
  const every = process.env.EVERY_CASE === "1";
  return [fails, ...others.filter((name, n) => name !== fails && (every || (n + at) % SHARE === 0))];
}
