// Tabs of one browser made of thin air, for the tests of `share`: each is a realm of its own with
// the real client in it; locks, channels, time and the worker are fake, so that a tab can be
// stopped, killed and put into the history at will. The real thing is in tests/browser/client.
//
// Start reading at `Browser`. Time passes and messages arrive only within `browser.pass`.

import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { buildSync } from "esbuild";

const SCRIPT = buildSync({
  entryPoints: [fileURLToPath(new URL("../src/share.ts", import.meta.url))],
  bundle: true, write: false, format: "iife", globalName: "client", target: "es2018",
}).outputFiles[0].text;

const SETTINGS = {
  topic: "session.42", token: "good", getToken: undefined,
  connectTimeoutMs: 10_000, firstRetryMs: 1_000, maxRetryMs: 30_000, heartbeatMs: 0, lateMs: 5_000,
};

/** A browser, its clock, and the worker that its sockets reach. */
export class Browser {
  now = 1_700_000_000_000;
  locks = new Map();
  channels = new Set();
  sockets = [];
  timers = new Map();
  lastTimer = 0;
  /** Everything that tabs said to each other. */
  notes = [];
  /** The worker: whether it is there, and whom it does not let in. */
  up = true;
  refuses = (token) => token.startsWith("bad");

  open(options) {
    return new Tab(this, options);
  }

  /** Opens so many tabs, one after the other, with a line each. */
  async group(number, settings) {
    const tabs = [];
    for (let n = 0; n < number; n += 1) {
      tabs.push(this.open().join(settings));
      await this.pass();
    }
    return tabs;
  }

  /** Lets `ms` milliseconds pass, and everything that is on its way arrive. */
  async pass(ms = 0) {
    const end = this.now + ms;
    await settled();
    for (;;) {
      const [id, timer] = [...this.timers].sort((a, b) => a[1].due - b[1].due || a[0] - b[0])[0] ?? [];
      if (!timer || timer.due > end) break;
      this.now = Math.max(this.now, timer.due);
      this.timers.delete(id);
      timer.tab.run(timer.callback);
      await settled();
    }
    this.now = end;
  }

  /** Sockets that the worker has. */
  get connected() {
    return this.sockets.filter((socket) => socket.readyState === 1);
  }

  publish(payload) {
    for (const socket of this.connected) socket.hear({ type: "push", payload });
  }

  /** Ends every socket, as a worker does that restarts. */
  cut(code = 1006) {
    for (const socket of this.connected) socket.end(code);
  }
}

/** A tab, with the events of its line in `said`. */
export class Tab {
  said = [];
  /** How often its `getToken` was called. */
  asked = 0;
  stopped = false;
  dead = false;
  sandboxed = false;
  backlog = [];

  constructor(browser, { without } = {}) {
    const tab = this;
    this.browser = browser;
    this.window = target();
    this.document = Object.assign(target(), { hidden: false, visibilityState: "visible" });
    const globals = {
      navigator: { onLine: true, locks: without === "locks" ? undefined : locksOf(tab) },
      document: this.document,
      addEventListener: this.window.addEventListener,
      removeEventListener: this.window.removeEventListener,
      BroadcastChannel: class extends Channel {
        constructor(name) {
          super(tab, name);
        }
      },
      WebSocket: class extends Socket {
        constructor(url) {
          super(tab, url);
        }
      },
      Date: class extends Date {
        static now = () => browser.now;
      },
      setTimeout: (callback, ms = 0) => {
        browser.lastTimer += 1;
        browser.timers.set(browser.lastTimer, { tab, due: browser.now + Math.max(0, ms), callback });
        return browser.lastTimer;
      },
      clearTimeout: (id) => browser.timers.delete(id),
      location: { href: "https://log.example/" },
      URL, AbortController, console,
    };
    if (without) delete globals[without];
    this.context = createContext(globals);
    runInContext(`self = globalThis; ${SCRIPT}; globalThis.client = client;`, this.context);
  }

  /** Opens the line; `url` and `share` are the group's, the rest settings of the session. */
  join({ url = "wss://live.example", share = "group", getToken, ...settings } = {}) {
    const say = (text) => {
      this.said.push(text);
      this.onSaid?.(text);
    };
    const ask = () => {
      this.asked += 1;
      return getToken();
    };
    const asked = { ...SETTINGS, ...settings, getToken: getToken && ask };
    this.line = this.context.client.openLine(url, asked, share, {
      live: (again) => say(`live ${again}`),
      frame: (frame) => say(frame.type === "push" ? `push ${frame.payload}` : frame.type),
      lost: ({ live, code, reason, error }) => say(`lost ${live} ${code} ${reason}${error ? ` (${error})` : ""}`),
      state: (state) => say(state),
      resync: (reason) => say(`resync ${reason}`),
    });
    return this;
  }

  /** What its line said since the last call. */
  news() {
    return this.said.splice(0);
  }

  get leads() {
    return this.browser.connected.some((socket) => socket.tab === this);
  }

  get listeners() {
    return this.window.count() + this.document.count();
  }

