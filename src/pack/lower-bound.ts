/** Searching by halves. */

/**
 * The first place of a sorted row that does not come before what is looked for.
 *
 * @param count of places
 * @param isBefore whether what stands at a place comes before it: true up to some place, false from there on
 * @returns `count` when all come before
 */
export function lowerBound(count: number, isBefore: (at: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBefore(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
