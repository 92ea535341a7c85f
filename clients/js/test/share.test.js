// One socket for all tabs (src/share.ts), on a fake browser (tabs.js).

import assert from "node:assert/strict";
import { test } from "node:test";
import { Browser } from "./tabs.js";

const START = ["connecting", "live false", "live"];
/** What a live tab is told when the leader goes and another one comes. */
const OTHER_LEADER = ["lost true 1006 leader", "connecting", "live true", "live", "resync reconnected"];

test("twenty tabs have one socket, and each has every push in order", async () => {
  const browser = new Browser();
  const tabs = await browser.group(20);

  for (let n = 0; n < 3; n += 1) browser.publish(n);
  await browser.pass();

  assert.equal(browser.sockets.length, 1);
  for (const tab of tabs) {
    assert.deepEqual(tab.news(), [...START, "push 0", "push 1", "push 2"]);
    assert.equal(tab.line.state, "live");
  }
});

test("tabs that open in the same instant have one socket", async () => {
  const browser = new Browser();
  const tabs = Array.from({ length: 5 }, () => browser.open().join());
  await browser.pass();

  assert.equal(browser.sockets.length, 1);
  for (const tab of tabs) assert.deepEqual(tab.news(), START);
});

test("nothing is called before openShared has returned", async () => {
  const browser = new Browser();
  await browser.group(1);

  const tab = browser.open().join();

  assert.deepEqual(tab.said, []);
});

test("only the leader asks PHP for a token, and a new leader once more", async () => {
  const browser = new Browser();
  const tabs = await browser.group(5, { token: undefined, getToken: () => "good" });
  assert.deepEqual(tabs.map((tab) => tab.asked), [1, 0, 0, 0, 0]);

  tabs[0].line.close();
  await browser.pass();

  assert.deepEqual(tabs.map((tab) => tab.asked), [1, 1, 0, 0, 0]);
});

test("a token never leaves its tab", async () => {
  const browser = new Browser();
  await browser.group(3, { token: "bad secret", getToken: () => "good secret" });
  browser.cut(1008);
  await browser.pass(5_000);

  const notes = JSON.stringify(browser.notes);

  assert.ok(browser.notes.length > 5);
  assert.ok(!notes.includes("secret"), notes);
});

for (const [how, end] of [
  ["closes its connection", (tab) => tab.line.close()],
  ["goes to another page", (tab) => tab.window.dispatch("pagehide", { persisted: false })],
  ["crashes", (tab) => tab.crash()],
  ["is frozen", (tab) => tab.document.dispatch("freeze")],
]) {
  test(`when the leader ${how}, the next tab leads and every tab fetches its data once`, async () => {
    const browser = new Browser();
    const [leader, ...others] = await browser.group(4);
    for (const tab of others) tab.news();

    end(leader);
    await browser.pass(100);
    browser.publish("later");
    await browser.pass(30_000);

    for (const tab of others) assert.deepEqual(tab.news(), [...OTHER_LEADER, "push later"]);
    assert.equal(browser.connected.length, 1);
    assert.ok(others[0].leads);
  });
}

test("every tab is told of a restart of the worker what the leader is told, in its order", async () => {
  const browser = new Browser();
  const tabs = await browser.group(3);
  for (const tab of tabs) tab.news();

  browser.up = false;
  browser.cut(1001);
  await browser.pass(10_000);
  browser.up = true;
  await browser.pass(60_000);

  const [leader, ...others] = tabs.map((tab) => tab.news());
  assert.deepEqual(leader.slice(0, 3), ["lost true 1001 closed", "waiting", "connecting"]);
  assert.deepEqual(leader.slice(-3), ["live true", "live", "resync reconnected"]);
  assert.equal(leader.filter((text) => text.startsWith("resync")).length, 1);
  for (const other of others) assert.deepEqual(other, leader);
});

test("a gap that the worker tells of is told to all tabs that were live before it", async () => {
  const browser = new Browser();
  const tabs = await browser.group(2);
  browser.up = false;
  browser.cut(4009);
  await browser.pass();
  tabs.push(browser.open().join());
  await browser.pass(3_000);
  browser.up = true;
  await browser.pass(60_000);

  const resyncs = tabs.map((tab) => tab.news().filter((text) => text.startsWith("resync")));

  assert.deepEqual(resyncs, [["resync told"], ["resync told"], ["resync late"]]);
});

test("a tab that joins a live group has what comes from then on, and is not late", async () => {
  const browser = new Browser();
  await browser.group(1);
  await browser.pass(60_000);
  browser.publish("before");
  await browser.pass();

  const tab = browser.open().join();
  await browser.pass();
  browser.publish("after");
  await browser.pass();

  assert.deepEqual(tab.news(), [...START, "push after"]);
});

