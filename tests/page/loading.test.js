/** How the page loads, what it keeps, and what becomes of it when the network or the worker goes away. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { launch, openPage, whenProblem, whenReady, whenSung } from "./browser.js";
import { DIST, serveSite } from "./site.js";

const PICTURE = join(DIST, "samples", "raccoon.jpg");
const CPU = "?device=cpu";
/** The large file of each model, and the program. */
const LARGE = /tensors\.safetensors$|\.gzip$/;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

/**
 * Serves the page and opens it for one test; closes both whatever happens.
 * @param {object} options for the site; `query` and `context` for the page
 * @param {(opened: any) => Promise<void>} work
 */
async function withSite({ query = CPU, context, ...options }, work) {
  const site = await serveSite(options);
  try {
    const opened = await openPage(browser, site, { query, context });
    try {
      await work({ ...opened, site });
    } finally {
      await opened.close();
    }
  } finally {
    site.close();
  }
}

/** `alter` for serveSite: changes one script of the page, which must have the text to be replaced. */
const change = (script, ...pairs) => (path, body) => {
  if (!path.endsWith(`/${script}`)) return body;
  let text = body.toString();
  for (const [from, to] of pairs) {
    assert.ok(text.includes(from), `${script} has no ${from}`);
    text = text.replace(from, () => to);
  }
  return Buffer.from(text);
};
/** Songs slow enough to be disturbed. */
const SLOW = ["calls.postMessage(null);", "setTimeout(() => calls.postMessage(null), 100);"];

/** Waits until all is kept for a visit without a network. */
async function whenKept(page) {
  await page.waitForFunction(
    async () => {
      const registration = await navigator.serviceWorker.getRegistration();
      if (!registration?.active || registration.installing || !navigator.serviceWorker.controller) return false;
      const names = (await caches.keys()).filter((name) => name.startsWith("neural-songwriter downloads"));
      const lists = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
      return lists.flat().filter(({ url }) => url.endsWith("/manifest.json")).length === 2;
    },
    null,
    { timeout: 60_000, polling: 200 },
  );
}

/** Addresses of what is kept, relative to the page, without its shell. */
const kept = (page) =>
  page.evaluate(async () => {
    const names = (await caches.keys()).filter((name) => name.startsWith("neural-songwriter downloads"));
    const lists = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return lists.flat().map(({ url }) => url.slice(document.baseURI.split("?")[0].length));
  });

/** Picks the picture and waits for the song. */
async function sing(page) {
  await page.setInputFiles("#file", PICTURE);
  const sung = await whenSung(page);
  assert.match(sung.caption, /\w+ \w+/);
  assert.match(sung.song, /\w+/);
  return sung;
}

// ---------------------------------------------------------------- loading

test("the first visit: sizes, order, and nothing moves", async () => {
  await withSite({}, async ({ page, site, assertQuiet }) => {
    await page.evaluate(() => {
      window.shift = 0;
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
      }).observe({ type: "layout-shift", buffered: true });
    });
    await sing(page);
    const total = site.bytes(/./);
    const painted = await page.evaluate(() => {
      const paint = performance.getEntriesByType("paint").map(({ startTime }) => startTime);
      return performance.timeOrigin + Math.min(...paint);
    });
    const first = site.log.find(({ path }) => path.startsWith("models/")).time;
    assert.ok(painted <= first + 1, `painted ${Math.round(painted - first)} ms after the models were asked for`);
    const shift = await page.evaluate(() => window.shift);
    assert.ok(shift <= 0.02, `layout shift ${shift}`);
    await whenKept(page);
    const twice = site.log.filter(({ path }, i) => LARGE.test(path) && site.log.findIndex((e) => e.path === path) !== i);
    assert.deepEqual(twice, [], "the models and the program come once");
    assertQuiet();
    console.log(`${(total / 1e6).toFixed(2)} MB to the first song, layout shift ${shift.toFixed(4)}`);
    assert.ok(total <= 20e6, `${total} bytes to the first song`);
  });
});

test("the page's scripts are small", async () => {
  const [folder] = (await readdir(DIST)).filter((name) => name.startsWith("app-"));
  const scripts = (await readdir(join(DIST, folder))).filter((name) => name.endsWith(".js"));
  const sizes = await Promise.all(scripts.map(async (name) => gzipSync(await readFile(join(DIST, folder, name))).length));
  const sum = sizes.reduce((a, b) => a + b, 0);
  console.log(`${sum} bytes of compressed scripts`);
  assert.ok(sum <= 60_000, `${sum} bytes`);
});

