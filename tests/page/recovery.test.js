/** What becomes of the page when its worker or its graphics card goes away. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, whenProblem, whenReady, whenSung } from "./browser.js";
import { PICTURE, SLOW, change, sing, withSite as visit } from "./visits.js";

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const withSite = (options, work) => visit(browser, options, work);

/** Ways of a worker to end, as functions for Playwright. */
const ENDS = {
  "that throws": () => void setTimeout(() => { throw new WebAssembly.RuntimeError("unreachable"); }),
  "that the browser ends": () => void setTimeout(() => self.close()),
};

/** Ends the worker in the middle of a song. */
async function disturb(page, end) {
  await page.waitForFunction(() => document.getElementById("song").textContent.length > 20);
  assert.equal(await page.getAttribute("#song", "data-state"), "writing");
  await page.workers().at(-1).evaluate(end);
}

for (const [what, end] of Object.entries(ENDS)) {
  test(`a worker ${what} in mid-song is replaced, and the song is the same`, async () => {
    await withSite({ alter: change("worker.js", SLOW) }, async ({ page }) => {
      const { caption } = await sing(page);
      await page.click("summary");
      await page.fill("#seed", "1234");
      await page.selectOption("#mood", "sad");
      await page.click("#again");
      const undisturbed = await whenSung(page);
      const words = await page.locator("#keywords button").allTextContents();
      await page.click("#again");
      await disturb(page, end);
      assert.match(await whenProblem(page), /started again and goes on with what it was doing\.$/);
      const disturbed = await whenSung(page);
      assert.equal(disturbed.song, undisturbed.song);
      assert.equal(disturbed.caption, caption);
      assert.match(disturbed.status, /^The songs are done\.$/);
      assert.deepEqual(await page.locator("#keywords button").allTextContents(), words);
      assert.equal(await page.inputValue("#mood"), "sad");
      assert.equal(page.workers().length, 1);
    });
  });
}

test("a worker is missed where the browser has no locks", async () => {
  const alter = (path, body) =>
    change("worker.js", SLOW, ["if (navigator.locks)", "if (false)"])(
      path,
      change("watchdog.js", ["const TICK = 5_000", "const TICK = 200"])(path, body),
    );
  await withSite({ alter }, async ({ page }) => {
    await whenReady(page);
    await page.setInputFiles("#file", PICTURE);
    await disturb(page, ENDS["that the browser ends"]);
    assert.match(await whenProblem(page), /stopped answering: it has been started again/);
    assert.match((await whenSung(page)).song, /\w+/);
  });
});

test("what breaks the songwriter twice is not asked a third time", async () => {
  const boom = "async write({ id, options }) {";
  const alter = change("worker.js", [boom, `${boom} setTimeout(() => { throw new Error("boom"); }); await new Promise(() => {});`]);
  await withSite({ alter }, async ({ page, complaints }) => {
    await page.setInputFiles("#file", PICTURE);
    await page.waitForFunction(() => document.getElementById("problem-text").textContent.includes("twice"));
    await whenReady(page);
    await page.waitForTimeout(1500);
    assert.equal(complaints.filter((text) => text.includes("worker is lost")).length, 2);
    assert.notEqual(await page.inputValue("#caption"), "");
    assert.ok(await page.isEnabled("#another"));
  });
});

/** Lets a test hold the graphics card. */
const HOLD = `{
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (what) {
    return (self.held = await requestDevice.call(this, what));
  };
}\n`;

for (const [what, end, sentence] of [
  ["goes away", () => self.held.destroy(), /^The graphics card was lost: .*started again on your CPU/],
  [
    "is full",
    () => {
      const error = new GPUOutOfMemoryError("full");
      self.held.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error }));
    },
    /^The graphics card’s memory is full: .*started again on your CPU/,
  ],
]) {
  test(`a graphics card that ${what} in mid-song leaves the CPU`, async () => {
    const alter = (path, body) => (path.endsWith("/worker.js") ? Buffer.concat([Buffer.from(HOLD), body]) : body);
    await withSite({ alter, query: "?device=webgpu&songs=1&lines=4&plain" }, async ({ page }) => {
      await page.setInputFiles("#file", PICTURE);
      await page.waitForFunction(() => document.getElementById("song").textContent.length > 3, null, { timeout: 120_000 });
      await page.workers().at(-1).evaluate(end);
      assert.match(await whenProblem(page), sentence);
      const { song } = await whenSung(page);
      assert.equal(song.split("\n").length, 4);
      assert.equal(await page.getAttribute("html", "data-device"), "cpu");
      assert.match(await page.textContent("#device"), /^Runs on your CPU: the graphics card/);
    });
  });
}

test("what goes wrong has a name and a sentence", async () => {
  await withSite({}, async ({ page, site }) => {
    await whenReady(page);
    const failures = await page.evaluate(async () => {
      const app = document.querySelector("script[type=module]").src;
      const { Client } = await import(new URL("protocol.js", app).href);
      const client = new Client();
      const failures = [];
      const note = ({ code, message }) => failures.push([code, message]);
      const open = (folder) => client.open({ device: "cpu", fresh: false, models: new URL(folder, document.baseURI).href });
      await open("nowhere/").catch(note);
      await open("models/");
      await client.caption(new TextEncoder().encode("no picture"), "notes.txt", 3).catch(note);
      await client.write({ random_seed: "seven" }).catch(note);
      await client.write({ lines: 1000 }).catch(note);
      client.close();
      await client.keywords("a moon").catch(note);
      return failures;
    });
    assert.deepEqual(failures.map(([code]) => code), ["http", "bad-picture", "bad-request", "bad-request", "closed"]);
    for (const [, sentence] of failures) assert.match(sentence, /^.*[a-z].*\.$/s);
    assert.equal(site.log.filter(({ path }) => /captioner\/tensors/.test(path)).length, 1);
  });
});
