// What pages of other origins can do with somebody's session: nothing. A real worker, and a
// hostile page in the same Chromium, where somebody is signed in: on another port of the same host,
// which counts as the same site and so gets the cookie sent, and on another host.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { describe } from "node:test";
import { oneBrowser, scenario } from "../client/support.js";
import { openLive, reads } from "./support.js";

const browser = oneBrowser();

/** In the hostile page: tries what a page can try; what came of each. @param {string} live */
async function attack(live) {
  const json = { "Content-Type": "application/json", "X-Live-View": "1" };
  const body = '{"topic":"a","payload":"evil","register":true}';
  const outcome = (/** @type {Promise<any>} */ asked) => asked.then(async (answer) => answer.type + (await answer.text()), () => "failed");
  const asks = (/** @type {object} */ options) => outcome(fetch(`${live}live/publish`, { method: "POST", credentials: "include", body, ...options }));
  const loads = (/** @type {string} */ tag, /** @type {string} */ path) => new Promise((resolve) => {
    const element = Object.assign(document.createElement(tag), { src: live + path, onload: () => resolve("loaded"), onerror: () => resolve("failed") });
    document.body.append(element);
  });
  const frame = Object.assign(document.createElement("iframe"), { src: live });
  const framed = new Promise((resolve) => (frame.onload = () => resolve(frame.contentDocument === null ? "blocked" : "open")));
  document.body.append(frame);
  return {
    state: await outcome(fetch(`${live}live/state`, { credentials: "include" })),
    opaque: await outcome(fetch(`${live}live/state`, { credentials: "include", mode: "no-cors" })),
    publish: await asks({ headers: json }),
    simple: await asks({ mode: "no-cors", headers: { "Content-Type": "text/plain" } }),
    script: await loads("script", "live/state"),
    module: await loads("script", "live/main.js"),
    image: await loads("img", "live/icon.svg"),
    frame: await framed,
    beacon: navigator.sendBeacon(`${live}live/sign-out`, "{}"),
  };
}

describe("a page of another origin", () => {
  for (const host of ["127.0.0.1", "localhost"]) {
    scenario(`on ${host} reads nothing, publishes nothing and ends no session`, browser, async (stage) => {
      const worker = await stage.worker();
      await worker.register("a");
      const page = await openLive(stage, worker);
      const live = `http://127.0.0.1:${worker.internalPort}/`;
      const server = await stage.keep(createServer((_, response) => {
        response.writeHead(200, { "Content-Type": "text/html" });
        response.end(`<form method="post" enctype="text/plain" action="${live}live/publish"><input name='{"topic":"a","payload":"' value='"}'></form>`);
      }).listen(0, "127.0.0.1"), (it) => it.close());
      await once(server, "listening");
      const hostile = await page.context().newPage();
      await hostile.goto(`http://${host}:${server.address().port}/`);

      const came = await hostile.evaluate(attack, live);
      // It also sets a cookie that the browser sends before that of the session.
      await hostile.evaluate((name) => void (document.cookie = `${name}=evil; path=/live/`), `wavelog_worker_${worker.internalPort}`);
      await Promise.all([hostile.waitForURL(`${live}live/publish`), hostile.evaluate(() => document.forms[0].submit())]);

      const blocked = ["state", "opaque", "publish", "simple", "script", "module", "image"];
      assert.deepEqual(came, { ...Object.fromEntries(blocked.map((what) => [what, "failed"])), frame: "blocked", beacon: true });
      assert.match(await hostile.textContent("body"), /Content-Type: application\/json/);
      assert.equal((await worker.counters()).publishes, 0);
      await page.reload();
      await reads(page, "#about", /ready/);
    });
  }
});
