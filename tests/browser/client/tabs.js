// Tabs that are really in the background: Chromium throttles their timers and may freeze them.
//
// Playwright keeps every page it drives in front, so this speaks the DevTools protocol to a
// Chromium of its own, as far as it is needed: open, activate, freeze and resume a tab.

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { WebSocket } from "ws";
import { start, within } from "../support.js";
import { instrument } from "./page.js";
import { Client, scratch } from "./support.js";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** A headless Chromium with one window, in which one tab is in front. */
export class Tabs {
  static async start() {
    const tabs = new Tabs();
    tabs.profile = mkdtempSync(join(scratch, "profile "));
    const args = [
      "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-proxy-server", "--disable-sync",
      "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
      `--user-data-dir=${tabs.profile}`, "about:blank",
    ];
    tabs.process = start(CHROMIUM, args, { stdio: ["ignore", "ignore", "pipe"] });
    const address = await within(20_000, "Chromium says where it listens", new Promise((resolve) => {
      let said = "";
      tabs.process.stderr.on("data", (data) => {
        said += data;
        const found = /DevTools listening on (ws:\S+)/.exec(said);
        if (found) resolve(found[1]);
      });
    }));
    tabs.socket = new WebSocket(address);
    tabs.sent = 0;
    tabs.answers = new Map();
    tabs.listeners = new Map();
    tabs.socket.on("message", (data) => tabs.hear(JSON.parse(data)));
    await once(tabs.socket, "open");
    return tabs;
  }

  hear({ id, method, params, sessionId, result, error }) {
    if (id) {
      const { resolve, reject } = this.answers.get(id);
      this.answers.delete(id);
      return error ? reject(new Error(error.message)) : resolve(result);
    }
    return this.listeners.get(sessionId)?.(method, params);
  }

  /** One command of the DevTools protocol. */
  send(method, params = {}, sessionId = undefined) {
    const id = this.sent += 1;
    const answer = new Promise((resolve, reject) => { this.answers.set(id, { resolve, reject }); });
    this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    return within(20_000, `${method} is answered`, answer);
  }

  /** Opens a tab, in front of the others, with the page of `site` and its client in it. */
  async open(site) {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const tab = new Tab(this, targetId, sessionId);
    let loaded;
    const ready = new Promise((resolve) => { loaded = resolve; });
    this.listeners.set(sessionId, (method, params) => {
      if (method === "Page.loadEventFired") loaded();
      if (method === "Runtime.exceptionThrown") tab.complaints.push(params.exceptionDetails.text);
      if (method === "Runtime.bindingCalled" && params.name === "reportText") {
        const [name, event] = JSON.parse(params.payload);
        tab.clients.get(name).hear(event);
      }
    });
    await tab.send("Runtime.enable");
    await tab.send("Page.enable");
    await tab.send("Runtime.addBinding", { name: "reportText" });
    const source = `globalThis.report = (...args) => reportText(JSON.stringify(args)); (${instrument})();`;
    await tab.send("Page.addScriptToEvaluateOnNewDocument", { source });
    await tab.send("Page.navigate", { url: site.origin });
    await within(20_000, "the page is loaded", ready);
    return tab;
  }

  async end() {
    await this.send("Browser.close"); // With all its processes, so that the profile can go.
    await within(20_000, "Chromium ends", this.process.ended);
    this.socket.terminate();
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

/** One tab; `connect` is that of a page in support.js. */
export class Tab {
  constructor(tabs, targetId, sessionId) {
    Object.assign(this, { tabs, targetId, sessionId, clients: new Map(), complaints: [] });
  }

  send(method, params) {
    return this.tabs.send(method, params, this.sessionId);
  }

  /** Runs `body` (a function that stands alone) with `args` in the page; returns its JSON value. */
  async evaluate(body, args = null) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression: `(${body})(${JSON.stringify(args)})`, awaitPromise: true, returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async connect(url, options) {
    const client = new Client(this, `client ${this.clients.size + 1}`);
    this.clients.set(client.name, client);
    await this.evaluate(([name, url, options]) => globalThis.harness.connect(name, url, options), [client.name, url, options]);
    return client;
  }

  /** "visible" or "hidden". */
  visibility() {
    return this.evaluate(() => document.visibilityState);
  }

  /** Brings it to the front; the tab that was there is hidden. */
  show() {
    return this.tabs.send("Target.activateTarget", { targetId: this.targetId });
  }

  /** Stops (a hidden tab only) or resumes everything that the page does, as Chromium does to save power. */
  lifecycle(state) {
    return this.send("Page.setWebLifecycleState", { state });
  }
}
