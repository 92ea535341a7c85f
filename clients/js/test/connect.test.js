// `connect` on fake sockets and a fake clock: everything that must be exact.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../build/connect.js";
import { fakeBrowser, FakeSocket, tokenFor } from "./fakes.js";

const URL_OF_WORKER = "wss://worker.example";

/** A connection, and `said`, everything that the page was told, in short. */
function start(browser, more = {}) {
  const said = [];
  const details = [];
  const connection = connect(more.url ?? URL_OF_WORKER, {
    topic: "session.42",
    token: "token" in more ? more.token : tokenFor(3600),
    onMessage: (payload) => said.push(`push ${JSON.stringify(payload)}`),
    onFrame: (frame) => said.push(`frame ${frame.type}`),
    onState: (state, detail) => {
      said.push(state);
      details.push(detail);
    },
    onResync: (reason) => said.push(`resync ${reason}`),
    ...more,
  });
  browser.keep(connection);
  return { connection, said, details };
}

/** The same, live. */
async function startLive(browser, more) {
  const started = start(browser, more);
  await browser.pass(0);
  browser.socket.accept(more?.answer);
  assert.equal(started.connection.state, "live");
  started.said.length = 0;
  return started;
}

/** A function that gives these answers one after the other, and counts. */
function answers(...list) {
  const ask = async () => {
    ask.asked += 1;
    const answer = list.length > 1 ? list.shift() : list[0];
    if (answer instanceof Error) throw answer;
    return answer;
  };
  ask.asked = 0;
  return ask;
}

test("it authenticates, and hands on what is published", async (t) => {
  const browser = fakeBrowser(t);
  const token = tokenFor(3600);
  const { connection, said } = start(browser, { token, topic: "raum ä/1" });

  await browser.pass(0);
  assert.equal(browser.socket.url, "wss://worker.example/ws?topic=raum%20%C3%A4%2F1");
  browser.socket.open();
  assert.deepEqual(browser.socket.sent, [{ type: "auth", token, v: 2 }]);
  browser.socket.says({ type: "auth_ok", v: 2 });
  browser.socket.says({ type: "push", payload: { a: 1 } });
  browser.socket.says({ type: "status", payload: {} });

  assert.deepEqual(said, ["connecting", "live", 'push {"a":1}', "frame status"]);
  assert.equal(connection.send({ type: "status" }), true);
  assert.equal(connection.send('{"type":"status"}'), true);
  assert.deepEqual(browser.socket.sent.slice(1), [{ type: "status" }, { type: "status" }]);
});

test("without a token the auth frame has an empty one, for open topics", async (t) => {
  const browser = fakeBrowser(t);
  start(browser, { token: undefined });

  await browser.pass(0);
  browser.socket.open();

  assert.deepEqual(browser.socket.sent, [{ type: "auth", token: "", v: 2 }]);
});

test("nothing is called before connect returned", async (t) => {
  const browser = fakeBrowser(t);
  const getToken = answers(tokenFor(3600));

  const { connection, said } = start(browser, { token: undefined, getToken });

  assert.deepEqual(said, []);
  assert.equal(getToken.asked, 0);
  assert.equal(connection.state, "connecting");
  assert.equal(connection.send({ type: "status" }), false);
});

