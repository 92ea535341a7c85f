// The application's own client: its callbacks, in its order.

import assert from "node:assert/strict";
import { test } from "node:test";
import { makeDropin } from "../build/dropin.js";
import { fakeBrowser, tokenFor } from "./fakes.js";

const HOOKS = ["onOpen", "onMessage", "onClose", "onReconnecting", "onReconnect", "onFailed"];
const UNAUTHORIZED = { type: "error", code: "unauthorized", message: "invalid or expired token" };

/** A subscription, and `said`, the callbacks that were called, in short. */
function subscribe(browser, { url = "wss://worker.example/", ...more } = {}) {
  const said = [];
  const hooks = Object.fromEntries(HOOKS.map((name) => [name, (value) => {
    said.push(value === undefined ? name : `${name} ${JSON.stringify(value)}`);
  }]));
  const worker = makeDropin({ url }, {});
  const subscription = worker.subscribe({ topic: "t", token: tokenFor(3600), ...hooks, ...more });
  browser.keep(subscription);
  return { subscription, said };
}

/** Lets the next `count` attempts fail before they open. */
async function failTimes(browser, count) {
  for (let failure = 0; failure < count; failure += 1) (await browser.nextSocket()).ends();
}

test("open, frames, and the page's own close", async (t) => {
  const browser = fakeBrowser(t);
  const { subscription, said } = subscribe(browser);

  assert.deepEqual(said, []);
  assert.equal(subscription.isConnected(), false);
  assert.equal(subscription.send({ type: "status" }), false);
  await browser.pass(0);
  assert.equal(browser.socket.url, "wss://worker.example/ws?topic=t");
  browser.socket.accept();
  browser.socket.says({ type: "push", payload: { a: 1 } });
  browser.socket.says({ type: "status", payload: {} });
  assert.equal(subscription.isConnected(), true);
  assert.equal(subscription.send({ type: "status" }), true);
  assert.deepEqual(browser.socket.sent.at(-1), { type: "status" });
  subscription.close();
  subscription.close();
  await browser.pass(600_000);

  assert.deepEqual(said, [
    "onOpen", 'onMessage {"type":"push","payload":{"a":1}}', 'onMessage {"type":"status","payload":{}}',
  ]);
  assert.equal(subscription.isConnected(), false);
  assert.equal(subscription.send("{}"), false);
  assert.equal(browser.listeners, 0);
});

test("a connection that is closed comes back: onReconnect before onOpen", async (t) => {
  const browser = fakeBrowser(t);
  const { subscription, said } = subscribe(browser);
  (await browser.nextSocket()).accept();

  browser.socket.ends(1001);
  assert.equal(subscription.isConnected(), false);
  (await browser.nextSocket()).accept();
  browser.socket.ends(4009);
  (await browser.nextSocket()).accept();

  const round = ["onClose", "onReconnecting 1", "onReconnect", "onOpen"];
  assert.deepEqual(said, ["onOpen", ...round, ...round]);
});

test("within its callbacks isConnected is true from onReconnect on, and false from onClose on", async (t) => {
  const browser = fakeBrowser(t);
  const seen = [];
  const look = (name) => () => seen.push([name, subscription.isConnected()]);
  const { subscription } = subscribe(browser, Object.fromEntries(HOOKS.map((name) => [name, look(name)])));

  (await browser.nextSocket()).accept().ends();
  (await browser.nextSocket()).accept();

  assert.deepEqual(seen, [
    ["onOpen", true], ["onClose", false], ["onReconnecting", false], ["onReconnect", true], ["onOpen", true],
  ]);
});

