// The parts of the live view's page that need no browser: JSON as text, figures in words, axes,
// samples, and the verdict; and that the types in its comments hold.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { bytes, count, duration, milliseconds, named, plural, rate, visible } from "../../../src/admin/live/page/format.js";
import { fault, setOut } from "../../../src/admin/live/page/json.js";
import { Samples } from "../../../src/admin/live/page/samples.js";
import { linear, logarithmic, moments } from "../../../src/admin/live/page/scale.js";
import { verdict } from "../../../src/admin/live/page/verdict.js";

const path = (of) => fileURLToPath(new URL(`../../../${of}`, import.meta.url));
const joined = (text) => setOut(text).map((piece) => piece[1]).join("");

describe("JSON as text", () => {
  const GOOD = ["null", " 1 ", "-0.5e+3", '"ä\\u00e4\\n"', "[]", "{}", '{"a":[1,{"b":null},[]],"c":""}', "[\n]", '"\u2028"', "1e999"];
  const BAD = [
    "", "  ", "tru", "01", "+1", ".5", "1.", "1 2", "[1,]", "[,1]", "[1 2]", "{,}", '{"a"}', '{"a":}', '{"a":1,}', "{a:1}",
    "{'a':1}", '"\t"', '"\\x"', '"a', "[", "{", "]", "[}", "{]", '{"a":1', "NaN", "undefined", "// a", '{"a" 1}', "\u00a0 1", '["a":1]',
  ];

  test("is accepted and refused as the engine does", () => {
    for (const text of GOOD) assert.equal(fault(text), null, text);
    for (const text of BAD) {
      assert.throws(() => JSON.parse(text), text);
      assert.match(fault(text)?.words ?? "accepted", /^Line \d+, column \d+: .+\.$/, text);
    }
  });

  test("has its fault where a person would look for it", () => {
    const words = (text) => fault(text).words;
    assert.equal(words('{\n  "a": 1,\n  b: 2\n}'), "Line 3, column 3: a name in double quotes is expected, not b.");
    assert.equal(words("[1, 2"), "Line 1, column 6: , or ] is missing.");
    assert.equal(words('{"a": tru}'), "Line 1, column 7: a value is expected, not t.");
    assert.equal(words("{'a': 1}"), 'Line 1, column 2: texts stand in double quotes, "…".');
    assert.equal(words('{"a": "x\n"}'), "Line 1, column 7: this text has no end, or a wrong escape or a line break in it.");
    assert.equal(fault('{"a": "x"} {').place, 11);
  });

  test("is set out with every letter it had, whether it is JSON or was cut", () => {
    const bare = (text) => text.replaceAll(/\s/g, "");
    for (const text of [...GOOD, ...BAD, '{"big":12345678901234567890,"a":{"b":[1,2', '[[["x"']) {
      assert.equal(bare(joined(text)), bare(text), text);
    }
    for (const text of GOOD) assert.deepEqual(JSON.parse(joined(text)), JSON.parse(text));
    assert.equal(joined('{"a":[1,2],"b":{"c":"a long text that does not fit into a single line of a person who reads it","d":1}}'), `{
  "a": [1, 2],
  "b": {
    "c": "a long text that does not fit into a single line of a person who reads it",
    "d": 1
  }
}`);
  });

  test("that is hostile costs little", () => {
    const began = performance.now();
    for (const text of ["[".repeat(16_384), `"${"\\".repeat(16_383)}`, '{"a":'.repeat(3000), `[${'"x",'.repeat(4000)}`, `"${"a".repeat(1e6)}`]) {
      assert.ok(joined(text).length < 2e6);
      fault(text);
    }
    assert.ok(performance.now() - began < 1000, "it took over a second");
  });
});