test("progress is told in bytes, with names for what is done, and only goes up", async () => {
  const site = await serveSite();
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    await page.addInitScript(() => {
      window.told = [];
      addEventListener("DOMContentLoaded", () => {
        const progress = document.getElementById("progress");
        new MutationObserver(() =>
          window.told.push([document.getElementById("status").textContent, progress.value]),
        ).observe(document.getElementById("status"), { childList: true });
      });
    });
    await page.goto(site.url + CPU);
    await whenReady(page);
    const told = await page.evaluate(() => window.told);
    const values = told.map(([, value]) => value);
    assert.deepEqual(values, values.toSorted((a, b) => a - b));
    assert.equal(values.at(-1), 1);
    const sentences = told.map(([text]) => text).join("\n");
    for (const what of ["the program", "the lyricist", "the captioner"]) {
      assert.match(sentences, new RegExp(`Downloading ${what}: \\d+\\.\\d of \\d+\\.\\d MB`));
    }
    assert.match(sentences, /Checking .*\n.*Tuning up…\nReady/s);
  } finally {
    await context.close();
    site.close();
  }
});

for (const ranges of [true, false]) {
  test(`a download that breaks off ${ranges ? "goes on where it was" : "starts again"}`, async () => {
    const file = "models/captioner/tensors.safetensors";
    const size = (await readFile(join(DIST, file))).length;
    const half = size >> 1;
    const cut = (path, asked) => (path === file && asked === 1 ? half : null);
    await withSite({ ranges, cut }, async ({ page, site }) => {
      await sing(page);
      assert.ok(await page.isHidden("#problem"));
      const asked = site.log.filter(({ path }) => path === file);
      assert.equal(asked.length, 2);
      assert.ok(asked[1].range, "the rest is asked for");
      // A few buffers may be on their way when the server hangs up.
      if (ranges) assert.ok(asked[1].status === 206 && site.bytes(/captioner\/tensors/) <= size + half / 2);
      else assert.deepEqual([asked[1].status, asked[1].bytes], [200, size]);
    });
  });
}

test("a download that always breaks off is given up with a sentence and a way out", async () => {
  let broken = true;
  const cut = (path) => (broken && path.startsWith("models/lyricist/tensors") ? 1000 : null);
  await withSite({ cut, ranges: false }, async ({ page }) => {
    assert.match(await whenProblem(page), /lyricist\/tensors\.safetensors broke off/);
    broken = false;
    await page.click("#retry");
    await sing(page);
  });
});

// ---------------------------------------------------------------- what is kept

test("the second visit downloads nothing large", async () => {
  await withSite({}, async ({ page, site, assertQuiet }) => {
    await whenReady(page);
    await whenKept(page);
    const before = site.log.length;
    await page.reload();
    await sing(page);
    const again = site.log.slice(before).map(({ path }) => path);
    assert.deepEqual(again.filter((path) => /^(models|app-)/.test(path) && !path.endsWith("/manifest.json")), []);
    assertQuiet();
  });
});

test("after one visit, all works without a network", async () => {
  await withSite({}, async ({ page, site, assertQuiet }) => {
    const online = await sing(page);
    await whenKept(page);
    site.close();
    await page.context().setOffline(true);
    await page.goto(site.url + "?device=cpu&songs=2");
    const offline = await sing(page);
    assert.equal(offline.caption, online.caption);
    assert.equal(await page.locator(".song").count(), 2);
    await page.click("#samples button >> nth=1");
    assert.notEqual((await whenSung(page)).caption, online.caption);
    await page.goto(`${site.url}index.html${CPU}`);
    await whenReady(page);
    assertQuiet();
  });
});

test("a server that hangs up on everybody counts as no network", async () => {
  await withSite({}, async ({ page, site, assertQuiet }) => {
    await whenReady(page);
    await whenKept(page);
    site.isOffline = true;
    await page.reload();
    await sing(page);
    assertQuiet();
  });
});

test("what is damaged on the device is fetched again", async () => {
  await withSite({}, async ({ page, site, assertQuiet }) => {
    await whenReady(page);
    await whenKept(page);
    await page.evaluate(async () => {
      for (const name of await caches.keys()) {
        if (!name.startsWith("neural-songwriter downloads")) continue;
        const cache = await caches.open(name);
        for (const request of await cache.keys()) {
          if (request.url.includes("lyricist/tensors")) await cache.put(request, new Response("garbage"));
          // Of the right length, too.
          if (!request.url.endsWith(".gzip")) continue;
          const bytes = new Uint8Array(await (await cache.match(request)).arrayBuffer());
          bytes[bytes.length >> 1] ^= 1;
          await cache.put(request, new Response(bytes));
        }
      }
    });
    const before = site.log.length;
    await page.reload();
    await sing(page);
    assert.ok(await page.isHidden("#problem"));
    const again = site.log.slice(before).filter(({ path }) => LARGE.test(path));
    assert.deepEqual(again.map(({ path }) => path.split("/").at(-2).slice(0, 4)).sort(), ["app-", "lyri"]);
    // And is whole from now on.
    await whenKept(page);
    const then = site.log.length;
    await page.reload();
    await whenReady(page);
    assert.deepEqual(site.log.slice(then).filter(({ path }) => LARGE.test(path)), []);
    assertQuiet();
  });
});

