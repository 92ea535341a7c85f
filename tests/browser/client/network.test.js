// The network between the page and the worker fails: it is gone, it hangs, it swallows everything,
// or a proxy cuts what is silent.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { Nginx, Proxy } from "./faults.js";
import { FAR, oneBrowser, OUTAGE, scenario } from "./support.js";

const browser = oneBrowser();
const test = (name, body, expected) => scenario(name, browser, body, expected ?? OUTAGE);

/** A page that is live through a proxy; by a name that is not loopback if `far`. */
async function through(stage, { far = false, ...options } = {}) {
  const worker = await stage.worker();
  const proxy = await stage.keep(Proxy.start(worker.wsPort));
  const context = await stage.context();
  const page = await stage.page(await stage.site({ worker }), { context });
  const client = await page.connect(far ? `ws://${FAR}:${proxy.port}` : proxy.url, { topic: "a", getToken: true, ...options });
  await client.next("live");
  return { worker, proxy, context, page, client };
}

const online = (page) => page.evaluate(() => navigator.onLine);

describe("the network", { concurrency: 5 }, () => {
  // First, as the others fit into its time.
  test("swallows everything: the dead socket is noticed by asking, and replaced", async (stage) => {
    const { worker, proxy, page, client } = await through(stage, { heartbeatMs: 1000 });

    proxy.freeze();
    const frozen = Date.now();
    const lost = await client.next(({ detail }) => detail?.reason === "silent", 20_000);
    await client.next("live");

    // 1 s of silence, at most 10 % more, and 10 s for the answer.
    assert.ok(lost.at - frozen > 8_000 && lost.at - frozen < 13_000, `noticed after ${lost.at - frozen} ms`);
    assert.equal((await client.next("resync")).reason, "reconnected");
    await worker.publish("a", "on the new one");
    assert.equal((await client.next("push")).payload, "on the new one");
    assert.equal(client.all("push").length, 1);
    assert.equal(await page.evaluate(() => [...globalThis.harness.sockets].filter((socket) => socket.readyState === 1).length), 1);
  });

  test("is gone for the browser: no attempts meanwhile, live soon after it is back", async (stage) => {
    const { worker, proxy, context, page, client } = await through(stage, { far: true });

    await context.setOffline(true);
    proxy.cut(); // Chromium keeps sockets that are open when it is told to be offline.
    await client.next("offline", 15_000);
    const attempts = proxy.connects.length;
    assert.equal(await online(page), false);
    assert.equal((await page.evaluate(() => globalThis.harness.left())).timers, 0);
    await context.setOffline(false);
    const back = Date.now();
    const live = await client.next("live");

    assert.ok(live.at - back < 3000, `live ${live.at - back} ms after the network`);
    assert.equal(proxy.connects.length, attempts + 1);
    assert.equal((await client.next("resync")).reason, "reconnected");
    await worker.publish("a", "after");
    await client.next("push");
    assert.equal(client.all("resync").length, 1);
  });

  test("is gone without a word: the socket is asked at once, dies, and the page waits for the network", async (stage) => {
    const { context, client } = await through(stage, { far: true });

    await context.setOffline(true); // Chromium holds back everything, as a cable that is out.
    const gone = Date.now();
    const offline = await client.next("offline", 20_000);
    await context.setOffline(false);
    await client.next("live");

    assert.ok(offline.at - gone < 8_000, `noticed after ${offline.at - gone} ms`);
    assert.equal(offline.detail.reason, "silent");
    assert.equal((await client.next("resync")).reason, "reconnected");
  });

  test("is gone before the page connects: it begins when it is back", async (stage) => {
    const { proxy, context, page } = await through(stage, { far: true });
    await context.setOffline(true);

    const client = await page.connect(`ws://${FAR}:${proxy.port}`, { topic: "a", getToken: true });
    await client.next("offline");
    await context.setOffline(false);

    await client.next("live");
  }, /net::ERR_/);

  test("is gone for a moment in which the socket survives: it stays, and nothing is lost", async (stage) => {
    const { worker, context, client } = await through(stage, { far: true });

    await context.setOffline(true);
    await worker.publish("a", "meanwhile"); // Chromium holds it back.
    await context.setOffline(false);

    assert.equal((await client.next("push")).payload, "meanwhile");
    assert.equal(await client.do("state"), "live");
    assert.deepEqual(client.all("resync"), []);
  });

  test("is gone for the browser, but the worker is on this machine: it does not matter", async (stage) => {
    const { worker, proxy, context, client } = await through(stage);

    await context.setOffline(true);
    proxy.cut();

    await client.next("waiting");
    assert.deepEqual(client.all("offline"), []);
    await context.setOffline(false);
    await client.next("live");
    assert.ok(worker);
  });

  test("swallows everything and comes back: the socket is asked at once, and replaced", async (stage) => {
    const { proxy, page, client } = await through(stage);

    proxy.freeze();
    const frozen = Date.now();
    await page.evaluate(() => globalThis.dispatchEvent(new Event("online")));
    const lost = await client.next(({ detail }) => detail?.reason === "silent", 20_000);
    await client.next("live");

    assert.ok(lost.at - frozen < 8_000, `noticed after ${lost.at - frozen} ms`);
    await client.next("resync");
  });

  test("swallows everything and the page asks to try again: it is noticed as soon", async (stage) => {
    const { proxy, client } = await through(stage);

    proxy.freeze();
    await client.do("retry");

    await client.next(({ detail }) => detail?.reason === "silent", 9_000);
    await client.next("live");
  });

  test("is silent but works: the heartbeat keeps the socket", async (stage) => {
    const { proxy, client } = await through(stage, { heartbeatMs: 1000 });

    await new Promise((resolve) => { setTimeout(resolve, 4_000); });

    assert.equal(await client.do("state"), "live");
    assert.equal(proxy.connects.length, 1);
    assert.deepEqual(client.all("frame"), []);
  });

  test("accepts and hangs: each attempt is bounded, and the next one works", async (stage) => {
    const { proxy, client } = await through(stage, { connectTimeoutMs: 700 });
    proxy.mode = "hang";
    proxy.cut();

    const waits = [];
    while (waits.length < 2) {
      const event = await client.next("waiting");
      if (event.detail.reason === "timeout") waits.push(event);
    }
    proxy.mode = "pass";
    await client.next("live");

    const attempt = client.all("connecting").filter(({ at }) => at < waits[0].at).at(-1);
    const took = waits[0].at - attempt.at;
    assert.ok(took >= 650 && took < 2500, `an attempt took ${took} ms`);
    assert.equal((await client.next("resync")).reason, "reconnected");
  });

  test("resets every connection for a while", async (stage) => {
    const { proxy, client } = await through(stage, { firstRetryMs: 200 });
    proxy.mode = "cut";
    proxy.cut();

    for (let n = 0; n < 3; n += 1) await client.next("waiting");
    proxy.mode = "pass";

    await client.next("live");
    await client.next("resync");
    assert.equal(client.all("resync").length, 1);
  });

  test("is cut by nginx whenever it is silent for 2 s: the page comes back each time, and fetches each time", async (stage) => {
    const worker = await stage.worker();
    const nginx = await stage.keep(Nginx.start(worker.wsPort, 2));
    const page = await stage.page(await stage.site({ worker }));
    const client = await page.connect(nginx.url, { topic: "a", getToken: true, heartbeatMs: 0 });
    await client.next("live");

    for (const n of [1, 2]) {
      assert.equal((await client.next("waiting")).detail.code, 1006);
      await client.next("live");
      await client.next("resync");
      await worker.publish("a", n);
      assert.equal((await client.next("push")).payload, n);
    }

    assert.equal(client.all("resync").length, 2);
  });

  test("is not cut by nginx when the heartbeat is quicker than its limit", async (stage) => {
    const worker = await stage.worker();
    const nginx = await stage.keep(Nginx.start(worker.wsPort, 2));
    const page = await stage.page(await stage.site({ worker }));
    const client = await page.connect(nginx.url, { topic: "a", getToken: true, heartbeatMs: 1000 });
    await client.next("live");

    await new Promise((resolve) => { setTimeout(resolve, 5_500); });

    assert.deepEqual(client.all("state").map(({ state }) => state), ["connecting", "live"]);
  });

  test("answers 502 by nginx, as no worker is there: the page tries until it has", async (stage) => {
    const worker = await stage.worker();
    const nginx = await stage.keep(Nginx.start(worker.wsPort, 2));
    const page = await stage.page(await stage.site({ worker }));
    await worker.end();
    const client = await page.connect(nginx.url, { topic: "a", getToken: true, firstRetryMs: 300 });
    await client.next("waiting");
    await worker.startAgain();

    await client.next("live", 20_000);
    assert.equal((await client.next("resync")).reason, "late");
  });
});