test("a worker that is away: four retries, onFailed, and then it goes on without a word", async (t) => {
  const browser = fakeBrowser(t);
  const { said } = subscribe(browser);

  await failTimes(browser, 5);
  assert.deepEqual(said, [
    "onClose", "onReconnecting 1", "onClose", "onReconnecting 2", "onClose", "onReconnecting 3",
    "onClose", "onReconnecting 4", "onClose", "onFailed",
  ]);
  said.length = 0;
  await failTimes(browser, 20);
  assert.deepEqual(said, []);
  (await browser.nextSocket()).accept();
  assert.deepEqual(said, ["onReconnect", "onOpen"]);
  browser.socket.ends();

  assert.deepEqual(said.slice(2), ["onClose", "onReconnecting 1"]);
});

test("a token that is refused while it goes on without a word is the end without a word", async (t) => {
  const browser = fakeBrowser(t);
  const { said } = subscribe(browser);
  await failTimes(browser, 5);
  said.length = 0;

  const socket = await browser.nextSocket();
  socket.open();
  socket.says(UNAUTHORIZED);
  await browser.pass(600_000);

  assert.deepEqual(said, []);
  assert.equal(browser.socket, socket);
});

test("a number of retries that the page gives is the end", async (t) => {
  const browser = fakeBrowser(t);
  const once = subscribe(browser, { maxRetries: 1 });
  await failTimes(browser, 2);
  const never = subscribe(browser, { maxRetries: 0 });
  await failTimes(browser, 1);

  await browser.pass(600_000);

  assert.deepEqual(once.said, ["onClose", "onReconnecting 1", "onClose", "onFailed"]);
  assert.deepEqual(never.said, ["onClose", "onFailed"]);
  assert.equal(browser.sockets.length, 3);
  assert.equal(browser.timers - 2, 0, "only the tokens are still watched");
});

test("an attempt that takes longer than 1.5 s is retried without onClose", async (t) => {
  const browser = fakeBrowser(t);
  const { said } = subscribe(browser);

  await browser.pass(1500);

  assert.deepEqual(said, ["onReconnecting 1"]);
  assert.ok(browser.sockets[0].dropped);
});

test("connectTimeoutMs and retryDelayMs are the page's", async (t) => {
  const browser = fakeBrowser(t);
  browser.random = 0.999_999;
  const { said } = subscribe(browser, { connectTimeoutMs: 300, retryDelayMs: 200 });

  await browser.pass(299);
  assert.deepEqual(said, []);
  await browser.pass(1);
  assert.deepEqual(said, ["onReconnecting 1"]);
  await browser.pass(198);
  assert.equal(browser.sockets.length, 1);
  await browser.pass(2);

  assert.equal(browser.sockets.length, 2);
});

test("a dead socket is one that was closed", async (t) => {
  const browser = fakeBrowser(t);
  const { said } = subscribe(browser);
  (await browser.nextSocket()).accept();

  await browser.pass(40_000);

  assert.deepEqual(said, ["onOpen", "onClose", "onReconnecting 1"]);
});

test("an error frame is onFailed at once, without onClose, and the end", async (t) => {
  const browser = fakeBrowser(t);
  for (const error of [UNAUTHORIZED, { type: "error", code: "auth_required" }, { type: "error" }]) {
    const { said, subscription } = subscribe(browser);
    const socket = await browser.nextSocket();
    const { length } = browser.sockets;

    socket.open();
    socket.says(error);
    socket.ends(1008);
    await browser.pass(600_000);

    assert.deepEqual(said, ["onFailed"]);
    assert.equal(subscription.isConnected(), false);
    assert.equal(browser.sockets.length, length);
  }
});

test("so it is later, too", async (t) => {
  const browser = fakeBrowser(t);
  const { said } = subscribe(browser);
  (await browser.nextSocket()).accept();

  browser.socket.says({ type: "error", code: "busy" });
  await browser.pass(600_000);

  assert.deepEqual(said, ["onOpen", "onFailed"]);
  assert.equal(browser.sockets.length, 1);
});

test("a close code that refuses the token is not retried", async (t) => {
  const browser = fakeBrowser(t);
  const { said } = subscribe(browser);
  (await browser.nextSocket()).accept();

  browser.socket.ends(4403);
  await browser.pass(600_000);

  assert.deepEqual(said, ["onOpen", "onClose", "onFailed"]);
});

