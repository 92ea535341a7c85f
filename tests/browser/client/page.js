// What runs in the pages of these tests before anything else: it counts timers, sockets and global
// listeners, so that a test sees what a closed connection left behind, and it starts connections
// whose callbacks are reported to the test. Playwright serialises `instrument`, so it stands alone.

export function instrument() {
  const timers = new Set();
  const sockets = new Set();
  const listeners = [];
  const connections = new Map();
  const { setTimeout, clearTimeout, setInterval, clearInterval, report } = globalThis;

  globalThis.setTimeout = (callback, ...rest) => {
    const id = setTimeout((...args) => {
      timers.delete(id);
      callback(...args);
    }, ...rest);
    timers.add(id);
    return id;
  };
  globalThis.setInterval = (...args) => {
    const id = setInterval(...args);
    timers.add(id);
    return id;
  };
  globalThis.clearTimeout = (id) => {
    timers.delete(id);
    clearTimeout(id);
  };
  globalThis.clearInterval = (id) => {
    timers.delete(id);
    clearInterval(id);
  };
  globalThis.WebSocket = class extends WebSocket {
    constructor(...args) {
      super(...args);
      sockets.add(this);
    }
  };
  for (const target of [globalThis, document]) {
    const { addEventListener, removeEventListener } = target;
    target.addEventListener = (type, listener, ...rest) => {
      listeners.push([target, type, listener]);
      return addEventListener.call(target, type, listener, ...rest);
    };
    target.removeEventListener = (type, listener, ...rest) => {
      const at = listeners.findIndex((entry) => entry[0] === target && entry[1] === type && entry[2] === listener);
      if (at >= 0) listeners.splice(at, 1);
      return removeEventListener.call(target, type, listener, ...rest);
    };
  }

  // `getToken: true` asks the site; `throwOn` names callbacks that throw after they have reported;
  // `brief` reports of each payload only its `n`.
  const prepare = (name, { getToken, throwOn = [], brief = false, ...options }) => {
    const say = (kind, rest) => {
      report(name, { kind, at: Date.now(), ...rest });
      if (throwOn.includes(kind)) throw new Error(`thrown by the page in ${kind}`);
    };
    if (getToken) {
      options.getToken = async () => {
        say("token");
        const answer = await fetch(`/token?topic=${encodeURIComponent(options.topic)}`);
        if (!answer.ok) throw new Error(`PHP answered ${answer.status}`);
        return answer.text();
      };
    }
    return { say, options, brief };
  };

  globalThis.harness = {
    connections,
    sockets,
    connect(name, url, asked) {
      const { say, options, brief } = prepare(name, asked);
      connections.set(name, globalThis.WavelogWorker.connect(url, {
        ...options,
        onMessage: (payload, frame) => say("push", brief ? { payload: { n: payload.n } } : { payload, frame }),
        onFrame: (frame) => say("frame", { frame }),
        onState: (state, detail) => say("state", { state, detail }),
        onResync: (reason) => say("resync", { reason }),
      }));
    },
    subscribe(name, asked) {
      const { say, options } = prepare(name, asked);
      const hooks = {};
      for (const hook of ["onOpen", "onMessage", "onClose", "onReconnecting", "onReconnect", "onFailed"]) {
        hooks[hook] = (...args) => say(hook, { args });
      }
      // On a busy machine a page's first socket takes longer than the usual 1.5 s.
      const patient = { connectTimeoutMs: 10_000, ...options, ...hooks };
      connections.set(name, globalThis.WavelogWorker.subscribe(patient));
    },
    call(name, method, args) {
      const connection = connections.get(name);
      const member = connection[method];
      return typeof member === "function" ? member.apply(connection, args) : member;
    },
    /** What is set, open or listened to. */
    left() {
      const open = [...sockets].filter((socket) => socket.readyState < WebSocket.CLOSING);
      return { timers: timers.size, sockets: open.length, listeners: listeners.map((entry) => entry[1]) };
    },
    /** Closes every connection and says what is left after that. */
    closeAll() {
      for (const connection of connections.values()) connection.close();
      return globalThis.harness.left();
    },
  };
}
