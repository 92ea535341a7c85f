// The example (examples/php-live-log) as people use it: started by its command, in two browsers,
// with a real PHP and a real worker, which goes away and comes back.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Worker } from "./client/support.js";
import { calls, Example, log, looksAt, shows, stands } from "./example-support.js";
import { startBrowser } from "./support.js";

// What Chromium itself writes to the console when nobody answers.
const OUTAGE = /^WebSocket connection to .* failed|net::ERR_/;
const REFUSED = /status of 4\d\d/;
// Time for a push on a busy machine; to poll takes longer.
const PUSHED_MS = 4000;

let browser;

before(async () => { browser = await startBrowser(); });
after(() => browser?.close());

/** Starts the example for the test `t`, which ends it. */
async function start(t, options) {
  const example = await Example.start(options);
  t.after(async () => {
    await Promise.all(example.contexts.map((context) => context.close()));
    await example.end();
  });
  return example;
}

/** Starts it with a worker that the test may kill; `secret` is that of both. */
async function startBoth(t) {
  const secret = randomBytes(32).toString("hex");
  const worker = await Worker.start({ worker_secret: secret });
  t.after(() => worker.end("SIGKILL"));
  return { worker, secret, example: await start(t, { worker, secret }) };
}

describe("the live log", { timeout: 120_000 }, () => {
  test("shows a contact in the other browser within a second", async (t) => {
    const example = await start(t);
    const [here, there] = [await example.open(browser), await example.open(browser)];
    await log(here, "w1aw"); // The first one warms up PHP.
    await shows(there, "W1AW");

    const times = [];
    for (const call of ["DL1ABC", "OE3XYZ/P", "JA1NUT", "VK6LRT", "ZL3RHI"]) {
      const { began, result } = await log(here, call.toLowerCase(), { band: "40m", mode: "CW", name: "Ann" });
      await shows(there, call);
      times.push(performance.now() - began);
      assert.equal(result, `${call} is in the log.`);
    }

    t.diagnostic(`from the key press to the other screen: ${times.map((ms) => `${ms.toFixed(0)} ms`).join(", ")}`);
    assert.ok(times.every((ms) => ms < 1000), `${times}`);
    for (const page of [here, there]) {
      assert.deepEqual(await calls(page), ["ZL3RHI", "VK6LRT", "JA1NUT", "OE3XYZ/P", "DL1ABC", "W1AW"]);
      assert.match(await page.locator("#contacts tr").first().innerText(), /\d\d:\d\d\s+ZL3RHI\s+40m\s+CW\s+599\s+Ann/);
      assert.deepEqual(page.complaints, []);
    }
  });

  test("is used by keyboard alone: the call sign has the focus, again after saving", async (t) => {
    const example = await start(t);
    const page = await example.open(browser);
    const focused = () => page.evaluate(() => document.activeElement.id);
    assert.equal(await focused(), "call");

    await page.keyboard.type("k0vdp");
    for (const keys of ["15m", "CW"]) {
      await page.keyboard.press("Tab");
      await page.keyboard.type(keys);
    }
    await page.keyboard.press("Tab"); // To the report, which suits the mode.
    await page.keyboard.press("Enter");
    await shows(page, "K0VDP");

    assert.match(await page.locator("#contacts tr").first().innerText(), /K0VDP\s+15m\s+CW\s+599/);
    assert.equal(await focused(), "call");
    assert.equal(await page.locator("#call").inputValue(), "");
    assert.equal(await page.locator("#band").inputValue(), "15m", "the next contact is on the same band");
    assert.deepEqual(page.complaints, []);
  });

  test("fetches the list once more after many pushes, not once for each", async (t) => {
    const example = await start(t);
    const [here, there] = [await example.open(browser), await example.open(browser)];
    await log(here, "W1AW");
    await shows(there, "W1AW");
    let fetches = 0;
    let release;
    const held = new Promise((resolve) => { release = resolve; });
    await there.route("**/entries.php", async (route) => {
      if (++fetches === 1) await held;
      await route.continue();
    });

    const many = Array.from({ length: 8 }, (_, n) => `DL${n}ABC`);
    for (const call of many) {
      await log(here, call);
      await shows(here, call);
    }
    assert.deepEqual(await calls(there), ["W1AW"]);
    release();
    await shows(there, many.at(-1));

    assert.deepEqual(await calls(there), [...many.reverse(), "W1AW"]);
    assert.ok(fetches <= 3, `${fetches} fetches for 8 pushes`); // 2, or 3 if the last push was late.
  });

  test("recovers in both browsers from a worker that was killed, with what was saved meanwhile", async (t) => {
    const { worker, example } = await startBoth(t);
    const [here, there] = [await example.open(browser), await example.open(browser)];

    await worker.end("SIGKILL");
    for (const page of [here, there]) await stands(page, "reconnecting");
    const { took, result } = await log(here, "DL1ABC");
    t.diagnostic(`saved without a worker in ${took.toFixed(0)} ms`);
    assert.equal(result, "DL1ABC is in the log.");
    assert.ok(took < 1000, `${took} ms`);
    await worker.startAgain();
    for (const page of [here, there]) {
      await stands(page, "live", 60_000);
      await shows(page, "DL1ABC");
    }
    await log(there, "OE3XYZ");
    await shows(here, "OE3XYZ", PUSHED_MS);

    for (const page of [here, there]) {
      assert.deepEqual(page.complaints.filter((words) => !OUTAGE.test(words)), []);
    }
  });

  test("saves in time while the worker hangs", async (t) => {
    const { worker, example } = await startBoth(t);
    const page = await example.open(browser);

    worker.process.kill("SIGSTOP");
    const { took, result } = await log(page, "DL1ABC");
    worker.process.kill("SIGCONT");

    t.diagnostic(`saved beside a worker that hangs in ${took.toFixed(0)} ms`);
    assert.equal(result, "DL1ABC is in the log.");
    assert.ok(took < 2000, `${took} ms`); // It waits for the worker for half a second.
  });

  test("refuses a form that does not come from its own page", async (t) => {
    const example = await start(t);
    const page = await example.open(browser);
    const form = { call: "DL1ABC", band: "20m", mode: "SSB", report: "59", name: "" };
    const stranger = await browser.newContext();

    for (const request of [page.request, stranger.request]) {
      for (const forged of [{}, { form_token: "" }, { form_token: "0".repeat(32) }]) {
        const answer = await request.post(`${example.address}save.php`, { form: { ...form, ...forged } });
        assert.equal(answer.status(), 403);
        assert.match(await answer.text(), /^Not saved/);
      }
    }
    assert.equal((await page.request.get(`${example.address}save.php`)).status(), 405);
    await page.reload();

    assert.deepEqual(await calls(page), []);
    assert.equal(await page.locator(".empty").isVisible(), true);
  });

  test("shows what looks like HTML as the text it is, pushed or loaded", async (t) => {
    const example = await start(t);
    const [here, there] = [await example.open(browser), await example.open(browser)];
    const call = "<SCRIPT>X()</SCRIPT>";
    const name = "<img src=x onerror=alert(1)> \"'&amp;";

    await log(here, call, { name });
    await shows(there, call);
    await here.reload();

    for (const page of [here, there]) {
      const row = page.locator("#contacts tr").first();
      assert.equal(await row.locator(".call").textContent(), call);
      assert.equal(await row.locator(".name").textContent(), name);
      assert.equal(await page.locator("#contacts img, #contacts script").count(), 0);
      assert.deepEqual(page.complaints, []);
    }
  });

  test("says what is wrong with a contact, beside its field", async (t) => {
    const example = await start(t);
    const page = await example.open(browser);

    const { result } = await log(page, "   "); // The browser lets this pass, PHP does not.
    assert.equal(result, "Which call sign was it?");
    assert.equal(await page.locator("#call").getAttribute("aria-invalid"), "true");
    await page.evaluate(() => { document.getElementById("band").selectedOptions[0].textContent = "11m"; });
    assert.equal((await log(page, "DL1ABC")).result, "Choose a band of the list.");

    assert.deepEqual(await calls(page), []);
    assert.deepEqual(page.complaints.filter((words) => !REFUSED.test(words)), []);
  });

  test("works without scripts", async (t) => {
    const example = await start(t);
    const page = await example.open(browser, { javaScriptEnabled: false, state: null });

    await page.locator("#call").fill("dl1abc");
    await page.locator("#call").press("Enter");
    await page.locator("#contacts tr").waitFor();

    assert.deepEqual(await calls(page), ["DL1ABC"]);
  });

  test("keeps the secret and asks nobody but PHP and the worker", async (t) => {
    const { worker, secret, example } = await startBoth(t);
    const page = await example.open(browser);
    await log(page, "DL1ABC");

    const answers = await Promise.all(["", "entries.php", "token.php", "live-log.js"].map(async (file) => {
      const answer = await page.request.get(example.address + file);
      assert.equal(answer.status(), 200, file);
      return answer.text();
    }));
    assert.ok(!answers.join().includes(secret), "the secret is in a page");
    for (const file of ["config.php", "../config.php", "src/app.php", "var/live-log.sqlite"]) {
      const answer = await page.request.get(example.address + file);
      assert.ok(!(await answer.text()).includes("worker_url"), file);
    }
    const hosts = new Set(page.requested.map((url) => new URL(url).host));
    hosts.delete("");
    const expected = [new URL(example.address).host, new URL(worker.url).host];
    assert.deepEqual([...hosts].filter((host) => !expected.includes(host)), []);
  });
});

