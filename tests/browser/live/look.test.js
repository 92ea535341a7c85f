// How the live view looks and feels: on a phone, in the dark, to a screen reader, without motion.
// axe-core judges what a machine can judge.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe } from "node:test";
import { mintToken, oneBrowser, scenario, SECRET } from "../client/support.js";
import { isCalm, openLive, reads, subscribe, traffic } from "./support.js";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const browser = oneBrowser();
const TOPIC = `session.${"long".repeat(30)}`;
const VIEWS = ["overview", "topics", `topic/${TOPIC}`, "problems", "config"];

/** A worker that has something to show in every view. */
async function busy(stage) {
  const worker = await stage.worker({ node_name: `node-${"with-a-long-name".repeat(4)}` });
  await worker.register(TOPIC);
  await subscribe(stage, worker, TOPIC);
  await subscribe(stage, worker, TOPIC, mintToken(TOPIC, { secret: "another secret, which PHP has by mistake" }));
  await traffic(stage, worker, TOPIC, 200);
  return worker;
}

/** Shows the view and waits until it has its contents. */
async function show(page, view) {
  await page.evaluate((hash) => { location.hash = hash; }, view);
  const full = { overview: "figure path.line[d*=L]", topics: "#topics-rows td", problems: "#problems-list .advice", config: "#config-rows td" };
  await page.locator(full[view] ?? "#tail-events pre").first().waitFor({ state: "attached" });
}

describe("the live view", { concurrency: 2 }, () => {
  for (const colorScheme of ["light", "dark"]) {
    scenario(`every view passes axe's checks, ${colorScheme}`, browser, async (stage) => {
      const worker = await busy(stage);
      const page = await openLive(stage, worker, { signIn: false, colorScheme, reducedMotion: "reduce", bypassCSP: true });
      const judge = async (where) => {
        const { violations } = await page.evaluate(() => globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
        const found = violations.flatMap(({ id, nodes }) => nodes.map(({ html, any }) => `${where}: ${id}: ${html} ${any.map(({ message }) => message)}`));
        assert.deepEqual(found, []);
      };
      await page.addScriptTag({ path: AXE });
      await page.locator("#secret").waitFor();
      await judge("sign-in");
      await page.locator("#secret").fill(SECRET);
      await page.keyboard.press("Enter");
      await reads(page, "#verdict-words", /./);
      for (const view of VIEWS) {
        await show(page, view);
        await judge(view);
      }
      assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
      isCalm(page);
    });
  }

  scenario("no view is wider than a phone of 320 px, and a finger points at charts", browser, async (stage) => {
    const worker = await busy(stage);
    const page = await openLive(stage, worker, { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true });
    for (const view of VIEWS) {
      await show(page, view);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, view);
    }
    await show(page, "overview");
    await page.locator(".plot").first().tap();
    assert.match(await reads(page, "figure time", /./), /^\d\d:\d\d:\d\d$/);
    isCalm(page);
  });

  scenario("the whole page can be used by keyboard", browser, async (stage) => {
    const worker = await busy(stage);
    const page = await openLive(stage, worker);
    const press = async (key, until) => {
      for (let times = 0; times < 40; times += 1) {
        if (await page.evaluate((words) => document.activeElement.textContent.trim().startsWith(words), until)) return;
        await page.keyboard.press(key);
      }
      assert.fail(`${key} does not lead to ${until}`);
    };

    await press("Tab", "Topics");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, "none");
    await page.keyboard.press("Enter");
    await reads(page, "#topics-rows", /session/);
    await press("Tab", "session.long");
    await page.keyboard.press("Enter");
    await reads(page, "#topic-title", /session/);
    await press("Tab", "Pause");
    await page.keyboard.press("Space");
    await reads(page, "#tail-pause", /^Resume/);
    isCalm(page);
  });
});
