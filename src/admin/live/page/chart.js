// One chart of the last minutes: lines over time, an axis, and the values at the moment that is
// pointed at. Colours are the style sheet's. It draws what it is given and knows no meaning.

import { make, say } from "./dom.js";
import { clock } from "./format.js";
import { moments } from "./scale.js";

/** @import { Samples } from "./samples.js" */
/** @import { Axis } from "./scale.js" */

/**
 * What a chart shows: `lines` are names of series, each with what it is called if there are
 * several; `sparse` ones often have no value, and then the latest one stands for now.
 * @typedef {{ title: string, meaning: string, lines: { series: string, name?: string }[], sparse?: boolean,
 *   axis: (highest: number) => Axis, words: (value?: number) => string, label?: (value: number) => string }} Kind
 */

const HEIGHT = 136;
const TOP = 8;
const BOTTOM = 18;

/** @param {string} name @param {Record<string, string|number>} attributes @param {string} [text] */
function shape(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  if (text !== undefined) element.textContent = text;
  return element;
}

export class Chart {
  /**
   * @param {Kind} kind
   * @param {(time: number?) => void} onPoint hears which moment is pointed at
   */
  constructor(kind, onPoint) {
    this.kind = kind;
    this.values = kind.lines.map(({ name }, place) => {
      const value = make("output");
      return { value, element: make(`span.value.line-${place}`, ...(name ? [make("i"), make("small", name), " "] : []), value) };
    });
    this.when = make("time");
    this.ground = shape("g", {});
    this.areas = kind.lines.map(() => shape("path", { class: "area" }));
    this.paths = kind.lines.map((_, place) => shape("path", { class: `line line-${place}` }));
    this.cross = shape("g", { class: "cross" });
    const svg = shape("svg", { "aria-hidden": "true" });
    svg.append(this.ground, ...(kind.lines.length === 1 ? this.areas : []), ...this.paths.reverse(), this.cross);
    this.paths.reverse(); // The first line lies on top.
    this.plot = make("div.plot");
    this.plot.append(svg);
    this.plot.tabIndex = 0;
    this.plot.setAttribute("role", "slider");
    this.plot.setAttribute("aria-label", `${kind.title}, by time`);
    this.plot.setAttribute("aria-valuemin", "0");
    const caption = make("figcaption",
      make("div", make("h3", kind.title), make("p.values", ...this.values.map(({ element }) => element))),
      make("div.hush", make("p", kind.meaning), this.when));
    this.element = make("figure.card.chart", caption, this.plot);
    this.watch(onPoint);
  }

