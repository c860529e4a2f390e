/** Songs that are kept and shared: links, cards, texts, the shelf, and what comes back from them. */
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
import { launch, openPage, whenProblem, whenReady, whenSung } from "./browser.js";
import { stage } from "./visits.js";

const SCREENSHOTS = new URL("screenshots/", import.meta.url).pathname;
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const DESK = { viewport: { width: 1440, height: 900 } };
/** One short song on the CPU, as fast as it goes. */
const QUICK = "?device=cpu&songs=1&lines=2&plain";

const there = stage();
before(() => mkdir(SCREENSHOTS, { recursive: true }));

/** A page for one test, which must not complain. */
const withPage = (options, work) =>
  there.withPage(options, async (opened) => {
    await work(opened);
    opened.assertQuiet();
  });

/** The songs on the sheet. @returns {Promise<string[]>} */
const texts = (page) =>
  page.$$eval("#song .song", (songs) =>
    songs.map((song) => [...song.querySelectorAll(".lines div")].map((line) => line.textContent).join("\n")),
  );

/** Has songs written about a sample. */
async function sing(page, sample = 0) {
  // Songs that stand there already are not what is waited for.
  await page.evaluate(() => (document.getElementById("song").dataset.state = "old"));
  await page.click(`#samples button >> nth=${sample}`);
  await whenSung(page);
  return texts(page);
}

const action = (page, name, song = 0) => page.locator(".song").nth(song).locator(`[data-action=${name}]`);

/** What a button puts into the clipboard. */
async function copied(page, name, song = 0) {
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.evaluate(() => navigator.clipboard.writeText(""));
  await action(page, name, song).click();
  await page.waitForFunction(() => navigator.clipboard.readText().then((text) => text !== ""));
  return page.evaluate(() => navigator.clipboard.readText());
}

/** The file that a click gives. */
async function downloaded(page, click) {
  const [file] = await Promise.all([page.waitForEvent("download"), click()]);
  return { name: file.suggestedFilename(), bytes: await readFile(await file.path()) };
}

const whenSaid = (page, pattern, id = "status") =>
  page.waitForFunction(([id, source]) => new RegExp(source).test(document.getElementById(id).textContent), [id, pattern.source]);

/** Keeps a song and waits until it is. */
async function keep(page, song = 0) {
  await page.evaluate(() => (document.getElementById("status").textContent = ""));
  await action(page, "keep", song).click();
  await whenSaid(page, /^Kept in this browser\.$/);
}

/** Opens the shelf; gives the songs on it. */
async function openShelf(page) {
  await page.click("#gallery-open");
  await page.waitForFunction(() => document.querySelector("#gallery-none:not([hidden]), .kept-song"));
  return shelved(page);
}

/** @returns {Promise<string[]>} the songs on the open shelf */
const shelved = (page) =>
  page.$$eval(".kept-verse", (verses) => verses.map((verse) => [...verse.children].map((line) => line.textContent).join("\n")));

/** As much of a song as the shelf shows. @param {string} song */
const beginning = (song) => {
  const lines = song.split("\n");
  return lines.length > 6 ? [...lines.slice(0, 6), "…"].join("\n") : song;
};

/** What the controls say. */
const controls = (page) =>
  page.evaluate(() => {
    const value = (id) => document.getElementById(id).value;
    return {
      caption: value("caption"),
      keywords: [...document.querySelectorAll("#keywords [aria-pressed=true]")].map((word) => word.textContent),
      mood: value("mood"),
      kind: value("kind"),
      scheme: value("scheme"),
      lines: value("lines"),
      temperature: value("temperature"),
      begin: value("seed-text"),
      plain: document.getElementById("plain").checked,
    };
  });

/** Sets every control to something that it is not by itself, and has songs written. */
async function singDifferently(page) {
  await sing(page, 1);
  await page.fill("#caption", "a cat, a boy & his “dog” #1 at 100 %");
  await page.waitForTimeout(600);
  await page.selectOption("#mood", "sad");
  await page.selectOption("#kind", "ballad");
  await page.selectOption("#scheme", "abab");
  await page.fill("#lines", "6");
  await page.locator("#temperature").fill("0.55");
  await page.click("#keywords button[aria-pressed=true] >> nth=0");
  await page.fill("#keyword", "moon");
  await page.press("#keyword", "Enter");
  await page.waitForSelector("#keywords button:text-is('moon')");
  await page.locator("#seed-text").evaluate((field) => {
    field.closest("details").open = true;
  });
  await page.fill("#seed-text", "Far away upon the hills\nWhen");
  await page.click("#another");
  await whenSung(page);
  return texts(page);
}