test("with getToken a refused token is a retry like others", async (t) => {
  const browser = fakeBrowser(t);
  const { said } = subscribe(browser, { getToken: async () => tokenFor(7200) });
  const socket = await browser.nextSocket();

  socket.open();
  socket.says(UNAUTHORIZED);
  await browser.pass(0);
  browser.socket.accept();

  assert.deepEqual(said, ["onReconnecting 1", "onReconnect", "onOpen"]);
});

test("closing within any callback is the end", async (t) => {
  const browser = fakeBrowser(t);
  for (const name of HOOKS) {
    const said = [];
    const { subscription } = subscribe(browser, {
      maxRetries: name === "onFailed" ? 0 : 4,
      ...Object.fromEntries(HOOKS.map((hook) => [hook, () => {
        said.push(hook);
        if (hook === name) subscription.close();
      }])),
    });
    const live = await browser.nextSocket();
    if (name === "onFailed") live.ends();
    else live.accept().says({ type: "push", payload: 1 });
    live.ends();
    if (name === "onReconnect") (await browser.nextSocket()).accept();
    await browser.pass(600_000);

    assert.equal(said.at(-1), name);
    assert.equal(browser.listeners, 0, name);
  }
});

test("hooks that throw break nothing, and none is needed", async (t) => {
  const browser = fakeBrowser(t);
  const throws = () => {
    throw new Error("of the page");
  };
  const { subscription } = subscribe(browser, Object.fromEntries(HOOKS.map((name) => [name, throws])));
  const bare = browser.keep(makeDropin({ url: "wss://worker.example" }, {}).subscribe({ topic: "t" }));
  await browser.pass(0);

  for (const socket of browser.sockets) socket.accept().says({ type: "push", payload: 1 });
  for (const socket of browser.sockets) socket.ends();
  await browser.pass(500);
  for (const socket of browser.sockets.slice(2)) socket.accept();

  assert.equal(subscription.isConnected(), true);
  assert.equal(bare.isConnected(), true);
  assert.equal(browser.reported.length, 6);
});

test("without a good address it fails like a worker that is away, and the console says why", async (t) => {
  const browser = fakeBrowser(t);
  for (const url of [null, "", "worker.example"]) {
    const { subscription, said } = subscribe(browser, { url });
    assert.deepEqual(said, []);
    assert.equal(subscription.send("{}"), false);
    await browser.pass(0);

    assert.deepEqual(said, ["onFailed"]);
    const closed = subscribe(browser, { url });
    closed.subscription.close();
    await browser.pass(0);
    assert.deepEqual(closed.said, []);
    assert.match(browser.reported.at(-1).message, /no address of a worker/);
  }
  assert.equal(makeDropin({ url: "" }, {}).isAvailable(), false);
  assert.equal(makeDropin({}, {}).isAvailable(), false);
  assert.equal(makeDropin({ url: "wss://worker.example" }, {}).isAvailable(), true);
});

test("the address is the one that the original makes: /ws behind it, whatever it is", async (t) => {
  const browser = fakeBrowser(t);
  const addresses = {
    "wss://worker.example": "wss://worker.example/ws",
    "wss://worker.example/": "wss://worker.example/ws",
    "wss://worker.example/live": "wss://worker.example/live/ws",
    "wss://worker.example/ws": "wss://worker.example/ws/ws",
    "wss://worker.example/ws/": "wss://worker.example/ws/ws",
  };

  for (const [url, address] of Object.entries(addresses)) {
    subscribe(browser, { url });
    await browser.pass(0);
    assert.equal(browser.socket.url, `${address}?topic=t`, url);
  }
});

