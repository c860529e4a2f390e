/** The types that the page's scripts give in their comments, checked by the TypeScript compiler. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");

// Two worlds with different globals.
for (const world of ["page", "workers"]) {
  test(`types: ${world}`, async () => {
    const config = fileURLToPath(new URL(`types/${world}.json`, import.meta.url));
    const run = promisify(execFile)(process.execPath, [tsc, "--project", config, "--pretty", "false"]);
    const { stdout } = await run.catch((failed) => failed);
    assert.equal(stdout, "");
  });
}
