/** Reading a key by blocks, of which some are kept: what is asked for lies close together, mostly. */

/** Reads bytes `start` to `end` (exclusive). */
export type ReadBytes = (start: number, end: number) => Promise<Buffer>;

/**
 * The same bytes, asked for in blocks of `block` bytes, of which the last `kept` are held.
 *
 * @param size of all that can be read
 * @param ahead so many blocks are asked for beforehand once two were asked for in their order; fewer than are kept
 */
export function blockwise(read: ReadBytes, size: number, block: number, kept: number, ahead = 0): ReadBytes {
  const cache = new Map<number, Promise<Buffer>>();
  const get = (number: number) => {
    for (let next = number + ahead; next > number && cache.has(number - 1); next--) {
      // Its failure is for whoever needs it.
      if (next * block < size && !cache.has(next)) hold(next).catch(() => {});
    }
    return hold(number);
  };
  const hold = (number: number) => {
    const found = cache.get(number) ?? read(number * block, Math.min(size, (number + 1) * block));
    cache.delete(number);
    cache.set(number, found);
    for (const oldest of cache.keys()) if (cache.size > kept) cache.delete(oldest);
    return found;
  };
  return async (start, end) => {
    const pieces: Buffer[] = [];
    for (let at = start; at < Math.min(end, size); ) {
      const number = Math.floor(at / block);
      const piece = (await get(number)).subarray(at - number * block, end - number * block);
      if (piece.length === 0) break;
      pieces.push(piece);
      at += piece.length;
    }
    return pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
  };
}
