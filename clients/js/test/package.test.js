// The package as npm packs it, installed into an empty folder and used from there.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { runInNewContext } from "node:vm";
import { sizes } from "../scripts/sizes.mjs";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const NAME = "wavelog-worker-client";
let folder;
let packed;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "wavelog-worker-client-"));
  // `npm test` has just built it.
  const { stdout } = await run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder], {
    cwd: root,
  });
  [packed] = JSON.parse(stdout);
  writeFileSync(join(folder, "package.json"), '{"private":true,"type":"module"}');
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", `./${packed.filename}`], { cwd: folder });
});

after(() => rmSync(folder, { recursive: true, force: true }));

test("it has what is needed, nothing else, and no dependencies", () => {
  const files = packed.files.map(({ path }) => path).filter((path) => !path.startsWith("dist/types/"));
  const manifest = JSON.parse(readFileSync(join(folder, "node_modules", NAME, "package.json")));

  assert.deepEqual(files.sort(), [
    "LICENSE", "README.md", "dist/wavelog-worker.classic.js", "dist/wavelog-worker.js", "package.json",
  ]);
  assert.equal(manifest.dependencies, undefined);
  assert.equal(readFileSync(`${root}LICENSE`, "utf8"), readFileSync(`${root}../../LICENSE`, "utf8"));
});

test("it is imported as a module, also where there is no page", async () => {
  writeFileSync(join(folder, "use.js"), `
    import * as all from "${NAME}";
    const say = (word) => console.log(JSON.stringify(word));
    say(Object.keys(all));
    try { all.connect("nonsense", { topic: "t", onMessage() {} }); } catch (error) { say(error.name); }
  `);

  const { stdout } = await run(process.execPath, ["use.js"], { cwd: folder });

  assert.deepEqual(stdout.trim().split("\n").map((line) => JSON.parse(line)), [
    ["connect", "version"], "TypeError",
  ]);
});

test("its types hold in the strictest project", async () => {
  writeFileSync(join(folder, "page.ts"), `
    import { connect, version, type Connection, type ConnectOptions, type State } from "${NAME}";
    interface Contact { readonly call: string }
    const options: ConnectOptions<Contact> = {
      topic: "session.42",
      getToken: async () => (await fetch("/token")).text(),
      onMessage: (contact, frame) => console.log(contact.call.length, frame.type, version),
      onState: (state: State, { retryInMs = 0 }) => console.log(state, retryInMs / 1000),
      onResync: (reason) => console.log(reason === "told"),
      resyncSpreadMs: 5000,
      share: true,
    };
    const connection: Connection = connect("wss://worker.example", options);
    const sent: boolean = connection.send({ type: "status" });
    connection.retry();
    connection.close();
    // @ts-expect-error: a topic is needed
    connect("wss://worker.example", { onMessage() {} });
    // @ts-expect-error: the state is the client's
    connection.state = sent ? "live" : "closed";
  `);
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({
    compilerOptions: {
      target: "ES2022", module: "NodeNext", moduleResolution: "NodeNext", lib: ["ES2022", "DOM"], types: [],
      strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: false,
      noEmit: true,
    },
    files: ["page.ts"],
  }));

  await run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder]).catch((error) => {
    assert.fail(error.stdout);
  });
});

test("the classic script sets one global and keeps what PHP set there", () => {
  const script = readFileSync(join(folder, "node_modules", NAME, "dist/wavelog-worker.classic.js"), "utf8");
  const { version } = JSON.parse(readFileSync(`${root}package.json`));
  const before = { url: "wss://worker.example", mine: 1 };
  const page = { WavelogWorker: before, URL, setTimeout, clearTimeout };
  const empty = { URL };

  runInNewContext(script, page);
  runInNewContext(script, empty);

  assert.equal(page.WavelogWorker, before);
  assert.deepEqual(Object.keys(page.WavelogWorker).sort(), [
    "connect", "isAvailable", "mine", "subscribe", "url", "version", "watchTokenExpiry",
  ]);
  assert.equal(page.WavelogWorker.isAvailable(), true);
  assert.equal(page.WavelogWorker.version, version);
  assert.deepEqual(Object.keys(page).length, 4);
  assert.equal(empty.WavelogWorker.isAvailable(), false);
  assert.match(script, new RegExp(`^/\\*! ${NAME} ${version}, MIT licence \\*/`));
});

test("it is small: the core below 5 KB gzipped, everything below 7 KB", async () => {
  const { core, module, classic } = await sizes();

  assert.ok(core < 5_000, `core: ${core}`);
  assert.ok(module < 7_000, `module: ${module}`);
  assert.ok(classic < 7_000, `classic: ${classic}`);
});

test("what the pages say to copy has this version", () => {
  const { version } = JSON.parse(readFileSync(`${root}package.json`));

  for (const name of ["README.md", "../../docs/protocol.md"]) {
    const text = readFileSync(`${root}${name}`, "utf8");
    const shown = [...text.matchAll(/client\.js\?v=([\d.]+)|wavelog-worker-client-([\d.]+)\.tgz/g)];
    assert.ok(shown.length, name);
    for (const [whole, script, archive] of shown) assert.equal(script ?? archive, version, `${name}: ${whole}`);
  }
});

test("the README shows sizes that are true", async () => {
  const readme = readFileSync(`${root}README.md`, "utf8");
  const actual = await sizes();

  for (const [name, bytes] of Object.entries(actual)) {
    const shown = new RegExp(`\\| ${name}\\b.*\\| (\\d\\.\\d) KB \\|`).exec(readme);
    assert.ok(shown, `the README has no size of the ${name}`);
    assert.ok(Math.abs(shown[1] * 1000 - bytes) < 150, `${name}: ${bytes}, and the README says ${shown[1]} KB`);
  }
});
