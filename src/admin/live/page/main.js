// The live view begins here: signing in and out, which view is shown, and the line that says
// whether all is well. One poll brings the state, and the view that is shown shows it.

import { part, say } from "./dom.js";
import { clock, duration, visible } from "./format.js";
import { Overview } from "./overview.js";
import { Poll } from "./poll.js";
import { Problems } from "./problems.js";
import { Samples } from "./samples.js";
import { Settings } from "./settings.js";
import { Away, ask, SignedOut } from "./server.js";
import { TopicView } from "./topic.js";
import { Topics } from "./topics.js";
import { verdict } from "./verdict.js";

const samples = new Samples();
const poll = new Poll(round, failed);
const overview = new Overview(samples);
const topics = new Topics(() => poll.soon());
const topic = new TopicView(signedOut);
const problems = new Problems();
const settings = new Settings();
/** The view that the address names. */
let view = "overview";
/** What the worker calls itself. */
let node = "";
/** When the worker answered last, by this browser's clock. */
let answered = 0;

// --- The poll -----------------------------------------------------------------------------

/** Asks for what the view needs, and shows it. @param {AbortSignal} signal */
async function round(signal) {
  const wish = view === "topics" ? topics.query : view === "topic" ? topic.query : {};
  const asked = JSON.stringify(wish);
  const state = await ask("state", { query: { after: samples.last, ...wish }, signal });
  samples.take(state);
  if (view === "config") await settings.load(samples.starts, signal);
  answered = Date.now();
  document.documentElement.dataset.link = "live";
  part("retry").hidden = true;
  showInside(true);
  showTop(state);
  problems.show(state);
  overview.show(state);
  // The view may have changed meanwhile, or what it wants.
  if (state.topics && view === "topics" && asked === JSON.stringify(topics.query)) topics.show(state);
  if (state.topics && view === "topic" && asked === JSON.stringify(topic.query)) topic.show(state);
}

/** @param {any} error of a round */
function failed(error) {
  if (error instanceof SignedOut) return signedOut();
  document.documentElement.dataset.link = "away";
  showInside(true);
  const words = error instanceof Away ? "The worker does not answer" : error.message;
  const since = answered ? `What is shown is of ${clock(answered)}. ` : "";
  showVerdict({ level: "bad", words, more: `${since}Trying again by itself.` });
  part("retry").hidden = false;
}

part("retry").addEventListener("click", () => poll.soon());

// --- The top ------------------------------------------------------------------------------

/** @param {any} state */
function showTop(state) {
  const { name, version, uptime_seconds: uptime, ready, draining } = state.node;
  node = name;
  const readiness = draining ? "ending" : ready ? "ready" : "not ready";
  say(part("about"), `${visible(name)} · ${visible(version)} · up for ${duration(uptime)} · ${readiness}`);
  showVerdict(verdict(state));
}

/** @param {import("./verdict.js").Verdict} verdict */
function showVerdict({ level, words, more, href }) {
  part("verdict").dataset.level = level;
  say(part("verdict-words"), visible(words));
  say(part("verdict-more"), visible(more));
  part("verdict-link").hidden = !href;
  if (href) part("verdict-link").href = href;
  showTitle(words);
}

function showTitle(words = part("verdict-words").textContent) {
  const where = { overview: "", topics: "Topics · ", topic: `${visible(topic.topic)} · `, problems: "Problems · ", config: "Config · " }[view];
  const title = `${where}${words} · ${visible(node || "wavelog_worker")}`;
  if (document.title !== title) document.title = title;
}

// --- The views ----------------------------------------------------------------------------

/** Shows the view that the address names. @param {Event} [change] of the address */
function route(change) {
  const [, name, rest] = /^#?(\w*)(?:\/(.*))?$/s.exec(location.hash) ?? [];
  view = ["topics", "problems", "config"].includes(name) ? name : "overview";
  if (name === "topic" && rest) {
    view = "topic";
    try {
      topic.open(decodeURIComponent(rest));
    } catch {
      topic.open(rest); // Somebody wrote the address by hand.
    }
  }
  if (view !== "topic") topic.close();
  for (const section of part("views").children) section.hidden = section.id !== `view-${view}`;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.getAttribute("href") === `#${view === "topic" ? "topics" : view}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  showTitle();
  overview.draw();
  poll.soon();
  if (change) part(`${view}-title`).focus({ preventScroll: true });
}

addEventListener("hashchange", (change) => !part("app").hidden && route(change));

// --- Signing in and out -------------------------------------------------------------------

/** Shows the views, or the door. @param {boolean} inside */
function showInside(inside) {
  if (part("app").hidden !== inside) return;
  part("app").hidden = !inside;
  part("sign-in").hidden = inside;
  if (inside) route();
}

/** There is no session, or not any more; where one was stays in the address and in the page. */
function signedOut(words = answered ? "The session has ended. Sign in again." : "") {
  poll.stop();
  topic.close();
  answered = 0;
  if (!part("sign-in").hidden) return;
  part("app").hidden = true;
  part("sign-in").hidden = false;
  part("sign-in-outcome").className = "outcome";
  say(part("sign-in-outcome"), words);
  document.title = "Sign in · wavelog_worker";
  part("secret").focus();
}

let waiting = 0; // A timer, while the worker takes no more secrets.

part("sign-in-form").addEventListener("submit", async (/** @type {Event} */ event) => {
  event.preventDefault();
  if (waiting || part("enter").ariaDisabled === "true") return;
  part("enter").ariaDisabled = "true";
  try {
    await ask("sign-in", { body: JSON.stringify({ secret: part("secret").value }) });
    part("secret").value = "";
    showSecret(false);
    poll.start();
  } catch (error) {
    refuse(error);
  } finally {
    part("enter").ariaDisabled = String(Boolean(waiting));
  }
});

/** Says why nobody was let in. @param {any} error */
function refuse(error) {
  const outcome = part("sign-in-outcome");
  const seconds = error.answer?.retry_seconds;
  outcome.className = "outcome bad";
  if (error.status !== 429 || !seconds) {
    const words = error.status === 403 ? "That is not the worker's secret." : error instanceof Away ? "The worker does not answer. Is it running?" : error.message;
    say(outcome, words);
    part("secret").select();
    return;
  }
  const until = Date.now() + seconds * 1000;
  say(outcome, `Too many wrong secrets. The worker takes the next one in ${duration(seconds)}.`);
  waiting = setInterval(() => {
    const left = Math.ceil((until - Date.now()) / 1000);
    say(part("enter"), left > 0 ? `Sign in (in ${left} s)` : "Sign in");
    if (left > 0) return;
    clearInterval(waiting);
    waiting = 0;
    part("enter").ariaDisabled = "false";
    say(outcome, "");
  }, 250);
}

/** @param {boolean} shown */
function showSecret(shown) {
  part("secret").type = shown ? "text" : "password";
  part("reveal").ariaPressed = String(shown);
}

part("reveal").addEventListener("click", () => showSecret(part("secret").type === "password"));

part("sign-out").addEventListener("click", async () => {
  poll.stop();
  topic.close();
  try {
    await ask("sign-out", { body: "{}" });
    location.reload(); // Nothing of what was shown is left in this tab.
  } catch (error) {
    if (error instanceof SignedOut) location.reload();
    else signedOut("The worker does not answer. If it comes back with this session, sign out again.");
  }
});

say(part("host"), location.host);
part("no-tls").hidden = isSecureContext;
poll.start();
