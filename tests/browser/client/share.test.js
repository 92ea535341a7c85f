// One socket for all tabs (clients/js/src/share.ts): tabs of one real browser, a real worker. What
// needs a clock, or tabs that stop to the millisecond, is in clients/js/test/share.test.js.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { within } from "../support.js";
import { FAR, mintToken, oneBrowser, OUTAGE, scenario } from "./support.js";
import { Tabs } from "./tabs.js";

const browser = oneBrowser();
const test = (name, ...rest) => scenario(name, browser, ...rest);
const SHARED = { topic: "a", getToken: true, share: true };

/** A worker, a site, and so many live tabs of one browser; the first one leads. */
async function group(stage, number, options = SHARED) {
  const worker = await stage.worker();
  const site = await stage.site({ worker });
  const context = await stage.context();
  const open = async () => {
    const page = await stage.page(site, { context });
    const client = await page.connect(worker.url, options);
    await client.next("live");
    return { page, client };
  };
  const tabs = [await open()];
  tabs.push(...await Promise.all(Array.from({ length: number - 1 }, open)));
  return { worker, site, context, tabs };
}

/** Waits until the worker has so many sockets. */
async function sockets(worker, number) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const { connected_sockets: connected } = await worker.status();
    if (connected === number) return;
    assert.ok(Date.now() < deadline, `the worker has ${connected} sockets, not ${number}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

/** Waits for an event of the DevTools protocol in a tab. */
function happens(tab, wanted) {
  const { listeners } = tab.tabs;
  const before = listeners.get(tab.sessionId);
  return within(10_000, wanted, new Promise((resolve) => {
    listeners.set(tab.sessionId, (method, params) => {
      before(method, params);
      if (method === wanted) resolve();
    });
  }));
}

const pushes = (client) => client.all("push").map(({ payload }) => payload);

describe("tabs that share", { concurrency: 2 }, () => {
  test("20 of them have one socket, ask PHP for one token, and have every push in order", async (stage) => {
    const { worker, site, tabs } = await group(stage, 20);

    assert.equal((await worker.status()).connected_sockets, 1);
    assert.equal(site.calls, 1);
    const numbers = Array.from({ length: 30 }, (_, n) => n);
    for (const n of numbers) await worker.publish("a", n);
    for (const { client } of tabs) {
      await client.next(({ payload }) => payload === 29);
      assert.deepEqual(pushes(client), numbers);
      assert.deepEqual(client.all("resync"), []);
    }
  });

  for (const [how, leave] of [
    ["is closed", ({ page }) => page.close()],
    ["goes to another page", ({ page, site }) => page.goto(`${site.origin}/?other`)],
    ["crashes", async ({ page, context }) => {
      const devtools = await context.newCDPSession(page);
      devtools.send("Page.crash").catch(() => {}); // It cannot answer any more.
      await page.waitForEvent("crash");
      await page.close();
    }],
    ["closes its connection", ({ client }) => client.do("close")],
  ]) {
    test(`when the tab that leads ${how}, another one leads within 2 s and all fetch their data`, async (stage) => {
      const { worker, site, context, tabs: [first, ...others] } = await group(stage, 4);

      await leave({ ...first, site, context });
      const left = Date.now();

      for (const { client } of others) {
        assert.equal((await client.next("connecting")).detail.reason, "leader");
        const { at } = await client.next("live");
        assert.ok(at - left < 2_000, `after ${at - left} ms`);
        assert.equal((await client.next("resync")).reason, "reconnected");
      }
      await worker.publish("a", "later");
      for (const { client } of others) {
        await client.next("push");
        assert.deepEqual(pushes(client), ["later"]);
        assert.equal(client.all("resync").length, 1);
      }
      await sockets(worker, 1);
      assert.equal(site.calls, 2);
    });
  }

  test("the worker restarts: all are told the same, and fetch their data once", async (stage) => {
    const { worker, tabs } = await group(stage, 3);

    await worker.end();
    await worker.startAgain();
    await worker.register("a"); // As PHP does at the next page load.

    for (const { client } of tabs) await client.next("resync");
    await worker.publish("a", "later");
    for (const { client } of tabs) await client.next("push");
    const [leader, ...others] = tabs.map(({ client }) => client.events
      .filter(({ kind }) => kind !== "token")
      .map(({ kind, state, reason, payload, detail }) => [kind, state, reason, payload, detail]));
    const lost = (told) => told.slice(told.findIndex((event) => event[1] === "waiting"));
    assert.equal(leader.filter(([kind]) => kind === "resync").length, 1);
    for (const other of others) assert.deepEqual(lost(other), lost(leader));
    await sockets(worker, 1);
  }, OUTAGE);

  test("what a tab sends is sent by the leader, and all tabs have the answer", async (stage) => {
    const worker = await stage.worker();
    const site = await stage.site();
    const context = await stage.context();
    const clients = [];
    for (let n = 0; n < 2; n += 1) {
      const page = await stage.page(site, { context });
      clients.push(await page.connect(worker.url, { topic: "worker.status", token: mintToken("worker.status"), share: true }));
      await clients[n].next("live");
    }

    assert.equal(await clients[1].do("send", { type: "status" }), true);

    for (const client of clients) await client.next("frame");
    await sockets(worker, 1);
  });

  test("the drop-in shares as well, and says that another tab leads as it says a restart", async (stage) => {
    const worker = await stage.worker();
    const site = await stage.site({ worker });
    const context = await stage.context();
    const clients = [];
    for (let n = 0; n < 2; n += 1) {
      const page = await stage.page(site, { context });
      await page.evaluate((url) => { globalThis.WavelogWorker.url = url; }, worker.url);
      clients.push(await page.subscribe(SHARED));
      await clients[n].next("onOpen");
    }
    const [first, second] = clients;
    await sockets(worker, 1);

    await first.page.close();
    await second.next("onReconnect");
    await second.next("onOpen");
    await worker.publish("a", 1);
    await second.next("onMessage");

    assert.deepEqual(second.events.map(({ kind }) => kind), [
      "onOpen", "onClose", "onReconnecting", "token", "onReconnect", "onOpen", "onMessage",
    ]);
  });

  test("tabs of two users, and tabs of two topics, do not share", async (stage) => {
    const worker = await stage.worker();
    const site = await stage.site();
    const context = await stage.context();
    await worker.register("a");
    await worker.register("b");
    const clients = [];
    for (const [topic, userId] of [["a", 1], ["a", 2], ["b", 1], ["b", 1]]) {
      const page = await stage.page(site, { context });
      const client = await page.connect(worker.url, { topic, token: mintToken(topic, { userId }), share: true });
      await client.next("live");
      clients.push(client);
    }

    assert.equal((await worker.status()).connected_sockets, 3);
    await worker.publish("b", "for b");
    await worker.publish("a", "for a");
    for (const client of clients) await client.next("push");
    assert.deepEqual(clients.map(pushes), [["for a"], ["for a"], ["for b"], ["for b"]]);
  });

  test("a tab with an expired token makes way for one with a good token, and is live by it", async (stage) => {
    const worker = await stage.worker();
    const site = await stage.site();
    const context = await stage.context();
    await worker.register("a");
    const [old, fresh] = [await stage.page(site, { context }), await stage.page(site, { context })];

    const expired = await old.connect(worker.url, { topic: "a", token: mintToken("a", { ttlSecs: -60 }), share: true });
    await expired.next("refused");
    const good = await fresh.connect(worker.url, { topic: "a", token: mintToken("a"), share: true });

    await good.next("live");
    await expired.next("live");
    await sockets(worker, 1);
  });

  for (const [what, prepare] of [
    ["without Web Locks", async (context) => context.addInitScript(() => { delete Navigator.prototype.locks; })],
    ["without BroadcastChannel", async (context) => context.addInitScript(() => { delete globalThis.BroadcastChannel; })],
    ["on a page that came over plain http", async (context, site) => { site.origin = site.origin.replace("127.0.0.1", FAR); }],
  ]) {
    test(`${what} each has a socket of its own, and works`, async (stage) => {
      const worker = await stage.worker();
      const site = await stage.site({ worker });
      const context = await stage.context();
      await prepare(context, site);
      const clients = [];
      for (let n = 0; n < 2; n += 1) {
        const page = await stage.page(site, { context });
        clients.push(await page.connect(worker.url, SHARED));
        await clients[n].next("live");
      }

      assert.equal((await worker.status()).connected_sockets, 2);
      await worker.publish("a", 1);
      for (const client of clients) assert.equal((await client.next("push")).payload, 1);
    });
  }
});

describe("tabs that share, some of them in the background", { concurrency: 2 }, () => {
  /** A leader in the background, and a follower in front of it. */
  async function behind(stage) {
    const worker = await stage.worker();
    const site = await stage.site({ worker });
    const tabs = await stage.keep(Tabs.start());
    const leader = await tabs.open(site);
    const first = await leader.connect(worker.url, SHARED);
    await first.next("live");
    const follower = await tabs.open(site);
    const second = await follower.connect(worker.url, SHARED);
    await second.next("live");
    await sockets(worker, 1);
    assert.equal(await leader.visibility(), "hidden");
    return { worker, site, tabs, leader, first, follower, second };
  }

  test("one that comes to the front takes over from a leader that is stopped, which then follows", async (stage) => {
    const { worker, site, tabs, leader, first, follower, second } = await behind(stage);
    await tabs.open(site); // In front of both.

    await leader.send("Debugger.enable");
    const paused = happens(leader, "Debugger.paused");
    leader.send("Runtime.evaluate", { expression: "debugger" }).catch(() => {}); // Answered when it goes on.
    await paused;
    await follower.show();
    const shown = Date.now();
    await second.next("connecting");
    const { at } = await second.next("live");
    await second.next("resync");

    assert.ok(at - shown < 4_500, `after ${at - shown} ms`);
    await worker.publish("a", "meanwhile");
    await second.next("push");

    await leader.send("Debugger.resume");
    await first.next(({ detail }) => detail?.reason === "leader");
    await first.next("live");
    await first.next("resync");
    await sockets(worker, 1);
    await worker.publish("a", "later");
    for (const client of [first, second]) await client.next(({ payload }) => payload === "later");
    assert.deepEqual(pushes(second), ["meanwhile", "later"]);
    for (const client of [first, second]) assert.equal(client.all("resync").length, 1);
  });

  test("one that is frozen makes way, and follows when it goes on", async (stage) => {
    const { worker, leader, first, second } = await behind(stage);

    await leader.lifecycle("frozen");
    await second.next("live");
    await second.next("resync");
    await worker.publish("a", "meanwhile");
    await second.next("push");
    await leader.lifecycle("active");

    await first.next("live");
    await first.next("resync");
    await worker.publish("a", "later");
    for (const client of [first, second]) await client.next(({ payload }) => payload === "later");
    await sockets(worker, 1);
  });

  test("one that goes into the history makes way, and follows when it comes back", async (stage) => {
    const { worker, site, leader, first, second } = await behind(stage);
    await leader.evaluate(() => { addEventListener("pageshow", ({ persisted }) => { globalThis.cameBack = persisted; }); });

    await leader.send("Page.navigate", { url: `${site.origin}/?other` });
    await second.next("live");
    await second.next("resync");
    await sockets(worker, 1);
    await leader.evaluate(() => { setTimeout(() => history.back()); });

    await first.next("live");
    await first.next("resync");
    assert.equal(await leader.evaluate(() => globalThis.cameBack), true);
    await worker.publish("a", "later");
    for (const client of [first, second]) await client.next(({ payload }) => payload === "later");
    await sockets(worker, 1);
  });
});
