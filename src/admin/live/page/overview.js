// The first view: figures, charts of the last 15 minutes, the nodes.

import { Chart } from "./chart.js";
import { list, make, part, say } from "./dom.js";
import { bytes, count, duration, milliseconds, plural, rate, visible } from "./format.js";
import { linear, logarithmic } from "./scale.js";

/** @import { Kind } from "./chart.js" */
/** @import { Samples } from "./samples.js" */

/** @type {Kind[]} */
const KINDS = [
  {
    title: "Sockets", meaning: "browsers on this node",
    lines: [{ series: "sockets" }], axis: (highest) => linear(highest), words: count,
  },
  {
    title: "Publishes per second", meaning: "events that came from PHP",
    lines: [{ series: "publishes_per_second" }], axis: (highest) => linear(highest), words: rate,
  },
  {
    title: "Deliveries per second", meaning: "events, for each browser once",
    lines: [{ series: "deliveries_per_second" }], axis: (highest) => linear(highest), words: rate,
  },
  {
    title: "Delay", meaning: "from PHP's call to the socket",
    lines: [{ series: "delay_p50_ms", name: "median" }, { series: "delay_p99_ms", name: "99 %" }], sparse: true,
    axis: logarithmic, words: milliseconds,
  },
  {
    title: "Backlog", meaning: "bytes that wait for slow browsers",
    lines: [{ series: "backlog_bytes" }], axis: (highest) => linear(highest, { least: 3 * 1024, binary: true }), words: bytes,
  },
  {
    title: "Event loop lag", meaning: "how late it turns to its sockets",
    lines: [{ series: "loop_lag_ms" }], axis: (highest) => linear(highest), words: milliseconds,
  },
];

/** @type {[string, (totals: any) => [string, string]][]} Name, and what is shown large and small. */
const FIGURES = [
  ["Browsers", ({ clients, sockets }) => [count(clients), plural(sockets, "socket")]],
  ["Topics with browsers", (totals) => [count(totals.active_topics), `${count(totals.registered_topics)} registered`]],
  ["Publishes", ({ publishes }) => [count(publishes), "since the start"]],
  ["Deliveries", ({ deliveries }) => [count(deliveries), "since the start"]],
  ["Fetches caused", ({ refetches }) => [count(refetches), "if each push makes one"]],
  ["Memory", (totals) => [bytes(totals.memory_bytes), `${count(totals.open_files)} of ${count(totals.max_files)} files open`]],
];

export class Overview {
  /** @param {Samples} samples */
  constructor(samples) {
    this.samples = samples;
    /** The moment that is pointed at, in all charts. @type {number?} */
    this.pointed = null;
    this.charts = KINDS.map((kind) => new Chart(kind, (time) => {
      this.pointed = time;
      for (const chart of this.charts) chart.point(time);
    }));
    part("charts").append(...this.charts.map(({ element }) => element));
    new ResizeObserver(() => this.draw()).observe(part("charts"));
    this.figures = FIGURES.map(([name, words]) => {
      const [value, small] = [make("span"), make("small")];
      part("figures").append(make("div", make("dt", name), make("dd", value, small)));
      return { value, small, words };
    });
    this.showNodes = list(part("nodes"), ({ id }) => id, nodeRow);
  }

  /** @param {any} state the answer to `GET /live/state` */
  show({ totals, nodes, redis, now }) {
    for (const { value, small, words } of this.figures) {
      const [large, more] = words(totals);
      say(value, large);
      say(small, more);
    }
    this.showNodes(nodes);
    say(part("redis"), redis ? redisWords(redis, now) : "One node, without Redis.");
    this.draw();
  }

  draw() {
    for (const chart of this.charts) chart.draw(this.samples, this.pointed);
  }
}

/** @param {any} redis @param {number} now */
function redisWords({ state, url, since, waiting_bytes: waiting, queue, error }, now) {
  const age = since ? ` for ${duration((now - since) / 1000)}` : "";
  const held = waiting ? `, ${bytes(waiting)} wait for it` : queue ? `, ${plural(queue, "event")} on the way` : "";
  return `Redis ${visible(url)} is ${state === "up" ? "connected" : state}${age}${held}${error ? `: ${visible(error)}` : ""}.`;
}

/** A row of the table of nodes. @param {any} first */
function nodeRow({ this: own }) {
  const name = make("th");
  name.scope = "row";
  const state = make("span.state");
  const cells = ["td.number", "td.number.far", "td.number.far", "td.far", "td.far"].map((kind) => make(kind));
  return {
    element: make("tr", name, make("td", state), ...cells),
    update(/** @type {any} */ node) {
      say(name, visible(node.name));
      state.dataset.level = node.alive ? "good" : "bad";
      say(state, node.alive ? (own ? "up, this one" : "up") : `silent for ${duration(node.seen_seconds)}`);
      const texts = [count(node.connected_sockets), count(node.connected_clients), count(node.active_topics), visible(node.version), duration(node.uptime_seconds)];
      cells.forEach((cell, place) => say(cell, texts[place]));
    },
  };
}
