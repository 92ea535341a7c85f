// Two windows of the guest book of docs/first-page.md: what is written in one is in the other.
//
//   node docs_first_page.mjs URL
//
// Speaks to Chromium over a pipe, in the protocol of its developer tools, so that it needs no
// package. Whatever does not happen within 40 s is an error.
import { spawn } from "node:child_process";

const url = process.argv[2];
const browser = spawn("chromium", [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--ignore-certificate-errors",
  "--no-first-run", `--user-data-dir=${process.cwd()}/chromium`, "--remote-debugging-pipe",
], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
setTimeout(() => fail("it took too long"), 40_000).unref();

const waiting = new Map();
let last = 0;
let read = "";
browser.stdio[4].setEncoding("utf8").on("data", (data) => {
  const messages = (read + data).split("\0");
  read = messages.pop();
  for (const message of messages.map((text) => JSON.parse(text))) {
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  }
});

function fail(why) {
  console.error(`guest book: ${why}`);
  browser.kill("SIGKILL");
  process.exit(1);
}

async function call(method, params, sessionId) {
  const id = ++last;
  browser.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
  const answer = await new Promise((resolve) => waiting.set(id, resolve));
  return answer.error ? fail(`${method}: ${answer.error.message}`) : answer.result;
}

/** Opens a window, and gives a function that evaluates an expression in it. */
async function open() {
  const { targetId } = await call("Target.createTarget", { url });
  const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
  return async (expression) => (await call("Runtime.evaluate", { expression }, sessionId)).result.value;
}

async function until(what, evaluate, expression) {
  while (await evaluate(expression) !== true) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  console.log(`guest book: ${what}, ${Math.round(performance.now())} ms`);
}

const windows = [await open(), await open()];
for (const evaluate of windows) {
  await until("a window is live", evaluate, `document.getElementById("state")?.textContent === "live"`);
}
await windows[0](`document.querySelector("input").value = "<b>73</b> de DL1ABC";
  document.querySelector("button").click()`);
for (const evaluate of windows) {
  const shown = `document.querySelector("li")?.textContent.endsWith(" <b>73</b> de DL1ABC")`;
  await until("a window has what was written in the other", evaluate, shown);
}
browser.kill();
