// The figures of the last 15 minutes, as the worker sends them and the charts draw them. They
// outlive a restart of the worker, which shows as a gap.

export const KEPT_MS = 15 * 60_000;
/** The clock of a worker that goes on may be set by so much. */
const CLOCK_MS = 5000;

export class Samples {
  constructor() {
    /** Unix ms of each sample. @type {number[]} */
    this.at = [];
    /** By name, beside `at`. @type {Record<string, (number|null)[]>} */
    this.series = {};
    /** Number of the last sample, for `after`. */
    this.last = 0;
    this.now = 0;
    this.everyMs = 1000;
    this.node = { id: "", started_at: 0 };
    /** How many starts of a worker this page has seen. */
    this.starts = 0;
  }

  /**
   * Takes what an answer brings.
   * @param {any} state the answer to `GET /live/state`
   */
  take({ now, node, samples }) {
    if (node.id !== this.node.id || Math.abs(node.started_at - this.node.started_at) > CLOCK_MS) {
      this.node = node;
      this.starts += 1;
      if (this.last) return void (this.last = 0); // These began in the middle: the next ask gets all.
    }
    const { at, first, every_ms: everyMs, ...series } = samples;
    this.now = now;
    this.everyMs = everyMs;
    const known = this.at[this.at.length - 1] ?? 0;
    const fresh = at.findIndex((/** @type {number} */ time) => time > known);
    if (at.length) this.last = first + at.length - 1;
    const old = this.at.findIndex((time) => time >= now - KEPT_MS);
    const drop = old < 0 ? this.at.length : old;
    for (const name of Object.keys(series)) {
      const kept = this.series[name] ??= this.at.map(() => null);
      if (fresh >= 0) kept.push(...series[name].slice(fresh));
      kept.splice(0, drop);
    }
    if (fresh >= 0) this.at.push(...at.slice(fresh));
    this.at.splice(0, drop);
  }

  /** Longer than this between two samples, and there is a gap. */
  get gapMs() {
    return this.everyMs * 3.5;
  }

  /** How much of the past the charts show: not much more than there is. */
  get spanMs() {
    const age = this.at.length ? this.now - this.at[0] : 0;
    return [2 * 60_000, 5 * 60_000].find((span) => age <= span) ?? KEPT_MS;
  }

  /** The sample nearest to `time`, or -1 if there is none near it. @param {number} time */
  nearest(time) {
    let low = 0;
    let high = this.at.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.at[middle] < time) low = middle + 1;
      else high = middle;
    }
    if (low > 0 && (low === this.at.length || time - this.at[low - 1] < this.at[low] - time)) low -= 1;
    return Math.abs(this.at[low] - time) <= this.gapMs ? low : -1;
  }
}
