// Whether all is well, in one line. Pure. No word of it changes by the second, because screen
// readers read it out whenever it changes.

import { clock, count, plural } from "./format.js";

/** A node's share of open files at which browsers are soon turned away. */
const FILES_SHORT = 0.9;

/**
 * @typedef {{ level: "good"|"warn"|"bad", words: string, more: string, href?: string }} Verdict
 */

/**
 * What is wrong, the worst first; `words` is the worst of it.
 * @param {any} state the answer to `GET /live/state`
 * @returns {Verdict}
 */
export function verdict({ node, nodes, redis, totals, problems }) {
  /** @type {{ level: "warn"|"bad", words: string, href?: string }[]} */
  const wrong = [];
  const note = (/** @type {"warn"|"bad"} */ level, /** @type {string} */ words, /** @type {string} */ href = undefined) => wrong.push({ level, words, href });
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
  if (problems.length) {
    note("warn", problems.length === 1 ? `In the last 15 minutes: ${problems[0].title}` : `${plural(problems.length, "problem")} in the last 15 minutes`, "#problems");
  }
  if (wrong.length === 0) return { level: "good", words: "All is well", more: nodes.length > 1 ? `on ${nodes.length} nodes` : "" };
  wrong.sort((one, other) => Number(other.level === "bad") - Number(one.level === "bad"));
  const [{ level, words, href }, ...rest] = wrong;
  return { level, words, more: rest.map((one) => one.words).join(" · "), href };
}
