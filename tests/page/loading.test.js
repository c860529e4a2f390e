/** How the page loads, what it keeps, and what becomes of it when there is no network. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { launch, whenProblem, whenReady, whenSung } from "./browser.js";
import { DIST, serveSite } from "./site.js";
import { CPU, kept, sing, until, whenKept, withSite as visit } from "./visits.js";

/** The large file of each model, and the program. */
const LARGE = /tensors\.safetensors$|\.gzip$/;

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser?.close());

const withSite = (options, work) => visit(browser, options, work);

// ---------------------------------------------------------------- loading

for (const viewport of [{ width: 390, height: 844 }, { width: 1440, height: 900 }]) {
  test(`nothing moves while the page loads and sings, ${viewport.width} wide`, async () => {
    await withSite({ context: { viewport } }, async ({ page }) => {
      await page.evaluate(() => {
        window.shift = 0;
        new PerformanceObserver((list) => {
          for (const { value } of list.getEntries()) window.shift += value;
        }).observe({ type: "layout-shift", buffered: true });
      });
      await sing(page);
      const shift = await page.evaluate(() => window.shift);
      assert.ok(shift <= 0.02, `layout shift ${shift}`);
    });
  });
}

test("the first visit: painted before the models come, and each of them comes once", async () => {
  await withSite({}, async ({ page, site, assertQuiet }) => {
    await sing(page);
    const painted = await page.evaluate(() => {
      const paint = performance.getEntriesByType("paint").map(({ startTime }) => startTime);
      return performance.timeOrigin + Math.min(...paint);
    });
    const first = site.log.find(({ path }) => path.startsWith("models/")).time;
    assert.ok(painted <= first + 1, `painted ${Math.round(painted - first)} ms after the models were asked for`);
    await whenKept(page);
    const twice = site.log.filter(({ path }, i) => LARGE.test(path) && site.log.findIndex((e) => e.path === path) !== i);
    assert.deepEqual(twice, [], "the models and the program come once");
    assertQuiet();
  });
});

test("20 MB are enough for the first song", async () => {
  await withSite({}, async ({ page, site }) => {
    await sing(page);
    const total = site.bytes(/./);
    console.log(`${(total / 1e6).toFixed(2)} MB to the first song`);
    assert.ok(total <= 20e6, `${total} bytes`);
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

test("a browser that lacks what the songwriter needs gets a sentence", async () => {
  const alter = (path, body) =>
    path.endsWith("/worker.js") ? Buffer.concat([Buffer.from("delete self.DecompressionStream;\n"), body]) : body;
  await withSite({ alter }, async ({ page, assertQuiet }) => {
    assert.match(await whenProblem(page), /^This browser can't run the songwriter; a newer one may\./);
    assertQuiet();
  });
});

test("a download goes on by itself when the network is back", async () => {
  let broken = true;
  const cut = (path) => (broken && path.startsWith("models/captioner/tensors") ? 1000 : null);
  await withSite({ cut }, async ({ page }) => {
    await page.waitForFunction(() => document.getElementById("status").textContent.includes("Trying to go on"));
    await page.context().setOffline(true);
    assert.match(await whenProblem(page), /Check the connection/);
    broken = false;
    await page.context().setOffline(false);
    await sing(page);
    assert.ok(await page.isHidden("#problem"));
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
    // The songs that stand there are not what is waited for.
    await page.evaluate(() => (document.getElementById("song").dataset.state = "old"));
    await page.click("#samples button >> nth=0");
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
      const isNew = async () => {
        const { installing, waiting } = await navigator.serviceWorker.getRegistration();
        return !installing && !waiting && (await caches.keys()).some((name) => name.endsWith(" fedcba"));
      };
      await until(page, isNew, "a new service worker");
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
