// When a live socket is asked whether it is alive, and when it is taken for dead.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../build/connect.js";
import { fakeBrowser } from "./fakes.js";

/** A live connection, what its `onState` said, and how many questions its socket was asked. */
async function startLive(browser, { answer, ...more } = {}) {
  const details = [];
  const connection = browser.keep(connect("wss://worker.example", {
    topic: "t",
    onMessage: () => {},
    onState: (state, detail) => details.push({ state, ...detail }),
    ...more,
  }));
  await browser.pass(0);
  const socket = browser.socket.accept(answer);
  const pings = () => socket.sent.filter((frame) => frame.type === "ping").length;
  return { connection, details, socket, pings };
}

test("a socket that was silent for 30 s is asked, and one that answers stays", async (t) => {
  const browser = fakeBrowser(t);
  const { connection, socket, pings } = await startLive(browser);
  socket.answers = true;

  await browser.pass(29_999);
  assert.equal(pings(), 0);
  await browser.pass(1);
  assert.equal(pings(), 1);
  await browser.pass(600_000);

  assert.equal(pings(), 21);
  assert.equal(connection.state, "live");
  assert.equal(browser.sockets.length, 1);
});

test("browsers do not ask in step: 10 % sooner or later", async (t) => {
  const browser = fakeBrowser(t);
  browser.random = 0;
  const soon = await startLive(browser);
  browser.random = 1;
  const late = await startLive(browser);

  await browser.pass(27_000);
  assert.deepEqual([soon.pings(), late.pings()], [1, 0]);
  await browser.pass(6_000);

  assert.deepEqual([soon.pings(), late.pings()], [1, 1]);
});

test("a socket from which something comes is not asked", async (t) => {
  const browser = fakeBrowser(t);
  const { socket, pings } = await startLive(browser);

  for (let push = 0; push < 30; push += 1) {
    await browser.pass(20_000);
    socket.says({ type: "push", payload: push });
  }

  assert.equal(pings(), 0);
});

test("no answer within 10 s: the socket is forgotten and another opened at once", async (t) => {
  const browser = fakeBrowser(t);
  const { connection, details, socket } = await startLive(browser);

  await browser.pass(39_999);
  assert.equal(connection.state, "live");
  await browser.pass(1);

  assert.ok(socket.dropped);
  assert.equal(browser.sockets.length, 2);
  assert.deepEqual(details.slice(-2), [
    { state: "waiting", failures: 0, retryInMs: 0, code: 1006, reason: "silent" },
    { state: "connecting", failures: 0 },
  ]);
});

test("whatever comes is an answer", async (t) => {
  const browser = fakeBrowser(t);
  const { connection, socket } = await startLive(browser);

  await browser.pass(35_000);
  socket.says({ type: "push", payload: 1 });
  await browser.pass(29_000);

  assert.equal(connection.state, "live");
});

test("the answers are not handed on", async (t) => {
  const browser = fakeBrowser(t);
  const frames = [];
  const { socket } = await startLive(browser, { onFrame: (frame) => frames.push(frame) });
  socket.answers = true;

  await browser.pass(100_000);

  assert.deepEqual(frames, []);
});

test("doubt hurries: an answer has 5 s then", async (t) => {
  const browser = fakeBrowser(t);
  const { details, pings } = await startLive(browser);

  browser.show();
  assert.equal(pings(), 1);
  await browser.pass(4_999);
  assert.equal(details.at(-1).state, "live");
  await browser.pass(1);

  assert.equal(details.at(-2).reason, "silent");
});

test("doubt does not prolong a wait that is under way", async (t) => {
  const browser = fakeBrowser(t);
  const { connection, pings } = await startLive(browser);
  await browser.pass(38_000);

  browser.show();
  connection.retry();
  await browser.pass(1_999);
  assert.equal(connection.state, "live");
  await browser.pass(1);

  assert.equal(pings(), 1);
  assert.equal(connection.state, "connecting");
});

test("it is not asked twice within a second, however often somebody looks", async (t) => {
  const browser = fakeBrowser(t);
  const { socket, pings } = await startLive(browser, { heartbeatMs: 100 });
  socket.answers = true;

  for (let look = 0; look < 100; look += 1) {
    browser.show();
    await browser.pass(30);
  }

  assert.equal(pings(), 4); // After 0, 1, 2 and 3 seconds.
});

