// Figures in words. Whatever is not known is a dash.

const DASH = "–";
/** @param {number} most fraction digits */
const digits = (most) => new Intl.NumberFormat("en", { maximumFractionDigits: most });
const whole = digits(0);
const tenths = digits(1);

/** @param {number} [value] */
export const count = (value) => (value == null ? DASH : whole.format(value));

/** With a digit behind the point where that says something. @param {number} [value] */
export const rate = (value) => (value == null ? DASH : (value < 10 ? tenths : whole).format(value));

/** @param {number} [value] in ms */
export function milliseconds(value) {
  if (value == null) return DASH;
  if (value >= 1000) return `${tenths.format(value / 1000)} s`;
  if (value > 0 && value < 0.1) return "< 0.1 ms";
  return `${rate(value)} ms`;
}

/** @param {number} [value] */
export function bytes(value) {
  if (value == null) return DASH;
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${(unit && value < 100 ? tenths : whole).format(value)} ${units[unit]}`;
}

/** Of a length of time the two greatest units. @param {number} [seconds] */
export function duration(seconds) {
  if (seconds == null) return DASH;
  const all = Math.max(0, Math.floor(seconds));
  if (all < 60) return `${all} s`;
  const parts = [[Math.floor(all / 86_400), "d"], [Math.floor(all / 3600) % 24, "h"], [Math.floor(all / 60) % 60, "min"]];
  const first = parts.findIndex(([amount]) => amount);
  return parts.slice(first, first + 2).filter(([amount]) => amount).map((pair) => pair.join(" ")).join(" ");
}

/** The time of day, as the clock of this browser's place has it. @param {number} at Unix ms @param {number} [fraction] digits of a second */
export const clock = (at, fraction) => new Date(at).toLocaleTimeString("en-GB", /** @type {any} */ ({
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: fraction,
}));

/** A moment that may be long ago. @param {number} at @param {number} now both Unix ms */
export function moment(at, now) {
  const today = new Date(at).toDateString() === new Date(now).toDateString();
  return today ? clock(at) : `${new Date(at).toLocaleDateString("en-GB", { day: "numeric", month: "short" })}, ${clock(at)}`;
}

/** `one` thing or several. @param {number} amount @param {string} one @param {string} [more] */
export const plural = (amount, one, more = `${one}s`) => `${count(amount)} ${amount === 1 ? one : more}`;

/** With characters that cannot be seen, or that turn others around, as JSON escapes them. @param {string} text */
export const visible = (text) => text.replace(
  /[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202f\u2060-\u206f\ufeff]/g,
  (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
);

/** A topic's name; in quotes if it begins or ends with a blank, which nobody would see. @param {string} topic */
export const named = (topic) => (/^\s|\s$/.test(topic) ? `"${visible(topic)}"` : visible(topic));
