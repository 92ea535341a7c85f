// The worker goes away and comes back: every page is live again soon, without help, and is told
// once that it may have missed something. Nothing that is published after that is lost.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { Proxy, ScriptedServer } from "./faults.js";
import { mintToken, oneBrowser, OUTAGE, scenario } from "./support.js";

const browser = oneBrowser();
const test = (name, body, timeout) => scenario(name, browser, body, OUTAGE, timeout);

describe("the worker is restarted", { concurrency: 3 }, () => {
  // First, as the others fit into its time.
  test("is away for 20 s: the pauses grow, two pages are not in step, and both are soon back", async (stage) => {
    const worker = await stage.worker();
    const site = await stage.site({ worker });
    const pages = [];
    for (const n of [1, 2]) {
      const proxy = await stage.keep(Proxy.start(worker.wsPort));
      const page = await stage.page(site);
      const client = await page.connect(proxy.url, { topic: `t${n}`, getToken: true, maxRetryMs: 5000 });
      await client.next("live");
      pages.push({ proxy, client });
    }

    await worker.end("SIGKILL");
    const gone = Date.now();
    await new Promise((resolve) => { setTimeout(resolve, 20_000); });
    await worker.startAgain();
    const back = Date.now();
    for (const topic of ["t1", "t2"]) await worker.register(topic);

    const attempts = pages.map(({ proxy }) => proxy.connects.filter((at) => at > gone && at < back));
    for (const [n, { client }] of pages.entries()) {
      const live = await client.next("live", 20_000);
      assertInTime(client, live, back);
      const gaps = attempts[n].map((at, m) => at - (attempts[n][m - 1] ?? gone));
      gaps.forEach((gap, m) => {
        assert.ok(gap <= Math.min(5000, 1000 * 2 ** m) + SLACK_MS, `pause ${m} is ${gap} ms: ${gaps}`);
      });
      // At the longest pauses (1, 2, 4, 5, 5 s) there are 5; a page that hammers has hundreds.
      assert.ok(gaps.length >= 5 && gaps.length <= 20, `${gaps.length} attempts: ${gaps}`);
      await client.next("resync");
      assert.equal(client.all("resync").length, 1);
    }
    const together = attempts[0].filter((at) => attempts[1].some((other) => Math.abs(at - other) < 50));
    assert.ok(together.length <= attempts[0].length / 2, `in step: ${attempts[0]} and ${attempts[1]}`);
  }, 90_000);

  for (const [signal, code, how] of [["SIGTERM", 1001, "orderly"], ["SIGKILL", 1006, "by kill -9"]]) {
    test(`${how}: the page is live again, fetches once, and misses nothing after that`, async (stage) => {
      const { worker, client } = await stage.live();
      await worker.publish("session.42", "before");
      await client.next("push");

      await worker.end(signal);
      const lost = await client.next("waiting");
      await worker.startAgain();
      await worker.register("session.42"); // The next page that loads does so.
      const back = Date.now();
      const live = await client.next("live");
      await client.next("resync");
      for (const n of [1, 2, 3]) await worker.publish("session.42", n);
      await client.next(({ payload }) => payload === 3);

      assert.equal(lost.detail.code, code);
      assertInTime(client, live, back);
      assert.deepEqual(client.all("resync").map(({ reason }) => reason), ["reconnected"]);
      assert.deepEqual(client.all("push").map(({ payload }) => payload), ["before", 1, 2, 3]);
    });
  }

  test("and has forgotten the topic: PHP registers it when it is asked for a token", async (stage) => {
    const { worker, site, client } = await stage.live();

    await worker.end();
    await worker.startAgain();
    const back = Date.now();
    const live = await client.next("live", 20_000);

    assert.ok(site.calls >= 2, "PHP was not asked");
    assertInTime(client, live, back);
    await worker.publish("session.42", 1);
    await client.next("push");
  });

  test("three times in a row: three gaps, three signals to fetch", async (stage) => {
    const { worker, client } = await stage.live();

    for (const n of [1, 2, 3]) {
      await worker.end("SIGKILL");
      await worker.startAgain();
      await worker.register("session.42");
      await client.next("live", 20_000);
      await client.next("resync");
      await worker.publish("session.42", n);
      assert.equal((await client.next("push")).payload, n);
    }

    assert.equal(client.all("resync").length, 3);
  });

  test("while the page loads: the first connection is late, which is a signal to fetch, too", async (stage) => {
    const { worker, page } = await stage.live();
    await worker.end("SIGKILL");

    const client = await page.connect(worker.url, { topic: "session.42", getToken: true });
    await client.next("waiting");
    await worker.startAgain();
    await worker.register("session.42");

    await client.next("live", 20_000);
    assert.equal((await client.next("resync")).reason, "late");
  });

  test("is gone and the port is refused: the page keeps trying, and retry() does not wait", async (stage) => {
    const worker = await stage.worker();
    const proxy = await stage.keep(Proxy.start(worker.wsPort));
    const page = await stage.page(await stage.site({ worker }));
    const client = await page.connect(proxy.url, { topic: "a", getToken: true, firstRetryMs: 60_000, maxRetryMs: 60_000 });
    await client.next("live");

    await proxy.refuse();
    await client.next("waiting");
    await proxy.accept();
    await client.do("retry");

    await client.next("live", 3000);
    assert.equal((await client.next("resync")).reason, "reconnected");
  });

  test("accepts and closes at once: the pauses grow all the same", async (stage) => {
    const server = await stage.keep(ScriptedServer.start((socket) => {
      socket.send('{"type":"auth_ok"}');
      socket.close(1011);
    }));
    const page = await stage.page(await stage.site());
    const client = await page.connect(server.url, { topic: "a", token: mintToken("a"), firstRetryMs: 100 });

    await client.next(({ detail }) => detail?.failures >= 6, 20_000);

    const bounds = client.all("waiting").map(({ detail }) => detail.retryInMs);
    bounds.forEach((pause, n) => assert.ok(pause <= 100 * 2 ** n, `pause ${n} is ${pause} ms: ${bounds}`));
  });
});

const SLACK_MS = 1500; // Two cores, shared with whatever else runs.

/** It was live as soon as the pause that it had announced was over, if not at once. */
function assertInTime(client, live, back) {
  const pauses = client.all("waiting").filter(({ at }) => at <= live.at);
  for (const [n, { detail }] of pauses.entries()) {
    assert.ok(detail.retryInMs <= Math.min(30_000, 1000 * 2 ** n), `pause ${n}: ${detail.retryInMs} ms`);
  }
  const last = pauses.at(-1);
  const due = Math.max(back, last.at + last.detail.retryInMs);
  assert.ok(live.at - due < SLACK_MS, `live ${live.at - due} ms late`);
  if (pauses.length <= 2) assert.ok(live.at - back < 3000 + SLACK_MS, `live ${live.at - back} ms after the worker`);
}
