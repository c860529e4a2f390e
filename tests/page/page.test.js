/** The built page in a real browser: what a visitor can do, and what can go wrong. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { launch, openPage, whenProblem, whenReady, whenSung } from "./browser.js";
import { DIST, serveSite } from "./site.js";
import { PICTURE, stage } from "./visits.js";

const SCREENSHOTS = new URL("screenshots/", import.meta.url).pathname;

const there = stage();
before(() => mkdir(SCREENSHOTS, { recursive: true }));

const { withPage } = there;

/** Runs `work` in the page with clients of its own, one for each device; the page's client stays out of it. */
const inWorkers = (page, devices, work, argument) =>
  page.evaluate(
    async ([devices, work, argument]) => {
      const app = document.querySelector("script[type=module]").src;
      const { Client } = await import(new URL("protocol.js", app).href);
      const models = new URL("models/", document.baseURI).href;
      const clients = [];
      try {
        for (const device of devices) {
          const client = new Client();
          clients.push(client);
          client.opened = await client.open({ device, models, fresh: false });
        }
        // The page's policy forbids eval, a module from a blob included: so the work is a function
        // that the test has put into the page before.
        return await window[work](clients, argument);
      } finally {
        for (const client of clients) client.close();
      }
    },
    [devices, work, argument],
  );

/** Largest difference of two lists, as a share of the largest value. */
function difference(a, b) {
  assert.equal(a.length, b.length);
  assert.ok(a.length > 0);
  const scale = Math.max(...a.map(Math.abs));
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]))) / scale;
}

for (const [device, query] of [
  ["cpu", "?device=cpu"],
  // The emulated graphics card writes a few letters a second: one plain line has to do.
  ["webgpu", "?device=webgpu&songs=1&lines=1&plain"],
]) {
  test(`a picture becomes a song on ${device}`, async () => {
    await withPage({ query }, async ({ page, assertQuiet }) => {
      // Picked at once: the picture has to wait for the models.
      await page.setInputFiles("#file", PICTURE);
      const first = await whenSung(page);
      assert.equal(await page.getAttribute("html", "data-device"), device);
      assert.match(await page.textContent("#device"), device === "cpu" ? /CPU/ : /WebGPU/);
      assert.match(first.caption, /\w+ \w+/);
      assert.match(first.song, /\w+/);
      assert.match(first.status, /^The songs? (is|are) done\.$/);
      assert.ok(await page.isVisible("#preview"));

      await page.click("#another");
      const second = await whenSung(page);
      assert.equal(second.caption, first.caption);
      assert.notEqual(second.song, first.song);
      assertQuiet();
    });
  });
}

test("an emulated graphics card is left alone", async () => {
  await withPage({}, async ({ page, assertQuiet }) => {
    await whenReady(page);
    assert.equal(await page.getAttribute("html", "data-device"), "cpu");
    assert.match(await page.textContent("#device"), /^Runs on your CPU: .+\.$/);
    assertQuiet();
  });
});

for (const [what, meddling, sentence] of [
  [
    "a graphics card that works is timed against the CPU",
    'Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { value: false });',
    // The trial may run out of time on a busy machine.
    /^Runs on your .+(letters a second|did not work)/,
  ],
  [
    "a graphics card that breaks is left alone",
    `Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { value: false });
     GPUAdapter.prototype.requestDevice = () => Promise.reject(new Error("out of order"));`,
    /^Runs on your CPU: WebGPU .+\.$/,
  ],
]) {
  test(what, async () => {
    const meddled = await serveSite({
      alter: (path, body) => (path.endsWith("/worker.js") ? Buffer.concat([Buffer.from(meddling), body]) : body),
    });
    try {
      await withPage(
        {},
        async ({ page, complaints }) => {
          await page.setInputFiles("#file", PICTURE);
          assert.match((await whenSung(page)).song, /\w+/);
          assert.match(await page.textContent("#device"), sentence);
          console.log(await page.textContent("#device"), complaints);
        },
        meddled,
      );
    } finally {
      meddled.close();
    }
  });
}

