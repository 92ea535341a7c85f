// Builds what is published: `dist/wavelog-worker.js` (an ES module), `dist/wavelog-worker.classic.js`
// (a script that sets the global `WavelogWorker`) and `dist/types`; and for the unit tests
// `build/`, each file of `src` by itself. Checks the types on the way.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const { name, version } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));

/** Browsers since 2018. */
export const TARGET = "es2018";

const shared = {
  absWorkingDir: root,
  target: TARGET,
  bundle: true,
  minify: true,
  charset: "utf8",
  banner: { js: `/*! ${name} ${version}, MIT licence */` },
};

rmSync(`${root}dist`, { recursive: true, force: true });
rmSync(`${root}build`, { recursive: true, force: true });
execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-p", root], {
  stdio: "inherit",
});
await Promise.all([
  build({ ...shared, entryPoints: ["src/index.ts"], format: "esm", outfile: "dist/wavelog-worker.js" }),
  build({
    ...shared,
    entryPoints: ["src/classic.ts"],
    format: "iife",
    outfile: "dist/wavelog-worker.classic.js",
  }),
  build({
    absWorkingDir: root,
    entryPoints: readdirSync(`${root}src`).map((file) => `src/${file}`),
    outdir: "build",
    format: "esm",
    target: TARGET,
    sourcemap: "inline",
  }),
]);
