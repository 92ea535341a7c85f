// A browser and a worker made of thin air, for the unit tests: what must be exact to the
// millisecond, or cannot be made to fail on purpose, is tested on these. The real browser with a
// real worker is tested in tests/browser/client.

/** Sockets in the order in which they were opened. */
export class FakeSocket {
  static all = [];
  /** Set to an error to make the constructor throw, as a browser whose policy forbids it. */
  static forbidden;

  constructor(url) {
    if (FakeSocket.forbidden) throw FakeSocket.forbidden;
    this.url = url;
    this.readyState = 0;
    this.sent = [];
    /** Whether it answers questions of the heartbeat. */
    this.answers = false;
    this.onopen = this.onmessage = this.onclose = this.onerror = null;
    FakeSocket.all.push(this);
  }

  send(text) {
    if (this.readyState === 0) throw new Error("InvalidStateError: still connecting");
    const frame = JSON.parse(text);
    this.sent.push(frame);
    if (this.answers && frame.type === "ping") this.says({ type: "pong" });
  }

  /** What the page does; the other side of a dead connection never answers it. */
  close() {
    this.readyState = 2;
  }

  get dropped() {
    return this.readyState >= 2 && !this.onclose;
  }

  /** What the worker does. */
  open() {
    this.readyState = 1;
    this.onopen?.({});
  }

  says(frame) {
    this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }

  ends(code = 1006) {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  /** Opens and lets in. */
  accept(answer = { type: "auth_ok", v: 2 }) {
    this.open();
    this.says(answer);
    return this;
  }
}

/** Something with listeners, which it counts. */
class FakeTarget {
  listeners = [];

  addEventListener(type, listener) {
    this.listeners.push({ type, listener });
  }

  removeEventListener(type, listener) {
    this.listeners = this.listeners.filter((one) => one.type !== type || one.listener !== listener);
  }

  dispatch(type, more) {
    for (const one of this.listeners) if (one.type === type) one.listener({ type, ...more });
  }
}

/**
 * Time that passes when it is told to. Not node's own mock: there a timer that is due in the
 * middle of a step sees the clock at the step's end, and a machine cannot sleep.
 */
class FakeClock {
  #awakeMs = 0;
  #asleepMs = 1_700_000_000_000;
  #timers = new Map();
  #last = 0;

  now = () => this.#awakeMs + this.#asleepMs;

  setTimeout = (callback, ms = 0, ...values) => {
    // As browsers do it: what does not fit is due at once.
    const wait = ms > 0x7fffffff ? 0 : Math.max(0, Math.trunc(ms));
    this.#timers.set(++this.#last, { due: this.#awakeMs + wait, callback, values });
    return this.#last;
  };

  clearTimeout = (timer) => {
    this.#timers.delete(timer);
  };

  get timers() {
    return this.#timers.size;
  }

  /** Lets `ms` milliseconds pass, and all promises be kept on the way. */
  async pass(ms) {
    const end = this.#awakeMs + ms;
    await promises();
    for (;;) {
      const [id, timer] = [...this.#timers].sort((a, b) => a[1].due - b[1].due || a[0] - b[0])[0] ?? [];
      if (!timer || timer.due > end) break;
      this.#awakeMs = timer.due;
      this.#timers.delete(id);
      timer.callback(...timer.values);
      await promises();
    }
    this.#awakeMs = end;
  }

  /** The machine sleeps: the time of day goes on, timers do not. */
  sleep(ms) {
    this.#asleepMs += ms;
  }
}

/** Lets all promises be kept that can be. */
export function promises() {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Puts a fake browser around the test `t` until it ends: sockets, listeners, the network, the
 * clock, and a dice that always says `browser.random`.
 */
export function fakeBrowser(t) {
  const clock = new FakeClock();
  const page = new FakeTarget();
  const document = new FakeTarget();
  document.visibilityState = "visible";
  const navigator = { onLine: true };
  const opened = [];
  const browser = { clock, page, document, random: 0.5, reported: [], warned: [] };

  FakeSocket.all = [];
  FakeSocket.forbidden = undefined;
  t.mock.method(Math, "random", () => browser.random);
  t.mock.method(Date, "now", clock.now);
  t.mock.method(console, "warn", (...words) => browser.warned.push(words.join(" ")));
  const restore = replaceGlobals({
    WebSocket: FakeSocket,
    self: page,
    document,
    navigator,
    location: { href: "https://log.example/index.php/qso#top" },
    reportError: (error) => browser.reported.push(error),
    setTimeout: clock.setTimeout,
    clearTimeout: clock.clearTimeout,
  });
  t.after(() => {
    for (const connection of opened) connection.close();
    restore();
  });

  return Object.setPrototypeOf(browser, {
    /** The newest socket. */
    get socket() {
      return FakeSocket.all[FakeSocket.all.length - 1];
    },
    get sockets() {
      return FakeSocket.all;
    },
    get listeners() {
      return page.listeners.length + document.listeners.length;
    },
    get timers() {
      return clock.timers;
    },
    /** Closes `connection` at the end of the test. */
    keep(connection) {
      opened.push(connection);
      return connection;
    },
    pass: (ms) => clock.pass(ms),
    /** Lets time pass until another socket is opened; returns it. */
    async nextSocket() {
      const { length } = FakeSocket.all;
      for (let ms = 0; FakeSocket.all.length === length; ms += 100) {
        if (ms > 60_000) throw new Error("no attempt within a minute");
        await clock.pass(100);
      }
      return this.socket;
    },
    sleep: (ms) => clock.sleep(ms),
    /** Somebody sets the clock, by so many milliseconds: to a timer the same as a sleep. */
    setClock: (ms) => clock.sleep(ms),
    goOffline() {
      navigator.onLine = false;
      page.dispatch("offline");
    },
    goOnline() {
      navigator.onLine = true;
      page.dispatch("online");
    },
    show(visibilityState = "visible") {
      document.visibilityState = visibilityState;
      document.dispatch("visibilitychange");
    },
  });
}

/** A token as PHP mints them, good for so many seconds; its signature is none. */
export function tokenFor(seconds, claims = {}) {
  const expires = Math.floor(Date.now() / 1000) + seconds;
  const text = JSON.stringify({ user_id: 1, topic: "session.42", expires, ...claims });
  return `${Buffer.from(text).toString("hex")}.00`;
}

/** Sets these global names; returns what sets the ones that were there before. */
function replaceGlobals(values) {
  const before = Object.keys(values).map((name) => {
    return [name, Object.getOwnPropertyDescriptor(globalThis, name)];
  });
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  return () => {
    for (const [name, descriptor] of before) {
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
      else delete globalThis[name];
    }
  };
}