test("the address is looked up when it is needed: PHP may set it later", async (t) => {
  const browser = fakeBrowser(t);
  const worker = {};
  const dropin = makeDropin(worker, {});
  assert.equal(dropin.isAvailable(), false);

  worker.url = "ws://10.0.0.1:9000";
  browser.keep(dropin.subscribe({ topic: "t" }));
  await browser.pass(0);

  assert.equal(browser.socket.url, "ws://10.0.0.1:9000/ws?topic=t");
});

// Tokens that expire.

/** A page with `showToast`, and the toasts it showed. */
function pageWithToasts(more) {
  const toasts = [];
  const page = {
    lang_worker_token_expired_title: "Sitzung",
    lang_worker_token_expired_msg: "Bitte neu laden.",
    lang_worker_reload_now: "Neu laden",
    showToast: (...values) => toasts.push(values),
    ...more,
  };
  return { toasts, watch: makeDropin({}, page).watchTokenExpiry };
}

test("two minutes before the token expires the user is told to load the page again", async (t) => {
  const browser = fakeBrowser(t);
  const { toasts, watch } = pageWithToasts();

  watch(tokenFor(3600));
  await browser.pass(3_479_999);
  assert.deepEqual(toasts, []);
  await browser.pass(1);

  const [[title, body, ...rest]] = toasts;
  assert.equal(title, "Sitzung");
  assert.match(body, /^Bitte neu laden\. <a href="" .*location\.reload\(\).*>Neu laden<\/a>$/);
  assert.deepEqual(rest, ["bg-danger text-white", 0, false]);
});

test("of several tokens the earliest counts, and tells once", async (t) => {
  const browser = fakeBrowser(t);
  const { toasts, watch } = pageWithToasts();

  watch(tokenFor(7200));
  watch(tokenFor(600));
  watch(tokenFor(3600));
  await browser.pass(480_000);
  assert.equal(toasts.length, 1);
  await browser.pass(86_400_000);

  assert.equal(toasts.length, 1);
});

test("a token that has expired, or is about to, tells at once", (t) => {
  fakeBrowser(t);
  for (const seconds of [119, 0, -3600]) {
    const { toasts, watch } = pageWithToasts();
    watch(tokenFor(seconds));
    assert.equal(toasts.length, 1);
  }
});

test("a token for months is watched for months, though timers of browsers end after 24.8 days", async (t) => {
  const browser = fakeBrowser(t);
  const { toasts, watch } = pageWithToasts();
  const day = 86_400_000;

  watch(tokenFor(60 * 86_400));
  await browser.pass(59 * day);
  assert.deepEqual(toasts, []);
  await browser.pass(day);

  assert.equal(toasts.length, 1);
});

test("what cannot be read, and a page without showToast, are left alone", async (t) => {
  const browser = fakeBrowser(t);
  const { toasts, watch } = pageWithToasts();
  const without = pageWithToasts({ showToast: undefined });

  for (const token of [undefined, null, "", "zz", "7b7d.00"]) watch(token);
  without.watch(tokenFor(0));
  await browser.pass(86_400_000);

  assert.deepEqual(toasts, []);
  assert.deepEqual(browser.reported, []);
  assert.equal(browser.timers, 0);
});

test("a page without its own words gets English ones", (t) => {
  fakeBrowser(t);
  const toasts = [];
  makeDropin({}, { showToast: (...values) => toasts.push(values) }).watchTokenExpiry(tokenFor(0));

  assert.match(toasts[0][1], /^This page .*>Reload now<\/a>$/);
});

test("subscribing watches the token, unless the page can fetch another", async (t) => {
  const browser = fakeBrowser(t);
  for (const getToken of [undefined, async () => tokenFor(3600)]) {
    const toasts = [];
    const page = { showToast: () => toasts.push(1) };
    const dropin = makeDropin({ url: "wss://worker.example" }, page);
    browser.keep(dropin.subscribe({ topic: "t", token: tokenFor(60), getToken }));

    assert.equal(toasts.length, getToken ? 0 : 1);
  }
});
