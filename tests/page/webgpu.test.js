/** One long visit on WebGPU (the emulated card: short songs), at both sizes: all that a visitor does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openPage, whenReady, whenSung } from "./browser.js";
import { stage } from "./visits.js";

const SHORT = "?device=webgpu&songs=1&lines=1&plain";

const there = stage();

for (const [width, height] of [
  [390, 844],
  [1440, 900],
]) {
  test(`a whole visit on WebGPU, ${width} x ${height}`, async () => {
    const context = { viewport: { width, height }, permissions: ["clipboard-read", "clipboard-write", "camera"] };
    const { page, assertQuiet, close } = await openPage(there.browser, there.site, { query: SHORT, context });
    const action = (name) => page.locator(`.song [data-action=${name}]`);
    // The emulated card draws the canvas, too: a picture takes its time.
    const download = async (name) => {
      const [file] = await Promise.all([page.waitForEvent("download", { timeout: 120_000 }), action(name).click()]);
      return file.suggestedFilename();
    };
    try {
      await whenReady(page);
      assert.equal(await page.getAttribute("html", "data-device"), "webgpu");
      await page.click("#samples button >> nth=1");
      const first = await whenSung(page);
      assert.match(first.caption, /\w+ \w+/);
      assert.match(first.song, /\w/);

      await page.locator("#seen-words button").first().focus();
      assert.equal(await page.locator("#looking.on").count(), 1);
      await page.evaluate(() => {
        document.getElementById("how").open = true;
      });
      await page.waitForSelector("#foresight:not([hidden])", { timeout: 120_000 });

      await action("copy").click();
      await page.waitForFunction(() => document.getElementById("status").textContent === "Copied.");
      assert.match(await page.evaluate(() => navigator.clipboard.readText()), new RegExp(first.song.slice(0, 8)));
      assert.match(await download("picture"), /\.png$/);
      assert.match(await download("text"), /\.txt$/);
      await action("keep").click();
      await page.waitForFunction(() => document.getElementById("status").textContent.startsWith("Kept in this"));
      await action("link").click();
      await page.waitForFunction(() => navigator.clipboard.readText().then((text) => text.includes("#song?")));
      const link = new URL(await page.evaluate(() => navigator.clipboard.readText()));

      await action("more").click();
      const more = await whenSung(page);
      assert.ok(more.song.startsWith(first.song), more.song);

      // The link, in a page that knows nothing, on the same kind of device.
      const other = await openPage(there.browser, there.site, { query: `${SHORT}${link.hash}`, context });
      try {
        const replayed = await whenSung(other.page);
        assert.deepEqual([replayed.song, replayed.caption], [first.song, first.caption]);
        other.assertQuiet();
      } finally {
        await other.close();
      }

      await page.click("#gallery-open");
      await page.waitForSelector(".kept-song");
      assert.equal(await page.locator(".kept-verse").first().innerText(), first.song);
      await page.click("#gallery-close");
      await page.click("#camera-open");
      await page.waitForSelector("#camera-shoot:enabled");
      await page.click("#camera-shoot");
      assert.match((await whenSung(page)).song, /\w/);
      assertQuiet();
    } finally {
      await close();
    }
  });
}