test("a gap before a tab joined is none of that tab's, and the next one is", async () => {
  const browser = new Browser();
  await browser.group(1);
  browser.cut();
  await browser.pass(5_000);
  const tab = browser.open().join();
  await browser.pass();
  assert.deepEqual(tab.news(), START);

  browser.cut();
  await browser.pass(10_000);

  assert.equal(tab.news().filter((text) => text === "resync reconnected").length, 1);
});

test("a first connection that comes late is late in every tab", async () => {
  const browser = new Browser();
  browser.up = false;
  const tabs = await browser.group(3);
  await browser.pass(10_000);
  browser.up = true;
  await browser.pass(60_000);

  for (const tab of tabs) assert.deepEqual(tab.news().slice(-3), ["live false", "live", "resync late"]);
});

test("what a follower sends goes through the leader, and the answer comes to all", async () => {
  const browser = new Browser();
  const tabs = await browser.group(3);
  for (const tab of tabs) tab.news();

  assert.equal(tabs[2].line.send({ type: "who" }), true);
  assert.equal(tabs[1].line.send('{"type":"what"}'), true);
  await browser.pass();

  for (const tab of tabs) assert.deepEqual(tab.news(), ["answer to who", "answer to what"]);
});

test("a follower sends nothing while the group is not live", async () => {
  const browser = new Browser();
  const [, follower] = await browser.group(2);
  browser.up = false;
  browser.cut();
  await browser.pass();

  assert.equal(follower.line.send({ type: "who" }), false);
});

test("retry of a follower makes the leader try now", async () => {
  const browser = new Browser();
  const [, follower] = await browser.group(2, { firstRetryMs: 600_000, maxRetryMs: 600_000 });
  browser.cut();
  await browser.pass();
  assert.equal(follower.line.state, "waiting");

  follower.line.retry();
  await browser.pass();

  assert.equal(follower.line.state, "live");
});

test("a follower that comes to the front makes the leader try now", async () => {
  const browser = new Browser();
  const tabs = await browser.group(2, { firstRetryMs: 600_000, maxRetryMs: 600_000 });
  for (const tab of tabs) tab.hide();
  browser.cut();
  await browser.pass(5_000);

  tabs[1].show();
  await browser.pass();

  assert.deepEqual(tabs.map((tab) => tab.line.state), ["live", "live"]);
});

test("tabs that closed are told nothing more and leave nothing behind", async () => {
  const browser = new Browser();
  const [leader, follower] = await browser.group(2);
  follower.news();

  follower.line.close();
  browser.publish(1);
  leader.line.close();
  await browser.pass(60_000);

  assert.deepEqual(follower.news(), []);
  assert.equal(follower.line.state, "closed");
  assert.equal(follower.line.send({ type: "who" }), false);
  follower.line.retry();
  follower.line.close();
  await browser.pass(60_000);
  for (const tab of [leader, follower]) assert.deepEqual([tab.timers, tab.listeners], [0, 0]);
  assert.deepEqual([browser.channels.size, browser.connected.length], [0, 0]);
  for (const lock of browser.locks.values()) assert.deepEqual([lock.holder, lock.line], [undefined, []]);
});

for (const word of ["connecting", "live false", "live", "push 1", "lost true 1006 leader", "live true"]) {
  test(`a page that closes when it is told "${word}" is told nothing more`, async () => {
    const browser = new Browser();
    const [leader] = await browser.group(1);
    const tab = browser.open();
    tab.onSaid = (text) => text === word && tab.line.close();
    tab.join();
    await browser.pass();
    browser.publish(1);
    await browser.pass();
    leader.line.close();
    await browser.pass(60_000);

    assert.equal(tab.said.at(-1), word);
    assert.equal(tab.line.state, "closed");
    assert.deepEqual([tab.timers, tab.listeners, browser.channels.size], [0, 0, 0]);
    for (const lock of browser.locks.values()) assert.deepEqual([lock.holder, lock.line], [undefined, []]);
  });
}

/** Nothing is left of lines that were closed: no timers, listeners, channels, sockets and locks. */
function assertNothingLeft(browser, tab) {
  assert.deepEqual([tab.timers, tab.listeners, browser.channels.size], [0, 0, 0]);
  assert.equal(browser.sockets.filter((socket) => socket.tab === tab && socket.readyState < 2).length, 0);
  for (const lock of browser.locks.values()) assert.deepEqual([lock.holder, lock.line], [undefined, []]);
}

