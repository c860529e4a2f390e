/** What hosts are told to send is what `make serve` sends, what the page demands, and what README says. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const read = (path) => readFile(new URL(`../../${path}`, import.meta.url), "utf8");

/** @returns {Promise<[string, string][]>} */
async function wanted() {
  const lines = (await read("www/_headers")).split("\n").filter((line) => line.startsWith("  "));
  return lines.map((line) => /** @type {[string, string]} */ (line.trim().split(/: (.*)/).slice(0, 2)));
}

test("make serve sends the headers that hosts are told to send", async () => {
  const section = (await read("Trunk.toml")).split("[serve.headers]\n")[1].split("\n\n")[0];
  const sent = section.trim().split("\n").map((line) => JSON.parse(`[${line.replace('" = "', '", "')}]`));
  assert.deepEqual(sent, await wanted());
});

test("README shows the same headers", async () => {
  const readme = await read("README.md");
  for (const [name, value] of await wanted()) {
    assert.ok(readme.includes(`add_header ${name} "${value}" always;`), `README lacks ${name}`);
  }
});

test("the page demands the same policy of hosts that send none", async () => {
  const page = await read("www/index.html");
  const policy = Object.fromEntries(await wanted())["Content-Security-Policy"];
  const meta = page.match(/http-equiv="Content-Security-Policy" content="([^"]*)"/)[1];
  // Of all directives this one counts in a header alone.
  assert.equal(`${meta.split("; require-")[0]}; frame-ancestors 'none'; require-${meta.split("; require-")[1]}`, policy);
  assert.ok(!/unsafe-inline|'unsafe-eval'|https?:/.test(policy));
});