  get timers() {
    return [...this.browser.timers.values()].filter((timer) => timer.tab === this).length;
  }

  /** Runs what comes from outside: now, when it wakes, or never. */
  run(task) {
    if (this.dead) return;
    if (this.stopped) this.backlog.push(task);
    else task();
  }

  show() {
    this.look("visible");
  }

  hide() {
    this.look("hidden");
  }

  look(visibilityState) {
    Object.assign(this.document, { visibilityState, hidden: visibilityState === "hidden" });
    this.document.dispatch("visibilitychange");
  }

  /** The system stops it without a word: it keeps its lock and its socket. */
  stop() {
    this.stopped = true;
  }

  wake() {
    this.stopped = false;
    for (const task of this.backlog.splice(0)) this.run(task);
  }

  /** Its process ends. */
  crash() {
    const { sockets, channels, locks } = this.browser;
    this.dead = true;
    for (const socket of sockets) if (socket.tab === this) socket.readyState = 3;
    for (const channel of channels) if (channel.tab === this) channel.close();
    for (const lock of locks.values()) lock.forget(this);
  }
}

/** A lock of the browser; granted in the order of the requests. */
class Lock {
  holder;
  line = [];

  grant() {
    if (this.holder || !this.line.length) return;
    const holder = this.holder = this.line.shift();
    soon(() => holder.tab.run(async () => {
      await holder.callback();
      if (this.holder === holder) this.holder = undefined;
      holder.resolve();
      this.grant();
    }));
  }

  forget(tab) {
    this.line = this.line.filter((request) => request.tab !== tab);
    if (this.holder?.tab === tab) this.holder = undefined;
    this.grant();
  }
}

function locksOf(tab) {
  const { locks } = tab.browser;
  return {
    request: (name, { steal, signal }, callback) => new Promise((resolve, reject) => {
      if (tab.sandboxed) {
        reject(new DOMException("no locks here", "SecurityError"));
        return;
      }
      if (!locks.has(name)) locks.set(name, new Lock());
      const lock = locks.get(name);
      const abort = () => tab.run(() => reject(new DOMException("aborted", "AbortError")));
      const request = { tab, callback, resolve, abort };
      if (steal) {
        if (lock.holder) soon(lock.holder.abort);
        lock.holder = undefined;
        lock.line.unshift(request);
      } else {
        lock.line.push(request);
        signal.addEventListener("abort", () => {
          if (!lock.line.includes(request)) return;
          lock.line = lock.line.filter((one) => one !== request);
          abort();
        });
      }
      lock.grant();
    }),
  };
}

class Channel {
  constructor(tab, name) {
    Object.assign(this, { tab, name, onmessage: null });
    tab.browser.channels.add(this);
  }

  postMessage(data) {
    const { channels, notes } = this.tab.browser;
    const copy = structuredClone(data);
    notes.push(copy);
    for (const other of channels) {
      if (other === this || other.name !== this.name) continue;
      soon(() => other.tab.run(() => {
        if (channels.has(other)) other.onmessage?.({ data: copy });
      }));
    }
  }

  close() {
    this.tab.browser.channels.delete(this);
  }
}

/** A socket to the worker, which answers at once. */
class Socket {
  readyState = 0;

  constructor(tab, url) {
    Object.assign(this, { tab, url, onopen: null, onmessage: null, onclose: null });
    tab.browser.sockets.push(this);
    soon(() => {
      if (this.readyState > 0) return;
      if (tab.browser.up) {
        this.readyState = 1;
        tab.run(() => this.onopen?.());
      } else {
        this.end(1006);
      }
    });
  }

  send(text) {
    const frame = JSON.parse(text);
    soon(() => {
      if (frame.type === "ping") {
        this.hear({ type: "pong" });
      } else if (frame.type !== "auth") {
        this.hear({ type: `answer to ${frame.type}` });
      } else if (this.tab.browser.refuses(frame.token)) {
        this.hear({ type: "error", code: "unauthorized" });
        this.end(1008);
      } else {
        this.hear({ type: "auth_ok", v: 2 });
      }
    });
  }

  hear(frame) {
    const data = JSON.stringify(frame);
    this.tab.run(() => this.onmessage?.({ data }));
  }

  end(code) {
    this.readyState = 3;
    this.tab.run(() => this.onclose?.({ code }));
  }

  close() {
    this.readyState = 3;
  }
}

/** Something with listeners. */
function target() {
  const listeners = [];
  return {
    addEventListener: (type, listener) => listeners.push({ type, listener }),
    removeEventListener: (type, listener) => {
      const at = listeners.findIndex((one) => one.type === type && one.listener === listener);
      if (at >= 0) listeners.splice(at, 1);
    },
    dispatch: (type, more) => {
      for (const one of [...listeners]) if (one.type === type) one.listener({ type, ...more });
    },
    count: () => listeners.length,
  };
}

function soon(task) {
  Promise.resolve().then(task);
}

/** Lets everything that is on its way arrive. */
async function settled() {
  for (let turns = 0; turns < 4; turns += 1) await new Promise((resolve) => setImmediate(resolve));
}
