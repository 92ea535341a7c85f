// What a page sees of a connection while nothing is wrong: pushes, whole, once and in order.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { oneBrowser, scenario } from "./support.js";

const browser = oneBrowser();
const test = (name, ...rest) => scenario(name, browser, ...rest);

describe("a connection", { concurrency: 4 }, () => {
  test("gets what PHP published, with the frame it came in", async (stage) => {
    const { worker, client } = await stage.live();
    const payload = { event: "qso", call: "OE3XYZ/P", text: "73 <b>de</b> ä€😀", none: null };

    await worker.publish("session.42", payload);

    const push = await client.next("push");
    assert.deepEqual(push.payload, payload);
    assert.equal(push.frame.type, "push");
    assert.deepEqual(client.all("state").map(({ state }) => state).at(-1), "live");
  });
});
