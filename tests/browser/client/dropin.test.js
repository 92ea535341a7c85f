// The application's own client, `WavelogWorker.subscribe`: its pages stay as they are, so the
// callbacks come in the order of the original in everything that can happen to them.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { Proxy, ScriptedServer } from "./faults.js";
import { mintToken, oneBrowser, OUTAGE, scenario } from "./support.js";

const browser = oneBrowser();
const test = (name, ...rest) => scenario(name, browser, ...rest);

/** A worker and a page whose `WavelogWorker.url` is set as PHP does it. */
async function stand(stage, { url } = {}) {
  const worker = await stage.worker();
  await worker.register("a");
  const page = await stage.page(await stage.site({ worker }));
  await page.evaluate((url) => { globalThis.WavelogWorker.url = url; }, url ?? worker.url);
  return { worker, page };
}

/** The names of the callbacks so far, with the argument where it is a number. */
const called = (client) => client.events.map(({ kind, args }) => (typeof args?.[0] === "number" ? `${kind} ${args[0]}` : kind));

describe("the drop-in", { concurrency: 4 }, () => {
  test("opens, and passes whole frames on", async (stage) => {
    const { worker, page } = await stand(stage);
    const client = await page.subscribe({ topic: "a", token: mintToken("a") });
    await client.next("onOpen");
    assert.equal(await client.do("isConnected"), true);

    await worker.publish("a", { n: 1 });

    assert.deepEqual((await client.next("onMessage")).args, [{ type: "push", payload: { n: 1 } }]);
    assert.deepEqual(called(client), ["onOpen", "onMessage"]);
  });

  test("comes back after a restart: close, reconnecting, reconnect, open", async (stage) => {
    const { worker, page } = await stand(stage);
    const client = await page.subscribe({ topic: "a", token: mintToken("a") });
    await client.next("onOpen");

    await worker.end();
    await client.next("onClose");
    assert.equal(await client.do("isConnected"), false);
    await worker.startAgain();
    await worker.register("a");
    await client.next("onOpen", 20_000);
    await worker.publish("a", 2);
    await client.next("onMessage");

    const order = called(client);
    const tries = order.filter((name) => name.startsWith("onReconnecting")).length;
    const away = Array.from({ length: tries }, (_, n) => ["onClose", `onReconnecting ${n + 1}`]).flat();
    assert.deepEqual(order, ["onOpen", ...away, "onReconnect", "onOpen", "onMessage"]);
  }, OUTAGE);

  test("whose worker is gone says so after four attempts, and is back quietly when it returns", async (stage) => {
    const { worker, page } = await stand(stage);
    const client = await page.subscribe({ topic: "a", token: mintToken("a"), retryDelayMs: 100 });
    await client.next("onOpen");

    await worker.end("SIGKILL");
    await client.next("onFailed", 20_000);
    const gone = ["onOpen"];
    for (const n of [1, 2, 3, 4]) gone.push("onClose", `onReconnecting ${n}`);
    gone.push("onClose", "onFailed");
    assert.deepEqual(called(client), gone);
    await worker.startAgain();
    await worker.register("a");
    await client.next("onOpen", 20_000);

    assert.deepEqual(called(client), [...gone, "onReconnect", "onOpen"]);
    await worker.publish("a", 1);
    await client.next("onMessage");
  }, OUTAGE);

  test("that never opened counts the same: four attempts, then failed", async (stage) => {
    const { worker, page } = await stand(stage);
    await worker.end();

    const client = await page.subscribe({ topic: "a", token: mintToken("a"), retryDelayMs: 100 });
    await client.next("onFailed", 20_000);

    const expected = [1, 2, 3, 4].flatMap((n) => ["onClose", `onReconnecting ${n}`]);
    assert.deepEqual(called(client), [...expected, "onClose", "onFailed"]);
  }, OUTAGE);

  for (const maxRetries of [0, 2]) {
    test(`with maxRetries ${maxRetries} of the page's own is over after that`, async (stage) => {
      const { worker, page } = await stand(stage);
      await worker.end();

      const client = await page.subscribe({ topic: "a", token: mintToken("a"), retryDelayMs: 100, maxRetries });
      await client.next("onFailed", 20_000);

      const expected = Array.from({ length: maxRetries }, (_, n) => ["onClose", `onReconnecting ${n + 1}`]).flat();
      assert.deepEqual(called(client), [...expected, "onClose", "onFailed"]);
      assert.equal(await client.do("isConnected"), false);
      const { sockets } = await page.evaluate(() => globalThis.harness.left());
      assert.equal(sockets, 0);
      assert.equal(await page.evaluate(() => globalThis.harness.sockets.size), maxRetries + 1);
    }, OUTAGE);
  }

  test("whose worker hangs times out without onClose", async (stage) => {
    const { worker, page } = await stand(stage);
    const proxy = await stage.keep(Proxy.start(worker.wsPort));
    proxy.mode = "hang";
    await page.evaluate((url) => { globalThis.WavelogWorker.url = url; }, proxy.url);

    const client = await page.subscribe({ topic: "a", token: mintToken("a"), connectTimeoutMs: 200, retryDelayMs: 100, maxRetries: 2 });
    await client.next("onFailed", 20_000);

    assert.deepEqual(called(client), ["onReconnecting 1", "onReconnecting 2", "onFailed"]);
  }, OUTAGE);

  test("whose token is refused says failed, and nothing else", async (stage) => {
    const { page } = await stand(stage);

    const client = await page.subscribe({ topic: "a", token: mintToken("a", { secret: "another one of at least 32 bytes..." }) });
    await client.next("onFailed");

    assert.deepEqual(called(client), ["onFailed"]);
    assert.equal(await page.evaluate(() => globalThis.harness.sockets.size), 1);
  });

  test("whose token is refused asks getToken, where the page has one", async (stage) => {
    const { page } = await stand(stage);

    const client = await page.subscribe({ topic: "a", token: mintToken("a", { ttlSecs: -60 }), getToken: true });

    await client.next("token");
    await client.next("onOpen");
    assert.deepEqual(called(client).filter((name) => name === "onFailed"), []);
  });

  test("is closed by the page: nothing is called after that", async (stage) => {
    const { worker, page } = await stand(stage);
    const client = await page.subscribe({ topic: "a", token: mintToken("a") });
    await client.next("onOpen");

    await client.do("close");
    while ((await worker.status()).connected_sockets > 0) await worker.register("a");
    await worker.publish("a", 1);

    assert.deepEqual(called(client), ["onOpen"]);
    assert.equal(await client.do("isConnected"), false);
    assert.equal(await client.do("send", { type: "status" }), false);
  });

  test("sends on worker.status, an object or text, and gets the answer as a frame", async (stage) => {
    const { page } = await stand(stage);
    const client = await page.subscribe({ topic: "worker.status", token: mintToken("worker.status") });
    await client.next("onOpen");

    assert.equal(await client.do("send", { type: "status" }), true);
    const { args: [frame] } = await client.next("onMessage");

    assert.equal(frame.type, "status");
    assert.equal(frame.payload.status, "ok");
  });

  test("ends with failed on an error frame, also a late one", async (stage) => {
    const server = await stage.keep(ScriptedServer.start());
    const { page } = await stand(stage, { url: server.url });
    const client = await page.subscribe({ topic: "a", token: mintToken("a") });
    await client.next("onOpen");

    server.sockets[0].send('{"type":"error","code":"unauthorized"}');
    await client.next("onFailed");

    assert.deepEqual(called(client), ["onOpen", "onFailed"]);
  });

  test("goes on when every hook throws", async (stage) => {
    const { worker, page } = await stand(stage);
    const client = await page.subscribe({ topic: "a", token: mintToken("a"), throwOn: ["onOpen", "onMessage"] });
    await client.next("onOpen");

    for (const n of [1, 2]) await worker.publish("a", n);

    await client.next(({ args }) => args?.[0]?.payload === 2);
  }, /thrown by the page/);
});

