// What a page sees of a connection while nothing is wrong: pushes, whole, once and in order; and
// that nothing is left of it when it is closed.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { ScriptedServer } from "./faults.js";
import { mintToken, oneBrowser, OUTAGE, scenario } from "./support.js";

const browser = oneBrowser();
const test = (name, ...rest) => scenario(name, browser, ...rest);

describe("a connection", { concurrency: 4 }, () => {
  test("gets what PHP published, with the frame it came in", async (stage) => {
    const { worker, client } = await stage.live();
    const payload = { event: "qso", call: "OE3XYZ/P", text: "73 <b>de</b> ä€😀", none: null };

    await worker.publish("session.42", payload);

    const push = await client.next("push");
    assert.deepEqual(push.payload, payload);
    assert.equal(push.frame.type, "push");
    assert.deepEqual(client.all("state").map(({ state }) => state), ["connecting", "live"]);
    assert.deepEqual(client.all("resync"), []);
  });

  test("gets any payload", async (stage) => {
    const { worker, client } = await stage.live();
    const payloads = [null, 0, "", [], {}, "words", [1, [2]], "x".repeat(300_000)];

    for (const payload of payloads) await worker.publish("session.42", payload);

    for (const payload of payloads) assert.deepEqual((await client.next("push")).payload, payload);
  });

  test("keeps the order of 100 pushes", async (stage) => {
    const { worker, client } = await stage.live();

    for (let n = 0; n < 100; n += 1) await worker.publish("session.42", n);

    await client.next(({ payload }) => payload === 99, 20_000);
    assert.deepEqual(client.all("push").map(({ payload }) => payload), Array.from({ length: 100 }, (_, n) => n));
  });

  test("subscribes to any topic by its name, and to an open one without a token", async (stage) => {
    const worker = await stage.worker();
    const page = await stage.page(await stage.site({ worker }));
    const topics = ["a b&c=d#e", "äöü €/?%", "open.feed"];
    const clients = [];
    for (const topic of topics) {
      const open = topic === "open.feed";
      await worker.register(topic, !open);
      clients.push(await page.connect(worker.url, { topic, ...(open ? {} : { token: mintToken(topic) }) }));
    }
    await Promise.all(clients.map((client) => client.next("live")));

    for (const topic of topics) await worker.publish(topic, topic);

    for (const [n, topic] of topics.entries()) {
      await clients[n].next("push");
      assert.deepEqual(clients[n].all("push").map(({ payload }) => payload), [topic]);
    }
  });

  for (const ending of ["", "/", "/ws"]) {
    test(`takes the worker's address as PHP gives it, ending in "${ending}"`, async (stage) => {
      const worker = await stage.worker();
      const page = await stage.page(await stage.site({ worker }));
      await worker.register("a");

      const client = await page.connect(worker.url + ending, { topic: "a", token: mintToken("a") });

      await client.next("live");
    });
  }

  test("says what is wrong with an address that is none", async (stage) => {
    const page = await stage.page(await stage.site());

    const thrown = await page.evaluate(() => {
      try {
        globalThis.WavelogWorker.connect("ftp://example.org", { topic: "a", onMessage() {} });
        return "nothing";
      } catch (error) {
        return `${error.name}: ${error.message}`;
      }
    });

    assert.match(thrown, /^TypeError: .*wss?:/);
  });

  test("asks and answers on worker.status", async (stage) => {
    const { worker, client } = await stage.live({ topic: "worker.status" });

    assert.equal(await client.do("send", { type: "status" }), true);

    const { frame } = await client.next("frame");
    assert.equal(frame.type, "status");
    assert.ok(worker);
  });

  test("goes on when the page throws in every callback", async (stage) => {
    const { worker, page, client } = await stage.live({ throwOn: ["push", "state", "resync"] });

    for (const n of [1, 2, 3]) await worker.publish("session.42", n);
    await client.next(({ payload }) => payload === 3);

    assert.deepEqual(client.all("push").map(({ payload }) => payload), [1, 2, 3]);
    assert.ok(page.complaints.some((words) => words.includes("thrown by the page in push")), "the console has no word of it");
  }, /thrown by the page/);

  test("calls nothing back after close, and the worker sees it go", async (stage) => {
    const { worker, page, client } = await stage.live();
    const before = client.events.length;

    const state = await page.evaluate(() => {
      const [connection] = globalThis.harness.connections.values();
      connection.close();
      connection.close();
      connection.retry();
      return [connection.state, connection.send({ type: "status" })];
    });

    assert.deepEqual(state, ["closed", false]);
    while ((await worker.status()).connected_sockets > 0) await worker.register("session.42");
    await worker.publish("session.42", "after the end");
    assert.deepEqual(client.events.slice(before).map(({ kind }) => kind), []);
  });

  test("can be closed before it was ever open", async (stage) => {
    const server = await stage.keep(ScriptedServer.start(() => {}));
    const page = await stage.page(await stage.site());

    const left = await page.evaluate((url) => {
      const called = [];
      const connection = globalThis.WavelogWorker.connect(url, {
        topic: "a", token: "x.y", onMessage: () => called.push("message"), onState: (state) => called.push(state),
      });
      connection.close();
      return new Promise((resolve) => { queueMicrotask(() => resolve(called)); });
    }, server.url);

    assert.deepEqual(left, []);
  });

  test("spreads the signal to fetch again of 30 connections over the time it was given", async (stage) => {
    const server = await stage.keep(ScriptedServer.start());
    const page = await stage.page(await stage.site());
    const clients = [];
    for (let n = 0; n < 30; n += 1) {
      const client = await page.connect(server.url, { topic: `t${n}`, token: mintToken("a"), resyncSpreadMs: 3000 });
      await client.next("live"); // One after the other: Chromium slows down a page that opens many at once.
      clients.push(client);
    }

    for (const socket of server.sockets) socket.close(4009, "resync");

    const waits = await Promise.all(clients.map(async (client) => {
      const live = await client.next("live", 20_000);
      const { at, reason } = await client.next("resync");
      assert.equal(reason, "told");
      return at - live.at;
    }));
    // 30 draws out of 3 s: that all are within 1.5 s of each other has a chance of 1 in 10^7.
    assert.ok(Math.max(...waits) - Math.min(...waits) > 1500, `not spread: ${waits}`);
    assert.ok(Math.max(...waits) < 4000, `too late: ${waits}`);
    for (const client of clients) assert.equal(client.all("resync").length, 1);
  });
});

