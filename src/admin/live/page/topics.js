// The view of all topics. The worker searches, sorts and bounds the list; this shows it, and says
// what to ask for.

import { list, make, part, say } from "./dom.js";
import { count, duration, named, plural, rate, visible } from "./format.js";

const PAGE = 100;
const MOST = 500;
/** So long a pause in typing asks anew. */
const TYPING_MS = 150;

/** Where a topic is shown by itself. @param {string} topic */
export const topicLink = (topic) => `#topic/${encodeURIComponent(topic)}`;

export class Topics {
  /** @param {() => void} askNow asks the worker with the new `query` */
  constructor(askNow) {
    this.query = { topics: 1, search: "", sort: "subscribers", order: "desc", limit: PAGE };
    this.showRows = list(part("topics-rows"), ({ topic }) => topic, topicRow);
    const change = (/** @type {object} */ wish) => {
      Object.assign(this.query, wish);
      this.showOrder();
      askNow();
    };
    for (const button of this.buttons = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-sort]")])) {
      button.addEventListener("click", () => {
        const { sort } = button.dataset;
        const first = sort === "topic" ? "asc" : "desc";
        const turned = this.query.order === "asc" ? "desc" : "asc";
        change({ sort, order: this.query.sort === sort ? turned : first });
      });
    }
    let timer = 0;
    part("topics-search").addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => change({ search: part("topics-search").value.trim(), limit: PAGE }), TYPING_MS);
    });
    part("topics-more").addEventListener("click", () => change({ limit: Math.min(MOST, this.query.limit + PAGE) }));
    this.showOrder();
  }

  showOrder() {
    for (const button of this.buttons) {
      const mine = button.dataset.sort === this.query.sort;
      button.closest("th").ariaSort = mine ? `${this.query.order}ending` : "none";
    }
  }

  /** @param {any} state the answer to `GET /live/state?topics=1` */
  show({ topics: { total, shown, counting_since: since }, now }) {
    const { search, limit } = this.query;
    this.showRows(shown);
    const all = search ? `${count(total)} with “${visible(search)}”` : plural(total, "topic");
    say(part("topics-total"), shown.length < total ? `${all}, ${count(shown.length)} shown` : all);
    part("topics-more").hidden = shown.length < limit || shown.length >= total || limit >= MOST;
    const age = since ? Math.round((now - since) / 1000) : 0;
    say(part("topics-note"), [
      age < 60 && shown.length ? `Counting for ${duration(age)}: rates are only known while somebody looks.` : "",
      limit >= MOST && total > MOST ? "Search to see the others." : "",
    ].join(" ").trim());
    const none = part("topics-none");
    none.hidden = shown.length > 0;
    if (shown.length) return;
    const words = search ? `No topic with “${visible(search)}”. ` : "No topic is registered, and none is subscribed to. PHP registers topics when it serves a page.";
    if (none.firstChild?.data === words) return;
    const link = make("a", "Look at the topic of this name all the same");
    link.href = topicLink(search);
    none.replaceChildren(words, ...(search ? [link, "."] : []));
  }
}

/** Who is let in, in a word. @param {boolean?} requireToken */
export const tokenWords = (requireToken) => (requireToken == null ? "not registered" : requireToken ? "required" : "open to all");

/** @param {any} first */
function topicRow({ topic }) {
  const link = make("a", named(topic));
  link.href = topicLink(topic);
  link.dir = "ltr";
  const name = make("th.topic", link);
  name.scope = "row";
  const cells = ["td.number", "td.number", "td.number.far", "td.far", "td.far"].map((kind) => make(kind));
  return {
    element: make("tr", name, ...cells),
    update(/** @type {any} */ facts) {
      const texts = [
        count(facts.subscribers), rate(facts.publishes_per_minute), rate(facts.deliveries_per_minute),
        tokenWords(facts.require_token), duration(facts.expires_seconds),
      ];
      cells.forEach((cell, place) => say(cell, texts[place]));
    },
  };
}