test("a link writes the same song again, letter by letter, without the picture", async () => {
  await withPage({ query: "?device=cpu" }, async ({ page }) => {
    const songs = await singDifferently(page);
    assert.equal(songs.length, 3);
    const asked = await controls(page);
    assert.deepEqual(
      { ...asked, keywords: asked.keywords.includes("moon") },
      {
        caption: "a cat, a boy & his “dog” #1 at 100 %",
        keywords: true,
        mood: "sad",
        kind: "ballad",
        scheme: "abab",
        lines: "6",
        temperature: "0.55",
        begin: "Far away upon the hills\nWhen",
        plain: false,
      },
    );
    const link = await copied(page, "link", 1);
    assert.ok(link.startsWith(`${there.site.url}#song?`), link);
    assert.match(link, /mood=sad&kind=ballad&rhyme=abab&lines=6&temperature=0\.55&.*seed=\d+&songwriter=[0-9a-f]{8}$/);

    await withPage({ query: `?device=cpu${new URL(link).hash}` }, async ({ page: other }) => {
      await whenSung(other);
      assert.deepEqual(await texts(other), [songs[1]]);
      assert.deepEqual(await controls(other), asked);
      assert.ok(await other.isHidden("#preview"));
      assert.equal(await other.textContent("#status"), "The song is done.");
      assert.equal(await other.inputValue("#seed"), new URLSearchParams(link.split("?")[1]).get("seed"));
      // The visitor can go on from there: the same seed begins with the same song.
      await other.click("#again");
      await whenSung(other);
      const again = await texts(other);
      assert.equal(again.length, 3);
      assert.equal(again[0], songs[1]);
      // What stands there now is not what the address said.
      assert.equal(await other.evaluate(() => location.hash), "");
      assert.equal(await other.evaluate(() => location.search), "?device=cpu");
    });
  });
});

test("first drafts have links, too, and a link can be pasted into an open page", async () => {
  await withPage({ query: QUICK }, async ({ page }) => {
    const [song] = await sing(page);
    const { hash } = new URL(await copied(page, "link"));
    assert.match(hash, /draft=first/);
    const [next] = await sing(page, 2);
    assert.notEqual(next, song);
    await page.evaluate((hash) => (location.hash = hash), hash);
    await page.waitForFunction((song) => document.querySelector("#song").textContent.startsWith(song), song.split("\n")[0]);
    await whenSung(page);
    assert.deepEqual(await texts(page), [song]);
    // The picture was another song's.
    assert.ok(await page.isHidden("#preview"));
    // A reload writes it once more; a picture comes in its place.
    await page.reload();
    await whenSung(page);
    assert.deepEqual(await texts(page), [song]);
    await sing(page, 1);
    assert.equal(await page.evaluate(() => location.hash), "");
    assert.ok(await page.isVisible("#preview"));
  });
});

test("a link to another songwriter's song says so", async () => {
  const link = "#song?caption=a+boy+by+the+sea&keywords=boy,sea&rhyme=aabb&lines=2&temperature=0.7&seed=5";
  await withPage({ query: `?device=cpu${link}` }, async ({ page }) => {
    await whenSung(page);
    const plain = await texts(page);
    assert.equal(await page.textContent("#status"), "The song is done.");
    assert.doesNotMatch(await page.textContent(".note"), /learned/);
    await page.evaluate((link) => (location.hash = link), `${link}&songwriter=00000000`);
    await whenSaid(page, /^Done\. It may differ/);
    assert.match(await page.textContent(".note"), /learned since/);
    assert.deepEqual(await texts(page), plain);
  });
});

