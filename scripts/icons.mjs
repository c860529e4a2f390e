/**
 * Draws the icons of the installed page from favicon.svg, with the browser that the tests use:
 * `cd tests/page && npm ci && node ../../scripts/icons.mjs`. The result is in www/icons/.
 */
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const { chromium } = createRequire(new URL("../tests/page/", import.meta.url))("playwright-core");
const www = new URL("../www/", import.meta.url);
const svg = await readFile(new URL("favicon.svg", www), "utf8");
// A maskable icon fills its square; what matters stays within the middle four fifths.
const square = svg.replace(' rx="8"', "").replace('viewBox="0 0 32 32"', 'viewBox="-4 -4 40 40"')
  .replace("<rect ", '<rect x="-4" y="-4" ').replace('width="32" height="32"', 'width="40" height="40"');

await mkdir(new URL("icons/", www), { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
const page = await browser.newPage();
for (const [name, side, drawing] of [["192", 192, svg], ["512", 512, svg], ["maskable-512", 512, square]]) {
  await page.setViewportSize({ width: side, height: side });
  await page.setContent(`<style>body { margin: 0 } svg { display: block; width: ${side}px }</style>${drawing}`);
  await page.screenshot({ path: fileURLToPath(new URL(`icons/${name}.png`, www)), omitBackground: true });
}
await browser.close();
