// The view of one topic: what it is, its events as they come (`tail`), and a test event.

import { make, part, say } from "./dom.js";
import { duration, named, plural, rate } from "./format.js";
import { fault } from "./json.js";
import { Away, ask, SignedOut } from "./server.js";
import { Tail } from "./tail.js";
import { tokenWords } from "./topics.js";

/** Letters of a name by which the worker finds it; the topic of exactly that name comes first. */
const SEARCHED = 250;

export class TopicView {
  /** @param {() => void} signedOut hears that there is no session any more */
  constructor(signedOut) {
    this.topic = "";
    this.signedOut = signedOut;
    this.tail = new Tail(signedOut);
    const payload = part("payload");
    payload.addEventListener("input", () => this.check());
    payload.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) part("publish-form").requestSubmit();
    });
    part("publish-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.publish();
    });
  }

  /** What to ask the worker for while this is shown. */
  get query() {
    const letters = [...this.topic];
    const search = letters.slice(0, SEARCHED).join("");
    return { topics: 1, search, sort: "topic", order: "asc", limit: letters.length > SEARCHED ? 500 : 1 };
  }

  /** Begins to show `topic`; goes on if it was shown before. @param {string} topic */
  open(topic) {
    if (topic !== this.topic) {
      this.topic = topic;
      say(part("topic-title"), named(topic));
      say(part("topic-facts"), "");
      this.outcome("", "");
    }
    this.tail.follow(topic);
  }

  close() {
    this.tail.stop();
  }

  /** @param {any} state the answer to `GET /live/state` with `query` */
  show({ topics }) {
    this.tail.goOn();
    const facts = topics.shown.find((/** @type {any} */ one) => one.topic === this.topic);
    say(part("topic-facts"), facts ? [
      plural(facts.subscribers, "subscriber"),
      `token ${tokenWords(facts.require_token)}`.replace("token not", "not").replace("token open", "open"),
      facts.expires_seconds != null && `expires in ${duration(facts.expires_seconds)}`,
      facts.publishes_per_minute != null && `${rate(facts.publishes_per_minute)} publishes a minute`,
    ].filter(Boolean).join(" · ") : "Not registered on this node, and nobody is here.");
  }

  /** Says where the payload is no JSON; returns whether it is. */
  check() {
    const found = fault(part("payload").value);
    say(part("payload-fault"), found?.words ?? "");
    part("payload").ariaInvalid = String(Boolean(found));
    return found;
  }

  async publish() {
    const wrong = this.check();
    if (wrong) {
      part("payload").focus();
      part("payload").setSelectionRange(wrong.place, wrong.place + 1);
      return;
    }
    if (this.publishing) return;
    this.publishing = true;
    const button = part("publish");
    button.setAttribute("aria-disabled", "true");
    const { topic } = this;
    const began = performance.now();
    try {
      // As it was typed: numbers keep all their digits.
      const body = `{"topic":${JSON.stringify(topic)},"payload":${part("payload").value},"register":${part("register").checked}}`;
      const { delivered_to: got } = await ask("publish", { body });
      const took = `The worker answered within ${Math.ceil(performance.now() - began)} ms.`;
      this.outcome("good", got ? `Sent to ${plural(got, "subscriber")}` : "Accepted; nobody is subscribed on this node", took, topic);
    } catch (/** @type {any} */ error) {
      if (error instanceof SignedOut) this.signedOut();
      else this.outcome("bad", "Not published", error instanceof Away ? "The worker does not answer." : error.message, topic);
    } finally {
      this.publishing = false;
      button.removeAttribute("aria-disabled");
    }
  }

  /** @param {string} name @param {string} headline @param {string} [words] @param {string} [topic] that it is about */
  outcome(name, headline, words = "", topic = this.topic) {
    if (topic !== this.topic) return;
    part("publish-outcome").className = `outcome ${name}`;
    part("publish-outcome").replaceChildren(make("strong", headline), words);
  }
}
