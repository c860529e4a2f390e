/** Ways in for pictures, and what is drawn of how they are seen and sung about. */
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";
import { whenReady, whenSung } from "./browser.js";
import { PICTURE, stage } from "./visits.js";

const LINES = "?device=cpu&songs=1&lines=2";

const there = stage();

const withPage = (options, work) => there.withPage({ query: LINES, ...options }, work);

/** Hands a file to the page as a drop or a paste would. */
const hand = async (page, kind) => {
  const bytes = [...(await readFile(PICTURE))];
  await page.evaluate(
    ({ kind, bytes }) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "handed.jpg", { type: "image/jpeg" }));
      const event =
        kind === "drop"
          ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
          : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
      document.body.dispatchEvent(event);
    },
    { kind, bytes },
  );
};

for (const kind of ["drop", "paste"]) {
  test(`a picture comes by ${kind}`, async () => {
    await withPage({}, async ({ page, assertQuiet }) => {
      await whenReady(page);
      await hand(page, kind);
      const { caption, song } = await whenSung(page);
      assert.match(caption, /\w+ \w+/);
      assert.equal(song.split("\n").length, 2);
      assertQuiet();
    });
  });
}

test("a picture comes from the camera, and the camera is let go", async () => {
  await withPage({ context: { permissions: ["camera"] } }, async ({ page, assertQuiet }) => {
    await whenReady(page);
    await page.evaluate(() => {
      const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      window.streams = [];
      navigator.mediaDevices.getUserMedia = async (wish) => {
        const stream = await ask(wish);
        window.streams.push(stream);
        return stream;
      };
    });
    const live = () =>
      page.evaluate(() => window.streams.flatMap((s) => s.getTracks()).filter((t) => t.readyState === "live").length);
    await page.click("#camera-open");
    await page.waitForSelector("#camera-shoot:enabled");
    assert.equal(await live(), 1);
    await page.keyboard.press("Escape");
    await page.waitForSelector("#camera", { state: "hidden" });
    assert.equal(await live(), 0);
    assert.equal(await page.evaluate(() => document.activeElement.id), "camera-open");

    await page.click("#camera-open");
    await page.waitForSelector("#camera-shoot:enabled");
    await page.keyboard.press("Enter");
    const { caption, song } = await whenSung(page);
    assert.match(caption, /\w+ \w+/);
    assert.match(song, /\w+/);
    assert.equal(await live(), 0);
    assert.ok(await page.isVisible("#preview"));
    assertQuiet();
  });
});

test("a camera that is refused gets a sentence and another chance", async () => {
  // Whatever is not in the list is refused.
  await withPage({ context: { permissions: ["clipboard-read"] } }, async ({ page, assertQuiet }) => {
    await whenReady(page);
    await page.click("#camera-open");
    await page.waitForSelector("#camera-again:not([hidden])");
    assert.match(await page.textContent("#camera-text"), /may not use the camera\. Allow it/);
    assert.ok(await page.isDisabled("#camera-shoot"));
    await page.context().grantPermissions(["camera"], { origin: there.site.origin });
    await page.click("#camera-again");
    await page.waitForSelector("#camera-shoot:enabled");
    await page.click("#camera-close");
    assert.ok(await page.isHidden("#camera"));
    assertQuiet();
  });
});

test("files of every format give the pixels here that they give natively", async () => {
  const fixtures = new URL("../fixtures/", import.meta.url);
  const expected = JSON.parse(await readFile(new URL("pictures.json", fixtures), "utf8"));
  const names = await readdir(new URL("pictures/", fixtures));
  assert.deepEqual(names.sort(), Object.keys(expected).sort());
  await withPage({}, async ({ page, assertQuiet }) => {
    await whenReady(page);
    const files = await Promise.all(
      names.map(async (name) => [name, [...(await readFile(new URL(`pictures/${name}`, fixtures)))]]),
    );
    const found = await page.evaluate(async (files) => {
      const app = document.querySelector("script[type=module]").src;
      const { Client } = await import(new URL("protocol.js", app).href);
      const client = new Client();
      await client.open({ device: "cpu", models: new URL("models/", document.baseURI).href, fresh: false });
      const digests = {};
      for (const [name, bytes] of files) digests[name] = await client.pictureDigest(new Uint8Array(bytes), name);
      client.close();
      return digests;
    }, files);
    assert.deepEqual(found, expected);
    assertQuiet();
  });
});

test("how it works is drawn from what has just been done", async () => {
  await withPage({}, async ({ page, assertQuiet }) => {
    await page.click("#how summary");
    assert.ok(await page.isVisible("#how-words-empty"));
    assert.ok(await page.isVisible("#foresight-empty"));
    await page.setInputFiles("#file", PICTURE);
    const { caption, song } = await whenSung(page);
    assert.equal((await page.locator("#how-words li span").allTextContents()).join(" "), caption);
    await page.waitForSelector("#foresight:not([hidden])");

    // Reading on letter by letter gives the song; the odds are sorted, and the letter is among them.
    const read = await page.evaluate(() => {
      const place = document.getElementById("place");
      const letters = [];
      for (let i = 0; i <= Number(place.max); i++) {
        place.value = String(i);
        place.dispatchEvent(new Event("input"));
        const taken = document.querySelectorAll("#odds .taken");
        const odds = [...document.querySelectorAll("#odds .percent")].map((p) => parseFloat(p.textContent.replace("< ", "")));
        letters.push({ now: document.getElementById("tape-now").textContent, taken: taken.length, odds });
      }
      return letters;
    });
    const shown = read.map(({ now }) => now).join("");
    assert.equal(shown, `${song.replaceAll(" ", "\u2423").replaceAll("\n", "/")}\u25a0`);
    assert.ok(read.every(({ taken }) => taken === 1));
    assert.ok(read.every(({ odds }) => odds.length === 6 && odds[0] >= odds[4] && odds.reduce((a, b) => a + b) < 101));
    // It has learned something: letters are foretold far better than by chance.
    const mean = read.reduce((sum, { odds }) => sum + odds[0], 0) / read.length;
    assert.ok(mean > 30, `the likeliest letter has ${mean} % on average`);
    assertQuiet();
  });
});
