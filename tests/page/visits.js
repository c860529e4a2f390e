/** Whole visits to the page, for tests of what lies behind it: a site of one's own, a song, a second visit. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before } from "node:test";
import { launch, openPage, whenSung } from "./browser.js";
import { DIST, serveSite } from "./site.js";

export const PICTURE = join(DIST, "samples", "cat.jpg");
export const CPU = "?device=cpu";

/**
 * One browser and one site for all tests of a file, there while they run.
 *
 * @returns {{browser: import("playwright-core").Browser, site: import("./site.js").Site,
 *   withPage: (options: object, work: (opened: any) => Promise<void>, where?: {origin: string, url: string}) => Promise<void>}}
 *   `withPage` opens a page for one test, with the options of `openPage`, and closes it whatever happens
 */
export function stage() {
  const there = {
    async withPage(options, work, where = there.site) {
      const opened = await openPage(there.browser, where, options);
      try {
        await work(opened);
      } finally {
        await opened.close();
      }
    },
  };
  before(async () => {
    [there.browser, there.site] = await Promise.all([launch(), serveSite()]);
  });
  after(async () => {
    await there.browser?.close();
    there.site?.close();
  });
  return there;
}

/**
 * Serves the page and opens it for one test; closes both whatever happens.
 * @param {import("playwright-core").Browser} browser
 * @param {object} options for the site; `query` and `context` for the page
 * @param {(opened: any) => Promise<void>} work
 */
export async function withSite(browser, { query = CPU, context, ...options }, work) {
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
export const change = (script, ...pairs) => (path, body) => {
  if (!path.endsWith(`/${script}`)) return body;
  let text = body.toString();
  for (const [from, to] of pairs) {
    assert.ok(text.includes(from), `${script} has no ${from}`);
    text = text.replace(from, () => to);
  }
  return Buffer.from(text);
};
/** Songs slow enough to be disturbed. */
export const SLOW = ["calls.postMessage(null);", "setTimeout(() => calls.postMessage(null), 100);"];

/** Waits for something to come true in the page; the question may take its time. */
export async function until(page, question, what, limit = 60_000) {
  for (const end = Date.now() + limit; !(await page.evaluate(question)); ) {
    assert.ok(Date.now() < end, `${what} in ${limit / 1000} s`);
    await page.waitForTimeout(100);
  }
}

/** Waits until all is kept for a visit without a network. */
export const whenKept = (page) =>
  until(
    page,
    async () => {
      const registration = await navigator.serviceWorker.getRegistration();
      if (!registration?.active || registration.installing || !navigator.serviceWorker.controller) return false;
      const names = (await caches.keys()).filter((name) => name.startsWith("neural-songwriter downloads"));
      const lists = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
      return lists.flat().filter(({ url }) => url.endsWith("/manifest.json")).length === 2;
    },
    "kept",
  );

/** Addresses of what is kept, relative to the page, without its shell. */
export const kept = (page) =>
  page.evaluate(async () => {
    const names = (await caches.keys()).filter((name) => name.startsWith("neural-songwriter downloads"));
    const lists = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return lists.flat().map(({ url }) => url.slice(document.baseURI.split("?")[0].length));
  });

/** Picks the picture and waits for the song. */
export async function sing(page) {
  await page.setInputFiles("#file", PICTURE);
  const sung = await whenSung(page);
  assert.match(sung.caption, /\w+ \w+/);
  assert.match(sung.song, /\w+/);
  return sung;
}