test("a page that closes as it is to lead does not keep the others from leading", async () => {
  const browser = new Browser();
  const [first, closing, hidden] = await browser.group(3);
  hidden.hide();
  closing.onSaid = (text) => text.startsWith("lost") && closing.line.close();

  first.crash();
  await browser.pass();

  assert.ok(hidden.leads);
  hidden.line.close();
  await browser.pass();
  assertNothingLeft(browser, closing);
});

test("a page that closes as it starts to connect does not keep the others from leading", async () => {
  const browser = new Browser();
  const tab = browser.open();
  tab.onSaid = () => tab.line.close();
  tab.join();

  await browser.pass();

  assertNothingLeft(browser, tab);
});

test("a stopped leader whose page closes as it wakes leaves nothing behind", async () => {
  const browser = new Browser();
  const [stopped, front] = await browser.group(2);
  stopped.onSaid = (text) => text.startsWith("lost") && stopped.line.close();
  stopped.stop();
  await browser.pass(19_000);
  assert.ok(front.leads);

  stopped.wake();
  await browser.pass();
  front.line.close();
  await browser.pass(60_000);

  assertNothingLeft(browser, stopped);
});

test("a page that closes as it is back from the history leaves nothing behind", async () => {
  const browser = new Browser();
  const [tab] = await browser.group(1);
  tab.onSaid = (text) => text.startsWith("lost") && tab.line.close();
  tab.window.dispatch("pagehide", { persisted: true });

  tab.window.dispatch("pageshow", { persisted: true });
  await browser.pass(60_000);

  assertNothingLeft(browser, tab);
});

test("a page that closes another line as it is back from the history leaves nothing behind", async () => {
  const browser = new Browser();
  const [tab] = await browser.group(1);
  const { line } = tab;
  const other = tab.join({ topic: "session.43" }).line;
  await browser.pass();
  tab.onSaid = (text) => text.startsWith("lost") && [line, other].forEach((one) => one.close());
  tab.window.dispatch("pagehide", { persisted: true });

  tab.window.dispatch("pageshow", { persisted: true });
  await browser.pass(60_000);

  assertNothingLeft(browser, tab);
});

test("a page that says retry as it is to lead has one session, and keeps it", async () => {
  const browser = new Browser();
  const tab = browser.open();
  tab.onSaid = (text) => text === "connecting" && tab.line.retry();
  tab.join();

  await browser.pass(60_000);

  assert.deepEqual(tab.news(), START);
  assert.equal(browser.sockets.length, 1);
});

test("two lines of one page are two of the group", async () => {
  const browser = new Browser();
  const tab = browser.open();
  const first = tab.join().line;
  const second = tab.join().line;
  await browser.pass();
  assert.equal(browser.sockets.length, 1);
  tab.news();

  browser.publish(1);
  await browser.pass();
  assert.deepEqual(tab.news(), ["push 1", "push 1"]);
  first.close();
  await browser.pass();
  assert.deepEqual(tab.news(), OTHER_LEADER);
  second.close();
  await browser.pass(60_000);

  assertNothingLeft(browser, tab);
});

test("a tab that is seen takes over from a leader that is stopped, which follows when it wakes", async () => {
  const browser = new Browser();
  const [stopped, front, hidden] = await browser.group(3);
  hidden.hide();
  for (const tab of [stopped, front, hidden]) tab.news();

  stopped.stop();
  await browser.pass(19_000);
  browser.publish("meanwhile");
  await browser.pass();

  assert.ok(front.leads);
  for (const tab of [front, hidden]) assert.deepEqual(tab.news(), [...OTHER_LEADER, "push meanwhile"]);

  stopped.wake();
  await browser.pass();
  browser.publish("later");
  await browser.pass();

  // It may still read what its own socket had, before it finds out.
  assert.deepEqual(stopped.news().filter((text) => text !== "push meanwhile"), [...OTHER_LEADER, "push later"]);
  assert.deepEqual(front.news(), ["push later"]);
  assert.deepEqual(hidden.news(), ["push later"]);
  assert.equal(browser.connected.length, 1);
});

test("a tab that comes to the front takes over from a stopped leader within three seconds", async () => {
  const browser = new Browser();
  const [stopped, follower] = await browser.group(2);
  follower.hide();
  stopped.stop();
  await browser.pass(600_000);
  assert.equal(follower.line.state, "live");
  assert.equal(follower.timers, 0);

  follower.show();
  await browser.pass(3_000);

  assert.ok(follower.leads);
  assert.equal(follower.line.state, "live");
});