test("a link that was tampered with gets a sentence, and the page works", async () => {
  const fine = "#song?caption=a+boy&keywords=boy&rhyme=aabb&lines=2&temperature=0.7&seed=5";
  const bad = [
    ["#song?", /it holds no song/],
    ["#song?%%%&&==&%00", /it holds no song/],
    [`${fine}&caption=${"x".repeat(201)}`.replace("caption=a+boy&", ""), /caption is longer than 200/],
    [fine + "&x=" + "y".repeat(7000), /too long/],
    [fine.replace("seed=5", "seed=-5"), /random seed/],
    [fine.replace("seed=5", "seed=18446744073709551616"), /random seed/],
    [fine.replace("seed=5", "seed=5e3"), /random seed/],
    [fine.replace("=0.7", "=99"), /temperature has to be from 0\.2 to 1\.4/],
    [fine.replace("=0.7", "=NaN"), /temperature/],
    [fine.replace("lines=2", "lines=1000000"), /lines/],
    [fine.replace("lines=2", "lines=2.5"), /whole number/],
    [`${fine}&mood=__proto__`, /mood is not one/],
    [`${fine}&kind=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E`, /kind is not one/],
    [fine.replace("aabb", "constructor"), /rhyme is not one/],
    [fine.replace("=boy", "=a,b,c,d"), /more than 3 words/],
    [fine.replace("=boy", `=${"b".repeat(41)}`), /longer than 40/],
    [fine.replace("a+boy", "a%0Aboy"), /do not belong/],
    [fine.replace("a+boy", "a%E2%80%AEboy"), /do not belong/],
    [fine.replace("a+boy", "a%FFboy"), /do not belong/],
    [`${fine}&begin=a%00b`, /do not belong/],
    [`${fine}&draft=second`, /lines are chosen/],
    [`${fine}&songwriter=../../etc`, /which songwriter/],
    [`${fine}&seed=6`, /twice/],
  ];
  // The first one is there when the page opens, the others are pasted.
  await withPage({ query: `${QUICK}${bad[0][0]}` }, async ({ page }) => {
    assert.match(await whenProblem(page), bad[0][1]);
    assert.equal(await page.textContent("#status"), "Ready. Pick a picture.");
    await sing(page);
    assert.ok(await page.isHidden("#problem"));
    const song = await texts(page);
    for (const [hash, why] of bad) {
      await page.evaluate((hash) => {
        document.getElementById("problem").hidden = true;
        location.hash = "";
        location.hash = hash;
      }, hash);
      const sentence = await whenProblem(page);
      assert.match(sentence, why, hash);
      assert.match(sentence, /^This link can’t be opened: .+\. Ask for it again, or pick a picture\.$/);
      // What was there stays.
      assert.deepEqual(await texts(page), song);
    }
    // Other fragments are nobody's business.
    await page.evaluate(() => {
      document.getElementById("problem").hidden = true;
      location.hash = "#song";
      location.hash = "#somewhere?seed=x";
    });
    await page.waitForTimeout(200);
    assert.ok(await page.isHidden("#problem"));
    await page.click("#another");
    await whenSung(page);
    assert.notDeepEqual(await texts(page), song);
    await page.evaluate((hash) => (location.hash = hash), fine);
    await whenSaid(page, /done/);
    assert.equal(await page.inputValue("#caption"), "a boy");
  });
});

