// Asks again and again: every second while the page is looked at, rarely while it is hidden, and
// ever more rarely while that fails. It does not know what is asked.

const SHOWN_MS = 1000;
const HIDDEN_MS = 15_000;
const AWAY_MS = [500, 1000, 2000, 4000, 8000];

export class Poll {
  /**
   * @param {(signal: AbortSignal) => Promise<void>} round asks once and shows what comes
   * @param {(error: any) => void} failed hears of each round that failed; may call `stop`
   */
  constructor(round, failed) {
    this.round = round;
    this.failed = failed;
    this.failures = 0;
    document.addEventListener("visibilitychange", () => !document.hidden && this.soon());
    addEventListener("online", () => this.soon());
  }

  /** Begins, or goes on, at once. */
  start() {
    this.stop();
    this.running = new AbortController();
    this.turn(this.running.signal);
  }

  stop() {
    this.running?.abort();
    this.running = undefined;
    clearTimeout(this.timer);
  }

  /** Asks at once, with what is wanted now, if it asks at all. */
  soon() {
    if (this.running) this.start();
  }

  /** @param {AbortSignal} signal */
  async turn(signal) {
    let wait = SHOWN_MS;
    try {
      await this.round(signal);
      this.failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      this.failed(error);
      // Not all at the same moment, if many pages are open.
      wait = AWAY_MS[Math.min(this.failures, AWAY_MS.length - 1)] * (0.75 + Math.random() / 2);
      this.failures += 1;
    }
    if (signal.aborted) return;
    this.timer = setTimeout(() => this.turn(signal), document.hidden ? Math.max(wait, HIDDEN_MS) : wait);
  }
}