// Most of their time is waiting.
describe("the live log without its worker", { timeout: 120_000, concurrency: 3 }, () => {
  test("polls while the worker is away, also on a page that was opened meanwhile, and is live again", async (t) => {
    const { worker, example } = await startBoth(t);
    const here = await example.open(browser);
    await worker.end("SIGKILL");
    const late = await example.open(browser, { state: null });
    for (const page of [here, late]) await stands(page, "polling");
    assert.equal(await late.locator("#state").textContent(), "Every 5 seconds");

    await log(here, "DL1ABC");
    await shows(late, "DL1ABC"); // Nobody pushed it.
    await worker.startAgain();
    await example.open(browser); // Registers the topic, which the worker has forgotten …
    for (const page of [here, late]) {
      await looksAt(page); // … and this ends a pause that may be of half a minute.
      await stands(page, "live", 60_000);
    }
    await log(here, "OE3XYZ");
    await shows(late, "OE3XYZ", PUSHED_MS);

    for (const page of [here, late]) {
      assert.deepEqual(page.complaints.filter((words) => !OUTAGE.test(words)), []);
    }
  });

  test("does not move on a phone when the worker goes away", async (t) => {
    const { worker, example } = await startBoth(t);
    const page = await example.open(browser, { viewport: { width: 360, height: 740 } });
    const formIsAt = () => page.locator("#entry").evaluate((form) => form.getBoundingClientRect().top);
    const live = await formIsAt();

    await worker.end("SIGKILL");
    await stands(page, "polling");

    assert.equal(await formIsAt(), live);
  });

  test("says that it is offline when PHP cannot be reached, and is live again", async (t) => {
    const example = await start(t);
    const [here, there] = [await example.open(browser), await example.open(browser)];

    await there.route("**/entries.php", (route) => route.abort());
    await log(here, "DL1ABC");
    await stands(there, "offline");
    await there.unroute("**/entries.php");
    await stands(there, "live");

    assert.deepEqual(await calls(there), ["DL1ABC"]);
  });

  test("polls on a site that has no worker", async (t) => {
    const example = await start(t, { more: ["--no-worker"] });
    const [here, there] = [
      await example.open(browser, { state: "polling" }), await example.open(browser, { state: "polling" }),
    ];

    const { result } = await log(here, "DL1ABC");
    await shows(there, "DL1ABC");

    assert.equal(result, "DL1ABC is in the log.");
    assert.equal(example.family().some(({ command }) => command.startsWith("wavelog_worker")), false);
    for (const page of [here, there]) assert.deepEqual(page.complaints, []);
  });
});

