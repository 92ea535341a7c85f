// Close codes of the worker (docs/protocol.md, "Close codes"): made for real where a worker can be
// brought to send them, by a scripted server where it cannot.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { Proxy, Redis, ScriptedServer } from "./faults.js";
import { mintToken, oneBrowser, OUTAGE, scenario } from "./support.js";

const browser = oneBrowser();
const test = (name, ...rest) => scenario(name, browser, ...rest);

/** A scripted server with one live connection to it. */
async function scripted(stage, options = {}) {
  const server = await stage.keep(ScriptedServer.start());
  const page = await stage.page(await stage.site());
  const client = await page.connect(server.url, { topic: "a", token: mintToken("a"), ...options });
  await client.next("live");
  return { server, page, client };
}

describe("the page is closed with", { concurrency: 4 }, () => {
  test("4008 by a real worker, as it reads too slowly: it comes back and is told to fetch", async (stage) => {
    const worker = await stage.worker({ backlog_bytes: "64KiB" });
    await worker.register("a");
    const proxy = await stage.keep(Proxy.start(worker.wsPort));
    const page = await stage.page(await stage.site({ worker }));
    const client = await page.connect(proxy.url, { topic: "a", getToken: true, brief: true });
    await client.next("live");

    proxy.stall();
    // The kernel keeps some megabytes for a connection on loopback.
    for (let n = 0; (await worker.counters()).slow_closes === 0; n += 1) {
      assert.ok(n < 300, "60 MB are nowhere to be seen");
      await worker.publish("a", { n, filler: "x".repeat(200_000) });
    }
    proxy.read();
    const open = Date.now();
    const lost = await client.next("waiting");
    await client.next("live");
    await worker.publish("a", { n: "after" });
    await client.next(({ payload }) => payload?.n === "after");

    // The worker waits a second for its close frame to be read. A machine that paused for longer
    // proves nothing, and then a reset is right.
    const told = lost.detail.code === 4008;
    assert.ok(told || (lost.detail.code === 1006 && lost.at - open > 1000), `${lost.detail.code} after ${lost.at - open} ms`);
    assert.deepEqual(client.all("resync").map(({ reason }) => reason), [told ? "told" : "reconnected"]);
    const numbers = client.all("push").map(({ payload }) => payload.n).filter((n) => n !== "after");
    assert.deepEqual(numbers, numbers.map((_, n) => n)); // Whole, in order, none missing before the end.
  });

  test("4009 by a real cluster of which a node was cut off: it comes back and is told to fetch", async (stage) => {
    const redis = await stage.keep(Redis.start());
    const link = await stage.keep(Proxy.start(redis.port));
    const spread = { resync_spread: "100ms" };
    const one = await stage.worker({ redis_url: `redis://127.0.0.1:${link.port}/0`, node_name: "one", ...spread });
    const other = await stage.worker({ redis_url: `redis://127.0.0.1:${redis.port}/0`, node_name: "other", ...spread });
    const page = await stage.page(await stage.site({ worker: one }));
    const client = await page.connect(one.url, { topic: "a", getToken: true });
    await client.next("live");
    await other.register("a");
    await other.publish("a", 1);
    assert.equal((await client.next("push")).payload, 1);

    const away = one.heard(/redis.*(lost|away)/i);
    await link.refuse();
    await away;
    await other.publish("a", 2);
    await link.accept();
    const lost = await client.next("waiting", 20_000);
    await client.next("live");
    await client.next("resync");
    await other.publish("a", 3);
    await client.next(({ payload }) => payload === 3);

    assert.equal(lost.detail.code, 4009);
    assert.deepEqual(client.all("resync").map(({ reason }) => reason), ["told"]);
  });

  for (const [code, reason] of [[1001, "reconnected"], [4008, "told"], [4009, "told"], [4999, "reconnected"]]) {
    test(`${code}: it comes back after a pause of a second at most, and fetches: ${reason}`, async (stage) => {
      const { server, client } = await scripted(stage);

      server.sockets[0].close(code);

      const lost = await client.next("waiting");
      const live = await client.next("live");
      assert.equal(lost.detail.code, code);
      assert.ok(lost.detail.retryInMs <= 1000, `pause of ${lost.detail.retryInMs} ms`);
      assert.ok(live.at - lost.at >= lost.detail.retryInMs - 5, `live ${live.at - lost.at} ms later`);
      assert.equal((await client.next("resync")).reason, reason);
      assert.equal(client.all("resync").length, 1);
    });
  }

  test("4408 before it is authenticated: it tries again", async (stage) => {
    const server = await stage.keep(ScriptedServer.start((socket, _, count) => {
      if (count === 1) socket.close(4408, "no auth frame in time");
      else socket.send('{"type":"auth_ok"}');
    }));
    const page = await stage.page(await stage.site());

    const client = await page.connect(server.url, { topic: "a", token: mintToken("a") });

    assert.equal((await client.next("waiting")).detail.code, 4408);
    await client.next("live");
  });

  test("1013, the worker is overloaded: the pauses begin longer", async (stage) => {
    const server = await stage.keep(ScriptedServer.start());
    const page = await stage.page(await stage.site());
    const clients = [];
    for (let n = 0; n < 12; n += 1) clients.push(await page.connect(server.url, { topic: `t${n}`, token: mintToken("a") }));
    await Promise.all(clients.map((client) => client.next("live")));

    for (const socket of server.sockets) socket.close(1013, "try again later");

    const pauses = await Promise.all(clients.map(async (client) => (await client.next("waiting")).detail.retryInMs));
    // Up to 8 s instead of 1 s: that all 12 are below 2 s has a chance of 1 in 16 million.
    assert.ok(Math.max(...pauses) > 2000, `pauses ${pauses}`);
    assert.ok(Math.max(...pauses) <= 8000, `pauses ${pauses}`);
  });

  test("nothing at all, in the middle of a push: what was half there is not passed on", async (stage) => {
    const { server, client } = await scripted(stage);
    const [socket] = server.sockets;

    // The head of a text frame of 100 bytes, and a few of them.
    socket._socket.write(Buffer.concat([Buffer.from([0x81, 100]), Buffer.from('{"type":"push","payload":')]));
    socket._socket.end();

    assert.equal((await client.next("waiting")).detail.code, 1006);
    await client.next("live");
    assert.deepEqual(client.all("push"), []);
  }, OUTAGE);

  test("frames that are no JSON or of no type: they are passed over", async (stage) => {
    const { server, client } = await scripted(stage);

    for (const words of ["no json", "null", "[]", "7", "{}", '{"type":1}']) server.sockets[0].send(words);
    server.sockets[0].send(Buffer.from([1, 2, 3]));
    server.sockets[0].send('{"type":"of a later version","more":1}');
    server.sockets[0].send('{"type":"push","payload":"still here"}');

    assert.equal((await client.next("push")).payload, "still here");
    assert.ok(client.all("frame").some(({ frame }) => frame.more === 1));
    assert.equal(await client.do("state"), "live");
  });
});