describe("the global of the drop-in", { concurrency: 4 }, () => {
  test("is available if PHP has set its url, before or after the script", async (stage) => {
    const site = await stage.site();
    const context = await stage.context();
    const bare = await stage.page(site, { context });
    assert.equal(await bare.evaluate(() => globalThis.WavelogWorker.isAvailable()), false);
    await bare.evaluate(() => { globalThis.WavelogWorker.url = "ws://127.0.0.1:9"; });
    assert.equal(await bare.evaluate(() => globalThis.WavelogWorker.isAvailable()), true);

    await context.addInitScript(() => { globalThis.WavelogWorker = { url: "wss://example.org", mine: 7 }; });
    const set = await stage.page(site, { context });

    const found = await set.evaluate(() => {
      const { isAvailable, url, mine, connect, version } = globalThis.WavelogWorker;
      return [isAvailable(), url, mine, typeof connect, version];
    });
    assert.deepEqual(found.slice(0, 4), [true, "wss://example.org", 7, "function"]);
    assert.match(found[4], /^\d+\.\d+\.\d+/);
  });

  test("warns by the page's toast, once, two minutes before the first token expires", async (stage) => {
    const { page } = await stand(stage);
    await page.evaluate(() => {
      globalThis.toasts = [];
      globalThis.toasted = new Promise((resolve) => {
        globalThis.showToast = (...args) => resolve(globalThis.toasts.push(args));
      });
      Object.assign(globalThis, {
        lang_worker_token_expired_title: "Sitzung", lang_worker_token_expired_msg: "läuft ab.", lang_worker_reload_now: "Neu laden",
      });
    });
    const watch = (token) => page.evaluate((token) => {
      globalThis.WavelogWorker.watchTokenExpiry(token);
      return globalThis.toasts;
    }, token);

    for (const unreadable of ["", "x", "7b7d.00", undefined]) assert.deepEqual(await watch(unreadable), []);
    assert.deepEqual(await watch(mintToken("a", { ttlSecs: 3600 })), []);
    await watch(mintToken("a", { ttlSecs: 122 }));
    await page.evaluate(() => globalThis.toasted);

    const [[title, body, ...rest]] = await page.evaluate(() => globalThis.toasts);
    assert.equal(title, "Sitzung");
    assert.match(body, /^läuft ab\..*<a [^>]*>Neu laden<\/a>/);
    assert.deepEqual(rest, ["bg-danger text-white", 0, false]);
    assert.equal((await watch(mintToken("a", { ttlSecs: 7200 }))).length, 1);
  });
});
