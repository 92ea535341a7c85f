// What the tests of the live view stand on: a real worker (client/support.js), real sockets, a
// real Redis where there are several nodes, and the page in a real Chromium. Start at `openLive`.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import WebSocket from "ws";
import { mintToken, SECRET } from "../client/support.js";
import { freePorts, listenTo, start, within } from "../support.js";

/** What Chromium itself says of an answer that is no success, and of a worker that is away. */
export const REFUSAL = /^Failed to load resource: the server responded with a status of (401|403|404|429)/;
export const OUTAGE = /net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED)/;

/**
 * Opens the live view of `worker` at `hash` and signs in, unless `signIn` is false. The page ends
 * with the `stage` (client/support.js); `page.complaints` is what went wrong in it.
 */
export async function openLive(stage, worker, { hash = "", signIn = true, ...options } = {}) {
  const context = await stage.keep(stage.browser.newContext({ viewport: { width: 1280, height: 900 }, ...options }), (it) => it.close());
  const page = await context.newPage();
  await listenTo(page);
  page.answer = await page.goto(`http://127.0.0.1:${worker.internalPort}/${hash}`);
  if (signIn) await enter(page);
  return page;
}

/** Signs in as a person does, and waits until the state is there. */
export async function enter(page, secret = SECRET) {
  await page.getByLabel("Secret", { exact: true }).fill(secret);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.locator("#app").waitFor();
  await reads(page, "#about", /ready/);
}

/** Waits until the element reads so; returns its text. */
export async function reads(page, selector, pattern, timeout = 10_000) {
  const handle = await page.waitForFunction(([selector, source]) => {
    const text = document.querySelector(selector)?.textContent.trim() ?? "";
    return new RegExp(source, "s").test(text) ? { text } : false;
  }, [selector, pattern.source], { timeout, polling: 50 });
  return (await handle.jsonValue()).text;
}

/** Checks that the page met no error and no violation of its policy, but for what `expected` matches. */
export function isCalm(page, ...expected) {
  const left = page.complaints.filter((words) => ![REFUSAL, ...expected].some((pattern) => pattern.test(words)));
  assert.deepEqual(left, []);
}

/** A browser's socket that is subscribed to `topic`; `socket.pushes` is what it got. */
export async function subscribe(stage, worker, topic, token = mintToken(topic)) {
  const socket = new WebSocket(`${worker.url}/ws?topic=${encodeURIComponent(topic)}`);
  socket.pushes = [];
  socket.on("error", () => {}); // The worker is killed in some tests.
  socket.on("message", (data) => socket.pushes.push(JSON.parse(data)));
  socket.ended = once(socket, "close").then(([code]) => code);
  await stage.keep(once(socket, "open"), () => socket.terminate());
  socket.send(JSON.stringify({ type: "auth", token }));
  await within(5000, "the worker answers the auth frame", once(socket, "message"));
  return socket;
}

/** Publishes again and again, as a busy site does, until the test ends. */
export async function traffic(stage, worker, topic, everyMs = 50) {
  let n = 0;
  const timer = setInterval(() => worker.publish(topic, { n: n += 1 }).catch(() => {}), everyMs);
  await stage.keep(timer, () => clearInterval(timer));
}

/** A redis-server of this test: its `url`, and `end()`. */
export async function startRedis(stage) {
  const [port] = await freePorts(1);
  const folder = mkdtempSync(join(tmpdir(), "wavelog_worker live tests "));
  const child = start("redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const end = async () => {
    child.kill("SIGKILL");
    await child.ended;
    rmSync(folder, { recursive: true, force: true });
  };
  await stage.keep(child, end);
  const ready = new Promise((resolve) => {
    createInterface({ input: child.stdout }).on("line", (line) => /Ready to accept connections/i.test(line) && resolve());
  });
  await within(10_000, "redis-server listens", Promise.race([ready, child.ended.then((how) => { throw new Error(`redis-server ended: ${how}`); })]));
  return { url: `redis://127.0.0.1:${port}/0`, end };
}
