// The demo page in headless Chromium, against a real worker: what a visitor sees, and that the
// page finds its way back after the worker was away.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { Demo, inShell, openDemo, reads, receives, startBrowser, text } from "./support.js";

const MILLISECONDS = /^(< 0\.1|\d+(\.\d)?) ms$/;
// What Chromium itself writes to the console when nobody listens on the worker's port, or when
// the worker goes away in the middle of an answer.
const OUTAGE = /net::ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED)/;

let browser;
let demo;

before(async () => { browser = await startBrowser(); });
after(() => browser?.close());
beforeEach(async () => { demo = await Demo.start(); });
afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
  await demo.end("SIGKILL");
});

describe("the demo page", { timeout: 300_000 }, () => {
  test("receives pushes and shows how long each took", async () => {
    const page = await openDemo(browser, demo);

    await receives(page, 3);

    const row = page.getByTestId("feed").locator("li.qso").first();
    assert.match(await row.locator(".call").textContent(), /^[A-Z0-9/]{3,}$/);
    assert.match(await row.locator(".chip").textContent(), /^\d+m$/);
    assert.match(await row.locator(".took").textContent(), MILLISECONDS);
    for (const part of ["latency-last", "latency-p50", "latency-p99"]) {
      const latency = await reads(page, part, MILLISECONDS);
      assert.ok(Number.parseFloat(latency.replace("< ", "")) < 1000, `${part}: ${latency}`);
    }
    assert.equal(await text(page, "reconnects"), "0");
    assert.ok(await chartHasInk(page), "the chart is empty");
    assert.deepEqual(page.complaints, []);
  });

  test("publishes the visitor's event, which comes back with its round trip", async () => {
    const page = await openDemo(browser, demo);
    const other = await openDemo(browser, demo);

    await page.getByTestId("call").fill("oe3xyz/p");
    await page.getByTestId("text").fill("73 <b>de</b> Chromium & co");
    await page.getByTestId("publish").click();

    await reads(page, "publish-result", /Back in (< 0\.1|\d+(\.\d)?) ms/);
    for (const [where, who] of [[page, "you"], [other, "visitor"]]) {
      const row = where.getByTestId("feed").locator("li.visitor").first();
      await row.waitFor();
      assert.equal(await row.locator(".call").textContent(), "OE3XYZ/P");
      assert.equal(await row.locator(".chip").textContent(), who);
      assert.equal(await row.locator(".said").textContent(), "73 <b>de</b> Chromium & co");
      assert.match(await row.locator(".took").textContent(), MILLISECONDS);
    }
    assert.deepEqual(page.complaints, []);
  });

  test("says why an event was not published", async () => {
    const page = await openDemo(browser, demo);
    await page.getByTestId("call").fill("DL1ABC");
    await page.getByTestId("text").fill("   "); // The browser lets this pass, the worker does not.
    await page.getByTestId("publish").click();

    await reads(page, "publish-result", /^Not published.*text/);
    assert.equal(await page.getByTestId("publish").getAttribute("aria-disabled"), null);
  });

  test("shows what a real curl publishes by the line that the page prints", async () => {
    const page = await openDemo(browser, demo);

    assert.equal(await inShell(await text(page, "curl-register")), "");
    assert.equal(await inShell(await text(page, "curl-publish")), "");

    const row = page.getByTestId("feed").locator("li.visitor").first();
    await row.waitFor();
    assert.equal(await row.locator(".said").textContent(), "hello from the shell");
    const status = JSON.parse(await inShell(await text(page, "curl-status")));
    assert.equal(status.status, "ok");
    assert.ok(status.active_topic_list.includes("demo.feed"));
    assert.deepEqual(page.complaints, []);
  });

  test("shows any payload, also one that the demo would not send", async () => {
    const page = await openDemo(browser, demo);
    const line = await text(page, "curl-publish");
    const feed = page.getByTestId("feed");

    for (const payload of ["null", "[1,2]", '"words"', '{"kind":"qso"}', '{"kind":"visitor","call":{"a":1},"text":7,"sent_at_ms":9e15}']) {
      const sent = line.replace(/"payload":.*'/, () => `"payload":${payload}}'`);
      assert.notEqual(sent, line);
      await inShell(sent);
    }

    await feed.locator(".said", { hasText: "[1,2]" }).waitFor();
    await feed.locator(".said", { hasText: '"words"' }).waitFor();
    await feed.locator(".said", { hasText: "9000000000000000" }).waitFor();
    await receives(page, 1);
    assert.deepEqual(page.complaints, []);
  });

  test("comes back by itself, with a new token, after the worker was killed", async () => {
    const page = await openDemo(browser, demo);
    await receives(page, 1);

    const firstToken = await tokenOf(page);
    await demo.end("SIGKILL");
    await reads(page, "state", /^reconnecting (in \d+ s|now)$/);
    await page.waitForEvent("requestfailed"); // It tries, and finds nobody.
    await demo.startAgain();
    await reads(page, "state", /^live$/);

    await receives(page, 2);
    assert.equal(await text(page, "reconnects"), "1");
    assert.notEqual(await tokenOf(page), firstToken);
    await page.getByTestId("feed").getByText("connection lost").waitFor();
    await page.getByTestId("feed").getByText("live again after").waitFor();
    await inShell(await text(page, "curl-publish")); // The lines are those of the new worker.
    await page.getByTestId("feed").getByText("hello from the shell").waitFor();
    assert.deepEqual(page.complaints.filter((words) => !OUTAGE.test(words)), []);
  });

  test("is told of an orderly restart, and comes back", async () => {
    const page = await openDemo(browser, demo);
    await receives(page, 1);

    const started = performance.now();
    assert.equal(await demo.end("SIGTERM"), 0);
    assert.ok(performance.now() - started < 2000, "the worker took over 2 s to end");
    await page.getByTestId("feed").getByText("the worker is restarting (1001)").waitFor();
    await demo.startAgain();
    await reads(page, "state", /^live$/);

    await receives(page, 2);
    assert.equal(await text(page, "reconnects"), "1");
    assert.deepEqual(page.complaints.filter((words) => !OUTAGE.test(words)), []);
  });

  test("comes back as often as the worker does, and at once when asked to", async () => {
    const page = await openDemo(browser, demo);

    for (const times of ["1", "2", "3"]) {
      await demo.end("SIGKILL");
      await reads(page, "state", /^reconnecting/);
      await demo.startAgain();
      await page.evaluate(() => document.querySelector('[data-testid="retry"]').click());
      await reads(page, "reconnects", new RegExp(`^${times}$`));
      await receives(page, 1);
    }

    assert.deepEqual(page.complaints.filter((words) => !OUTAGE.test(words)), []);
  });

  test("keeps to its strict policy and to the worker it came from", async () => {
    const page = await openDemo(browser, demo);
    await receives(page, 2);
    await page.getByTestId("pause").click();
    await page.getByTestId("pause").click();

    const policy = (await page.answer.allHeaders())["content-security-policy"];
    for (const directive of ["default-src 'none'", "script-src 'unsafe-inline'", "connect-src 'self'"]) {
      assert.ok(policy?.includes(directive), `${directive} is not in ${policy}`);
    }
    const hosts = new Set(page.requested.filter((url) => !url.startsWith("data:")).map((url) => new URL(url).host));
    assert.deepEqual([...hosts], [new URL(demo.address).host]);
    assert.deepEqual(page.complaints, []);
  });

  test("keeps its list bounded, and still while it is paused", async () => {
    const page = await openDemo(browser, demo);
    const feed = page.getByTestId("feed");
    const line = await text(page, "curl-publish");
    await page.getByTestId("pause").click();
    const before = await feed.locator("li").allTextContents();

    await inShell(`for i in $(seq 80); do ${line} || exit 1; done`);
    await receives(page, 1);
    const during = await feed.locator("li").allTextContents();
    await page.getByTestId("pause").click();

    assert.deepEqual(during, before);
    assert.equal(await feed.locator("li").count(), 60);
    assert.deepEqual(page.complaints, []);
  });

  for (const colorScheme of ["light", "dark"]) {
    test(`fits on a phone without scrolling sideways, ${colorScheme}`, async () => {
      const page = await openDemo(browser, demo, { colorScheme, viewport: { width: 360, height: 800 } });
      await page.getByTestId("call").fill("VERY/LONG-CALL/SIGN1");
      await page.getByTestId("text").fill("w".repeat(200));
      await page.getByTestId("publish").click();
      await reads(page, "publish-result", /Back in/);
      await receives(page, 2);

      const overhang = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(await overhang() <= 0, "wider than the screen while live");
      await demo.end("SIGKILL");
      await reads(page, "state", /^reconnecting/);
      assert.ok(await overhang() <= 0, "wider than the screen while reconnecting");
    });
  }

  test("can be read: enough contrast, a name for every control", async () => {
    for (const colorScheme of ["light", "dark"]) {
      const page = await openDemo(browser, demo, { colorScheme, reducedMotion: "reduce" });
      await receives(page, 2);

      assert.deepEqual(await page.evaluate(pale), [], colorScheme);
      assert.deepEqual(await page.evaluate(nameless), [], colorScheme);
      assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
    }
  });
});

/** The token that a worker gives this page now; it differs with the worker's secret. */
function tokenOf(page) {
  return page.evaluate(async () => {
    const session = await (await fetch("/demo/session")).json();
    return session.token.split(".")[1];
  });
}

function chartHasInk(page) {
  return page.waitForFunction(() => {
    const canvas = document.querySelector('[data-testid="chart"]');
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const accent = getComputedStyle(document.documentElement).getPropertyValue("--accent");
    const [red, green, blue] = accent.match(/[0-9a-f]{2}/g).map((hex) => Number.parseInt(hex, 16));
    for (let at = 0; at < data.length; at += 4) {
      if (data[at] === red && data[at + 1] === green && data[at + 2] === blue && data[at + 3] > 100) return true;
    }
    return false;
  }).then(() => true);
}

/** Runs in the page: texts with less contrast than WCAG's AA asks for, 4.5 to 1. */
function pale() {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgb = (colours) => {
    pen.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
    }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (colours) => rgb(colours)
    .map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const found = [];
  for (const element of document.querySelectorAll("body *:not(script, style)")) {
    const speaks = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!speaks || !element.checkVisibility() || element.closest(".unseen")) continue;
    const ground = [];
    for (let below = element; below; below = below.parentElement) ground.unshift(getComputedStyle(below).backgroundColor);
    const [low, high] = [light(ground), light([...ground, getComputedStyle(element).color])].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) found.push(`${element.textContent.trim()}: ${contrast.toFixed(2)}`);
  }
  return found;
}

/** Runs in the page: controls that a screen reader could not name. */
function nameless() {
  return [...document.querySelectorAll("button, input, canvas, [tabindex]")]
    .filter((control) => {
      const labels = [control, ...(control.labels ?? []), ...(control.ariaLabelledByElements ?? [])];
      return !control.ariaLabel && !labels.some((label) => label.textContent.trim());
    })
    .map((control) => control.outerHTML);
}
