// What the tests of examples/php-live-log stand on: its `start`, run as a person runs it, and
// pages of it in a real Chromium. Start reading at `Example`.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { BINARY, freePorts, listenTo, start, within } from "./support.js";

const START = fileURLToPath(new URL("../../examples/php-live-log/start", import.meta.url));

const scratch = mkdtempSync(join(tmpdir(), "wavelog_worker's example tests "));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

/** A running example with an empty log. */
export class Example {
  /**
   * Starts it on free ports; returns when it says its address. With `worker` (of
   * client/support.js) and its `secret` it uses that one, which the test may kill; else it starts
   * one of its own. `more` are arguments of `start`.
   */
  static async start({ worker, secret, more = [] } = {}) {
    const example = new Example();
    const { PATH } = process.env;
    const env = { PATH, WAVELOG_WORKER_BIN: BINARY, LIVE_LOG_DATA: mkdtempSync(join(scratch, "data ")) };
    if (worker) {
      Object.assign(env, {
        WORKER_SECRET: secret, WORKER_CLIENT_URL: worker.url, WORKER_URL: `http://127.0.0.1:${worker.internalPort}`,
      });
    }
    const [wsPort, internalPort] = await freePorts(2);
    const ports = ["--port", 0, "--ws-port", wsPort, "--internal-port", internalPort].map(String);
    const child = start(START, [...ports, ...more], {
      env, stdio: ["ignore", "pipe", "pipe"],
    }, "SIGTERM"); // It ends what it started.
    Object.assign(example, { process: child, ended: child.ended, said: "", contexts: [] });
    child.stderr.on("data", (data) => { example.said += data; });
    const open = new Promise((resolve) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (line.startsWith("open http://")) resolve(line.slice("open ".length));
      });
    });
    const early = example.ended.then((how) => {
      throw new Error(`the example ended before it said its address: ${how}\n${example.said}`);
    });
    example.address = await within(20_000, "the example starts", Promise.race([open, early]));
    return example;
  }

  /** Ends it with `signal`; returns its exit code, or the signal that ended it. */
  async end(signal = "SIGTERM") {
    this.process.kill(signal);
    return within(10_000, `the example ends on ${signal}`, this.ended);
  }

  /** All that it started: `{ pid, command }`, the whole family. */
  family() {
    const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).flatMap((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8"); // pid (command) state parent …
        const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
        return [{ pid, parent, command: stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")")) }];
      } catch {
        return []; // It has ended meanwhile.
      }
    });
    const below = (parent) => all.filter((one) => one.parent === parent).flatMap((one) => [one, ...below(one.pid)]);
    return below(this.process.pid);
  }

  /**
   * Opens the page in a browser of its own (cookies, tabs) and waits until it is in `state`.
   * `page.complaints` is what went wrong in it.
   */
  async open(browser, { state = "live", ...options } = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    this.contexts.push(context);
    const page = await context.newPage();
    await listenTo(page);
    await page.goto(this.address);
    if (state) await stands(page, state);
    return page;
  }
}

/** Waits until the page's indicator says `state`. */
export async function stands(page, state, timeout = 20_000) {
  await page.locator(`#state[data-state="${state}"]`).waitFor({ timeout });
}

/** What the page hears when somebody brings its tab to the front. */
export async function looksAt(page) {
  await page.evaluate(() => { document.dispatchEvent(new Event("visibilitychange")); });
}

/** Fills in the form and sends it with the Enter key; returns when the page says what came of it. */
export async function log(page, call, { name = "", ...selected } = {}) {
  for (const [field, value] of Object.entries(selected)) await page.locator(`#${field}`).selectOption(value);
  await page.locator("#name").fill(name);
  await page.locator("#call").fill(call);
  await page.evaluate(() => { document.getElementById("result").textContent = ""; });
  const began = performance.now();
  await page.locator("#call").press("Enter");
  await page.locator("#result:not(:empty)").waitFor();
  return { began, took: performance.now() - began, result: await page.locator("#result").textContent() };
}

/** The call signs in the list, newest first. */
export function calls(page) {
  return page.locator("#contacts .call").allTextContents();
}

/** Waits until the list shows a contact with this call sign. */
export async function shows(page, call, timeout = 15_000) {
  await page.locator("#contacts .call", { hasText: call }).first().waitFor({ timeout });
}