test("of tabs that take over at once one leads, and nobody misses a push", async () => {
  const browser = new Browser();
  const [stopped, one, two, third] = await browser.group(4);
  third.hide();
  stopped.stop();
  await browser.pass(60_000);
  for (const tab of [one, two, third]) tab.news();

  browser.publish("after");
  await browser.pass();

  assert.equal(browser.connected.filter((socket) => socket.tab !== stopped).length, 1);
  for (const tab of [one, two, third]) assert.deepEqual(tab.news(), ["push after"]);
});

test("a tab that is given the lock while it is stopped does not hold up the others", async () => {
  const browser = new Browser();
  const [leader, stopped, front] = await browser.group(3);
  for (const tab of [stopped, front]) tab.news();
  stopped.stop();
  leader.line.close();
  await browser.pass(3_000);

  assert.ok(front.leads);
  assert.deepEqual(front.news(), OTHER_LEADER);

  stopped.wake();
  await browser.pass(30_000);

  assert.equal(stopped.news().filter((text) => text.startsWith("resync")).length, 1);
  assert.equal(stopped.line.state, "live");
  assert.ok(front.leads);
  assert.deepEqual([front.news(), browser.connected.length], [[], 1]);
});

test("a follower that was stopped itself does not take the lock when it wakes", async () => {
  const browser = new Browser();
  const [leader, follower] = await browser.group(2);
  follower.news();
  await browser.pass(15_000);
  follower.stop();
  await browser.pass(600_000);
  browser.publish("meanwhile");
  await browser.pass();

  follower.wake();
  await browser.pass(60_000);

  assert.ok(leader.leads);
  assert.deepEqual(follower.news(), ["push meanwhile"]);
});

test("a leader that lives is asked now and then, and keeps the lead", async () => {
  const browser = new Browser();
  const [leader, follower] = await browser.group(2);
  follower.news();

  await browser.pass(600_000);

  assert.equal(browser.sockets.length, 1);
  assert.deepEqual([leader.timers, follower.timers], [0, 1]);
  assert.deepEqual(follower.news(), []);
});

test("a page in the history does not lead, and had a gap when it comes back", async () => {
  const browser = new Browser();
  const [leader, follower] = await browser.group(2);
  leader.news();
  leader.window.dispatch("pagehide", { persisted: true });
  await browser.pass();
  assert.ok(follower.leads);
  assert.equal(browser.connected.length, 1);
  assert.deepEqual(leader.news(), []);
  assert.equal(leader.line.send({ type: "who" }), false);

  leader.window.dispatch("pageshow", { persisted: true });
  await browser.pass();

  assert.deepEqual(leader.news(), OTHER_LEADER);
  assert.ok(follower.leads);
  assert.equal(browser.connected.length, 1);
});

test("a leader whose token is refused makes way for a tab with a better one, and follows it", async () => {
  const browser = new Browser();
  const old = browser.open().join({ token: "bad" });
  const fresh = browser.open().join({ token: "good" });
  await browser.pass(10_000);

  assert.deepEqual(old.news(), [
    "connecting", "lost false 1008 unauthorized (unauthorized)", "refused",
    "connecting", "live false", "live", "resync late",
  ]);
  assert.deepEqual(fresh.news(), ["connecting", "lost false 1008 unauthorized", "live false", "live"]);
  assert.equal(browser.sockets.length, 2);
});

test("when all tokens are refused every tab is, after one attempt each", async () => {
  const browser = new Browser();
  const tabs = [1, 2, 3].map((n) => browser.open().join({ token: `bad ${n}` }));
  await browser.pass(600_000);

  assert.equal(browser.sockets.length, 3);
  for (const tab of tabs) {
    assert.equal(tab.line.state, "refused");
    assert.equal(tab.timers, 0);
    assert.equal(tab.news().at(-1), "refused");
  }
});

test("a tab that was refused tries again on retry, and takes the others along", async () => {
  const browser = new Browser();
  const tabs = [1, 2].map(() => browser.open().join({ token: "bad" }));
  await browser.pass(1_000);
  browser.refuses = () => false;

  tabs[0].line.retry();
  await browser.pass();

  assert.deepEqual(tabs.map((tab) => tab.line.state), ["live", "live"]);
  assert.equal(browser.connected.length, 1);
});

test("a refused tab that was live again by another's token stands for leader again", async () => {
  const browser = new Browser();
  const old = browser.open().join({ token: "bad" });
  const fresh = browser.open().join({ token: "good" });
  await browser.pass(1_000);

  browser.refuses = () => false;
  fresh.crash();
  await browser.pass(1_000);

  assert.ok(old.leads);
  assert.equal(old.line.state, "live");
});