test("samples, own words, temperature and seed", async () => {
  await withPage({ query: "?device=cpu" }, async ({ page, assertQuiet }) => {
    await page.click("#samples button >> nth=1");
    const first = await whenSung(page);

    await page.fill("#caption", "two children play in the snow");
    await page.locator("#temperature").fill("0.4");
    await page.click("summary");
    await page.fill("#seed", "18446744073709551615");
    await page.click("#again");
    const second = await whenSung(page);
    assert.equal(second.caption, "two children play in the snow");
    assert.notEqual(second.song, first.song);
    assert.match(await page.textContent("#numbers"), /temperature 0\.40, seed 18446744073709551615\./);

    await page.click("#again");
    assert.equal((await whenSung(page)).song, second.song);

    await page.fill("#seed", "99999999999999999999");
    await page.click("#again");
    assert.match(await whenProblem(page), /no random seed/);
    await page.click("#another");
    assert.match((await whenSung(page)).song, /\w+/);
    assert.ok(await page.isHidden("#problem"));
    assertQuiet();
  });
});

test("a word of the caption shows where it came from", async () => {
  await withPage({ query: "?device=cpu&lines=1" }, async ({ page, assertQuiet }) => {
    assert.ok(await page.isHidden("#seen"));
    await page.setInputFiles("#file", PICTURE);
    const { caption } = await whenSung(page);
    assert.equal((await page.locator("#seen-words button").allTextContents()).join(" "), caption);
    // How much light a place of the picture keeps.
    const shade = () =>
      page.evaluate(() => {
        const canvas = document.querySelector("#looking");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((_, i) => i % 4 === 3);
      });
    assert.ok(!(await page.locator("#looking.on").count()));
    const words = page.locator("#seen-words button");
    await words.first().hover();
    assert.equal(await page.locator("#looking.on").count(), 1);
    const first = Object.values(await shade());
    assert.ok(Math.max(...first) > 60 && Math.min(...first) < 20, "some is in the shade, some is not");
    // With the keyboard, another word looks elsewhere.
    await words.last().focus();
    const last = Object.values(await shade());
    assert.ok(first.some((value, i) => Math.abs(value - last[i]) > 5));
    await page.evaluate(() => document.activeElement.blur());
    await page.mouse.move(0, 0);
    assert.equal(await page.locator("#looking.on").count(), 0);
    assertQuiet();
  });
});

test("songs are as they were asked for", async () => {
  await withPage({ query: "?device=cpu" }, async ({ page, assertQuiet }) => {
    await page.click("#samples button >> nth=0");
    await whenSung(page);
    assert.equal(await page.locator(".song").count(), 3);
    assert.deepEqual(await page.locator(".song").nth(2).locator(".lines div").count(), 4);

    await page.selectOption("#mood", "sad");
    await page.selectOption("#kind", "ballad");
    await page.selectOption("#scheme", "abab");
    await page.fill("#lines", "6");
    await page.fill("#songs", "2");
    // One keyword is dropped, another one typed, and one that nobody knows.
    await page.click("#keywords button[aria-pressed=true] >> nth=0");
    await page.fill("#keyword", "moon");
    await page.press("#keyword", "Enter");
    await page.waitForSelector("#keywords button:text-is('moon')");
    await page.fill("#keyword", "xqzzv");
    await page.press("#keyword", "Enter");
    await page.waitForFunction(() => document.getElementById("status").textContent.includes("does not know"));
    await page.click("#another");
    const { song } = await whenSung(page);
    assert.equal(await page.locator(".song").count(), 2);
    assert.equal(await page.locator(".song").nth(0).locator(".lines div").count(), 6);
    assert.match(song.toLowerCase(), /moon/);

    // A line of one's own stands in front.
    await page.click("summary");
    await page.fill("#seed-text", "Far away upon the hills");
    await page.click("#again");
    assert.match((await whenSung(page)).song, /^Far away upon the hills/);
    assertQuiet();
  });
});

test("what is no picture gets a sentence, and the next picture works", async () => {
  const jpeg = await readFile(PICTURE);
  const bad = [
    ["notes.jpg", Buffer.from("Buy milk. Call home. This is no picture.\n")],
    ["cut.jpg", jpeg.subarray(0, jpeg.length / 3)],
    ["empty.jpg", Buffer.alloc(0)],
  ];
  await withPage({ query: "?device=cpu" }, async ({ page, assertQuiet }) => {
    for (const [name, buffer] of bad) {
      await page.setInputFiles("#file", { name, mimeType: "image/jpeg", buffer });
      const sentence = await whenProblem(page);
      assert.match(sentence, new RegExp(`${name}.*\\.$`), sentence);
      assert.equal(await page.getAttribute("#song", "data-state"), "empty");

      await page.setInputFiles("#file", PICTURE);
      await whenSung(page);
      assert.ok(await page.isHidden("#problem"));
    }
    assertQuiet();
  });
});

