// What the tests of the browser client stand on: a real worker, a page in a real Chromium, and the
// part of PHP (a token endpoint and a page server). Faults in between are in faults.js.
//
// Start reading at `scenario`, then `Stage`: a test asks its stage for a worker, a site and pages,
// and everything ends with it. A page reports what the client calls back over a binding, in order,
// so a test waits for the thing itself: `await client.next("push")`.
//
// WAVELOG_WORKER_BIN and CHROMIUM as in ../support.js. The client is clients/js/dist, which
// `npm run build` makes there.

import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { BINARY, freePorts, start, startBrowser, within } from "../support.js";
import { instrument } from "./page.js";

const DIST = fileURLToPath(new URL("../../../clients/js/dist/", import.meta.url));
const CLASSIC = "/dist/wavelog-worker.classic.js";
export const SECRET = randomBytes(32).toString("hex");
/** A name for 127.0.0.1 that does not look like loopback: being offline does not matter there. */
export const FAR = "worker.test";
/** What Chromium itself writes to the console when a connection fails. */
export const OUTAGE = /^WebSocket connection to .* failed|net::ERR_/;

export const scratch = mkdtempSync(join(tmpdir(), "wavelog_worker client tests "));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

/** A token as PHP mints it (docs/protocol.md, "Token"); good for `ttlSecs` from now. */
export function mintToken(topic, { ttlSecs = 3600, userId = 1, secret = SECRET } = {}) {
  const expires = Math.floor(Date.now() / 1000) + ttlSecs;
  const message = Buffer.from(JSON.stringify({ user_id: userId, topic, expires })).toString("hex");
  return `${message}.${createHmac("sha256", secret).update(message).digest("hex")}`;
}

/** A worker process that keeps its ports over restarts, and the calls that PHP makes to it. */
export class Worker {
  /** Starts one on free ports; `config` is more keys of config.yaml. */
  static async start(config = {}) {
    const worker = new Worker();
    [worker.wsPort, worker.internalPort] = await freePorts(2);
    worker.lines = [];
    worker.log = new EventEmitter();
    const keys = {
      ws_bind: "127.0.0.1", ws_port: worker.wsPort, internal_port: worker.internalPort,
      worker_secret: SECRET, log_level: "debug", ...config,
    };
    worker.config = join(scratch, `${worker.wsPort}.yaml`);
    writeFileSync(worker.config, JSON.stringify(keys), { mode: 0o600 }); // JSON is YAML.
    await worker.startAgain();
    return worker;
  }

  /** The address as PHP gives it to a page. */
  get url() {
    return `ws://127.0.0.1:${this.wsPort}`;
  }

  /** Where the worker itself serves the client. */
  get script() {
    return `http://127.0.0.1:${this.wsPort}/client.js`;
  }

  /** Starts it with the ports that it had before; returns when it listens. */
  async startAgain() {
    const child = this.process = start(BINARY, ["-config", this.config], {
      env: { PATH: process.env.PATH },
      stdio: ["ignore", "ignore", "pipe"],
    });
    const listening = new Promise((resolve) => {
      createInterface({ input: child.stderr }).on("line", (line) => {
        this.lines.push(line);
        this.log.emit("line", line);
        if (line.includes(" listening ")) resolve();
      });
    });
    const early = child.ended.then((how) => {
      throw new Error(`the worker ended before it listened: ${how}\n${this.lines.slice(-5).join("\n")}`);
    });
    early.catch(() => {});
    await within(20_000, "the worker listens", Promise.race([listening, early]));
  }

  /** Ends it with `signal`; returns its exit code, or the signal that ended it. */
  end(signal = "SIGTERM") {
    this.process.kill(signal);
    return within(10_000, `the worker ends on ${signal}`, this.process.ended);
  }

  /** Waits for a line of the log that comes from now on. */
  heard(pattern, ms = 20_000) {
    let hear;
    const line = new Promise((resolve) => {
      hear = (words) => pattern.test(words) && resolve(words);
      this.log.on("line", hear);
    });
    return within(ms, `the worker says ${pattern}`, line).finally(() => this.log.off("line", hear));
  }

  /** Makes a topic known, as PHP does at each page load. */
  register(topic, requireToken = true) {
    return this.call("register", { topic, meta: { require_token: requireToken } });
  }

  publish(topic, payload) {
    return this.call("publish", { topic, payload });
  }

