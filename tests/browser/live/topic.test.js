// One topic in the live view: its live tail, test events, input that means harm, and a worker that
// is killed under an open page.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { mintToken, oneBrowser, scenario } from "../client/support.js";
import { enter, isCalm, openLive, OUTAGE, reads, subscribe, traffic } from "./support.js";

const browser = oneBrowser();
const TOPIC = "session.42";
const events = (page) => page.locator("#tail-events pre");

/** Waits until the worker follows the topic for the page: it has answered what was asked after that. */
async function following(page, open) {
  await Promise.all([page.waitForRequest(/live\/tail/), open]);
  await page.waitForResponse(/live\/state/);
  await page.waitForResponse(/live\/state/);
}

async function openTopic(stage, topic = TOPIC) {
  const worker = await stage.worker();
  await worker.register(topic);
  const page = await openLive(stage, worker, { hash: `#topic/${encodeURIComponent(topic)}`, signIn: false });
  await following(page, enter(page));
  return { worker, page };
}

describe("a topic in the live view", { concurrency: 2 }, () => {
  scenario("the tail shows a publish within a second, set out, with time and size", browser, async (stage) => {
    const { worker, page } = await openTopic(stage);

    await worker.publish(TOPIC, { event: "qso", call: "DL1ABC", big: 1 });
    await events(page).first().waitFor({ timeout: 1000 });

    assert.equal(await events(page).textContent(), '{"event": "qso", "call": "DL1ABC", "big": 1}');
    assert.match(await page.locator("#tail-events li p").textContent(), /^\d\d:\d\d:\d\d\.\d{3}\d+ B$/);
    await page.getByRole("button", { name: "Pause" }).click();
    await worker.publish(TOPIC, { event: "second" });
    await worker.publish(TOPIC, { event: "third" });
    await reads(page, "#tail-pause", /^Resume \(2 new\)$/);
    assert.equal(await events(page).count(), 1);
    await page.getByRole("button", { name: "Resume" }).click();
    assert.deepEqual((await events(page).allTextContents()).slice(0, 2), ['{"event": "third"}', '{"event": "second"}']);
    await page.getByRole("button", { name: "Clear" }).click();
    assert.equal(await events(page).count(), 0);

    await worker.publish(TOPIC, Array.from({ length: 40 }, (_, n) => ({ n, text: "some words that make a line" })));
    await page.getByRole("button", { name: /Show all \d+ lines/ }).click();
    assert.ok((await events(page).boundingBox()).height > 500);
    isCalm(page);
  });

  scenario("of events in a burst none is lost silently", browser, async (stage) => {
    const { worker, page } = await openTopic(stage);

    for (let n = 0; n < 400; n += 20) await Promise.all(Array.from({ length: 20 }, (_, more) => worker.publish(TOPIC, { n: n + more })));
    await worker.publish(TOPIC, { n: "last" });
    await page.getByText('{"n": "last"}').waitFor();

    const shown = await events(page).count();
    const missed = await page.locator("#tail-events .note").count();
    assert.ok(shown <= 200 && (shown >= 150 || missed > 0), `${shown} shown, ${missed} notes`);
    isCalm(page);
  });

  scenario("a test event reaches a page in a browser, and the form says how many have it", browser, async (stage) => {
    const { worker, page } = await openTopic(stage);
    const site = await stage.site({ worker, script: worker.script });
    const user = await stage.page(site);
    const client = await user.connect(worker.url, { topic: TOPIC, getToken: true });
    await client.next("live");
    await reads(page, "#topic-facts", /^1 subscriber · token required · expires in/);
    const payload = page.getByLabel("Payload, as JSON");

    await payload.fill('{"big": 12345678901234567890, "text": "73 <b>de</b> me"}');
    await page.getByRole("button", { name: "Publish" }).click();

    await reads(page, "#publish-outcome", /^Sent to 1 subscriber/);
    assert.equal((await client.next("push")).payload.text, "73 <b>de</b> me");
    await page.locator("#tail-events pre", { hasText: '"big": 12345678901234567890' }).waitFor(); // Every digit.
    await payload.fill('{\n  "a": 1,\n}');
    assert.equal(await reads(page, "#payload-fault", /./), "Line 3, column 1: a name in double quotes is expected, not }.");
    const before = client.all("push").length;
    await payload.press("Control+Enter");
    assert.equal(await payload.getAttribute("aria-invalid"), "true");
    assert.equal(await payload.evaluate((area) => area.selectionStart), 12);
    await payload.fill('"fine"');
    await payload.press("Control+Enter");
    assert.equal((await client.next("push")).payload, "fine");
    assert.equal(client.all("push").length, before + 1);
    isCalm(page);
  });

  scenario("a topic that is not registered is said to be so, and can be registered first", browser, async (stage) => {
    const worker = await stage.worker();
    const page = await openLive(stage, worker, { hash: "#topic/new%20one", signIn: false });
    await following(page, enter(page));

    await page.getByRole("button", { name: "Publish" }).click();
    await reads(page, "#publish-outcome", /^Not published.*not registered/);
    await page.getByRole("checkbox", { name: "Register the topic first" }).check();
    await page.getByRole("button", { name: "Publish" }).click();

    await reads(page, "#publish-outcome", /^Accepted; nobody is subscribed on this node/);
    await page.locator("#tail-events pre", { hasText: '{"event": "test"}' }).waitFor();
    await reads(page, "#topic-facts", /^0 subscribers/);
    isCalm(page);
  });

  scenario("hostile topics and payloads are shown as the text they are", browser, async (stage) => {
    const topic = '"><img src=x onerror=alert(1)>\u202egnp.exe/../%00 #?&';
    const { worker, page } = await openTopic(stage, topic);
    page.on("dialog", () => page.complaints.push("a dialog"));
    await subscribe(stage, worker, topic, mintToken(topic));

    await worker.publish(topic, { html: "<img src=x onerror=alert(1)><script>alert(2)</script>", "</pre>": "\u202egnp.exe\u0000" });
    await events(page).first().waitFor();
    assert.match(await events(page).textContent(), /"<img src=x onerror=alert\(1\)><script>alert\(2\)<\/script>"/);
    assert.match(await events(page).textContent(), /"\\u202egnp\.exe\\u0000"/);
    await worker.publish(topic, { long: "x".repeat(100_000) });
    await page.waitForFunction(() => document.querySelectorAll("#tail-events pre").length === 2);
    assert.match(await page.locator("#tail-events li p").first().textContent(), /97\.\d KiB, the first 16 KiB shown/);
    await worker.publish(topic, [[[["<a href=javascript:alert(1)>"]]], "\n".repeat(1000)]);
    await page.waitForFunction(() => document.querySelectorAll("#tail-events pre").length === 3);
    assert.equal(await reads(page, "#topic-title", /./), '"><img src=x onerror=alert(1)>\\u202egnp.exe/../%00 #?&');
    await page.getByRole("link", { name: "All topics" }).click();
    await page.getByRole("link", { name: "gnp.exe" }).click(); // Its link leads to it.
    await reads(page, "#topic-facts", /^1 subscriber /);

    assert.equal(await page.locator("#views img, #views script, #views a[href^=javascript]").count(), 0);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
    isCalm(page);
  });

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
    await page.locator("#tail-events > li:first-child:not(.note)").waitFor(); // Events come again.
    await page.getByRole("link", { name: "Overview" }).click();
    const line = page.locator("figure path.line").nth(1);
    await page.waitForFunction((path) => (path.getAttribute("d").match(/M/g) ?? []).length >= 1, await line.elementHandle());
    isCalm(page, OUTAGE);
  });
});