test("a link that may not be copied stands in a field, and a song that may not is selected", async () => {
  const init = () => {
    navigator.clipboard.writeText = () => Promise.reject(new DOMException("no", "NotAllowedError"));
  };
  await withPage({ query: QUICK, init }, async ({ page }) => {
    const [song] = await sing(page);
    await action(page, "link").click();
    const field = page.locator(".link-field input");
    assert.match(await field.inputValue(), /#song\?.*seed=\d+/);
    const selected = await field.evaluate((field) => field === document.activeElement && field.selectionEnd === field.value.length);
    assert.ok(selected, "ready to be copied");
    await action(page, "copy").click();
    await whenSaid(page, /selected/);
    assert.equal((await page.evaluate(() => getSelection().toString())).trim(), song);
    assert.equal(await field.count(), 0);
  });
});

test("phones share song and link", async () => {
  const init = () => {
    navigator.share = async (what) => {
      window.shared = what;
      if (window.closes) throw new DOMException("closed", "AbortError");
    };
  };
  await withPage({ query: QUICK, init, context: PHONE }, async ({ page }) => {
    const [song] = await sing(page);
    assert.equal((await action(page, "share").textContent()).trim(), "Share");
    await action(page, "share").click();
    const { title, text, url } = await page.evaluate(() => window.shared);
    assert.equal(text.trim(), song);
    assert.equal(title, song.split("\n")[0]);
    assert.match(url, /#song\?/);
    const said = await page.textContent("#status");
    await page.evaluate(() => (window.closes = true));
    await action(page, "share").click();
    assert.equal(await page.textContent("#status"), said);
    assert.ok(await page.isHidden("#problem"));
  });
});

test("copy gives the song", async () => {
  await withPage({ query: "?device=cpu&lines=2" }, async ({ page }) => {
    const songs = await sing(page);
    assert.equal(await copied(page, "copy", 2), `${songs[2]}\n`);
    assert.equal(await page.textContent("#status"), "Copied.");
  });
});

/** Looks at a PNG: its size, and how much of each part is not paper. */
const lookAt = (page, bytes) =>
  page.evaluate(async (numbers) => {
    const bitmap = await createImageBitmap(new Blob([new Uint8Array(numbers)], { type: "image/png" }));
    const { width, height } = bitmap;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    context.drawImage(bitmap, 0, 0);
    // Shares of the height; the frame is left out.
    const filled = (from, to) => {
      const [top, bottom] = [Math.round(from * height), Math.round(to * height)];
      const { data } = context.getImageData(60, top, width - 120, bottom - top);
      let count = 0;
      for (let i = 0; i < data.length; i += 4) if (Math.abs(data[i] - 255) + Math.abs(data[i + 2] - 249) > 60) count++;
      return count / (data.length / 4);
    };
    const [r, g, b, a] = context.getImageData(10, 10, 1, 1).data;
    return { width, height, corner: [r, g, b, a], top: filled(0.06, 0.3), middle: filled(0.4, 0.85), foot: filled(0.9, 0.96) };
  }, [...bytes]);

for (const [what, context] of [
  ["light", { ...DESK, colorScheme: "light" }],
  ["dark", { ...PHONE, colorScheme: "dark" }],
]) {
  test(`a picture card has picture, song and name on light paper, ${what}`, async () => {
    await withPage({ query: "?device=cpu", context }, async ({ page }) => {
      const songs = await sing(page);
      const first = await downloaded(page, () => action(page, "picture", 1).click());
      assert.match(first.name, /^[\p{L}\p{N}-]{1,60}\.png$/u);
      const letters = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
      assert.ok(letters(songs[1]).startsWith(letters(first.name.slice(0, -4))), first.name);
      const card = await lookAt(page, first.bytes);
      assert.equal(card.width, 1200);
      assert.ok(card.height >= 1000 && card.height <= 1500, `${card.height}`);
      assert.deepEqual(card.corner, [255, 253, 249, 255]);
      assert.ok(card.top > 0.7, `the picture is there: ${card.top}`);
      assert.ok(card.foot > 0.002 && card.foot < 0.2, `the name is there: ${card.foot}`);

      // Sixteen lines fit, too.
      await page.fill("#lines", "16");
      await page.fill("#songs", "1");
      await page.click("#another");
      await whenSung(page);
      const long = await lookAt(page, (await downloaded(page, () => action(page, "picture").click())).bytes);
      assert.ok(long.height <= 1500, `${long.height}`);
      assert.ok(long.top > 0.7 && long.middle > 0.02, JSON.stringify(long));
    });
  });
}

test("a card without a picture is set as a page of verse", async () => {
  const link = "#song?caption=a+boy+by+the+sea&keywords=boy,sea&rhyme=aabb&lines=4&temperature=0.7&seed=5";
  await withPage({ query: `?device=cpu${link}` }, async ({ page }) => {
    await whenSung(page);
    const { bytes } = await downloaded(page, () => action(page, "picture").click());
    const card = await lookAt(page, bytes);
    assert.equal(card.width, 1200);
    assert.ok(card.height >= 720 && card.height <= 1000, `${card.height}`);
    assert.ok(card.top > 0.002 && card.top < 0.2, `only the ornament: ${card.top}`);
    assert.ok(card.middle > 0.01 && card.middle < 0.3, `the song: ${card.middle}`);
    assert.ok(card.foot > 0.002, `the name: ${card.foot}`);
  });
});

test("a text file has song, settings and link", async () => {
  await withPage({ query: "?device=cpu" }, async ({ page }) => {
    const songs = await singDifferently(page);
    const { name, bytes } = await downloaded(page, () => action(page, "text").click());
    assert.equal(name, "far-away-upon-the-hills.txt");
    const text = bytes.toString("utf8");
    assert.ok(text.includes(`\n${songs[0]}\n`), text);
    const seed = await page.inputValue("#seed");
    for (const line of [
      "About a picture: a cat, a boy & his “dog” #1 at 100 %",
      "Mood: sad",
      "Kind: ballad",
      "Rhyme: abab",
      "Lines: 6",
      "Temperature: 0.55",
      "Begins with: Far away upon the hills / When",
      `Random seed: ${seed}`,
      await copied(page, "link"),
    ]) {
      assert.ok(text.split("\n").includes(line), `${line}\n--- is not in\n${text}`);
    }
  });
});

test("more like this begins with the line, with the song's own words and settings", async () => {
  await withPage({ query: "?device=cpu" }, async ({ page }) => {
    const songs = await sing(page, 1);
    const line = songs[1].split("\n")[0];
    await page.locator("#seed-text").evaluate((field) => {
      field.closest("details").open = true;
    });
    await page.fill("#seed-text", "My own beginning");
    await page.selectOption("#mood", "sad");
    await action(page, "more", 1).click();
    await whenSung(page);
    const more = await texts(page);
    assert.equal(more.length, 3);
    for (const song of more) assert.equal(song.split("\n")[0].slice(0, line.length), line);
    assert.equal(new Set(more).size, 3, "three different songs");
    for (const song of more) assert.equal(song.split("\n").length, 4);
    // The visitor's own wishes wait for the next button.
    assert.equal(await page.inputValue("#seed-text"), "My own beginning");
    const { hash } = new URL(await copied(page, "link"));
    assert.ok(!hash.includes("mood="), hash);
    assert.equal(new URLSearchParams(hash.slice(6)).get("begin"), line);
    await withPage({ query: `?device=cpu${hash}` }, async ({ page: other }) => {
      await whenSung(other);
      assert.deepEqual(await texts(other), [more[0]]);
    });
  });
});

for (const [what, context] of [
  ["1440 x 900", DESK],
  ["390 x 844", PHONE],
]) {
  test(`songs are kept, opened, deleted and brought back, ${what}`, async () => {
    await withPage({ query: "?device=cpu", context }, async ({ page }) => {
      const songs = await singDifferently(page);
      const asked = await controls(page);
      await keep(page, 0);
      assert.match(await action(page, "keep", 0).textContent(), /Kept/);
      await keep(page, 1);
      await action(page, "keep", 1).click();
      await whenSaid(page, /Kept already/);
      await page.waitForFunction(() => document.getElementById("kept-count").textContent === "2");

      await page.reload();
      // Before there is a songwriter, even.
      assert.deepEqual(await openShelf(page), [beginning(songs[1]), beginning(songs[0])]);
      await page.waitForFunction(() => [...document.querySelectorAll(".kept-picture")].every((image) => image.complete && image.naturalWidth > 0));
      assert.equal(await page.locator(".kept-picture").count(), 2);
      await page.screenshot({ path: join(SCREENSHOTS, `shelf-${context.viewport.width}.png`) });
      await page.click(".kept-song:nth-child(2) >> text=Open");
      assert.ok(await page.isHidden("#gallery"));
      assert.deepEqual(await texts(page), [songs[0]]);
      await whenSaid(page, /A kept song/);
      assert.deepEqual(await controls(page), asked);
      assert.ok(await page.isVisible("#preview"));
      assert.match(await action(page, "keep").textContent(), /Kept/);
      // And on from there: the seed begins with the same song.
      await page.click("#again");
      await whenSung(page);
      assert.equal((await texts(page))[0], songs[0]);

      await openShelf(page);
      await page.click(".kept-song:nth-child(1) >> text=Delete");
      await whenSaid(page, /is deleted/, "gallery-status");
      assert.deepEqual(await shelved(page), [beginning(songs[0])]);
      assert.ok(await page.locator("#gallery-undo").evaluate((button) => button === document.activeElement));
      await page.click("#gallery-undo");
      await whenSaid(page, /It is back/, "gallery-status");
      assert.deepEqual(await shelved(page), [beginning(songs[1]), beginning(songs[0])]);

      await page.click("#gallery-clear");
      assert.match(await page.textContent("#gallery-question"), /Delete 2 songs for good\?/);
      await page.click("#gallery-clear-no");
      assert.equal((await shelved(page)).length, 2);
      await page.click("#gallery-clear");
      await page.click("#gallery-clear-yes");
      await whenSaid(page, /2 songs deleted/, "gallery-status");
      assert.deepEqual(await shelved(page), []);
      assert.ok(await page.isVisible("#gallery-none"));
      await page.click("#gallery-close");
      assert.equal(await page.textContent("#kept-count"), "");
      await page.waitForFunction(() => !document.querySelector("[data-action=keep].kept"));
    });
  });
}

test("kept songs go to another browser as a file; a bad file changes nothing", async () => {
  let file;
  let songs;
  await withPage({ query: "?device=cpu&lines=2" }, async ({ page }) => {
    songs = await sing(page);
    for (const i of [0, 1, 2]) {
      await keep(page, i);
      await page.waitForFunction((i) => document.getElementById("kept-count").textContent === String(i + 1), i);
    }
    await openShelf(page);
    file = await downloaded(page, () => page.click("#gallery-save"));
  });
  assert.match(file.name, /^kept-songs-\d{4}-\d\d-\d\d\.json$/);
  const saved = JSON.parse(file.bytes.toString("utf8"));
  assert.equal(saved.songs.length, 3);
  assert.match(saved.songs[0].picture, /^data:image\/jpeg;base64,/);

  await withPage({ query: "?device=cpu&lines=2" }, async ({ page }) => {
    await whenReady(page);
    assert.deepEqual(await openShelf(page), []);
    const bring = async (content, name = "songs.json") => {
      await page.evaluate(() => (document.getElementById("gallery-status").textContent = ""));
      const buffer = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
      await page.setInputFiles("#gallery-file", { name, mimeType: "application/json", buffer });
      await whenSaid(page, /^(?!Reading).+\.$/, "gallery-status");
      return page.textContent("#gallery-status");
    };
    assert.equal(await bring(file.bytes), "3 songs brought in.");
    assert.deepEqual(await shelved(page), [...songs].reverse());
    assert.equal(await page.locator(".kept-picture").count(), 3);
    assert.equal(await bring(file.bytes), "0 songs brought in; 3 songs of the file had been here already.");

    const [song] = saved.songs;
    const wrap = (...songs) => ({ ...saved, songs });
    const svg = `data:image/svg+xml;base64,${Buffer.from("<svg xmlns='http://www.w3.org/2000/svg'/>").toString("base64")}`;
    const text = "Another song";
    for (const [content, why] of [
      [Buffer.from("no JSON at all"), /not a file of kept songs/],
      [Buffer.from(""), /not a file of kept songs/],
      [[1, 2, 3], /not a file of kept songs/],
      [null, /not a file of kept songs/],
      [{ ...saved, format: "something" }, /not a file of kept songs/],
      [{ ...saved, version: 2 }, /later version/],
      [{ ...saved, songs: Array(501).fill(song) }, /more than 500/],
      [wrap({ ...song, text }, null), /song 2 is not right, it is none/],
      [wrap({ ...song, text }, { ...song, text: "x".repeat(4001) }), /longer than 4000/],
      [wrap({ ...song, text }, { ...song, text: "\n".repeat(100) }), /more than 80 lines/],
      [wrap({ ...song, text }, { ...song, text: " " }), /no text/],
      [wrap({ ...song, text }, { ...song, text: 7 }), /song is no text/],
      [wrap({ ...song, text }, { ...song, keywords: "boy" }), /no list/],
      [wrap({ ...song, text }, { ...song, keywords: [{}] }), /words is no text/],
      [wrap({ ...song, text }, { ...song, mood: "angry" }), /mood/],
      [wrap({ ...song, text }, { ...song, temperature: "0.7" }), /temperature/],
      [wrap({ ...song, text }, { ...song, temperature: null }), /temperature/],
      [wrap({ ...song, text }, { ...song, lines: 1e9 }), /lines/],
      [wrap({ ...song, text }, { ...song, random_seed: 5 }), /random seed/],
      [wrap({ ...song, text }, { ...song, kept: "yesterday" }), /date/],
      [wrap({ ...song, text }, { ...song, picture: svg }), /picture/],
      [wrap({ ...song, text }, { ...song, picture: "https://example.com/x.jpg" }), /picture/],
      [wrap({ ...song, text }, { ...song, picture: song.picture.slice(0, 40) }), /picture/],
      [wrap({ ...song, text }, { ...song, picture: song.picture.replace("image/jpeg", "image/png") }), /picture/],
      [wrap({ ...song, text }, { ...song, picture: `data:image/jpeg;base64,${"/9j/".repeat(60000)}` }), /picture/],
    ]) {
      const sentence = await bring(content);
      assert.match(sentence, /^songs\.json can’t be brought in: .+\. Nothing was changed\.$/);
      assert.match(sentence, why);
      assert.equal((await shelved(page)).length, 3, sentence);
    }
    // What looks like markup is text.
    const markup = "<img src=x onerror=alert(1)>";
    assert.equal(await bring(wrap({ ...song, text: markup, caption: markup, picture: null })), "1 song brought in.");
    assert.ok((await shelved(page)).includes(markup));
  });
});

for (const [what, init, sentence] of [
  [
    "refuses its database",
    () => {
      IDBFactory.prototype.open = () => {
        throw new DOMException("no", "SecurityError");
      };
    },
    /keeps no songs here/,
  ],
  ["has no database", () => Object.defineProperty(window, "indexedDB", { value: undefined }), /keeps no songs here/],
  [
    "has no room left",
    () => {
      IDBObjectStore.prototype.put = () => {
        throw new DOMException("full", "QuotaExceededError");
      };
    },
    /no room left/,
  ],
]) {
  test(`a browser that ${what} is told of in a sentence`, async () => {
    await withPage({ query: QUICK, init }, async ({ page }) => {
      await sing(page);
      await action(page, "keep").click();
      assert.match(await whenProblem(page), sentence);
      await page.click("#gallery-open");
      if (!what.includes("room")) await whenSaid(page, sentence, "gallery-status");
      await page.keyboard.press("Escape");
      await page.click("#another");
      await whenSung(page);
      assert.ok(await page.isHidden("#problem"));
    });
  });
}

test("keeping and opening work with the keyboard alone", async () => {
  await withPage({ query: QUICK }, async ({ page }) => {
    const [song] = await sing(page);
    const tabTo = async (selector, key = "Tab") => {
      for (let i = 0; i < 80; i++) {
        if (await page.evaluate((selector) => document.activeElement.matches(selector), selector)) return;
        await page.keyboard.press(key);
      }
      assert.fail(`${selector} can't be reached`);
    };
    await tabTo("[data-action=keep]");
    const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(ring, "none", "the focus is seen");
    await page.keyboard.press("Enter");
    await whenSaid(page, /Kept/);
    await tabTo("#gallery-open", "Shift+Tab");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".kept-song");
    await page.keyboard.press("Escape");
    assert.ok(await page.evaluate(() => document.activeElement.id === "gallery-open"), "the focus comes back");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".kept-song");
    await tabTo(".kept-song button");
    await page.keyboard.press("Space");
    // The focus is on the song.
    await page.waitForFunction(() => document.activeElement.matches("article.song"));
    assert.deepEqual(await texts(page), [song]);
  });
});