test("figures are said as a person would", () => {
  assert.deepEqual([count(1234567), count(null), rate(0.26), rate(9.96), rate(1234.5)], ["1,234,567", "–", "0.3", "10", "1,235"]);
  assert.deepEqual([0, 0.04, 0.26, 12.6, 999, 1500, null].map(milliseconds), ["0 ms", "< 0.1 ms", "0.3 ms", "13 ms", "999 ms", "1.5 s", "–"]);
  assert.deepEqual([0, 1023, 1536, 200 * 1024, 5e6, 1e15].map(bytes), ["0 B", "1,023 B", "1.5 KiB", "200 KiB", "4.8 MiB", "931,323 GiB"]);
  assert.deepEqual([0, 59, 60, 3600, 3661, 90_000, 86_400 * 3].map(duration), ["0 s", "59 s", "1 min", "1 h", "1 h 1 min", "1 d 1 h", "3 d"]);
  assert.deepEqual([plural(1, "socket"), plural(2, "socket")], ["1 socket", "2 sockets"]);
  assert.equal(visible("a\u202eb\0c\u{1f468}\u200d\u{1f469} ä"), "a\\u202eb\\u0000c\u{1f468}\u200d\u{1f469} ä");
  assert.deepEqual(["a b", "a ", " ", "\ta", "a\xad"].map(named), ["a b", '"a "', '" "', '"\ta"', "a\\u00ad"]);
});

describe("axes", () => {
  test("have few ticks at round values, and reach above the highest", () => {
    for (let highest = 0; highest < 1e7; highest = highest * 1.7 + 0.13) {
      for (const axis of [linear(highest), linear(highest, { least: 3072, binary: true }), logarithmic(highest)]) {
        assert.ok(axis.top >= highest * 0.999 && axis.part(axis.top) <= 1.0001, `${highest}: ${axis.top}`);
        assert.ok(axis.ticks.length >= 2 && axis.ticks.length <= 5, `${highest}: ${axis.ticks}`);
      }
    }
    assert.deepEqual(linear(0).ticks, [0, 1, 2, 3]);
    assert.deepEqual(linear(47).ticks, [0, 20, 40, 60]);
    assert.deepEqual(linear(90_000, { binary: true }).ticks, [0, 32_768, 65_536, 98_304]);
    assert.deepEqual(logarithmic(47).ticks, [0.1, 1, 10, 100]);
    assert.equal(logarithmic(100).part(0), 0);
  });

  test("label whole minutes of the clock", () => {
    const until = Date.UTC(2026, 0, 1, 12, 3, 20);
    const minutes = moments(until - 15 * 60_000, until).map((moment) => new Date(moment).toISOString().slice(14, 19));
    assert.deepEqual(minutes, ["50:00", "55:00", "00:00"]);
    assert.equal(moments(until - 120_000, until).length, 4);
  });
});

describe("samples", () => {
  const node = { id: "a", started_at: 1 };
  const state = (now, first, at, sockets, of = node) => ({ now, node: of, samples: { every_ms: 1000, first, at, sockets } });

  test("are kept for 15 minutes, and taken once", () => {
    const samples = new Samples();
    samples.take(state(3000, 1, [1000, 2000, 3000], [1, 2, 3]));
    samples.take(state(4000, 3, [3000, 4000], [3, 4])); // As when two asks overlap.
    samples.take(state(4000, 5, [], []));
    assert.deepEqual([samples.at, samples.series.sockets, samples.last], [[1000, 2000, 3000, 4000], [1, 2, 3, 4], 4]);

    samples.take(state(902_500, 5, [902_500], [9]));
    assert.deepEqual([samples.at, samples.series.sockets], [[3000, 4000, 902_500], [3, 4, 9]]);
  });

  test("of before a restart stay, and all of the new worker's are asked for", () => {
    const samples = new Samples();
    samples.take(state(2000, 500, [1000, 2000], [1, 2]));
    assert.equal(samples.last, 501);
    samples.take(state(2000, 502, [], [], { id: "a", started_at: 3 })); // The same: its clock was set.
    assert.equal(samples.starts, 1);
    const anew = { id: "b", started_at: 18_000 };
    samples.take(state(19_000, 4, [19_000], [3], anew)); // Asked for with the old number.
    assert.equal(samples.last, 0);
    samples.take(state(19_000, 1, [18_000, 19_000], [1, 2], anew));
    assert.deepEqual([samples.at, samples.last], [[1000, 2000, 18_000, 19_000], 2]);
    assert.equal(samples.nearest(9000), -1); // A gap.
    assert.deepEqual([0, 2100, 18_600, 19_100].map((time) => samples.nearest(time)), [0, 1, 3, 3]);
  });
});

