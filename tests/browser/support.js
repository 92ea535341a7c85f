// What the tests of the demo page stand on: a real worker, a real Chromium, a real shell. Those of
// the browser client (client/support.js) share the browser and the ports.
//
// WAVELOG_WORKER_BIN names the binary (default: the debug build of this repository), CHROMIUM
// the browser (default: /usr/bin/chromium).

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

export const BINARY = process.env.WAVELOG_WORKER_BIN
  ?? fileURLToPath(new URL("../../target/debug/wavelog_worker", import.meta.url));
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const START_MS = 20_000;
const END_MS = 10_000;

// A killed demo cannot tidy up after itself. The name is one that a shell must be shown in quotes.
const scratch = mkdtempSync(join(tmpdir(), "wavelog_worker's browser tests "));
/** Children, and what ends each if it is left when the tests are over. */
const running = new Map();
process.on("exit", () => {
  for (const [child, signal] of running) child.kill(signal);
  rmSync(scratch, { recursive: true, force: true });
});

/** Starts a child that does not outlive the tests, and is ended by `signal` if they leave it;
 * `child.ended` is its exit code or signal. */
export function start(command, args, options, signal = "SIGKILL") {
  const child = spawn(command, args, options);
  running.set(child, signal);
  child.ended = new Promise((resolve, reject) => {
    child.once("exit", (code, by) => resolve(by ?? code));
    child.once("error", reject);
  }).finally(() => running.delete(child));
  child.ended.catch(() => {}); // Whoever waits for it hears of it.
  return child;
}

/** A running `wavelog_worker demo`. */
export class Demo {
  /** Starts a demo on free ports and returns when it listens. */
  static async start() {
    const demo = new Demo();
    [demo.wsPort, demo.internalPort] = await freePorts(2);
    await demo.startAgain();
    return demo;
  }

  get address() {
    return `http://127.0.0.1:${this.wsPort}/`;
  }

  /** Starts the demo on the ports that it had before. */
  async startAgain() {
    const ports = ["--ws-port", this.wsPort, "--internal-port", this.internalPort].map(String);
    const child = this.process = start(BINARY, ["demo", ...ports], {
      env: { ...process.env, TMPDIR: scratch, XDG_RUNTIME_DIR: scratch },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.ended = child.ended;
    const lines = createInterface({ input: child.stdout });
    const listening = new Promise((resolve) => {
      // It goes on reading, so that the demo never waits for a full pipe.
      lines.on("line", (line) => line.trim() === `open ${this.address}` && resolve());
    });
    const early = this.ended.then((how) => {
      throw new Error(`${BINARY} ended before it listened: ${how}`);
    });
    await within(START_MS, "the demo listens", Promise.race([listening, early]));
  }

  /** Ends the demo with `signal`; returns its exit code, or the signal that ended it. */
  async end(signal = "SIGTERM") {
    this.process.kill(signal);
    try {
      return await within(END_MS, `the demo ends on ${signal}`, this.ended);
    } catch (error) {
      this.process.kill("SIGKILL");
      throw error;
    }
  }
}

/** Starts headless Chromium with a profile of its own, which is gone after `close()`. `more` are
 * switches of its command line. */
export function startBrowser(...more) {
  const args = [
    ...more,
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ];
  return chromium.launch({ executablePath: CHROMIUM, headless: true, args });
}

/**
 * Listens to a page that is not open yet: `page.complaints` is what goes wrong in it, errors on
 * the console, exceptions, and violations of the Content-Security-Policy; `page.requested` is
 * every URL it asks for.
 */
export async function listenTo(page) {
  page.complaints = [];
  page.requested = [];
  page.on("console", (message) => message.type() === "error" && page.complaints.push(message.text()));
  page.on("pageerror", (error) => page.complaints.push(`exception: ${error.message}`));
  page.on("request", (request) => page.requested.push(request.url()));
  page.on("websocket", (socket) => page.requested.push(socket.url()));
  await page.exposeFunction("reportViolation", (words) => page.complaints.push(words));
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (violation) => {
      globalThis.reportViolation(`policy: ${violation.effectiveDirective} ${violation.blockedURI}`);
    });
  });
}

/** Opens the demo's page and waits until it is live; see `listenTo` for what it had to say. */
export async function openDemo(browser, demo, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  await listenTo(page);
  page.answer = await page.goto(demo.address);
  await reads(page, "state", /^live$/);
  return page;
}

/** Waits until the part of the page with this test id matches `pattern`; returns its text. */
export async function reads(page, part, pattern, timeout = 15_000) {
  const handle = await page.waitForFunction(([id, source]) => {
    const text = document.querySelector(`[data-testid="${id}"]`).textContent.trim();
    return new RegExp(source).test(text) ? { text } : false;
  }, [part, pattern.source], { timeout });
  return (await handle.jsonValue()).text;
}

/** The text of the part of the page with this test id, as it is now. */
export async function text(page, part) {
  return (await page.getByTestId(part).textContent()).trim();
}

/** Waits until the page has counted `more` events more than now. */
export async function receives(page, more) {
  const before = Number((await text(page, "count")).replaceAll(",", ""));
  await page.waitForFunction((least) => {
    const shown = document.querySelector('[data-testid="count"]').textContent;
    return Number(shown.replaceAll(",", "")) >= least;
  }, before + more, { timeout: 20_000 });
}

/** Runs `line` in a shell as a person would who pasted it; returns what it printed. */
export async function inShell(line) {
  const shell = spawn("/bin/sh", ["-c", line], {
    env: { ...process.env, no_proxy: "*", NO_PROXY: "*" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  shell.stdout.on("data", (data) => { said += data; });
  shell.stderr.on("data", (data) => { said += data; });
  const [code] = await once(shell, "close");
  if (code !== 0) throw new Error(`${line}\nended with ${code}: ${said}`);
  return said;
}

const given = new Set();

/**
 * Ports of loopback that nobody listens on. They are below those that Linux gives to outgoing
 * connections, so none takes one before it is used, or while its worker is away.
 */
export async function freePorts(number) {
  const ports = [];
  while (ports.length < number) {
    const port = 18_000 + Math.floor(Math.random() * 14_000);
    if (given.has(port)) continue;
    const server = createServer().listen(port, "127.0.0.1");
    try {
      await once(server, "listening");
    } catch (error) {
      if (error.code === "EADDRINUSE") continue;
      throw error;
    }
    await once(server.close(), "close");
    given.add(port);
    ports.push(port);
  }
  return ports;
}

/** What `promise` gives, or an error that says `what` did not come within `ms`. */
export async function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