/** Another build: other scripts, another file of a model. */
async function newBuild(folder) {
  await cp(DIST, folder, { recursive: true });
  const [app] = (await readdir(folder)).filter((name) => name.startsWith("app-"));
  await rename(join(folder, app), join(folder, "app-fedcba987654"));
  const edit = async (file, work) => writeFile(join(folder, file), work(await readFile(join(folder, file), "utf8")));
  await edit("index.html", (text) => text.replaceAll(app, "app-fedcba987654").replace("Or try one of these", "Or try one of those"));
  await edit("sw.js", (text) => text.replaceAll(app, "app-fedcba987654").replace(/BUILD = ".*"/, 'BUILD = "fedcba"'));
  const file = "models/lyricist/keywords.json";
  await edit(file, (text) => `${text}\n`);
  const bytes = await readFile(join(folder, file));
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  await edit("models/lyricist/manifest.json", (text) => {
    const manifest = JSON.parse(text);
    Object.assign(manifest.files.find(({ path }) => path === "keywords.json"), { bytes: bytes.length, sha256 });
    return JSON.stringify(manifest);
  });
  return sha256.slice(0, 16);
}

test("a new version replaces the old one on the next visit", async () => {
  const folder = await mkdtemp(join(tmpdir(), "songs-"));
  try {
    const digest = await newBuild(folder);
    await withSite({}, async ({ page, site, assertQuiet }) => {
      const { song } = await sing(page);
      await whenKept(page);
      const before = await kept(page);
      site.root = folder;
      await page.reload();
      assert.equal(await page.textContent("#samples-title"), "Or try one of those");
      assert.match((await sing(page)).song, /\w+/);
      assert.ok(song);
      await page.waitForFunction(async () => (await caches.keys()).some((name) => name.endsWith(" fedcba")), null, { polling: 200 });
      await page.waitForFunction(async () => !(await navigator.serviceWorker.getRegistration()).installing, null, { polling: 200 });
      await whenKept(page);
      await page.waitForTimeout(500);
      const now = await kept(page);
      const isOldModel = (address) => address.includes("lyricist/keywords.json") && !address.includes(digest);
      assert.equal(before.filter(isOldModel).length, 1);
      assert.deepEqual(now.filter(isOldModel), []);
      assert.ok(now.includes(`models/lyricist/keywords.json?sha256=${digest}`));
      assert.ok(now.some((address) => address.startsWith("app-fedcba987654/")));
      // The new one is there without a network, too.
      site.isOffline = true;
      await page.reload();
      assert.equal(await page.textContent("#samples-title"), "Or try one of those");
      await sing(page);
      assertQuiet();
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

for (const [what, meddling] of [
  ["has no storage", () => void Object.defineProperty(globalThis, "caches", { value: undefined })],
  [
    "has no room",
    () => {
      Cache.prototype.put = () => Promise.reject(new DOMException("full", "QuotaExceededError"));
    },
  ],
]) {
  test(`a browser that ${what} sings all the same`, async () => {
    const alter = (path, body) =>
      path.endsWith("/store.js") ? Buffer.concat([Buffer.from(`(${meddling})();\n`), body]) : body;
    await withSite({ alter, context: { serviceWorkers: "block" } }, async ({ page, site, assertQuiet }) => {
      await sing(page);
      await page.reload();
      await sing(page);
      assert.equal(site.log.filter(({ path }) => /captioner\/tensors/.test(path)).length, 2, "nothing was kept");
      assertQuiet();
    });
  });
}

test("the page can be installed", async () => {
  await withSite({}, async ({ page, assertQuiet }) => {
    const session = await page.context().newCDPSession(page);
    const { errors, data } = await session.send("Page.getAppManifest");
    assert.deepEqual(errors, []);
    assert.equal(JSON.parse(data).name, "Neural Songwriter");
    await whenReady(page);
    await whenKept(page);
    const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
    // The browser of the tests keeps nothing, and so installs nothing; the page has no part in that.
    assert.deepEqual(installabilityErrors.filter(({ errorId }) => errorId !== "in-incognito"), []);
    assertQuiet();
  });
});

// ---------------------------------------------------------------- a worker that goes away

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
    assert.match(await whenProblem(page), /has ended the songwriter: it has been started again/);
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
const HOLD = `const { requestDevice: open } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (what) { return (self.held = await open.call(this, what)); };\n`;

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
