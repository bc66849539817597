/** Waits with an end: a promise or a time-out, a pause, growing pauses with chance. */

export class TimedOut extends Error {
  constructor() {
    super('timed out');
  }
}

/** The promise's outcome, or TimedOut after `ms`; what comes later goes to `late`. */
export function within<T>(promise: Promise<T>, ms: number, late?: (value: T) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let over = false;
    const timer = setTimeout(() => {
      over = true;
      reject(new TimedOut());
    }, ms);
    promise.then(
      (value) => {
        clearTimeout(timer);
        if (over) late?.(value);
        else resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        if (!over) reject(error instanceof Error ? error : new Error('rejected'));
      },
    );
  });
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** From `first` on, each pause `factor` times the one before, at most `most`; ±20 %. */
export function backoff(attempt: number, first: number, most: number, factor = 2): number {
  return Math.min(most, first * factor ** attempt) * (0.8 + 0.4 * Math.random());
}