describe("the verdict", () => {
  const now = 1e12;
  const problem = (kind, times = 1) => ({ kind, title: `title of ${kind}`, last_at: now, recent: Array.from({ length: times }, () => ({ at: now, detail: "" })) });
  const well = {
    now, node: { ready: true, draining: false }, nodes: [{ alive: true, name: "a" }], redis: null,
    totals: { open_files: 10, max_files: 1024 }, problems: [],
  };
  const says = (change) => Object.values(verdict({ ...well, ...change })).slice(0, 2).join(": ");

  test("is that all is well, also when browsers vanish and pages were open for long", () => {
    assert.equal(says({}), "good: All is well");
    assert.equal(says({ problems: [problem("dead_peer", 10), problem("token_expired", 2)] }), "good: All is well");
    const mistyped = { ...problem("wrong_secret"), recent: [{ at: now, detail: "client 127.0.0.1, live view" }] };
    assert.equal(says({ problems: [mistyped] }), "good: All is well");
  });

  test("forgets what was over 15 minutes ago", () => {
    const old = { ...problem("redis_away"), last_at: now - 16 * 60_000 };
    assert.equal(says({ problems: [old] }), "good: All is well");
    assert.equal(verdict({ ...well, problems: [old] }).more, "");
    assert.equal(says({ problems: [old, problem("gap")] }), "warn: In the last 15 minutes: title of gap");
  });

  test("names the worst", () => {
    assert.equal(says({ problems: [problem("token_signature")] }), "warn: In the last 15 minutes: title of token_signature");
    assert.equal(says({ problems: [problem("slow_close", 7), problem("wrong_secret")] }), "warn: 2 problems in the last 15 minutes");
    assert.equal(says({ nodes: [{ alive: true, name: "a" }, { alive: false, name: "b" }] }), "warn: Node b is silent");
    assert.equal(says({ node: { ready: false, draining: true } }), "warn: This node is ending and takes no new browsers");
    assert.equal(says({ node: { ready: false, draining: false } }), "bad: Not ready");
    assert.match(says({ totals: { open_files: 1000, max_files: 1024 } }), /^bad: 1,000 of 1,024 files are open/);
    const away = verdict({ ...well, node: { ready: false }, redis: { state: "away", since: now }, problems: [problem("redis_away")] });
    assert.match(away.words, /^Redis is away since \d\d:\d\d:\d\d; other nodes do not hear this one$/);
    assert.deepEqual([away.level, away.href, away.more], ["bad", "#problems", "In the last 15 minutes: title of redis_away"]);
  });
});

test("no source of the page turns text into markup, or needs a weaker policy, and all of it is small", () => {
  const folder = path("src/admin/live/page/");
  let bytes = 0;
  for (const name of readdirSync(folder)) {
    const text = readFileSync(folder + name, "utf8");
    bytes += gzipSync(text).length;
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|https?:\/\/(?!www\.w3\.org|127\.0\.0\.1)/, name);
    if (name.endsWith(".html")) assert.doesNotMatch(text, /<style|\sstyle=|\son\w+=|<script(?! type="module" src=)/, name);
  }
  assert.ok(bytes < 32 * 1024, `${bytes} bytes, each file by gzip`);
});

test("the types in the comments of the page hold", { timeout: 60_000 }, async () => {
  const options = "--noEmit --allowJs --checkJs --strict --noImplicitAny false --strictNullChecks false "
    + "--target es2023 --lib es2023,dom,dom.iterable --module esnext --moduleResolution bundler";
  await promisify(execFile)(path("clients/js/node_modules/.bin/tsc"), [...options.split(" "), path("src/admin/live/page/main.js")])
    .catch(({ stdout }) => assert.fail(stdout));
});
