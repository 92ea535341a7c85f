// Tokens that are refused, have expired, or cannot be fetched.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { ScriptedServer } from "./faults.js";
import { mintToken, oneBrowser, OUTAGE, scenario } from "./support.js";

const browser = oneBrowser();
const test = (name, ...rest) => scenario(name, browser, ...rest);
const FORGED = { secret: "of somebody else, at least 32 bytes long" };
const FAILED = /status of 500/;

async function stand(stage) {
  const worker = await stage.worker();
  await worker.register("a");
  const site = await stage.site({ worker });
  return { worker, site, page: await stage.page(site) };
}

const socketsOf = (page) => page.evaluate(() => globalThis.harness.sockets.size);

describe("a token", { concurrency: 4 }, () => {
  test("that is refused is renewed by getToken, at once", async (stage) => {
    const { worker, site, page } = await stand(stage);
    site.answer = async (topic, call) => mintToken(topic, call === 1 ? FORGED : {});

    const client = await page.connect(worker.url, { topic: "a", getToken: true });

    const live = await client.next("live");
    assert.equal(site.calls, 2);
    assert.equal(await socketsOf(page), 2);
    assert.ok(live.at - client.events[0].at < 3000, "it waited");
  });

  test("that is refused again and again is asked for with growing pauses, not in a loop", async (stage) => {
    const { worker, site, page } = await stand(stage);
    site.answer = async (topic) => mintToken(topic, FORGED);
    const client = await page.connect(worker.url, { topic: "a", getToken: true, firstRetryMs: 100 });

    const waits = [];
    while (waits.length < 4) waits.push(await client.next("waiting", 20_000));

    assert.ok(site.calls <= 6, `PHP was asked ${site.calls} times`);
    site.answer = async (topic) => mintToken(topic);
    await client.next("live", 20_000);
  });

  test("that has expired before an attempt is not tried: getToken is asked first", async (stage) => {
    const { worker, site, page } = await stand(stage);

    const client = await page.connect(worker.url, { topic: "a", token: mintToken("a", { ttlSecs: -10 }), getToken: true });

    await client.next("live");
    assert.equal(site.calls, 1);
    assert.equal(await socketsOf(page), 1);
    assert.equal((await worker.counters()).auth_failures, 0);
  });

  test("that expires while it is live is renewed when the worker comes back", async (stage) => {
    const { worker, site, page } = await stand(stage);
    const client = await page.connect(worker.url, { topic: "a", token: mintToken("a", { ttlSecs: 3 }), getToken: true });
    await client.next("live");
    const expired = client.events[0].at + 4500;

    await worker.end();
    await new Promise((resolve) => { setTimeout(resolve, expired - Date.now()); });
    await worker.startAgain();
    await worker.register("a");

    await client.next("live", 20_000);
    assert.ok(site.calls >= 1, "PHP was not asked");
    assert.equal((await worker.counters()).auth_failures, 0);
  }, OUTAGE);

  test("that is refused without getToken ends it: no more attempts until retry()", async (stage) => {
    const { worker, page } = await stand(stage);
    const client = await page.connect(worker.url, { topic: "a", token: mintToken("a", FORGED) });

    const refused = await client.next("refused");
    assert.equal(refused.detail.reason, "unauthorized");
    assert.equal(await client.do("state"), "refused");
    // Nothing is set that could try again.
    const left = await page.evaluate(() => globalThis.harness.left());
    assert.deepEqual([left.timers, left.sockets], [0, 0]);
    assert.equal(await socketsOf(page), 1);

    await client.do("retry");
    await client.next("refused");
    assert.equal(await socketsOf(page), 2);
  });

  test("that is missing on a topic that needs one ends it, too", async (stage) => {
    const { worker, page } = await stand(stage);

    const client = await page.connect(worker.url, { topic: "a" });

    await client.next("refused");
  });

  test("for another topic is refused", async (stage) => {
    const { worker, page } = await stand(stage);

    const client = await page.connect(worker.url, { topic: "a", token: mintToken("b") });

    await client.next("refused");
  });

  test("that PHP fails to give twice comes with the third call", async (stage) => {
    const { worker, site, page } = await stand(stage);
    site.answer = async (topic, call) => {
      if (call < 3) throw new Error("PHP fails");
      return mintToken(topic);
    };

    const client = await page.connect(worker.url, { topic: "a", getToken: true });

    for (const failures of [1, 2]) {
      const { detail } = await client.next("waiting");
      assert.deepEqual([detail.reason, detail.failures], ["token", failures]);
    }
    await client.next("live");
    assert.equal((await client.next("resync")).reason, "late");
    assert.equal(site.calls, 3);
  }, FAILED);

  test("of the wrong kind counts as a failure of getToken", async (stage) => {
    const { worker, site, page } = await stand(stage);
    site.answer = async (topic, call) => (call === 1 ? "" : mintToken(topic));

    const client = await page.connect(worker.url, { topic: "a", getToken: true });

    assert.equal((await client.next("waiting")).detail.reason, "token");
    await client.next("live");
  });

  test("4401 asks for a fresh token", async (stage) => {
    const server = await stage.keep(ScriptedServer.start((socket, _, count) => {
      if (count === 1) socket.close(4401, "expired");
      else socket.send('{"type":"auth_ok"}');
    }));
    const site = await stage.site();
    const page = await stage.page(site);

    const client = await page.connect(server.url, { topic: "a", getToken: true });

    await client.next("live");
    assert.equal(site.calls, 2);
  });

  test("4401 while live asks for a fresh token, and the page fetches again", async (stage) => {
    const server = await stage.keep(ScriptedServer.start());
    const site = await stage.site();
    const page = await stage.page(site);
    const client = await page.connect(server.url, { topic: "a", getToken: true });
    await client.next("live");

    server.sockets[0].close(4401, "withdrawn");

    await client.next("live");
    assert.equal((await client.next("resync")).reason, "reconnected");
    assert.equal(site.calls, 2);
  });

  test("4401 without getToken ends it", async (stage) => {
    const server = await stage.keep(ScriptedServer.start((socket) => socket.close(4401)));
    const page = await stage.page(await stage.site());

    const client = await page.connect(server.url, { topic: "a", token: mintToken("a") });

    assert.equal((await client.next("refused")).detail.code, 4401);
  });

  test("4403 ends it, whatever PHP could give", async (stage) => {
    const server = await stage.keep(ScriptedServer.start((socket) => socket.close(4403, "kicked")));
    const site = await stage.site();
    const page = await stage.page(site);

    const client = await page.connect(server.url, { topic: "a", getToken: true });

    assert.equal((await client.next("refused")).detail.code, 4403);
    const left = await page.evaluate(() => globalThis.harness.left());
    assert.deepEqual([left.timers, left.sockets, site.calls], [0, 0, 1]);
  });
});