test("stop ends the song while it is written", async () => {
  await withPage({ query: "?device=webgpu&songs=1&lines=16&plain" }, async ({ page, assertQuiet }) => {
    await page.setInputFiles("#file", PICTURE);
    await page.waitForFunction(() => document.getElementById("song").textContent.length > 3, null, { timeout: 120_000 });
    await page.click("#stop");
    const { song, status } = await whenSung(page, 10_000);
    assert.equal(status, "Stopped.");
    assert.ok(song.length < 500, song);
    assertQuiet();
  });
});

test("stop ends the song while it is shown", async () => {
  const context = { reducedMotion: "no-preference" };
  await withPage({ query: "?device=cpu", context }, async ({ page, assertQuiet }) => {
    await page.setInputFiles("#file", PICTURE);
    await page.waitForFunction(() => document.getElementById("song").textContent.length > 3, null, { timeout: 120_000 });
    await page.click("#stop");
    const { song, status } = await whenSung(page, 2_000);
    assert.equal(status, "Stopped.");
    assert.ok(song.length < 150, song);
    assertQuiet();
  });
});

test("nothing moves while the page loads", async () => {
  await withPage({ query: "?device=cpu" }, async ({ page }) => {
    await whenReady(page);
    const shift = await page.evaluate(
      () =>
        new Promise((resolve) => {
          let sum = 0;
          new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) sum += entry.value;
          }).observe({ type: "layout-shift", buffered: true });
          setTimeout(() => resolve(sum), 200);
        }),
    );
    assert.ok(shift < 0.005, `layout shift ${shift}`);
  });
});

test("a damaged model is noticed", async () => {
  const damaged = await serveSite({
    alter(path, body) {
      if (path !== "models/lyricist/tensors.safetensors") return body;
      const copy = Buffer.from(body);
      copy[copy.length >> 1] ^= 1;
      return copy;
    },
  });
  try {
    await withPage(
      { query: "?device=cpu" },
      async ({ page, assertQuiet }) => {
        assert.match(await whenProblem(page), /tensors\.safetensors of the model lyricist is damaged/);
        assert.ok(await page.isVisible("#retry"));
        assertQuiet();
      },
      damaged,
    );
  } finally {
    damaged.close();
  }
});

test("a download that fails can be tried again", async () => {
  let broken = true;
  const flaky = await serveSite({
    alter: (path, body) => (broken && path === "models/captioner/tensors.safetensors" ? null : body),
  });
  try {
    await withPage(
      { query: "?device=cpu" },
      async ({ page }) => {
        assert.match(await whenProblem(page), /captioner\/tensors\.safetensors could not be downloaded/);
        // A picture that is picked now has to wait, and must not hide the way out.
        await page.setInputFiles("#file", PICTURE);
        await page.waitForSelector("#preview:not([hidden])");
        assert.ok(await page.isVisible("#retry"));
        broken = false;
        await page.click("#retry");
        // The picture has waited.
        assert.match((await whenSung(page)).song, /\w+/);
        assert.ok(await page.isHidden("#problem"));
      },
      flaky,
    );
  } finally {
    flaky.close();
  }
});

test("a crash of the worker is told, and the songwriter starts again", async () => {
  await withPage({ query: "?device=cpu" }, async ({ page, complaints }) => {
    await page.setInputFiles("#file", PICTURE);
    await whenSung(page);
    await page.workers()[0].evaluate(() => {
      // What a panic looks like from JavaScript.
      setTimeout(() => {
        throw new WebAssembly.RuntimeError("unreachable");
      });
    });
    assert.match(await whenProblem(page), /started again/);
    await page.setInputFiles("#file", PICTURE);
    await page.waitForSelector("#problem", { state: "hidden" });
    assert.match((await whenSung(page)).song, /\w+/);
    assert.ok(complaints.length > 0, "the console has the details");
  });
});