describe("the command that starts the live log", { timeout: 120_000 }, () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    test(`leaves nothing running when it is ended by ${signal}`, async (t) => {
      const example = await start(t);
      await example.open(browser);
      const family = example.family();
      assert.ok(family.some(({ command }) => command.startsWith("wavelog_worker")), JSON.stringify(family));
      assert.ok(family.filter(({ command }) => command.startsWith("php")).length >= 2, JSON.stringify(family));

      const code = await example.end(signal);

      assert.equal(code, 0);
      assert.deepEqual(family.filter(({ pid }) => existsSync(`/proc/${pid}`)), []);
    });
  }

  for (const [wrong, says] of [
    [["--port"], /^start: --port needs a number/],
    [["--port", "abc"], /^start: --port needs a number/],
    [["--ws-port", "65536"], /^start: --ws-port needs a number/],
    [["--host"], /^start: --host needs an address/],
    [["--host", "0.0.0.0"], /^start: no browser can open 0.0.0.0/],
    [["--prot", "8080"], /^start: unknown argument '--prot'/],
  ]) {
    test(`says what is wrong with ${wrong.join(" ")}`, async () => {
      await assert.rejects(Example.start({ more: wrong }), ({ message }) => {
        const [how, said] = message.split("\n");
        assert.match(how, /: 1$/);
        assert.match(said, says);
        return true;
      });
    });
  }

  for (const program of ["wavelog_worker", "php"]) {
    test(`ends the rest and says so when ${program} dies`, async (t) => {
      const example = await start(t);
      const family = example.family();

      process.kill(family.find(({ command }) => command.startsWith(program)).pid, "SIGKILL");
      const code = await example.ended;
      const { said } = example;

      assert.equal(code, 1);
      assert.match(said, /one of the programs ended by itself/);
      assert.deepEqual(family.filter(({ pid }) => existsSync(`/proc/${pid}`)), []);
    });
  }
});