  async call(name, body) {
    const answer = await fetch(`http://127.0.0.1:${this.internalPort}/internal/${name}`, {
      method: "POST", headers: { "X-Worker-Secret": SECRET }, body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${name}: ${answer.status} ${(await answer.text()).trim()}`);
  }

  /** The counters of the status document, by their names. */
  async counters() {
    return (await this.status()).counters;
  }

  /** The status document (docs/protocol.md, "Status"). */
  async status() {
    const answer = await fetch(`http://127.0.0.1:${this.internalPort}/internal/status?v=2`, {
      headers: { "X-Worker-Secret": SECRET },
    });
    return answer.json();
  }
}

/**
 * The site: serves blank pages with the client in them, and tokens as PHP would.
 *
 * `/` has the classic script, `/module` the ESM build; `script` is where the classic one comes
 * from, and `policy` a Content-Security-Policy for both. `/token?topic=T` registers the topic, if
 * the worker is there, and mints a token; `site.answer` may be replaced to do otherwise, by a
 * function `(topic, call)` that returns a token or throws, and `site.calls` counts.
 */
export class Site {
  static async start({ worker, script = CLASSIC, policy } = {}) {
    if (script === CLASSIC && !existsSync(join(DIST, "wavelog-worker.classic.js"))) {
      throw new Error("clients/js is not built; run `npm ci && npm run build` there");
    }
    const site = new Site();
    Object.assign(site, { worker, script, policy, calls: 0 });
    site.answer = async (topic) => {
      await worker?.register(topic).catch(() => {}); // PHP goes on when the worker is away.
      return mintToken(topic);
    };
    site.server = createServer((request, response) => site.serve(request, response));
    await once(site.server.listen(0, "127.0.0.1"), "listening");
    site.origin = `http://127.0.0.1:${site.server.address().port}`;
    return site;
  }

  async serve(request, response) {
    const { pathname, searchParams } = new URL(request.url, this.origin);
    const reply = (type, body, status = 200) => {
      // Not no-store, which would keep the pages out of the browser's history cache.
      const policy = this.policy && type === "text/html" ? { "Content-Security-Policy": this.policy } : {};
      response.writeHead(status, { "Content-Type": `${type}; charset=utf-8`, "Cache-Control": "no-cache", ...policy });
      response.end(body);
    };
    const page = (script) => reply("text/html",
      `<!doctype html><html lang="en"><title>page</title><link rel="icon" href="data:,">${script}</html>`);
    if (pathname === "/") return page(`<script src="${this.script}"></script>`);
    if (pathname === "/module") return page('<script type="module" src="/module.js"></script>');
    if (pathname === "/module.js") {
      return reply("text/javascript", 'import { connect } from "/dist/wavelog-worker.js";\nglobalThis.WavelogWorker = { connect };\n');
    }
    if (pathname.startsWith("/dist/") && extname(pathname) === ".js") {
      return reply("text/javascript", readFileSync(join(DIST, pathname.slice("/dist/".length))));
    }
    if (pathname !== "/token") return reply("text/plain", "not found", 404);
    try {
      this.calls += 1;
      reply("text/plain", await this.answer(searchParams.get("topic"), this.calls));
    } catch {
      reply("text/plain", "PHP failed", 500);
    }
  }

  async end() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

/** One connection of a page, as the test sees it: what it called back, in order. */
export class Client extends EventEmitter {
  constructor(page, name) {
    super();
    Object.assign(this, { page, name, events: [], taken: 0 });
  }

  hear(event) {
    this.events.push(event);
    this.emit("event");
  }

  /**
   * The next event that matches, of those that `next` has not passed yet; waits for it.
   *
   * `wanted` is a kind ("push", "frame", "resync", "token", or a callback's name of the drop-in),
   * a state ("live", "waiting", …), or a function of the event.
   */
  async next(wanted, ms = 10_000) {
    const fits = typeof wanted === "function" ? wanted : ({ kind, state }) => kind === wanted || state === wanted;
    const given = new AbortController();
    const search = async () => {
      for (;;) {
        while (this.taken < this.events.length) {
          const event = this.events[this.taken++];
          if (fits(event)) return event;
        }
        await once(this, "event", { signal: given.signal });
      }
    };
    const words = `${this.name}: ${typeof wanted === "string" ? wanted : "the event"}`;
    try {
      return await within(ms, words, search());
    } catch (error) {
      error.message += ["", ...this.events.slice(-12).map((event) => JSON.stringify(event))].join("\n");
      throw error;
    } finally {
      given.abort();
    }
  }

