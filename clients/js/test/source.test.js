// The rules of the sources that let the worker join them to one script without a bundler, and
// browsers since 2018 run them.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { transform } from "esbuild";

const folder = new URL("../src/", import.meta.url);
const files = readdirSync(folder).sort();
const source = Object.fromEntries(files.map((file) => [file, readFileSync(new URL(file, folder), "utf8")]));
/** All but the entry of the ES module, which the worker leaves out. */
const joined = files.filter((file) => file !== "index.ts");

/** The source without what is not code. */
function code(file) {
  return source[file].replace(/\/\*[^]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
}

test("files import each other by name, without renames, and nothing else", () => {
  const allowed = /^import (type )?\{\s*(\w+,?\s*)+\} from "\.\/([a-z]+)\.js";$/;

  for (const file of joined) {
    const imports = code(file).match(/^import\b[^;]*;/gm) ?? [];
    for (const statement of imports) {
      const found = allowed.exec(statement);
      assert.ok(found, `${file}: ${statement}`);
      assert.ok(files.includes(`${found[3]}.ts`), `${file}: ${statement}`);
      assert.doesNotMatch(statement, /\bas\b/, `${file}: ${statement}`);
    }
    assert.equal((code(file).match(/\bimport\b/g) ?? []).length, imports.length, `${file}: other imports`);
  }
});

test("files export declarations, and nothing else", () => {
  for (const file of joined) {
    for (const [line] of code(file).matchAll(/^.*\bexport\b.*$/gm)) {
      assert.match(line, /^export (const|function|interface|type|async function|class) \w+/, `${file}: ${line}`);
    }
  }
});

test("names at the top of files are unique, so that files can be put one behind the other", () => {
  const home = {};

  for (const file of joined) {
    const declaration = /^(?:export )?(?:async )?(?:const|let|var|function|class|interface|type) (\w+)/gm;
    for (const [, name] of code(file).matchAll(declaration)) {
      assert.equal(home[name], undefined, `${name} is in ${home[name]} and in ${file}`);
      home[name] = file;
    }
  }
  assert.ok(Object.keys(home).length > 30);
});

test("imports form no circle, and the classic script needs every file", () => {
  const done = new Set();
  const visit = (file, path) => {
    assert.ok(!path.includes(file), `a circle: ${[...path, file].join(" -> ")}`);
    if (done.has(file)) return;
    for (const [, next] of code(file).matchAll(/^import \{[^;]* from "\.\/(\w+)\.js";$/gm)) {
      visit(`${next}.ts`, [...path, file]);
    }
    done.add(file);
  };

  visit("classic.ts", []);

  assert.deepEqual([...done].sort(), joined.filter((file) => file !== "types.ts"));
});

test("the syntax is that of ES2018, types aside", async () => {
  for (const file of files) {
    const options = { loader: "ts", charset: "utf8" };
    const written = await transform(source[file], { ...options, target: "esnext" });
    const lowered = await transform(source[file], { ...options, target: "es2018" });
    assert.equal(lowered.code, written.code, file);
  }
});

test("each file opens with what it is, and ends before it is long", () => {
  for (const file of files) {
    assert.match(source[file], /^\/\/ [A-Z`]/, file);
    const lines = source[file].split("\n");
    assert.ok(lines.length <= 401, `${file} has ${lines.length} lines`);
    lines.forEach((line, at) => assert.ok(line.length <= 100, `${file}:${at + 1} is too long`));
  }
});

test("the version is that of the worker and of the package", () => {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url)));
  const cargo = readFileSync(new URL("../../../Cargo.toml", import.meta.url), "utf8");

  assert.ok(source["connect.ts"].includes(`export const version = "${version}";`));
  assert.equal(/^version = "(.*)"$/m.exec(cargo)[1], version);
});
