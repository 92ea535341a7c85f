// The live view's nodes, charts, topics, problems and configuration, with real traffic from real
// sockets, and a cluster over a real Redis that loses a node and then Redis itself.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { mintToken, oneBrowser, scenario, SECRET } from "../client/support.js";
import { isCalm, openLive, reads, startRedis, subscribe, traffic } from "./support.js";

const browser = oneBrowser();
const chart = (page, title) => page.locator("figure", { has: page.getByRole("heading", { name: title, exact: true }) });
const names = (page) => page.locator("#topics-rows th").allTextContents();

// Two at once: that a node is silent shows after 15 s.
describe("the live view's views", { concurrency: 2 }, () => {
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
    await reads(page, "#nodes tr:nth-child(2)", /^node-twoup1/); // Its socket, by its next beat.

    await two.end("SIGKILL");
    await row("node-two").filter({ hasText: /silent for \d+ s/ }).waitFor({ timeout: 40_000 });
    await reads(page, "#verdict p", /Node node-two is silent/);
    await redis.end();
    await reads(page, "#verdict-words", /^Redis is away since \d\d:\d\d:\d\d; other nodes do not hear this one$/);
    assert.equal(await page.locator("#verdict").getAttribute("data-level"), "bad");
    await page.getByRole("link", { name: "Problems" }).click();
    await reads(page, "#problems-list", /Redis was away/);
    isCalm(page);
  });

  scenario("charts and figures follow the traffic, and say what was at a moment", browser, async (stage) => {
    const worker = await stage.worker();
    await worker.register("session.42");
    for (let n = 0; n < 3; n += 1) await subscribe(stage, worker, "session.42");
    await traffic(stage, worker, "session.42");
    const page = await openLive(stage, worker);
    const value = (title) => chart(page, title).locator("output").first();
    const reaches = (title, least) => page.waitForFunction(([name, least]) => {
      const figure = [...document.querySelectorAll("figure")].find((one) => one.querySelector("h3").textContent === name);
      return Number.parseFloat(figure.querySelector("output").textContent.replace(",", "")) >= least;
    }, [title, least]);

    await reaches("Sockets", 3);
    await reaches("Publishes per second", 5);
    await reaches("Deliveries per second", 15);
    await reads(page, "figure:nth-of-type(4) .values", /median [\d.]+ ms.*99 % [\d.]+ ms/);
    const line = chart(page, "Publishes per second").locator("path.line");
    const drawn = await line.getAttribute("d");
    await page.waitForFunction(([path, before]) => path.getAttribute("d") !== before && path.getAttribute("d").includes("L"), [await line.elementHandle(), drawn]);
    await reads(page, "#figures", /Publishes\d.*Deliveries\d.*Memory[\d.]+ MiB/);
    assert.match(await page.locator("#nodes tr").textContent(), /up, this one/);
    assert.equal(await reads(page, "#redis", /./), "One node, without Redis.");

    const plot = chart(page, "Sockets").getByRole("slider");
    const box = await plot.boundingBox();
    await page.mouse.move(box.x + box.width - 3, box.y + 60);
    for (const time of await page.locator("figure time").allTextContents()) assert.match(time, /^\d\d:\d\d:\d\d$/);
    assert.equal(await value("Sockets").textContent(), "3");
    await page.mouse.move(0, 0);
    assert.equal(await page.locator("figure time").first().textContent(), "");
    await plot.focus();
    await page.keyboard.press("Home");
    const oldest = await plot.getAttribute("aria-valuetext");
    await page.keyboard.press("End");
    const newest = await plot.getAttribute("aria-valuetext");
    assert.match(newest, /^\d\d:\d\d:\d\d: 3$/);
    assert.notEqual(oldest, newest);
    isCalm(page);
  });

  scenario("topics are sorted and searched, thousands of them", browser, async (stage) => {
    const worker = await stage.worker();
    const all = Array.from({ length: 1200 }, (_, n) => `session.${n}`);
    for (let n = 0; n < all.length; n += 40) await Promise.all(all.slice(n, n + 40).map((topic) => worker.register(topic, false)));
    await worker.register("club.DL0ABC");
    await worker.register("sion"); // A part of more names than are shown.
    for (const topic of ["session.7", "session.7", "club.DL0ABC"]) await subscribe(stage, worker, topic);
    const page = await openLive(stage, worker, { hash: "#topics" });

    assert.match(await reads(page, "#topics-total", /shown/), /^1,20\d topics, 100 shown$/);
    assert.deepEqual((await names(page)).slice(0, 2), ["session.7", "club.DL0ABC"]);
    assert.equal(await page.locator("#topics-rows tr").first().locator("td").first().textContent(), "2");
    await traffic(stage, worker, "session.999", 100);
    await page.getByRole("button", { name: "Publishes" }).click();
    await page.waitForFunction(() => document.querySelector("#topics-rows th").textContent === "session.999");
    assert.equal(await page.locator("th[aria-sort=descending]").textContent(), "Publishes per minute");
    await page.waitForFunction(() => Number(document.querySelector("#topics-rows tr").cells[2].textContent) > 5);

    await page.getByRole("button", { name: "Topic" }).click();
    await page.waitForFunction(() => document.querySelector("#topics-rows th").textContent === "club.DL0ABC");
    await page.getByRole("button", { name: "Topic" }).click();
    await page.waitForFunction(() => document.querySelector("#topics-rows th").textContent === "worker.status");
    assert.equal(await page.locator("th[aria-sort=descending]").textContent(), "Topic");
    await page.getByRole("button", { name: "Show more" }).click();
    await page.waitForFunction(() => document.querySelectorAll("#topics-rows tr").length === 200);

    await page.getByRole("searchbox", { name: "Search topics" }).fill("dl0a");
    await reads(page, "#topics-total", /^1 with “dl0a”$/);
    assert.deepEqual(await names(page), ["club.DL0ABC"]);
    assert.match(await page.locator("#topics-rows tr").textContent(), /required/);
    await page.getByRole("searchbox", { name: "Search topics" }).fill("nobody/has this");
    await reads(page, "#topics-none", /^No topic with “nobody\/has this”/);
    await page.getByRole("link", { name: "Look at the topic" }).click();
    await reads(page, "#topic-title", /^nobody\/has this$/);
    await reads(page, "#topic-facts", /^Not registered on this node, and nobody is here\.$/);
    await page.evaluate(() => location.hash = "#topic/sion");
    await reads(page, "#topic-facts", /^0 subscribers/);
    isCalm(page);
  });

  scenario("a refused token is a problem, with what to do about it, and details that cannot harm", browser, async (stage) => {
    const worker = await stage.worker();
    const page = await openLive(stage, worker);
    await reads(page, "#verdict-words", /^All is well$/);
    const topic = "<img src=x onerror=alert(1)>\u202e";
    await worker.register(topic);

    await subscribe(stage, worker, topic, mintToken(topic, { secret: "another secret, which PHP has by mistake" }));

    await reads(page, "#verdict-words", /^In the last 15 minutes: A token was signed with another secret/);
    assert.equal(await page.locator("#verdict").getAttribute("data-level"), "warn");
    await page.getByRole("link", { name: "What to do" }).click();
    const card = page.locator("#problems-list > li").first();
    assert.match(await card.locator(".advice").textContent(), /worker_secret/);
    assert.match(await card.locator("ul").textContent(), /\d\d:\d\d:\d\d.*<img src=x.*127\.0\.0\.1/);
    assert.equal(await page.locator("#problem-count").textContent(), "1");
    await subscribe(stage, worker, topic, mintToken(topic, { ttlSecs: -60 }));
    await reads(page, "#problems-list > li:first-child", /expired/); // The newest first.
    assert.equal(await page.locator("#views img").count(), 0);
    await page.route(/live\/state/, async (route) => { // A quarter of an hour later, by the worker's clock.
      const response = await route.fetch();
      const state = await response.json();
      await route.fulfill({ response, json: { ...state, now: state.now + 16 * 60_000 } });
    });
    await reads(page, "#problems-none:not([hidden])", /^None in the last 15 minutes\.$/);
    await reads(page, "#problems-earlier", /expired.*another secret/);
    await reads(page, "#verdict-words", /^All is well$/);
    await page.unrouteAll({ behavior: "ignoreErrors" });
    isCalm(page);
  });

  scenario("the configuration in effect has origins and no secrets", browser, async (stage) => {
    const worker = await stage.worker({ topic_ttl: "36h" });
    const page = await openLive(stage, worker, { hash: "#config" });
    const rows = page.locator("#config-rows tr:visible");
    await rows.first().waitFor();

    const all = await rows.count();
    const said = await page.locator("#view-config").textContent();
    assert.ok(!said.includes(SECRET) && !said.includes(SECRET.slice(0, 16)), "the secret is shown");
    assert.match(await rows.filter({ hasText: "worker_secret" }).textContent(), /secret.*yaml/s);
    await page.getByRole("checkbox", { name: "Only what is set" }).check();
    assert.ok(await rows.count() < all);
    await page.getByRole("searchbox", { name: "Filter the configuration" }).fill("36H");
    assert.equal(await rows.count(), 1);
    assert.match(await rows.textContent(), /^topic_ttl36h.*\.yaml/);
    await page.getByRole("searchbox", { name: "Filter the configuration" }).fill("no such thing");
    await reads(page, "#config-none:not([hidden])", /^No key matches\.$/);
    isCalm(page);
  });

  scenario("a hidden tab asks rarely, and at once when it is looked at again", browser, async (stage) => {
    const worker = await stage.worker();
    const page = await openLive(stage, worker);
    const asked = () => page.requested.filter((url) => url.includes("/live/state")).length;
    const turn = (hidden) => page.evaluate((value) => {
      Object.defineProperty(document, "hidden", { value, configurable: true }); // Headless tabs are never hidden.
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);

    await turn(true);
    await page.waitForResponse(/live\/state/); // It was about to ask.
    const before = asked();
    await page.waitForTimeout(2500); // Nothing is what is waited for.
    assert.equal(asked(), before);
    await Promise.all([page.waitForRequest(/live\/state/, { timeout: 1000 }), turn(false)]);
    isCalm(page);
  });
});
