// The view of what went wrong lately, and what to do about it. The words are the worker's.

import { list, make, part, say } from "./dom.js";
import { moment, plural, visible } from "./format.js";
import { lately } from "./verdict.js";

export class Problems {
  constructor() {
    this.now = 0;
    const cards = (/** @type {string} */ id) => list(part(id), ({ kind }) => kind, () => this.card());
    this.showLate = cards("problems-list");
    this.showEarlier = cards("problems-earlier");
  }

  /** @param {any} state the answer to `GET /live/state` */
  show({ problems, now }) {
    this.now = now;
    const sorted = [...problems].sort((one, other) => other.last_at - one.last_at);
    const late = lately(problems, now).length;
    part("problems-none").hidden = late > 0;
    this.showLate(sorted.slice(0, late));
    part("earlier").hidden = late === sorted.length;
    this.showEarlier(sorted.slice(late));
    part("problem-count").hidden = late === 0;
    say(part("problem-count"), String(late));
  }

  card() {
    const [title, times, advice, recent] = [make("h3"), make("p.hush"), make("p.advice"), make("ul")];
    const showRecent = list(recent, ({ at, detail }) => `${at} ${detail}`, ({ at, detail }) => ({
      element: make("li", make("time", moment(at, this.now)), make("span", visible(detail))),
      update() {},
    }));
    return {
      element: make("li.card", title, times, advice, recent),
      update: (/** @type {any} */ problem) => {
        say(title, problem.title);
        const last = moment(problem.last_at, this.now);
        say(times, problem.count === 1 ? `At ${last}` : `${plural(problem.count, "time")} since ${moment(problem.first_at, this.now)}, last at ${last}`);
        say(advice, problem.advice);
        const newest = [...problem.recent].sort((one, other) => other.at - one.at);
        // Two of one moment that say the same are shown once.
        showRecent([...new Map(newest.map((one) => [`${one.at} ${one.detail}`, one])).values()]);
      },
    };
  }
}
