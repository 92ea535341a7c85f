// Whether all is well, in one line. Pure. No word of it changes by the second, because screen
// readers read it out whenever it changes.

import { clock, count, plural } from "./format.js";

/** Kinds of problems that are nobody's fault, however many there are. */
const HARMLESS = new Set(["dead_peer", "http_timeout"]);
/** Kinds that happen now and then where all is well. */
const USUAL = new Set(["slow_close", "token_expired", "auth_timeout", "topic_gone", "browser_unregistered", "publish_unregistered"]);
/** So many of them lately are too many. */
const TOO_MANY = 5;
/** What is longer ago says nothing of now. */
const LATELY_MS = 15 * 60_000;

/** A node's share of open files at which browsers are soon turned away. */
const FILES_SHORT = 0.9;

/**
 * @typedef {{ level: "good"|"warn"|"bad", words: string, more: string, href?: string }} Verdict
 */

/** Those problems that were there lately. @param {any[]} problems @param {number} now Unix ms */
export const lately = (problems, now) => problems.filter(({ last_at: last }) => last > now - LATELY_MS);

/**
 * What is wrong, the worst first; `words` is the worst of it.
 * @param {any} state the answer to `GET /live/state`
 * @returns {Verdict}
 */
export function verdict({ now, node, nodes, redis, totals, problems }) {
  /** @type {{ level: "warn"|"bad", words: string }[]} */
  const wrong = [];
  const note = (/** @type {"warn"|"bad"} */ level, /** @type {string} */ words) => wrong.push({ level, words });
  if (redis && redis.state !== "up") {
    const since = redis.since ? ` since ${clock(redis.since)}` : "";
    note("bad", `${redis.state === "connecting" ? "Redis has not answered yet" : `Redis is away${since}`}; other nodes do not hear this one`);
  }
  if (node.draining) note("warn", "This node is ending and takes no new browsers");
  else if (!node.ready && wrong.length === 0) note("bad", "Not ready");
  if (totals.max_files && totals.open_files >= totals.max_files * FILES_SHORT) {
    note("bad", `${count(totals.open_files)} of ${count(totals.max_files)} files are open; new browsers are soon turned away`);
  }
  for (const other of nodes) if (!other.alive) note("warn", `Node ${other.name} is silent`);
  const late = lately(problems, now);
  const grave = late.filter(({ kind, recent }) => {
    const times = recent.filter((/** @type {any} */ one) => one.at > now - LATELY_MS);
    // Whoever signs in to this page may mistype; PHP does not.
    const usual = USUAL.has(kind) || (kind === "wrong_secret" && times.every((/** @type {any} */ one) => one.detail.endsWith(", live view")));
    return !HARMLESS.has(kind) && !(usual && times.length < TOO_MANY);
  });
  if (grave.length) {
    note("warn", grave.length === 1 ? `In the last 15 minutes: ${grave[0].title}` : `${plural(grave.length, "problem")} in the last 15 minutes`);
  }
  if (wrong.length === 0) {
    const usual = late.length ? "What happened under Problems is usual" : "";
    return { level: "good", words: "All is well", more: [nodes.length > 1 ? `${nodes.length} nodes` : "", usual].filter(Boolean).join(" · ") };
  }
  wrong.sort((one, other) => Number(other.level === "bad") - Number(one.level === "bad"));
  const [{ level, words }, ...rest] = wrong;
  return { level, words, more: rest.map((one) => one.words).join(" · "), href: grave.length ? "#problems" : undefined };
}
