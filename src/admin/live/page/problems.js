// The view of what went wrong lately, and what to do about it. The words are the worker's.

import { list, make, part, say } from "./dom.js";
import { clock, moment, plural, visible } from "./format.js";

export class Problems {
  constructor() {
    this.now = 0;
    this.showCards = list(part("problems-list"), ({ kind }) => kind, () => this.card());
  }

  /** @param {any} state the answer to `GET /live/state` */
  show({ problems, now }) {
    this.now = now;
    part("problems-none").hidden = problems.length > 0;
    this.showCards([...problems].sort((one, other) => other.last_at - one.last_at));
    part("problem-count").hidden = problems.length === 0;
    say(part("problem-count"), String(problems.length));
  }

  card() {
    const [title, times, advice, recent] = [make("h3"), make("p.hush"), make("p.advice"), make("ul")];
    const showRecent = list(recent, ({ at, detail }) => `${at} ${detail}`, ({ at, detail }) => ({
      element: make("li", make("time", clock(at)), make("span", visible(detail))),
      update() {},
    }));
    return {
      element: make("li.card", title, times, advice, recent),
      update: (/** @type {any} */ problem) => {
        say(title, problem.title);
        const last = clock(problem.last_at);
        say(times, problem.count === 1 ? `At ${last}` : `${plural(problem.count, "time")} since ${moment(problem.first_at, this.now)}, last at ${last}`);
        say(advice, problem.advice);
        const newest = [...problem.recent].sort((one, other) => other.at - one.at);
        // Two of one moment that say the same are shown once.
        showRecent([...new Map(newest.map((one) => [`${one.at} ${one.detail}`, one])).values()]);
      },
    };
  }
}
