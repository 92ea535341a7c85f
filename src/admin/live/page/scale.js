// Axes: which values get a line and a label. Pure; `chart` draws them.

/**
 * An axis: `top` is the highest value, `ticks` those with a label, and `part` says how far up a
 * value stands, from 0 to 1.
 * @typedef {{ top: number, ticks: number[], part: (value: number) => number }} Axis
 */

/**
 * An axis from 0 with about three steps of 1, 2 or 5 (bytes: a power of 2), at least up to `least`.
 * @param {number} highest
 * @param {{ least?: number, binary?: boolean }} [options]
 * @returns {Axis}
 */
export function linear(highest, { least = 3, binary = false } = {}) {
  const rough = Math.max(highest, least) / 3;
  const power = binary ? 2 ** Math.floor(Math.log2(rough)) : 10 ** Math.floor(Math.log10(rough) + 1e-9);
  const step = (binary ? [1, 2] : [1, 2, 5, 10]).map((times) => times * power).find((size) => size >= rough - 1e-9);
  const steps = Math.max(1, Math.ceil(Math.max(highest, least) / step - 1e-9));
  const top = steps * step;
  const ticks = Array.from({ length: steps + 1 }, (_, place) => place * step);
  return { top, ticks, part: (value) => value / top };
}

/**
 * An axis of powers of ten from 0.1, so that an outlier does not flatten the rest.
 * @param {number} highest
 * @returns {Axis}
 */
export function logarithmic(highest) {
  const decades = Math.max(2, Math.ceil(Math.log10(Math.max(highest, 0.1)) - 1e-9) + 1);
  const ticks = Array.from({ length: decades + 1 }, (_, place) => Number((10 ** (place - 1)).toPrecision(1)));
  return {
    top: 10 ** (decades - 1),
    ticks: decades > 4 ? ticks.filter((_, place) => place % 2 === decades % 2) : ticks,
    part: (value) => Math.max(0, Math.log10(Math.max(value, 0.1)) + 1) / decades,
  };
}

/**
 * Moments of the clock that get a label, between `from` and `until` in Unix ms.
 * @param {number} from
 * @param {number} until
 * @returns {number[]}
 */
export function moments(from, until) {
  const span = until - from;
  const step = span <= 120_000 ? 30_000 : span <= 300_000 ? 60_000 : 300_000;
  const zone = new Date(until).getTimezoneOffset() * 60_000; // Some are off by half an hour.
  const first = Math.ceil((from - zone) / step) * step + zone;
  const found = [];
  for (let moment = first; moment <= until; moment += step) found.push(moment);
  return found;
}