test("after close nothing is called, and no timer, listener or socket is left", async (t) => {
  const browser = fakeBrowser(t);
  const stages = {
    "at once": async () => {},
    "while a token is fetched": async () => browser.pass(0),
    "while it opens": async () => browser.pass(0),
    "while it authenticates": async () => {
      await browser.pass(0);
      browser.socket.open();
    },
    "while it is live": async () => {
      await browser.pass(0);
      browser.socket.accept();
    },
    "while it is asked whether it is alive": async () => {
      await browser.pass(0);
      browser.socket.accept();
      await browser.pass(33_000);
    },
    "while it waits": async () => {
      await browser.pass(0);
      browser.socket.ends();
    },
    "while a resync is spread": async () => {
      await browser.pass(6_000);
      browser.socket.accept();
    },
  };

  for (const [stage, reach] of Object.entries(stages)) {
    const getToken = stage.includes("fetched") ? () => new Promise(() => {}) : undefined;
    const token = getToken ? undefined : tokenFor(3600);
    const { connection, said } = start(browser, { token, getToken, resyncSpreadMs: 1000 });
    await reach();
    connection.close();
    said.length = 0;
    const { socket } = browser;
    socket?.accept();
    socket?.says({ type: "push", payload: 1 });
    socket?.ends();
    browser.goOffline();
    browser.goOnline();
    browser.show();
    connection.retry();
    assert.equal(connection.send({ type: "status" }), false, stage);
    await browser.pass(3_600_000);

    assert.deepEqual(said, [], stage);
    assert.equal(connection.state, "closed", stage);
    assert.equal(browser.timers, 0, stage);
    assert.equal(browser.listeners, 0, stage);
    assert.equal(browser.sockets.filter((one) => one.readyState < 2).length, 0, stage);
  }
});

test("closing within any callback is the end", async (t) => {
  const browser = fakeBrowser(t);
  const ends = {
    connecting: () => {},
    live: () => browser.socket.accept(),
    waiting: () => browser.socket.ends(),
    refused: () => browser.socket.ends(4403),
    resync: () => browser.socket.accept(),
    push: () => browser.socket.accept().says({ type: "push", payload: 1 }),
  };

  for (const [word, cause] of Object.entries(ends)) {
    const said = [];
    const on = (name) => {
      said.push(name);
      if (name === word) connection.close();
    };
    const connection = connect(URL_OF_WORKER, {
      topic: "t",
      onMessage: () => on("push"),
      onState: on,
      onResync: () => on("resync"),
    });
    await browser.pass(word === "resync" ? 6_000 : 0);
    cause();
    await browser.pass(120_000);

    assert.equal(said.at(-1), word);
    assert.equal(said.filter((name) => name === word).length, 1, word);
    assert.equal(browser.timers + browser.listeners, 0, word);
  }
});

test("what a page says wrongly is a TypeError that says what to do", (t) => {
  fakeBrowser(t);
  const onMessage = () => {};

  assert.throws(() => connect(URL_OF_WORKER, { onMessage }), { name: "TypeError", message: /topic is missing/ });
  assert.throws(() => connect(URL_OF_WORKER, { topic: "", onMessage }), /topic is missing/);
  assert.throws(() => connect(URL_OF_WORKER, { topic: "t" }), { name: "TypeError", message: /onMessage is missing/ });
  assert.throws(() => connect("worker.example", { topic: "t", onMessage }), {
    name: "TypeError",
    message: /"worker.example" is no address of a worker; write wss:/,
  });
});

