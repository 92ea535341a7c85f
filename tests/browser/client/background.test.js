// A page in the background: another tab is in front, Chromium throttles its timers and may freeze it.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { Proxy } from "./faults.js";
import { oneBrowser, scenario } from "./support.js";
import { Tabs } from "./tabs.js";

const browser = oneBrowser();
const test = (name, ...rest) => scenario(name, browser, ...rest);

/** A live page with another tab in front of it. */
async function behind(stage, options = {}) {
  const worker = await stage.worker();
  const site = await stage.site({ worker });
  const proxy = await stage.keep(Proxy.start(worker.wsPort));
  const tabs = await stage.keep(Tabs.start());
  const tab = await tabs.open(site);
  const client = await tab.connect(proxy.url, { topic: "a", getToken: true, ...options });
  await client.next("live");
  await tabs.open(site);
  assert.equal(await tab.visibility(), "hidden");
  return { worker, site, proxy, tab, client };
}

describe("a page in the background", { concurrency: 3 }, () => {
  test("gets pushes as they are published", async (stage) => {
    const { worker, tab, client } = await behind(stage);

    const published = Date.now();
    for (const n of [1, 2, 3]) await worker.publish("a", n);
    const last = await client.next(({ payload }) => payload === 3);

    assert.ok(last.at - published < 2000, `after ${last.at - published} ms`);
    assert.equal(await tab.visibility(), "hidden");
  });

  test("hurries when it comes to the front: no waiting for the next attempt", async (stage) => {
    const { worker, proxy, tab, client } = await behind(stage, { firstRetryMs: 600_000, maxRetryMs: 600_000 });
    await proxy.refuse();
    await client.next("waiting");
    await proxy.accept();

    await tab.show();
    const shown = Date.now();
    const live = await client.next("live", 5000);

    assert.ok(live.at - shown < 4000, `live ${live.at - shown} ms after it was shown`);
    await client.next("resync");
    await worker.publish("a", "after");
    await client.next("push");
  });

  test("finds out when it comes to the front that its socket is dead", async (stage) => {
    const { proxy, tab, client } = await behind(stage);

    proxy.freeze();
    await tab.show();

    await client.next(({ detail }) => detail?.reason === "silent", 9_000);
    await client.next("live");
    await client.next("resync");
  });

  test("comes back by itself, with its timers throttled", async (stage) => {
    const { proxy, tab, client } = await behind(stage);

    proxy.cut();

    await client.next("live");
    await client.next("resync");
    assert.equal(await tab.visibility(), "hidden");
  });

  // Chromium ends the sockets of some pages that it freezes, and keeps those of others.
  test("that was frozen gets what was published meanwhile, or is told to fetch", async (stage) => {
    const { worker, tab, client } = await behind(stage);

    await tab.lifecycle("frozen");
    for (const n of [1, 2]) await worker.publish("a", n);
    await tab.lifecycle("active");
    await tab.show();

    const enough = await client.next(({ kind, payload }) => kind === "resync" || payload === 2);
    await worker.publish("a", 3);
    await client.next(({ payload }) => payload === 3);
    const got = client.all("push").map(({ payload }) => payload);
    assert.deepEqual(got, enough.kind === "push" ? [1, 2, 3] : [3]);
  });

  test("that was frozen while its connection ended is live again soon after", async (stage) => {
    const { proxy, tab, client } = await behind(stage);

    await tab.lifecycle("frozen");
    proxy.cut();
    await tab.lifecycle("active");
    await tab.show();

    await client.next("live");
    assert.equal((await client.next("resync")).reason, "reconnected");
    assert.deepEqual(tab.complaints, []);
  });

  test("that went into the browser's history is live again when it comes back", async (stage) => {
    const { worker, site, tab, client } = await behind(stage);
    await tab.evaluate(() => { addEventListener("pageshow", ({ persisted }) => { globalThis.cameBack = persisted; }); });

    await tab.show();
    await tab.send("Page.navigate", { url: `${site.origin}/?other` });
    assert.equal(await tab.evaluate(() => location.search), "?other");
    await tab.evaluate(() => { setTimeout(() => history.back()); });

    await client.next("live");
    await client.next("resync");
    assert.equal(await tab.evaluate(() => globalThis.cameBack), true);
    // Chromium kept the page, but not its socket.
    await worker.publish("a", "back");
    await client.next(({ payload }) => payload === "back");
    assert.deepEqual(client.all("push").map(({ payload }) => payload), ["back"]);
  });
});
