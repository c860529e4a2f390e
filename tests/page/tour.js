/**
 * Draws README's pictures from the built page: screenshots of phone and desktop, light and dark, and
 * a tour of some 20 seconds as an animated picture. `make pictures` runs it.
 *
 * Needs cwebp and img2webp (Debian: apt-get install webp).
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { launch, openPage, whenReady, whenSung } from "./browser.js";
import { serveSite } from "./site.js";

const DOCS = fileURLToPath(new URL("../../docs/", import.meta.url));
const SAMPLE = "#samples button >> nth=0";
/** Frames of the tour: smaller than the page, so that README stays light. */
const TOUR = { width: 1100, height: 720, scale: 0.72, quality: 55 };

const frames = mkdtempSync(join(tmpdir(), "tour-"));
mkdirSync(DOCS, { recursive: true });
const [browser, site] = await Promise.all([launch(), serveSite()]);
try {
  for (const [name, width, height, colorScheme] of [
    ["phone-light", 390, 844, "light"],
    ["phone-dark", 390, 844, "dark"],
    ["desktop-light", 1440, 900, "light"],
    ["desktop-dark", 1440, 900, "dark"],
  ]) {
    const context = { viewport: { width, height }, colorScheme, deviceScaleFactor: width < 500 ? 2 : 1 };
    const { page, close } = await openPage(browser, site, { query: "?device=cpu", context });
    await whenReady(page);
    await page.click(SAMPLE);
    await whenSung(page);
    // The same songs each time; the field is folded away.
    await page.evaluate(() => {
      document.getElementById("seed").value = "7";
      document.getElementById("seed-form").requestSubmit();
    });
    await whenSung(page);
    const file = join(frames, `${name}.png`);
    await page.screenshot({ path: file });
    const resize = width < 500 ? ["-resize", "390", "0"] : [];
    execFileSync("cwebp", ["-quiet", "-q", "80", ...resize, file, "-o", join(DOCS, `${name}.webp`)]);
    await close();
  }
  await tour();
} finally {
  await browser.close();
  site.close();
  rmSync(frames, { recursive: true });
}

/** One walk through the page, filmed. */
async function tour() {
  const context = {
    viewport: { width: TOUR.width, height: TOUR.height },
    reducedMotion: "no-preference",
    colorScheme: "light",
    // For the pointer below alone, which is no part of the page.
    bypassCSP: true,
  };
  const { page, close } = await openPage(browser, site, { query: "?device=cpu", context });
  await whenReady(page);
  await page.evaluate(() => {
    const pointer = document.createElement("div");
    pointer.style.cssText =
      "position:fixed;z-index:99;width:18px;height:18px;margin:-9px;border-radius:50%;background:#8c3b2e99;border:2px solid #fffaf2;pointer-events:none;left:50%;top:60%";
    document.documentElement.append(pointer);
    addEventListener("mousemove", ({ clientX, clientY }) => {
      pointer.style.left = `${clientX}px`;
      pointer.style.top = `${clientY}px`;
    });
  });
  /** @type {{file: string, at: number}[]} */
  const film = [];
  const session = await page.context().newCDPSession(page);
  session.on("Page.screencastFrame", ({ data, metadata, sessionId }) => {
    session.send("Page.screencastFrameAck", { sessionId }).catch(() => {});
    const last = film.at(-1);
    if (last && metadata.timestamp - last.at < 0.11) return;
    const file = join(frames, `${String(film.length).padStart(4, "0")}.png`);
    writeFileSync(file, Buffer.from(data, "base64"));
    film.push({ file, at: metadata.timestamp });
  });
  await session.send("Page.startScreencast", { format: "png" });
  const rest = (ms) => page.waitForTimeout(ms);
  const moveTo = async (selector) => {
    await page.locator(selector).scrollIntoViewIfNeeded();
    const box = await page.locator(selector).boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 10 });
  };
  await rest(800);
  await moveTo(SAMPLE);
  await page.mouse.down();
  await page.mouse.up();
  await whenSung(page);
  await rest(800);
  const words = await page.locator("#seen-words button").count();
  for (const word of [1, Math.floor(words / 2), words - 1]) {
    await moveTo(`#seen-words button >> nth=${word}`);
    await rest(700);
  }
  await page.selectOption("#mood", "sad");
  await moveTo("#another");
  await page.mouse.down();
  await page.mouse.up();
  await page.evaluate(() => {
    document.getElementById("how").open = true;
    document.getElementById("how-writing").scrollIntoView({ behavior: "smooth", block: "center" });
  });
  await whenSung(page);
  await rest(1800);
  await moveTo(".song >> nth=1 >> role=button[name=/^Keep/]");
  await page.mouse.down();
  await page.mouse.up();
  await rest(1200);
  await moveTo("role=button[name=/^Kept songs/]");
  await page.mouse.down();
  await page.mouse.up();
  await rest(1800);
  await session.send("Page.stopScreencast");
  await close();

  const end = film.at(-1).at + 1.5;
  const width = Math.round(TOUR.width * TOUR.scale);
  const options = film.flatMap(({ file, at }, i) => {
    const small = file.replace(/png$/, "webp");
    execFileSync("cwebp", ["-quiet", "-lossless", "-z", "1", "-resize", String(width), "0", file, "-o", small]);
    const next = film[i + 1]?.at ?? end;
    return ["-d", String(Math.max(20, Math.round((next - at) * 1000))), small];
  });
  const out = join(DOCS, "tour.webp");
  execFileSync("img2webp", ["-loop", "0", "-lossy", "-q", String(TOUR.quality), "-m", "4", ...options, "-o", out]);
  console.log(`${out}: ${film.length} frames, ${(end - film[0].at).toFixed(1)} s`);
}