  /** All events of a kind or state so far. */
  all(wanted) {
    return this.events.filter(({ kind, state }) => kind === wanted || state === wanted);
  }

  /** Calls a method of the connection in the page: `close`, `retry`, `send`, or reads `state`. */
  do(method, ...args) {
    return this.page.evaluate(([name, method, args]) => globalThis.harness.call(name, method, args), [this.name, method, args]);
  }
}

/** What one test has started; all of it ends with the test. */
export class Stage {
  constructor(browser) {
    Object.assign(this, { browser, ends: [], pages: [] });
  }

  /** Keeps something that is started until the end of the test. */
  async keep(starting, end = (thing) => thing.end("SIGKILL")) {
    const thing = await starting;
    this.ends.unshift(() => end(thing));
    return thing;
  }

  worker(config) {
    return this.keep(Worker.start(config));
  }

  site(options) {
    return this.keep(Site.start(options));
  }

  /** A browser context: pages of one context are tabs of one browser. */
  async context(options) {
    const context = await this.keep(this.browser.newContext(options), (context) => context.close());
    await context.exposeBinding("report", ({ page }, name, event) => page.clients.get(name).hear(event));
    await context.addInitScript(instrument);
    return context;
  }

  /**
   * Opens a page of the site. `page.connect(url, options)` starts a connection in it,
   * `page.subscribe(options)` one of the drop-in; both return a `Client`. `page.complaints` is
   * what went wrong in it.
   */
  async page(site, { context, path = "/" } = {}) {
    const page = await (context ?? await this.context()).newPage();
    this.pages.push(page);
    page.clients = new Map();
    page.complaints = [];
    page.on("console", (message) => message.type() === "error" && page.complaints.push(message.text()));
    page.on("pageerror", (error) => page.complaints.push(`exception: ${error.message}`));
    const open = (how) => async (...args) => {
      const client = new Client(page, `client ${page.clients.size + 1}`);
      page.clients.set(client.name, client);
      page.warns ||= how === "subscribe";
      await page.evaluate(([how, name, args]) => globalThis.harness[how](name, ...args), [how, client.name, args]);
      return client;
    };
    page.connect = open("connect");
    page.subscribe = open("subscribe");
    await page.goto(site.origin + path);
    return page;
  }

  /** A worker, a site and a page with a live connection to `topic`, for tests that begin there. */
  async live({ topic = "session.42", config, ...options } = {}) {
    const worker = await this.worker(config);
    const site = await this.site({ worker });
    const page = await this.page(site);
    const client = await page.connect(worker.url, { topic, getToken: true, ...options });
    await client.next("live");
    return { worker, site, page, client };
  }

  /** Closes what the pages have open, and checks that nothing is left there and nothing was wrong. */
  async finish(expected) {
    for (const page of this.pages) {
      if (page.isClosed()) continue;
      const left = await page.evaluate(() => globalThis.harness.closeAll());
      // The drop-in's warning before the token expires belongs to the page, not to a subscription.
      if (page.warns && left.timers === 1) left.timers = 0;
      assert.deepEqual(left, { timers: 0, sockets: 0, listeners: [] });
      assert.deepEqual(page.complaints.filter((words) => !expected?.test(words)), []);
    }
  }

  /** Ends everything, the last first; what cannot be ended does not keep the rest alive. */
  async end() {
    const failures = [];
    for (const end of this.ends) await Promise.resolve().then(end).catch((error) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }
}

/** Starts one Chromium for the tests of a file; returns a function that gives it. */
export function oneBrowser(...more) {
  let browser;
  before(async () => { browser = await startBrowser(`--host-resolver-rules=MAP ${FAR} 127.0.0.1`, ...more); });
  after(() => browser?.close());
  return () => browser;
}

/**
 * A test with a stage. At its end every connection is closed; then no timer, socket or listener
 * may be left in its pages, and nothing on their consoles but what `expected` matches.
 */
export function scenario(name, browser, body, expected, timeout = 60_000) {
  test(name, { timeout }, async () => {
    const stage = new Stage(browser());
    try {
      await body(stage);
      await stage.finish(expected);
    } finally {
      await stage.end();
    }
  });
}