test("heartbeatMs 0 asks only when there is doubt", async (t) => {
  const browser = fakeBrowser(t);
  const { connection, socket, pings } = await startLive(browser, { heartbeatMs: 0 });
  socket.answers = true;

  await browser.pass(3_600_000);
  assert.equal(pings(), 0);
  browser.show();
  await browser.pass(3_600_000);

  assert.equal(pings(), 1);
  assert.equal(connection.state, "live");
});

test("a worker that does not offer it is never asked", async (t) => {
  const browser = fakeBrowser(t);
  for (const answer of [{ type: "auth_ok" }, { type: "auth_ok", v: 1 }]) {
    const { connection, pings } = await startLive(browser, { answer });

    browser.show();
    browser.goOffline();
    browser.goOnline();
    await browser.pass(600_000);

    assert.equal(pings(), 0);
    assert.equal(connection.state, "live");
  }
});

test("after a sleep of more than a minute such a worker has given the socket up", async (t) => {
  const browser = fakeBrowser(t);
  const { connection, details } = await startLive(browser, { answer: { type: "auth_ok" } });

  browser.sleep(59_000);
  await browser.pass(30_000);
  assert.equal(connection.state, "live");
  browser.sleep(70_000);
  await browser.pass(30_000);

  assert.equal(details.at(-2).reason, "asleep");
  assert.equal(connection.state, "connecting");
});

test("after a sleep a worker that offers it is asked, in a hurry", async (t) => {
  const browser = fakeBrowser(t);
  const { connection, details, pings } = await startLive(browser);

  browser.sleep(3_600_000);
  await browser.pass(30_000);
  assert.equal(pings(), 1);
  assert.equal(connection.state, "live");
  await browser.pass(5_000);

  assert.equal(details.at(-2).reason, "silent");
});

test("an answer that stands in line behind the timer of a stopped page counts", async (t) => {
  const browser = fakeBrowser(t);
  const { connection, socket } = await startLive(browser);
  await browser.pass(30_000);

  browser.sleep(3_600_000);
  await browser.pass(10_000);
  assert.equal(connection.state, "live");
  socket.says({ type: "pong" });
  await browser.pass(20_000);

  assert.equal(connection.state, "live");
});

test("a dead socket is noticed, though each timer of a hidden page is late", async (t) => {
  const browser = fakeBrowser(t);
  const { connection } = await startLive(browser);
  await browser.pass(30_000);

  browser.sleep(50_000);
  await browser.pass(10_000);
  browser.sleep(50_000);
  await browser.pass(1_000);

  assert.equal(connection.state, "connecting");
});

test("a clock that is set back, as on a small machine that boots, puts off no question", async (t) => {
  const browser = fakeBrowser(t);
  const { socket, details, pings } = await startLive(browser);
  await browser.pass(10_000);
  socket.says({ type: "push", payload: 1 });

  browser.setClock(-3_600_000);
  await browser.pass(35_000);

  assert.equal(pings(), 1);
  assert.equal(details.at(-2)?.reason, "silent");
});

test("nor does it put off a question of doubt", async (t) => {
  const browser = fakeBrowser(t);
  const { socket, pings } = await startLive(browser);
  socket.answers = true;
  await browser.pass(30_000);
  assert.equal(pings(), 1);

  browser.setClock(-3_600_000);
  browser.show();
  await browser.pass(1_000);

  assert.equal(pings(), 2);
});

test("a clock that is set forward costs a question, and not the socket", async (t) => {
  const browser = fakeBrowser(t);
  const { connection, socket } = await startLive(browser);
  socket.answers = true;

  browser.setClock(3_600_000);
  await browser.pass(120_000);
  browser.setClock(3_600_000);
  browser.show();
  await browser.pass(120_000);

  assert.equal(connection.state, "live");
  assert.equal(browser.sockets.length, 1);
});

test("an answer that is waited for has a second more when a stopped page is looked at", async (t) => {
  const browser = fakeBrowser(t);
  const { connection, socket, pings } = await startLive(browser);
  await browser.pass(30_000);
  assert.equal(pings(), 1);

  browser.sleep(10_300);
  browser.show();
  await browser.pass(900);
  socket.says({ type: "pong" });
  await browser.pass(5_000);

  assert.equal(connection.state, "live");
  assert.equal(browser.sockets.length, 1);
});

test("timers of a hidden page, up to a minute late, do not cost a worker that is not asked its socket", async (t) => {
  const browser = fakeBrowser(t);
  const { connection } = await startLive(browser, { answer: { type: "auth_ok" } });

  for (let minute = 0; minute < 10; minute += 1) {
    browser.sleep(60_500);
    await browser.pass(35_000);
  }

  assert.equal(connection.state, "live");
  assert.equal(browser.sockets.length, 1);
});