describe("the script that the worker serves", { concurrency: 4 }, () => {
  test("is the same client: pushes arrive, in order", async (stage) => {
    const worker = await stage.worker();
    const page = await stage.page(await stage.site({ worker, script: worker.script }));
    const client = await page.connect(worker.url, { topic: "a", getToken: true });
    await client.next("live");

    for (const n of [1, 2, 3]) await worker.publish("a", n);

    await client.next(({ payload }) => payload === 3);
    assert.deepEqual(client.all("push").map(({ payload }) => payload), [1, 2, 3]);
  });

  test("comes back after the worker that served it was restarted", async (stage) => {
    const worker = await stage.worker();
    const page = await stage.page(await stage.site({ worker, script: worker.script }));
    const client = await page.connect(worker.url, { topic: "a", getToken: true });
    await client.next("live");

    await worker.end();
    assert.equal((await client.next("waiting")).detail.code, 1001);
    await worker.startAgain();
    await client.next("live", 20_000);
    await client.next("resync");
    await worker.publish("a", "after");

    assert.equal((await client.next("push")).payload, "after");
    assert.equal(client.all("resync").length, 1);
  }, OUTAGE);

  test("carries the drop-in, and loads under a policy that names the worker", async (stage) => {
    const worker = await stage.worker();
    const policy = `default-src 'none'; script-src ${worker.script}; connect-src 'self' ${worker.url}; img-src data:`;
    const page = await stage.page(await stage.site({ worker, script: worker.script, policy }));
    await worker.register("a");
    await page.evaluate((url) => { globalThis.WavelogWorker.url = url; }, worker.url);

    const client = await page.subscribe({ topic: "a", token: mintToken("a") });

    await client.next("onOpen");
    assert.equal(await page.evaluate(() => globalThis.WavelogWorker.version), (await worker.status()).version);
  });
});

describe("the builds of the client", { concurrency: 4 }, () => {
  for (const [build, path] of [["classic script", "/"], ["ESM build", "/module"]]) {
    test(`the ${build} works under a policy of script-src 'self'`, async (stage) => {
      const worker = await stage.worker();
      const policy = `default-src 'none'; script-src 'self'; connect-src 'self' ${worker.url}; img-src data:`;
      const page = await stage.page(await stage.site({ worker, policy }), { path });
      const client = await page.connect(worker.url, { topic: "a", getToken: true });
      await client.next("live");

      await worker.publish("a", { n: 1 });

      assert.deepEqual((await client.next("push")).payload, { n: 1 });
    });
  }
});
