// The sizes of what browsers load, minified and gzipped: `node scripts/sizes.mjs` prints them,
// test/package.test.js holds them.

import { readFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Bytes after gzip: of the core (`connect` without sharing), the module, the classic script. */
export async function sizes() {
  const core = await build({
    absWorkingDir: root,
    entryPoints: ["src/index.ts"],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2018",
    write: false,
    plugins: [{ name: "without sharing", setup: leaveOutSharing }],
  });
  return {
    core: gzipped(core.outputFiles[0].contents),
    module: gzipped(readFileSync(`${root}dist/wavelog-worker.js`)),
    classic: gzipped(readFileSync(`${root}dist/wavelog-worker.classic.js`)),
  };
}

function leaveOutSharing({ onLoad }) {
  onLoad({ filter: /\/src\/share\.ts$/ }, () => {
    return {
      contents: 'export { openSession as openLine } from "./session.js";',
      loader: "ts",
      resolveDir: `${root}src`,
    };
  });
}

function gzipped(bytes) {
  return gzipSync(bytes, { level: 9 }).length;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const [name, bytes] of Object.entries(await sizes())) console.log(`${name}\t${bytes} bytes`);
}
