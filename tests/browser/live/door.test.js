// The live view's door: who comes in, who does not, and that one finds one's place again. With a
// real worker, in a real Chromium.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { oneBrowser, scenario, SECRET } from "../client/support.js";
import { enter, isCalm, openLive, reads, REFUSAL } from "./support.js";

const browser = oneBrowser();

describe("the live view's door", { concurrency: 2 }, () => {
  scenario("the right secret opens the view, under a strict policy, and leaves nothing for scripts", browser, async (stage) => {
    const worker = await stage.worker();
    const page = await openLive(stage, worker, { signIn: false });
    await page.getByLabel("Secret", { exact: true }).waitFor();
    assert.ok(await page.evaluate(() => document.activeElement.id === "secret"), "the secret's field has no focus");

    await page.getByRole("button", { name: "Show" }).click();
    assert.equal(await page.locator("#secret").getAttribute("type"), "text");
    await enter(page);

    assert.equal(await reads(page, "#verdict-words", /./), "All is well");
    assert.match(await reads(page, "#about", /./), /^\S+ · \d+\.\d+\.\d+ · up for .+ · ready$/);
    assert.match(await page.title(), /^All is well/);
    assert.equal(await page.locator("#secret").inputValue(), "");
    assert.equal(await page.evaluate(() => document.cookie + localStorage.length + sessionStorage.length), "00");
    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
    const policy = (await page.answer.allHeaders())["content-security-policy"];
    for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"]) {
      assert.ok(policy.includes(rule), `${rule} is not in ${policy}`);
    }
    assert.ok(!policy.includes("unsafe"), policy);
    assert.deepEqual([...new Set(page.requested.map((url) => new URL(url).host))], [`127.0.0.1:${worker.internalPort}`]);
    assert.ok(page.requested.every((url) => !url.includes(SECRET)), "the secret is in an address");
    isCalm(page);
  });

  scenario("a wrong secret is refused, and too many are not even looked at", browser, async (stage) => {
    const worker = await stage.worker();
    const page = await openLive(stage, worker, { signIn: false });
    const secret = page.getByLabel("Secret", { exact: true });

    await secret.fill("wrong");
    await page.keyboard.press("Enter");
    assert.equal(await reads(page, "#sign-in-outcome", /./), "That is not the worker's secret.");
    assert.ok(await page.locator("#app").isHidden());
    await enter(page);
    assert.equal(await reads(page, "#verdict-words", /./), "All is well"); // One may mistype.
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.locator("#sign-in").waitFor();

    for (let tries = 0; tries < 20 && !/Too many/.test(await page.locator("#sign-in-outcome").textContent()); tries += 1) {
      await secret.fill(`wrong ${tries}`);
      await Promise.all([page.waitForResponse(/sign-in/), page.keyboard.press("Enter")]);
      await page.waitForFunction(() => document.querySelector("#enter").ariaDisabled === "false" || /in \d+ s/.test(document.querySelector("#enter").textContent));
    }
    assert.match(await reads(page, "#sign-in-outcome", /Too many/), /^Too many wrong secrets\. The worker takes the next one in \d+ s/);
    const first = await reads(page, "#enter", /^Sign in \(in \d+ s\)$/);
    await page.waitForFunction((words) => document.querySelector("#enter").textContent !== words, first);
    const asked = page.requested.length;
    await secret.fill(SECRET);
    await page.keyboard.press("Enter");
    assert.equal(page.requested.length, asked, "it asked although the worker takes none now");
    isCalm(page);
  });

  scenario("signing out ends the session for every tab, and each comes back to its place", browser, async (stage) => {
    const worker = await stage.worker();
    const page = await openLive(stage, worker);
    const other = await page.context().newPage();
    await other.goto(`http://127.0.0.1:${worker.internalPort}/#topic/a%2Fb`);
    await reads(other, "#topic-title", /^a\/b$/);
    await other.getByLabel("Payload, as JSON").fill('{"half": "typed"}');

    await page.getByRole("button", { name: "Sign out" }).click();

    await page.locator("#sign-in").waitFor();
    assert.equal(await page.locator("#about").textContent(), ""); // Nothing is left in the tab.
    assert.equal(await reads(other, "#sign-in-outcome", /./), "The session has ended. Sign in again.");
    assert.ok(await other.locator("#app").isHidden());
    await enter(other);
    assert.ok(await other.locator("#view-topic").isVisible());
    assert.equal(await other.getByLabel("Payload, as JSON").inputValue(), '{"half": "typed"}');
    isCalm(page);
  }, REFUSAL);

  scenario("every view has an address, and the browser's back button leads back", browser, async (stage) => {
    const worker = await stage.worker();
    const page = await openLive(stage, worker, { hash: "#problems" });
    const shows = (view) => page.locator(`#view-${view}`).waitFor();

    await shows("problems");
    assert.equal(await reads(page, "#problems-none", /./), "None in the last 15 minutes.");
    await page.getByRole("link", { name: "Config" }).click();
    await shows("config");
    await page.getByRole("link", { name: "Topics" }).click();
    await shows("topics");
    assert.equal(await page.evaluate(() => document.activeElement.id), "topics-title");
    await page.getByRole("link", { name: "Overview" }).click();
    await shows("overview");
    assert.equal(await page.locator("nav [aria-current=page]").textContent(), "Overview");
    await page.goBack();
    await shows("topics");
    await page.goBack();
    await page.goBack();
    await shows("problems");
    await page.reload();
    await shows("problems");
    for (const odd of ["#nothing", "#topic/", "#topic", "#topic/%", "#config/x"]) {
      await page.evaluate((hash) => { location.hash = hash; }, odd);
      await page.waitForFunction(() => document.querySelectorAll("#views > :not([hidden])").length === 1);
    }
    isCalm(page);
  });
});
