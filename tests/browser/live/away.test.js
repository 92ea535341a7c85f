// The live view while workers come and go: a restart under an open page, and a cluster over a real
// Redis that loses a node, and then Redis itself.

import assert from "node:assert/strict";
import { oneBrowser, scenario } from "../client/support.js";
import { enter, isCalm, openLive, OUTAGE, reads, startRedis, subscribe, traffic } from "./support.js";

const browser = oneBrowser();

scenario("a worker that is killed is said to be away, and its page goes on when it is back", browser, async (stage) => {
  const worker = await stage.worker();
  await worker.register("session.42");
  await traffic(stage, worker, "session.42");
  const page = await openLive(stage, worker, { hash: "#topic/session.42" });
  await page.locator("#tail-events pre").first().waitFor();
  await page.getByLabel("Payload, as JSON").fill('{"half": "typed"}');

  await worker.end("SIGKILL");
  await reads(page, "#verdict p", /^The worker does not answer\s*What is shown is of \d\d:\d\d:\d\d\. Trying again by itself\./);
  assert.ok(await page.locator("#tail-events pre").count() > 0, "what was shown is gone");
  await reads(page, "#tail-state", /^The worker does not answer; trying again\.$/);
  await page.getByRole("button", { name: "Publish" }).click();
  await reads(page, "#publish-outcome", /^Not published\s*The worker does not answer/);
  await page.getByRole("button", { name: "Try now" }).click();
  await worker.startAgain();

  assert.equal(await reads(page, "#sign-in-outcome", /./, 15_000), "The session has ended. Sign in again.");
  await worker.register("session.42");
  await enter(page);
  await reads(page, "#verdict-words", /^(?!The worker)/);
  assert.equal(await page.getByLabel("Payload, as JSON").inputValue(), '{"half": "typed"}');
  await page.locator("#tail-events .note", { hasText: "The worker was away" }).waitFor();
  await reads(page, "#tail-state", /^Following\.$/);
  assert.equal(await page.locator("#tail-events > li").first().getAttribute("class"), null); // Events come again.
  await page.getByRole("link", { name: "Overview" }).click();
  const line = page.locator("figure path.line").nth(1);
  await page.waitForFunction((path) => (path.getAttribute("d").match(/M/g) ?? []).length >= 1, await line.elementHandle());
  isCalm(page, OUTAGE);
});

scenario("two nodes show each other, a killed one as silent, and Redis as away", browser, async (stage) => {
  const redis = await startRedis(stage);
  const [one, two] = await Promise.all(["node-one", "node-two"].map((name) => stage.worker({ redis_url: redis.url, node_name: name })));
  await two.register("session.42");
  await subscribe(stage, two, "session.42");
  const page = await openLive(stage, one);
  const row = (name) => page.locator("#nodes tr", { hasText: name });

  await row("node-two").filter({ hasText: "up" }).waitFor();
  await row("node-one").filter({ hasText: "up, this one" }).waitFor();
  await reads(page, "#redis", /^Redis redis:\/\/127\.0\.0\.1:\d+\/0 is connected/);
  await reads(page, "#verdict p", /^All is well\s*2 nodes$/);
  await page.waitForFunction(() => [...document.querySelectorAll("#nodes tr")].some((tr) => tr.cells[0].textContent === "node-two" && tr.cells[2].textContent === "1"));

  await two.end("SIGKILL");
  await row("node-two").filter({ hasText: /silent for \d+ s/ }).waitFor({ timeout: 25_000 });
  await reads(page, "#verdict p", /Node node-two is silent/);
  await redis.end();
  await reads(page, "#verdict-words", /^Redis is away since \d\d:\d\d:\d\d; other nodes do not hear this one$/);
  assert.equal(await page.locator("#verdict").getAttribute("data-level"), "bad");
  await page.getByRole("link", { name: "Problems" }).click();
  await reads(page, "#problems-list", /Redis was away/);
  isCalm(page);
});
