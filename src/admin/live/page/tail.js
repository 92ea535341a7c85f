// The events of one topic as they come, by a long poll that is asked again as soon as it answers.
// The worker numbers events, so that none comes twice.

import { make, part, say } from "./dom.js";
import { bytes, clock, plural, visible } from "./format.js";
import { setOut } from "./json.js";
import { ask, Refused, SignedOut } from "./server.js";

/** Events that are kept, and of each the lines that are shown unasked. */
const KEPT = 200;
const LINES = 20;
/** More pieces than this are shown without colours. */
const COLOURED = 1500;
/** The worker answers within 20 s. */
const PATIENCE_MS = 30_000;
/** So long the worker goes on following for nobody. */
const KEPT_MS = 25_000;
const AGAIN_MS = 2000;

export class Tail {
  /** @param {() => void} signedOut hears that there is no session any more */
  constructor(signedOut) {
    this.signedOut = signedOut;
    this.topic = "";
    /** Number of the last event. */
    this.after = 0;
    this.paused = false;
    this.stopped = 0;
    this.state = part("tail-state");
    /** What came while it was paused, oldest first. @type {Element[]} */
    this.waiting = [];
    this.events = part("tail-events");
    part("tail-pause").addEventListener("click", () => {
      this.paused = !this.paused;
      if (!this.paused) for (const element of this.waiting.splice(0)) this.add(element);
      this.showPause();
    });
    part("tail-clear").addEventListener("click", () => this.clear());
  }

  /** Follows `topic` from now on, or goes on. @param {string} topic */
  follow(topic) {
    if (this.following && topic === this.topic) return;
    this.stop();
    if (topic !== this.topic) {
      Object.assign(this, { topic, after: 0, paused: false });
      this.clear();
    } else if (performance.now() > this.stopped + KEPT_MS && this.events.childElementCount) {
      this.add(note("Not followed for a while; events may be missing here."));
    }
    this.following = new AbortController();
    this.run(topic, this.following.signal);
  }

  stop() {
    if (this.following) this.stopped = performance.now();
    this.following?.abort();
    this.following = undefined;
    clearTimeout(this.timer);
  }

  clear() {
    this.events.replaceChildren();
    this.waiting = [];
    this.showPause();
  }

  /** The worker answers other questions: it is asked again at once. */
  goOn() {
    if (this.again) say(this.state, "Following.");
    this.again?.();
  }

  /** @param {string} topic @param {AbortSignal} signal */
  async run(topic, signal) {
    say(this.state, "Waiting for events…");
    while (!signal.aborted) {
      try {
        const { next, missed, events } = await ask("tail", { query: { topic, after: this.after }, signal, patience: PATIENCE_MS });
        this.after = next;
        say(this.state, "Following.");
        if (missed) this.add(note(`${plural(missed, "event")} missed: they came faster than this page took them.`));
        for (const event of events) this.add(eventItem(event));
      } catch (/** @type {any} */ error) {
        if (signal.aborted) return;
        if (error instanceof SignedOut) return this.signedOut();
        const refused = error instanceof Refused;
        const words = refused ? error.message : "The worker does not answer; trying again.";
        if (!refused && this.state.textContent !== words) this.add(note("The worker was away; events may be missing here."));
        say(this.state, words);
        await new Promise((resolve) => {
          this.timer = setTimeout(resolve, AGAIN_MS);
          if (!refused) this.again = () => resolve(undefined);
        });
        clearTimeout(this.timer);
        this.again = undefined;
      }
    }
  }

  /** @param {Element} element */
  add(element) {
    if (this.paused) {
      this.waiting.push(element);
      if (this.waiting.length > KEPT) this.waiting.shift();
      this.showPause();
      return;
    }
    this.events.prepend(element);
    while (this.events.childElementCount > KEPT) this.events.lastElementChild.remove();
  }

  showPause() {
    const amount = this.waiting.length >= KEPT ? `${KEPT}+` : this.waiting.length;
    say(part("tail-pause"), !this.paused ? "Pause" : this.waiting.length ? `Resume (${amount} new)` : "Resume");
  }
}

/** @param {string} words */
const note = (words) => make("li.note", words);

/** @param {{ at: number, payload: string, bytes: number, cut: boolean }} event */
function eventItem({ at, payload, bytes: size, cut }) {
  const time = make("time", clock(at, 3));
  time.dateTime = new Date(at).toISOString();
  const head = make("p", time, make("span.hush", cut ? `${bytes(size)}, the first ${bytes(new Blob([payload]).size)} shown` : bytes(size)));
  const pieces = setOut(payload);
  const text = make("pre");
  text.dir = "ltr";
  if (pieces.length > COLOURED) text.textContent = visible(pieces.map((piece) => piece[1]).join(""));
  else text.append(...pieces.map(([kind, words]) => (kind ? make(`span.${kind}`, visible(words)) : visible(words))));
  const item = make("li", head, text);
  const lines = pieces.reduce((sum, piece) => sum + piece[1].split("\n").length - 1, 1);
  if (lines > LINES || payload.length > LINES * 100) {
    const all = make("button", lines > LINES ? `Show all ${lines} lines` : "Show all");
    all.type = "button";
    text.classList.add("long");
    all.addEventListener("click", () => {
      text.classList.remove("long");
      all.remove();
    });
    item.append(all);
  }
  return item;
}