test("the pause before an attempt is random, doubles, starts below 1 s and ends at 30 s", async (t) => {
  const browser = fakeBrowser(t);
  const { details, said } = start(browser);
  browser.random = 0.999_999;

  const pauses = [];
  for (let failure = 1; failure <= 8; failure += 1) {
    await browser.pass(failure === 1 ? 0 : pauses.at(-1));
    browser.socket.ends();
    pauses.push(details.at(-1).retryInMs);
    assert.equal(details.at(-1).failures, failure);
  }

  assert.deepEqual(pauses, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  assert.deepEqual(said.slice(0, 4), ["connecting", "waiting", "connecting", "waiting"]);
  assert.deepEqual(details[1], { failures: 1, retryInMs: 1000, code: 1006, reason: "closed" });
  browser.random = 0.1;
  await browser.pass(30_000);
  browser.socket.ends();
  assert.equal(details.at(-1).retryInMs, 3000);
});

test("it waits as long as it said", async (t) => {
  const browser = fakeBrowser(t);
  const { connection } = start(browser);
  await browser.pass(0);
  browser.socket.ends();

  await browser.pass(499);
  assert.equal(connection.state, "waiting");
  assert.equal(browser.sockets.length, 1);
  await browser.pass(1);

  assert.equal(connection.state, "connecting");
  assert.equal(browser.sockets.length, 2);
});

test("a worker that accepts and closes at once is not hammered", async (t) => {
  const browser = fakeBrowser(t);
  const { details } = start(browser);
  browser.random = 0.999_999;

  const pauses = [];
  for (let round = 0; round < 5; round += 1) {
    await browser.pass(pauses.at(-1) ?? 0);
    browser.socket.accept().ends(1001);
    pauses.push(details.at(-1).retryInMs);
  }

  assert.deepEqual(pauses, [1000, 2000, 4000, 8000, 16_000]);
});

test("after ten seconds of being live the pauses begin anew", async (t) => {
  const browser = fakeBrowser(t);
  const { details } = start(browser);
  await browser.pass(0);
  for (let failure = 0; failure < 6; failure += 1) {
    browser.socket.ends();
    await browser.nextSocket();
  }
  browser.socket.accept();

  await browser.pass(10_000);
  browser.socket.ends(1001);

  assert.deepEqual(details.at(-1), { failures: 0, retryInMs: 500, code: 1001, reason: "closed" });
});

test("a clock that is set back does not make a good connection a bad one", async (t) => {
  const browser = fakeBrowser(t);
  const { details } = await startLive(browser);
  await browser.pass(20_000);

  browser.setClock(-3_600_000);
  browser.socket.ends();

  assert.equal(details.at(-1).failures, 0);
});

test("an overloaded worker (1013) gets a longer pause", async (t) => {
  const browser = fakeBrowser(t);
  const { details } = await startLive(browser);

  await browser.pass(10_000);
  browser.socket.ends(1013);

  assert.equal(details.at(-1).retryInMs, 4000);
});

test("an attempt has so many milliseconds, whether its socket opens or not", async (t) => {
  const browser = fakeBrowser(t);
  const { details } = start(browser, { connectTimeoutMs: 3000 });

  await browser.pass(2999);
  assert.equal(details.length, 1);
  await browser.pass(1);
  assert.deepEqual(details[1], { failures: 1, retryInMs: 500, reason: "timeout", code: 1006 });
  assert.ok(browser.socket.dropped);
  await browser.pass(500);
  browser.socket.open();
  await browser.pass(3000);

  assert.deepEqual(details[3], { failures: 2, retryInMs: 1000, reason: "timeout", code: 1006 });
});

test("times longer than any timer of a browser are long, and not none", async (t) => {
  const browser = fakeBrowser(t);
  browser.random = 1;
  const times = { connectTimeoutMs: Infinity, firstRetryMs: 1e12, maxRetryMs: Infinity };
  const { connection } = start(browser, { ...times, heartbeatMs: 0 });

  await browser.pass(86_400_000);
  assert.equal(browser.sockets.length, 1);
  browser.socket.ends();
  await browser.pass(86_400_000);
  assert.equal(browser.sockets.length, 1);
  connection.retry();
  browser.socket.accept();

  assert.equal(connection.state, "live");
});

test("a heartbeat of Infinity is none", async (t) => {
  const browser = fakeBrowser(t);
  const { connection } = await startLive(browser, { heartbeatMs: Infinity });
  const timers = t.mock.method(globalThis, "setTimeout").mock;

  await browser.pass(86_400_000);

  assert.equal(connection.state, "live");
  assert.equal(timers.callCount(), 0);
});

test("a browser that forbids the socket is told on the console, once", async (t) => {
  const browser = fakeBrowser(t);
  FakeSocket.forbidden = new Error("mixed content");
  const { connection, details } = start(browser);

  await browser.pass(10_000);

  assert.deepEqual(browser.reported, [FakeSocket.forbidden]);
  assert.equal(details[1].reason, "blocked");
  FakeSocket.forbidden = undefined;
  await browser.nextSocket();
  browser.socket.accept();
  assert.equal(connection.state, "live");
});

test("frames that are none are ignored, and so are binary ones", async (t) => {
  const browser = fakeBrowser(t);
  const { connection, said } = await startLive(browser);

  for (const noise of ["", "{", "null", "7", '"auth_ok"', "[]", "{}", '{"type":1}']) {
    browser.socket.says(noise);
  }
  browser.socket.onmessage({ data: new ArrayBuffer(3) });

  assert.deepEqual(said, []);
  assert.equal(connection.state, "live");
});

test("what comes before auth_ok comes to the page after it", async (t) => {
  const browser = fakeBrowser(t);
  const { said } = start(browser);
  await browser.pass(0);

  browser.socket.open();
  browser.socket.says({ type: "push", payload: 1 });
  browser.socket.says({ type: "auth_ok" });
  browser.socket.says({ type: "push", payload: 2 });

  assert.deepEqual(said, ["connecting", "live", "push 1", "push 2"]);
});

test("callbacks that throw break nothing, and the console shows it", async (t) => {
  const browser = fakeBrowser(t);
  const error = new Error("of the page");
  const throws = () => {
    throw error;
  };
  const { connection } = start(browser, { onMessage: throws, onFrame: throws, onState: throws, onResync: throws });

  await browser.pass(0);
  browser.socket.accept().says({ type: "push", payload: 1 });
  browser.socket.says({ type: "status" });
  browser.socket.ends();
  await browser.pass(500);
  browser.socket.accept();

  assert.equal(connection.state, "live");
  assert.equal(browser.reported.length, 8);
  assert.ok(browser.reported.every((one) => one === error));
});

test("a page in an old browser sees its errors, too", async (t) => {
  const browser = fakeBrowser(t);
  globalThis.reportError = undefined;
  await startLive(browser, { onMessage: () => { throw new Error("of the page"); } });

  browser.socket.says({ type: "push", payload: 1 });

  await assert.rejects(() => browser.pass(0), /of the page/);
});

test("50 connections share one set of listeners", async (t) => {
  const browser = fakeBrowser(t);
  start(browser).connection.close();
  const one = start(browser);
  const { listeners } = browser;

  const more = Array.from({ length: 49 }, () => start(browser));

  assert.ok(listeners > 0);
  assert.equal(browser.listeners, listeners);
  more.forEach(({ connection }) => connection.close());
  assert.equal(browser.listeners, listeners);
  one.connection.close();
  one.connection.close();
  assert.equal(browser.listeners, 0);
});

test("retry tries at once, and asks a live connection whether it is", async (t) => {
  const browser = fakeBrowser(t);
  const { connection } = await startLive(browser);

  connection.retry();
  assert.deepEqual(browser.socket.sent.at(-1), { type: "ping" });
  browser.socket.ends(4403);
  assert.equal(connection.state, "refused");
  connection.retry();
  assert.equal(connection.state, "connecting");
  connection.retry();

  assert.equal(browser.sockets.length, 2);
});

// The network and the page.

test("without a network nothing is tried until it is back", async (t) => {
  const browser = fakeBrowser(t);
  browser.goOffline();
  const { said } = start(browser);

  await browser.pass(600_000);
  browser.show();
  assert.deepEqual(said, ["offline"]);
  assert.equal(browser.sockets.length, 0);
  browser.goOnline();
  await browser.pass(250);

  assert.deepEqual(said, ["offline", "waiting", "connecting"]);
  assert.equal(browser.sockets.length, 1);
});

test("a connection that ends without a network waits for it", async (t) => {
  const browser = fakeBrowser(t);
  const { said, details } = await startLive(browser);

  browser.goOffline();
  assert.deepEqual(said, []);
  browser.socket.ends(1006);
  assert.deepEqual(said, ["offline"]);
  assert.deepEqual(details.at(-1), { failures: 1, code: 1006, reason: "closed" });
  browser.random = 0.999_999;
  browser.goOnline();
  await browser.pass(249);
  assert.equal(browser.sockets.length, 1);
  await browser.pass(2);

  assert.equal(browser.sockets.length, 2);
});

test("one that waits goes offline with the network", async (t) => {
  const browser = fakeBrowser(t);
  const { said } = await startLive(browser);
  browser.socket.ends();

  browser.goOffline();
  await browser.pass(60_000);

  assert.deepEqual(said, ["waiting", "offline"]);
  assert.equal(browser.sockets.length, 1);
});

test("a live connection is asked when the network goes, and not thrown away", async (t) => {
  const browser = fakeBrowser(t);
  const { connection, said, details } = await startLive(browser);

  browser.goOffline();
  assert.deepEqual(browser.socket.sent.at(-1), { type: "ping" });
  browser.socket.says({ type: "pong" });
  await browser.pass(20_000);
  assert.equal(connection.state, "live");
  browser.goOnline();
  await browser.pass(4_999);
  assert.equal(connection.state, "live");
  await browser.pass(1);

  assert.deepEqual(said, ["waiting", "connecting"]);
  assert.equal(details.at(-2).reason, "silent");
});

test("a worker on this machine needs no network", async (t) => {
  const browser = fakeBrowser(t);
  browser.goOffline();

  for (const host of ["127.0.0.1:9000", "localhost:9000", "worker.localhost", "[::1]:9000"]) {
    const { connection } = start(browser, { url: `ws://${host}` });
    await browser.pass(0);
    assert.equal(connection.state, "connecting", host);
  }

  const { connection } = start(browser, { url: "ws://localhost.example" });
  await browser.pass(0);
  assert.equal(connection.state, "offline");
});

test("retry tries without a network, too: browsers are wrong at times", async (t) => {
  const browser = fakeBrowser(t);
  browser.goOffline();
  const { connection } = start(browser);
  await browser.pass(0);

  connection.retry();
  browser.socket.accept();

  assert.equal(connection.state, "live");
});

test("somebody who looks at the page does not wait", async (t) => {
  const browser = fakeBrowser(t);
  const looks = {
    visible: () => browser.show(),
    "from the history": () => browser.page.dispatch("pageshow", { persisted: true }),
    thawed: () => browser.document.dispatch("resume"),
  };

  for (const [way, look] of Object.entries(looks)) {
    const { connection } = start(browser, { firstRetryMs: 60_000, maxRetryMs: 60_000 });
    await browser.pass(0);
    browser.socket.ends();

    await browser.pass(1000);
    browser.show("hidden");
    browser.page.dispatch("pageshow", { persisted: false });
    assert.equal(connection.state, "waiting", way);
    look();

    assert.equal(connection.state, "connecting", way);
    connection.close();
  }
});

test("somebody who looks just after an attempt waits until it is a second old, no longer", async (t) => {
  const browser = fakeBrowser(t);
  const { connection } = start(browser, { firstRetryMs: 60_000, maxRetryMs: 60_000 });
  await browser.pass(0);
  browser.socket.ends();

  browser.show();
  await browser.pass(900);
  assert.equal(connection.state, "waiting");
  await browser.pass(100);

  assert.equal(connection.state, "connecting");
  connection.close();
});

test("somebody who looks does not put off what comes sooner", async (t) => {
  const browser = fakeBrowser(t);
  const { connection } = start(browser, { firstRetryMs: 100 });
  await browser.pass(0);
  browser.socket.ends();

  browser.show();
  await browser.pass(100);

  assert.equal(connection.state, "connecting");
  connection.close();
});

// Tokens.

test("a clock that is set back does not make somebody who looks wait", async (t) => {
  const browser = fakeBrowser(t);
  browser.random = 1;
  const { connection } = start(browser, { firstRetryMs: 20_000 });
  await browser.pass(0);
  browser.socket.ends();
  await browser.pass(5_000);

  browser.setClock(-3_600_000);
  browser.show();
  await browser.pass(1_000);

  assert.equal(browser.sockets.length, 2);
  assert.equal(connection.state, "connecting");
});

test("getToken is asked when there is no token", async (t) => {
  const browser = fakeBrowser(t);
  const fresh = tokenFor(3600);
  const getToken = answers(fresh);
  const { said } = start(browser, { token: undefined, getToken });

  await browser.pass(0);
  browser.socket.accept();

  assert.equal(browser.socket.sent[0].token, fresh);
  assert.deepEqual(said, ["connecting", "live"]);
  assert.equal(getToken.asked, 1);
});

test("a line feed behind a token, as PHP's templates have it, does no harm", async (t) => {
  const browser = fakeBrowser(t);
  start(browser, { token: undefined, getToken: () => "7b7d.00\r\n" });

  await browser.pass(0);
  browser.socket.accept();

  assert.equal(browser.socket.sent[0].token, "7b7d.00");
});

test("getToken is asked before an attempt whose token has expired, and not otherwise", async (t) => {
  const browser = fakeBrowser(t);
  const getToken = answers(tokenFor(7200));
  await startLive(browser, { token: tokenFor(3600), getToken });

  browser.socket.ends();
  await browser.pass(500);
  assert.equal(getToken.asked, 0);
  browser.socket.accept().answers = true;
  await browser.pass(3598_000);
  browser.socket.ends();
  await browser.pass(500);

  assert.equal(getToken.asked, 1);
  assert.equal(browser.socket.accept().sent[0].token, await getToken());
});

test("a token that cannot be read is left to the worker", async (t) => {
  const browser = fakeBrowser(t);
  const getToken = answers(tokenFor(3600));

  await startLive(browser, { token: "zz.00", getToken });

  assert.equal(getToken.asked, 0);
  assert.equal(browser.socket.sent[0].token, "zz.00");
});

test("a refused token is fetched anew, at once the first time and then with pauses", async (t) => {
  const browser = fakeBrowser(t);
  const getToken = answers(tokenFor(3600, { n: 1 }), tokenFor(3600, { n: 2 }), tokenFor(3600, { n: 3 }));
  const { details, said } = start(browser, { getToken });
  const refuse = () => {
    browser.socket.open();
    browser.socket.says({ type: "error", code: "unauthorized", message: "invalid or expired token" });
  };
  await browser.pass(0);

  refuse();
  assert.deepEqual(details[1], { failures: 1, retryInMs: 0, code: 1008, reason: "unauthorized" });
  await browser.pass(0);
  assert.equal(browser.sockets.length, 2);
  refuse();
  assert.deepEqual(details.at(-1), { failures: 2, retryInMs: 1000, code: 1008, reason: "unauthorized" });
  await browser.pass(1000);
  browser.socket.accept();

  assert.deepEqual(said, [
    "connecting", "waiting", "connecting", "waiting", "connecting", "live", "resync late",
  ]);
  assert.equal(getToken.asked, 2);
});

test("a worker that lets in and throws out at once is not hammered with fresh tokens", async (t) => {
  const browser = fakeBrowser(t);
  const getToken = answers(tokenFor(3600));
  const { details } = start(browser, { getToken });
  browser.random = 0.999_999;

  const pauses = [];
  for (let round = 0; round < 4; round += 1) {
    await browser.pass(pauses.at(-1) ?? 0);
    browser.socket.accept().ends(4401);
    pauses.push(details.filter((one) => one.code).at(-1).retryInMs);
  }

  assert.deepEqual(pauses, [0, 2000, 4000, 8000]);
});

test("without getToken a refused token is the end, however it is said", async (t) => {
  const browser = fakeBrowser(t);
  const refusals = {
    "an error frame": (socket) => socket.says({ type: "error", code: "auth_required" }),
    "close 1008": (socket) => socket.ends(1008),
    "close 4401": (socket) => socket.ends(4401),
    "close 4403": (socket) => socket.ends(4403),
  };

  for (const [way, refuse] of Object.entries(refusals)) {
    const { connection, said } = start(browser, { token: tokenFor(-60) });
    await browser.pass(0);
    const { length } = browser.sockets;
    browser.socket.open();
    refuse(browser.socket);
    browser.show();
    await browser.pass(3_600_000);

    assert.deepEqual(said, ["connecting", "refused"], way);
    assert.equal(browser.sockets.length, length, way);
    connection.retry();
    assert.equal(connection.state, "connecting", way);
    connection.close();
  }
});

test("what PHP withdrew (4403) is over, even with getToken", async (t) => {
  const browser = fakeBrowser(t);
  const getToken = answers(tokenFor(3600));
  const { connection } = await startLive(browser, { getToken });

  browser.socket.ends(4403);
  await browser.pass(60_000);
  assert.equal(connection.state, "refused");
  assert.equal(getToken.asked, 0);
  connection.retry();
  await browser.pass(0);

  assert.equal(getToken.asked, 1);
});

test("an error that says nothing about the token is a failure like others", async (t) => {
  const browser = fakeBrowser(t);
  const { details, connection } = start(browser);
  await browser.pass(0);

  browser.socket.open();
  browser.socket.says({ type: "error", code: "busy" });

  assert.equal(connection.state, "waiting");
  assert.equal(details.at(-1).reason, "busy");
});

test("a getToken that fails, hangs or gives nonsense is asked again after a pause", async (t) => {
  const browser = fakeBrowser(t);
  const failures = {
    rejected: () => Promise.reject(new Error("404")),
    thrown: () => { throw new Error("of the page"); },
    empty: () => "",
    "not a string": () => ({ token: "t" }),
    "a page with a login": () => "<!doctype html><title>Log in</title>",
    "longer than the worker takes": () => "a".repeat(4001),
    nothing: () => undefined,
    "never there": () => new Promise(() => {}),
  };

  for (const [way, fail] of Object.entries(failures)) {
    let failing = true;
    const getToken = () => (failing ? fail() : tokenFor(3600));
    const { connection, details } = start(browser, { token: undefined, getToken });
    await browser.pass(way === "never there" ? 15_000 : 0);
    assert.equal(connection.state, "waiting", way);
    assert.equal(details.at(-1).reason, "token", way);
    assert.equal(details.at(-1).retryInMs, 500, way);
    failing = false;
    await browser.pass(500);
    browser.socket.accept();

    assert.equal(connection.state, "live", way);
    assert.match(browser.warned.at(-1), /getToken gave no token/, way);
    connection.close();
  }
});

test("a token that comes after its time is not used", async (t) => {
  const browser = fakeBrowser(t);
  let give;
  const { connection } = start(browser, {
    token: undefined,
    getToken: () => new Promise((resolve) => { give = resolve; }),
  });
  await browser.pass(0);
  const first = give;
  await browser.pass(15_500);

  first("late.00");
  await browser.pass(0);
  assert.equal(browser.sockets.length, 0);
  give("good.00");
  await browser.pass(0);

  assert.equal(browser.socket.accept().sent[0].token, "good.00");
  assert.equal(connection.state, "live");
});

test("PHP is asked at the third failure to open, soon again, and then every 20 s or so, so that it registers", async (t) => {
  const browser = fakeBrowser(t);
  const getToken = answers(tokenFor(36_000));
  start(browser, { getToken });

  const asked = [];
  await browser.pass(0);
  for (let failure = 1; failure <= 14; failure += 1) {
    browser.socket.ends();
    await browser.nextSocket();
    if (getToken.asked > asked.length) asked.push({ failure, at: Date.now() });
  }

  const pauses = asked.slice(1).map(({ at }, place) => at - asked[place].at);
  assert.equal(asked[0].failure, 3);
  assert.ok(pauses.length >= 4, String(pauses));
  pauses.forEach((ms, place) => {
    const after = Math.min(5_000 * (place + 1), 20_000); // Then at the end of the next pause but one at the latest.
    assert.ok(ms >= after && ms <= after + 60_000, String(pauses));
  });
});

test("PHP is asked at the first failure to open after it was live: a restarted worker has forgotten the topic", async (t) => {
  const browser = fakeBrowser(t);
  const getToken = answers(tokenFor(36_000));
  await startLive(browser, { getToken });
  getToken.asked = 0;

  browser.socket.ends();
  await browser.nextSocket();
  assert.equal(getToken.asked, 0); // The token is good, and the worker may be there.
  browser.socket.ends();
  await browser.nextSocket();

  assert.equal(getToken.asked, 1);
});

test("the attempt that follows 5 s after PHP was asked asks it once more, though the failure before it came too soon", async (t) => {
  const browser = fakeBrowser(t);
  const getToken = answers(tokenFor(36_000));
  await startLive(browser, { getToken });
  getToken.asked = 0;
  const nextAttempt = async () => {
    browser.socket.ends();
    await browser.nextSocket();
  };

  while (getToken.asked < 1) await nextAttempt();
  const askedAt = Date.now();
  while (Date.now() - askedAt < 5_000) await nextAttempt();

  assert.equal(getToken.asked, 2);
});

test("a PHP that is away does not keep a good token from being tried", async (t) => {
  const browser = fakeBrowser(t);
  const token = tokenFor(36_000);
  const getToken = answers(new Error("502"));
  const { connection } = start(browser, { token, getToken });
  await browser.pass(0);
  for (let failure = 1; failure <= 3; failure += 1) {
    browser.socket.ends();
    await browser.nextSocket();
  }

  assert.equal(getToken.asked, 1);
  browser.socket.accept();
  assert.equal(browser.socket.sent[0].token, token);
  assert.equal(connection.state, "live");
});

// What was missed.

test("a page hears of each gap once", async (t) => {
  const browser = fakeBrowser(t);
  const { said } = await startLive(browser);

  browser.socket.ends(1001);
  await browser.pass(500);
  browser.socket.ends();
  await browser.pass(1000);
  browser.socket.accept();
  browser.socket.says({ type: "push", payload: 1 });

  assert.deepEqual(said, [
    "waiting", "connecting", "waiting", "connecting", "live", "resync reconnected", "push 1",
  ]);
});

test("what the worker said with 4008 or 4009 is told as such, also after failures", async (t) => {
  const browser = fakeBrowser(t);
  for (const code of [4008, 4009]) {
    const { connection, said } = await startLive(browser);
    browser.socket.ends(code);
    await browser.pass(500);
    browser.socket.ends(1006);
    await browser.pass(1000);
    browser.socket.accept().ends(1001);
    await browser.pass(4000);
    browser.socket.accept();

    assert.deepEqual(said.filter((word) => word.startsWith("resync")), ["resync told", "resync reconnected"]);
    connection.close();
  }
});

test("a first connection that comes late is told, and one that comes soon is not", async (t) => {
  const browser = fakeBrowser(t);
  const soon = start(browser);
  const slow = start(browser);
  await browser.pass(0);
  const [soonSocket, slowSocket] = browser.sockets;
  await browser.pass(5000);
  soonSocket.accept();
  await browser.pass(1);
  slowSocket.accept();
  const failed = start(browser);
  await browser.pass(0);
  browser.socket.ends();
  await browser.pass(500);
  browser.socket.accept();

  assert.deepEqual(soon.said, ["connecting", "live"]);
  assert.deepEqual(slow.said, ["connecting", "live", "resync late"]);
  assert.deepEqual(failed.said, ["connecting", "waiting", "connecting", "live", "resync late"]);
});

test("with lateMs 0 every first connection is late, and each later one is told once as ever", async (t) => {
  const browser = fakeBrowser(t);
  const { said, connection } = start(browser, { lateMs: 0 });
  await browser.pass(0);
  browser.socket.accept();
  browser.socket.ends();
  await browser.pass(1_000);
  browser.socket.accept();

  assert.deepEqual(said, [
    "connecting", "live", "resync late", "waiting", "connecting", "live", "resync reconnected",
  ]);
  connection.close();
});

test("resyncSpreadMs spreads the signal, and a second gap meanwhile adds none", async (t) => {
  const browser = fakeBrowser(t);
  const { said } = await startLive(browser, { resyncSpreadMs: 10_000 });
  const resyncs = () => said.filter((word) => word.startsWith("resync"));

  for (let gap = 0; gap < 2; gap += 1) {
    browser.socket.ends();
    await browser.pass(1000);
    browser.socket.accept();
    assert.deepEqual(resyncs(), []);
  }
  await browser.pass(4000);
  assert.deepEqual(resyncs(), ["resync reconnected"]);
  await browser.pass(60_000);
  assert.deepEqual(resyncs(), ["resync reconnected"]);
});