test("both devices think the same", async () => {
  await withPage({ query: "?device=cpu" }, async ({ page, assertQuiet }) => {
    await whenReady(page);
    await page.evaluate(() => {
      window.think = async (clients, picture) => {
        const bytes = new Uint8Array(await (await fetch(picture)).arrayBuffer());
        const thoughts = [];
        for (const client of clients) {
          thoughts.push({
            device: client.opened.device,
            features: [...(await client.pictureFeatures(bytes, "picture"))],
            logits: [...(await client.lyricistLogits("The river and the "))],
          });
        }
        return thoughts;
      };
    });
    const [cpu, gpu] = await inWorkers(page, ["cpu", "webgpu"], "think", "samples/cat.jpg");
    assert.deepEqual([cpu.device, gpu.device], ["cpu", "webgpu"]);
    const [logits, features] = [difference(cpu.logits, gpu.logits), difference(cpu.features, gpu.features)];
    console.log(`CPU and WebGPU differ by ${logits.toExponential(1)} (logits), ${features.toExponential(1)} (features)`);
    assert.ok(logits < 1e-2, `logits differ by ${logits}`);
    assert.ok(features < 1e-2, `features differ by ${features}`);
    assertQuiet();
  });
});

test("the command line and the page write the same songs", { skip: !process.env.SONGWRITER_BIN }, async () => {
  const seeds = Array.from({ length: 10 }, (_, i) => String(i + 1));
  const temperature = 0.8;
  const names = (await readdir(join(DIST, "samples"))).filter((name) => name.endsWith(".jpg"));
  assert.ok(names.length >= 4);
  const models = ["--models", join(DIST, "models")];
  const run = async (...options) =>
    (await promisify(execFile)(process.env.SONGWRITER_BIN, [...options, "--json", ...models])).stdout.trim();
  const files = names.map((name) => join(DIST, "samples", name));
  const captions = (await run("caption", ...files)).split("\n").map((line) => JSON.parse(line).caption);
  const { songs } = JSON.parse(
    await run("write", files[0], "-n", "10", "--random-seed", "1", "-t", String(temperature)),
  );
  const native = { captions, songs: songs.map(({ text }) => text) };
  await withPage({ query: "?device=cpu" }, async ({ page, assertQuiet }) => {
    await whenReady(page);
    await page.evaluate(() => {
      window.writeAll = async ([client], { names, seeds, temperature }) => {
        const captions = [];
        for (const name of names) {
          const bytes = new Uint8Array(await (await fetch(`samples/${name}`)).arrayBuffer());
          captions.push((await client.caption(bytes, name, 3)).caption);
        }
        const songs = [];
        for (const random_seed of seeds) {
          const written = await client.write({ caption: captions[0], temperature, random_seed, songs: 1 });
          songs.push(written.songs[0].text);
        }
        return { captions, songs };
      };
    });
    assert.deepEqual(await inWorkers(page, ["cpu"], "writeAll", { names, seeds, temperature }), native);
    assertQuiet();
  });
});

test("a browser without WebGPU sings on the CPU", async () => {
  const plain = await launch({ webgpu: false });
  try {
    const { page, assertQuiet } = await openPage(plain, there.site);
    assert.equal(await page.evaluate(async () => (await navigator.gpu?.requestAdapter()) ?? null), null);
    await page.setInputFiles("#file", PICTURE);
    const { caption, song } = await whenSung(page);
    assert.match(caption, /\w+ \w+/);
    assert.match(song, /\w+/);
    assert.match(await page.textContent("#device"), /^Runs on your CPU: .*WebGPU.*\.$/);
    assertQuiet();
  } finally {
    await plain.close();
  }
});

for (const [width, height] of [
  [390, 844],
  [1440, 900],
]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`fits ${width} x ${height}, ${colorScheme}`, async () => {
      const context = { viewport: { width, height }, colorScheme, isMobile: width < 500, hasTouch: width < 500 };
      await withPage({ query: "?device=cpu", context }, async ({ page, assertQuiet }) => {
        await whenReady(page);
        const name = (what) => join(SCREENSHOTS, `${width}x${height}-${colorScheme}-${what}.png`);
        await page.screenshot({ path: name("start") });
        await page.setInputFiles("#file", PICTURE);
        await whenSung(page);
        await page.screenshot({ path: name("song"), fullPage: true });
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${overflow} pixels too wide`);
        assertQuiet();
      });
    });
  }
}
