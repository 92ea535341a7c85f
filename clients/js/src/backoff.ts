// How long to wait before the next attempt. It knows nothing of sockets and of time.

/**
 * A random pause in milliseconds: anything from 0 to `firstMs`, doubled for each of the
 * `failures` before, but never more than `maxMs`.
 *
 * The whole pause is random ("full jitter"), not just a part of it, so that the many browsers
 * that a restarted worker lost in the same instant do not come back in the same instant.
 */
export function retryPause(failures: number, firstMs: number, maxMs: number): number {
  return Math.random() * Math.min(maxMs, firstMs * Math.pow(2, failures));
}
