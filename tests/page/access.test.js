/** Everybody's page: axe-core finds nothing in any state, all works with the keyboard, nothing is too wide. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { test } from "node:test";
import { openPage, whenProblem, whenReady, whenSung } from "./browser.js";
import { PICTURE, stage } from "./visits.js";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const there = stage();

/** Fails with what axe-core has to say. */
async function check(page, state) {
  // The page's policy forbids scripts of others; Playwright evaluates past it.
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(() =>
    window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
  );
  assert.ok(passes.length > 15, `${state}: axe-core checked ${passes.length} rules`);
  const said = violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map((n) => `${n.target} (${n.any.concat(n.all, n.none).map((c) => c.message)})`).join("; ")}`,
  );
  assert.deepEqual(said, [], `${state}: axe-core complains`);
}

for (const [width, height] of [
  [390, 844],
  [1440, 900],
]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`axe-core has nothing to say at ${width} x ${height}, ${colorScheme}`, async () => {
      const context = { viewport: { width, height }, colorScheme, permissions: ["camera"] };
      const opened = await openPage(there.browser, there.site, { query: "?device=cpu&lines=2", context });
      const { page, assertQuiet } = opened;
      try {
        await check(page, "starting");
        await whenReady(page);
        await check(page, "ready");
        await page.setInputFiles("#file", { name: "notes.jpg", mimeType: "image/jpeg", buffer: Buffer.from("none") });
        await whenProblem(page);
        await check(page, "a problem");
        await page.setInputFiles("#file", PICTURE);
        await whenSung(page);
        await check(page, "songs");
        await page.locator(".song [data-action=keep]").first().click();
        await page.waitForFunction(() => document.getElementById("status").textContent.startsWith("Kept in this"));
        await page.click("#gallery-open");
        await page.waitForSelector(".kept-song");
        await check(page, "kept songs");
        await page.click("#gallery-close");
        for (const details of await page.locator("main details, #how").all()) {
          await details.evaluate((element) => {
            element.open = true;
          });
        }
        await page.waitForSelector("#foresight:not([hidden])");
        await check(page, "everything unfolded");
        await page.click("#camera-open");
        await page.waitForSelector("#camera-shoot:enabled");
        await check(page, "camera");
        await page.click("#camera-close");
        assertQuiet();
      } finally {
        await opened.close();
      }
    });
  }
}

test("nothing is too wide, from a small phone to a wall", async () => {
  for (const [width, height] of [
    [360, 640],
    [820, 1180],
    [3840, 2160],
  ]) {
    const opened = await openPage(there.browser, there.site, { query: "?device=cpu", context: { viewport: { width, height } } });
    try {
      await opened.page.setInputFiles("#file", PICTURE);
      await whenSung(opened.page);
      await opened.page.evaluate(() => {
        for (const details of document.querySelectorAll("details")) details.open = true;
      });
      await opened.page.waitForSelector("#foresight:not([hidden])");
      const overflow = await opened.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${overflow} pixels too wide at ${width}`);
      const [camera, another] = await Promise.all(
        ["#camera-open", ".frame .action"].map((selector) => opened.page.locator(selector).boundingBox()),
      );
      assert.ok(camera.x + camera.width + 4 <= another.x, `the picture's two buttons meet at ${width}`);
    } finally {
      await opened.close();
    }
  }
});

test("from a sample to a new song with the keyboard alone", async () => {
  const opened = await openPage(there.browser, there.site, { query: "?device=cpu&songs=1&lines=2" });
  const { page, assertQuiet } = opened;
  try {
    await whenReady(page);
    /** Moves on until an element has the focus, and checks that one sees it. */
    const tabTo = async (selector) => {
      for (let i = 0; i < 80; i++) {
        await page.keyboard.press("Tab");
        const [is, outline] = await page.evaluate(
          (selector) => [document.activeElement.matches(selector), getComputedStyle(document.activeElement).outlineStyle],
          selector,
        );
        if (!is) continue;
        assert.notEqual(outline, "none", `the focus on ${selector} can't be seen`);
        return;
      }
      assert.fail(`the Tab key never came to ${selector}`);
    };
    await tabTo("#samples button");
    await page.keyboard.press("Enter");
    const first = await whenSung(page);
    await tabTo("#another");
    await page.keyboard.press("Enter");
    const second = await whenSung(page);
    assert.notEqual(second.song, first.song);
    assertQuiet();
  } finally {
    await opened.close();
  }
});