test("every control says what it does", async () => {
  await withPage({ query: QUICK }, async ({ page }) => {
    await sing(page);
    await page.locator("#seed-text").evaluate((field) => {
      field.closest("details").open = true;
    });
    for (const id of ["caption", "keyword", "mood", "kind", "scheme", "lines", "songs", "temperature", "seed-text", "seed"]) {
      const hint = page.locator(`#${await page.getAttribute(`#${id}`, "aria-describedby")}`);
      assert.ok(await hint.isVisible(), id);
      assert.match(await hint.textContent(), /\w+ \w+/, id);
    }
    assert.match(await page.textContent("#temperature-hint"), /0\.2 calm.*daring 1\.4/);
    // A word that is not known is flagged for all to see.
    await page.fill("#keyword", "xqzzv");
    await page.press("#keyword", "Enter");
    await page.waitForSelector("#keywords button:has-text('xqzzv not known')");
    // Screen readers hear of the songs once, when they are done.
    assert.equal(await page.evaluate(() => document.querySelector(".song").closest("[aria-live], [role=status], [role=log]")), null);
  });
});

for (const width of [360, 390, 1440]) {
  test(`the buttons under a song fit ${width} pixels`, async () => {
    const context = { viewport: { width, height: 844 }, isMobile: width < 500, hasTouch: width < 500 };
    await withPage({ query: "?device=cpu", context }, async ({ page }) => {
      await sing(page);
      const { wide, buttons, rows } = await page.evaluate(() => {
        const boxes = [...document.querySelectorAll(".song:first-child .actions button")].map((button) => button.getBoundingClientRect());
        return {
          wide: document.documentElement.scrollWidth - innerWidth,
          buttons: boxes.map(({ width, height, right }) => ({ width, height, right })),
          rows: new Set(boxes.map(({ top }) => Math.round(top))).size,
        };
      });
      assert.ok(wide <= 0, `${wide} pixels too wide`);
      assert.equal(buttons.length, 6);
      for (const { width: w, height, right } of buttons) assert.ok(w >= 40 && height >= 40 && right <= width, `${w} x ${height} to ${right}`);
      assert.ok(rows <= (width < 500 ? 2 : 1), `${rows} rows`);
    });
  });
}

test("the controls stay where they are while songs come, on a phone", async () => {
  await withPage({ query: "?device=cpu", context: PHONE }, async ({ page }) => {
    await whenReady(page);
    const look = () =>
      page.evaluate(() => ({
        isWriting: document.getElementById("song").dataset.state === "writing",
        top: document.querySelector(".controls").getBoundingClientRect().top + scrollY,
      }));
    await sing(page);
    const before = (await look()).top;
    await page.click("#another");
    const tops = [];
    for (let now = await look(); now.isWriting; now = await look()) tops.push(now.top);
    assert.ok(tops.length > 0);
    // Broken lines can make the new songs taller than the old ones; they never jump up meanwhile.
    for (const now of tops) assert.ok(now - before > -1 && now - before < 0.2 * 844, `${before} -> ${now}`);
  });
});

/** What there is to say to the page's worker in the protocol of the browser's tools. */
async function workerSession(session) {
  let sessionId;
  let last = 0;
  const waiting = new Map();
  session.on("Target.attachedToTarget", (event) => {
    if (event.targetInfo.type === "worker") ({ sessionId } = event);
  });
  session.on("Target.receivedMessageFromTarget", ({ message }) => {
    const { id, result, error } = JSON.parse(message);
    waiting.get(id)?.(result ?? error);
  });
  await session.send("Target.setAutoAttach", { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  assert.ok(sessionId, "there is a worker");
  return async (method) => {
    const id = ++last;
    const answer = new Promise((resolve) => waiting.set(id, resolve));
    await session.send("Target.sendMessageToTarget", { sessionId, message: JSON.stringify({ id, method }) });
    return answer;
  };
}

test("fifty songs leave no more behind than five", async () => {
  // Code that V8 compiles better the longer it runs would count as memory of the page's.
  const plodding = await launch({ webgpu: false, flags: ["--js-flags=--no-opt --no-maglev --no-sparkplug"] });
  try {
    const { page, assertQuiet } = await openPage(plodding, there.site, { query: QUICK });
    await sing(page);
    const session = await page.context().newCDPSession(page);
    const worker = await workerSession(session);
    /** What is in use once all that is garbage has gone: by the page, the worker and the networks. */
    const measure = async () => {
      // Until the buttons have shown for long enough that they have done their work.
      await page.waitForTimeout(2500);
      for (let i = 0; i < 3; i++) {
        await session.send("HeapProfiler.collectGarbage");
        await worker("HeapProfiler.collectGarbage");
        await page.waitForTimeout(100);
      }
      const { nodes, jsEventListeners: listeners } = await session.send("Memory.getDOMCounters");
      const heap = (await session.send("Runtime.getHeapUsage")).usedSize;
      const workerHeap = (await worker("Runtime.getHeapUsage")).usedSize;
      const wasm = await page.workers()[0].evaluate(async () => {
        const { default: init } = await import(new URL("neural-songwriter.js", self.location.href).href);
        return (await init()).memory.buffer.byteLength;
      });
      return { heap, workerHeap, wasm, nodes, listeners };
    };
    // From within the page, so that what the test itself leaves there does not count.
    const write = (count) =>
      page.evaluate(async (count) => {
        const until = async (isSo) => {
          while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
        };
        const state = document.getElementById("song").dataset;
        for (let i = 0; i < count; i++) {
          document.getElementById("another").click();
          await until(() => state.state === "writing");
          await until(() => state.state === "done");
          // Cards and the shelf take the most memory for a while.
          for (const name of i % 5 === 0 ? ["picture", "keep"] : []) {
            document.querySelector(`[data-action=${name}]`).click();
            await until(() => /Saved|Kept/.test(document.getElementById("status").textContent));
            document.getElementById("status").textContent = "";
          }
        }
      }, count);
    // V8 remembers numbers as strings in tables that grow once; let them be grown.
    await page.evaluate(() => {
      for (let i = 0; i < 20_000; i++) String(i) + String(i + 0.5);
    });
    await write(5);
    const five = await measure();
    await write(45);
    const fifty = await measure();
    console.log("in use after 5 and after 50 songs:", JSON.stringify(five), JSON.stringify(fifty));
    for (const [what, value] of Object.entries(fifty)) {
      assert.ok(value <= five[what] * 1.05, `${what}: ${five[what]} -> ${value}`);
    }
    assertQuiet();
  } finally {
    await plodding.close();
  }
});
