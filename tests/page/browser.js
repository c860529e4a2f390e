/** A real browser, and pages in it that tell on themselves. */
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

/**
 * Starts Chromium, with WebGPU unless told otherwise: without a graphics card it emulates it.
 * `flags` are more of Chromium's options.
 */
export const launch = ({ webgpu = true, flags = [] } = {}) =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // Playwright's own --headless means the old mode, which has no WebGPU.
    ignoreDefaultArgs: ["--headless"],
    args: [
      "--headless=new",
      "--no-sandbox",
      ...(webgpu ? ["--enable-unsafe-webgpu"] : ["--disable-features=WebGPU", "--disable-gpu"]),
      // A test picture in place of a camera.
      "--use-fake-device-for-media-stream",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      ...flags,
    ],
  });

/**
 * Opens a page that notes console errors, uncaught errors and requests to strangers.
 *
 * @param {import("playwright-core").Browser} browser
 * @param {{origin: string, url: string}} site
 * @param {{query?: string, context?: object, init?: () => void}} options `init` runs in the page before its own scripts
 */
export async function openPage(browser, site, { query = "", context: settings = {}, init } = {}) {
  const context = await browser.newContext({ reducedMotion: "reduce", ...settings });
  if (init) await context.addInitScript(init);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.stack}`));
  context.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(site.origin + "/") && !/^(blob|data):/.test(url)) complaints.push(`stranger: ${url}`);
  });
  await page.goto(site.url + query);
  return {
    page,
    complaints,
    /** Fails if anything went wrong that nobody saw. */
    assertQuiet() {
      assert.deepEqual(complaints, []);
    },
    close: () => context.close(),
  };
}

/** Waits until the models are loaded. */
export async function whenReady(page, timeout = 120_000) {
  await page.waitForFunction(() => document.documentElement.dataset.device, null, { timeout });
}

/** Waits until a song stands there; gives what is written. */
export async function whenSung(page, timeout = 300_000) {
  await page.waitForSelector('#song[data-state="done"]', { timeout });
  return page.evaluate(() => ({
    caption: document.getElementById("caption").value,
    song: [...document.querySelectorAll("#song .lines div")].map((line) => line.textContent).join("\n"),
    status: document.getElementById("status").textContent,
  }));
}

/** Waits for the sentence that tells of a problem. */
export async function whenProblem(page, timeout = 60_000) {
  await page.waitForSelector("#problem:not([hidden])", { timeout });
  return page.textContent("#problem-text");
}