test("a leader that gets a fresh token after a refusal keeps the lead", async () => {
  const browser = new Browser();
  const [leader, follower] = await browser.group(2, { token: undefined, getToken: () => "good" });
  for (const tab of [leader, follower]) tab.news();

  browser.cut(4401);
  await browser.pass();

  const told = ["lost true 4401 closed", "waiting", "connecting", "live true", "live", "resync reconnected"];
  for (const tab of [leader, follower]) assert.deepEqual(tab.news(), told);
  assert.deepEqual([leader.asked, follower.asked], [2, 0]);
});

test("what PHP withdraws is withdrawn in all tabs, and none of them tries again", async () => {
  const browser = new Browser();
  const tabs = await browser.group(4, { getToken: () => "good" });
  for (const tab of tabs) tab.news();

  browser.cut(4403);
  await browser.pass(600_000);

  assert.equal(browser.connected.length, 0);
  for (const tab of tabs) {
    assert.equal(tab.line.state, "refused");
    assert.equal(tab.news().at(-1), "refused");
    assert.equal(tab.timers, 0);
  }
});

test("a tab that opens after a withdrawal tries, and takes the others along", async () => {
  const browser = new Browser();
  const tabs = await browser.group(2);
  browser.cut(4403);
  await browser.pass(1_000);
  for (const tab of tabs) tab.news();

  browser.open().join();
  await browser.pass();

  for (const tab of tabs) {
    assert.deepEqual(tab.news(), ["connecting", "live true", "live", "resync reconnected"]);
  }
  assert.equal(browser.connected.length, 1);
});

test("other addresses, topics and names are other groups; other spellings are not", async () => {
  const browser = new Browser();
  for (const url of ["wss://live.example/", "wss://live.example/ws", "https://live.example"]) {
    browser.open().join({ url });
  }
  browser.open().join({ topic: "session.43" });
  browser.open().join({ share: "2" });
  browser.open().join({ url: "wss://live.example:8443" });
  browser.open().join({ topic: 'session.42","' });
  await browser.pass();

  assert.equal(browser.sockets.length, 5);
});

for (const without of ["locks", "BroadcastChannel"]) {
  test(`without ${without} each tab has a socket of its own`, async () => {
    const browser = new Browser();
    const tabs = [1, 2].map(() => browser.open({ without }).join());
    await browser.pass();
    browser.publish(1);
    await browser.pass();

    assert.equal(browser.connected.length, 2);
    for (const tab of tabs) assert.deepEqual(tab.news(), [...START, "push 1"]);
  });
}

test("a frame that may not have locks is live on its own, and leaves nothing behind", async () => {
  const browser = new Browser();
  const tab = browser.open();
  tab.sandboxed = true;
  tab.join();
  await browser.pass();
  assert.deepEqual(tab.news(), START);

  tab.line.close();
  await browser.pass();

  assert.deepEqual([tab.timers, tab.listeners, browser.connected.length, browser.channels.size], [0, 0, 0, 0]);
});

test("a page that may not have channels, as with cookies forbidden, is live on its own", async () => {
  const browser = new Browser();
  const tab = browser.open();
  tab.context.BroadcastChannel = class {
    constructor() {
      throw new DOMException("The operation is insecure.", "SecurityError");
    }
  };
  tab.join();
  await browser.pass();
  assert.deepEqual(tab.news(), START);

  tab.line.close();
  await browser.pass();

  assertNothingLeft(browser, tab);
});

test("a wrong address is said at once", () => {
  const tab = new Browser().open();

  assert.throws(() => tab.join({ url: "live.example" }), { name: "TypeError" });
});

test("the name of a group is what the page says, or the user of its token, and none is no group", async () => {
  const token = (claims) => `${Buffer.from(JSON.stringify(claims)).toString("hex")}.00`;
  const groups = async (...lines) => {
    const browser = new Browser();
    for (const [share, more] of lines) browser.open().join({ share, token: token(more) });
    await browser.pass();
    return browser.connected.length;
  };

  assert.equal(await groups(["mine", { user_id: 7 }], ["mine", { user_id: 8 }]), 1);
  assert.equal(await groups([true, { user_id: 7 }], [true, { user_id: 7, topic: "a" }]), 1);
  assert.equal(await groups([true, { user_id: 7 }], [true, { user_id: "7" }], ["7", {}]), 1);
  assert.equal(await groups([true, { user_id: 7 }], [true, { user_id: 8 }], [true, {}]), 3);
  assert.equal(await groups([true, {}], [true, { user_id: "" }]), 1);
  assert.equal(await groups([false, { user_id: 7 }], ["", { user_id: 7 }]), 2);
});