  /** @param {(time: number?) => void} onPoint */
  watch(onPoint) {
    const follow = (/** @type {PointerEvent} */ event) => {
      const { left, width } = this.plot.getBoundingClientRect();
      const part = (event.clientX - left - this.gutter) / (width - this.gutter);
      onPoint(this.from + Math.min(1, Math.max(0, part)) * (this.until - this.from));
    };
    this.plot.addEventListener("pointerdown", follow);
    this.plot.addEventListener("pointermove", follow);
    this.plot.addEventListener("pointerleave", (/** @type {PointerEvent} */ event) => event.pointerType === "mouse" && onPoint(null));
    this.plot.addEventListener("blur", () => onPoint(null));
    this.plot.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const { at } = this.samples ?? { at: [] };
      const last = at.length - 1;
      const here = this.place ?? last;
      const stride = event.shiftKey ? 30 : 1;
      const wanted = { ArrowLeft: here - stride, ArrowDown: here - stride, ArrowRight: here + stride, ArrowUp: here + stride, Home: 0, End: last }[event.key];
      if (event.key === "Escape") onPoint(null);
      if (wanted === undefined || last < 0) return;
      event.preventDefault();
      onPoint(at[Math.min(last, Math.max(0, wanted))]);
    });
  }

  /** Draws `samples`, and the values at `pointed` if it is a moment, else those of now. @param {Samples} samples @param {number?} pointed */
  draw(samples, pointed) {
    const width = this.plot.clientWidth;
    if (!width) return; // Nobody sees it.
    this.samples = samples;
    this.until = samples.now;
    this.from = samples.now - samples.spanMs;
    const begin = samples.at.findIndex((time) => time >= this.from);
    const start = begin < 0 ? samples.at.length : begin;
    const lines = this.kind.lines.map(({ series }) => samples.series[series] ?? []);
    let highest = 0;
    for (const values of lines) for (let place = start; place < values.length; place += 1) highest = Math.max(highest, values[place] ?? 0);
    const axis = this.kind.axis(highest);
    const label = this.kind.label ?? this.kind.words;
    this.gutter = Math.max(...axis.ticks.map((tick) => label(tick).length)) * 6.2 + 10;
    this.x = (/** @type {number} */ time) => this.gutter + ((time - this.from) / (this.until - this.from)) * (width - this.gutter - 1);
    this.y = (/** @type {number} */ value) => TOP + (1 - axis.part(value)) * (HEIGHT - TOP - BOTTOM);

    this.ground.replaceChildren();
    for (const tick of axis.ticks) {
      const level = Math.round(this.y(tick)) + 0.5;
      this.ground.append(shape("line", { x1: this.gutter, x2: width, y1: level, y2: level }), shape("text", { x: this.gutter - 7, y: level + 3.5, class: "side" }, label(tick)));
    }
    for (const moment of moments(this.from, this.until)) {
      const half = this.until - this.from <= 120_000 ? 24 : 16;
      const x = this.x(moment);
      if (x < this.gutter + half - 8 || x > width - half) continue;
      this.ground.append(shape("text", { x, y: HEIGHT - 3 }, clock(moment).slice(0, half === 24 ? 8 : 5)));
    }
    lines.forEach((values, place) => {
      const { line, area } = this.trace(samples, values, start);
      this.paths[place].setAttribute("d", line);
      this.areas[place].setAttribute("d", area);
    });
    this.point(pointed);
  }

  /**
   * A path through `values`, one step a pixel, at its highest there, and the area below it.
   * @param {Samples} samples @param {(number|null)[]} values @param {number} start
   */
  trace({ at, gapMs }, values, start) {
    const floor = this.y(0).toFixed(1);
    let [line, area] = ["", ""];
    let before = -Infinity;
    let [column, peak, since] = [-1, -1, -1]; // `since` is where this piece of line began.
    const put = () => {
      if (column < 0) return;
      line += since < 0 ? `M${column} ${this.y(peak).toFixed(1)}h0` : `L${column} ${this.y(peak).toFixed(1)}`;
      area += since < 0 ? `M${column} ${floor}V${this.y(peak).toFixed(1)}` : `L${column} ${this.y(peak).toFixed(1)}`;
      if (since < 0) since = column;
    };
    const lift = () => {
      put();
      if (since >= 0) area += `V${floor}Z`;
      [column, since] = [-1, -1];
    };
    for (let place = start; place < at.length; place += 1) {
      const value = values[place];
      if (value == null) {
        lift();
        continue;
      }
      if (at[place] - before > gapMs) lift();
      before = at[place];
      const x = Math.round(this.x(at[place]));
      if (x === column) {
        peak = Math.max(peak, value);
      } else {
        put();
        [column, peak] = [x, value];
      }
    }
    lift();
    return { line, area };
  }

  /** Shows the values at `time`, or those of now. @param {number?} time */
  point(time) {
    const { samples, kind } = this;
    if (!samples) return;
    const last = samples.at.length - 1;
    const found = time === null ? -1 : samples.nearest(time);
    this.place = time === null ? undefined : found;
    this.cross.replaceChildren();
    if (time !== null && found >= 0) {
      const x = Math.round(this.x(samples.at[found])) + 0.5;
      this.cross.append(shape("line", { x1: x, x2: x, y1: TOP - 4, y2: HEIGHT - BOTTOM }));
    }
    const words = kind.lines.map(({ series, name }, place) => {
      const values = samples.series[series] ?? [];
      let value = values[time === null ? last : found];
      if (time === null && kind.sparse) value = values.findLast?.((one) => one !== null) ?? value;
      if (time !== null && value != null) {
        this.cross.append(shape("circle", { class: `line-${place}`, cx: this.x(samples.at[found]), cy: this.y(value), r: 3.5 }));
      }
      say(this.values[place].value, kind.words(value ?? undefined));
      return `${name ?? ""} ${kind.words(value ?? undefined)}`;
    });
    const when = time === null ? "" : clock(found < 0 ? time : samples.at[found]);
    say(this.when, when);
    this.plot.setAttribute("aria-valuemax", String(Math.max(0, last)));
    this.plot.setAttribute("aria-valuenow", String(Math.max(0, found < 0 ? last : found)));
    this.plot.setAttribute("aria-valuetext", `${when || "now"}: ${words.join(", ").trim()}`);
  }
}
