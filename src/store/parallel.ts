/** Bounded concurrency over a stream of items. */

/** Up to `width` calls under way; results in the order of the items, absent ones left out. */
export async function* inParallel<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  width: number,
  work: (item: T) => Promise<R | undefined>,
): AsyncIterable<R> {
  const running: Promise<R | undefined>[] = [];
  try {
    for await (const item of items) {
      const result = work(item);
      // It is awaited in its turn; a failure before that is no unhandled one.
      result.catch(() => {});
      running.push(result);
      if (running.length < width) continue;
      const done = await running.shift();
      if (done !== undefined) yield done;
    }
    for (let next = running.shift(); next !== undefined; next = running.shift()) {
      const done = await next;
      if (done !== undefined) yield done;
    }
  } finally {
    await Promise.allSettled(running);
  }
}

/** Lets `width` calls be under way at a time, in the order in which they come. */
export function turns(width: number): <T>(act: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let free = width;
  return async (act) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await act();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
}
