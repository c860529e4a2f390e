/**
 * How fast the built page is on this machine: `node speed.js [cpu|webgpu]` after `make build`.
 * Prints one JSON object: a picture in milliseconds (decoded, encoded, captioned with a beam of 3),
 * plain songs in characters a second, three songs by choice in milliseconds, medians of several runs in the page's own worker.
 */
import { launch, openPage } from "./browser.js";
import { serveSite } from "./site.js";

const device = process.argv[2] ?? "cpu";
const [rounds, lines] = device === "cpu" ? [7, 12] : [3, 2];

const [browser, site] = await Promise.all([launch(), serveSite()]);
const { page, close } = await openPage(browser, site, { query: "?device=cpu" });
await page.waitForFunction(() => document.documentElement.dataset.device, null, { timeout: 120_000 });
const found = await page.evaluate(
  async ({ device, rounds, lines }) => {
    const app = document.querySelector("script[type=module]").src;
    const { Client } = await import(new URL("protocol.js", app).href);
    const client = new Client();
    const open = performance.now();
    await client.open({ device, models: new URL("models/", document.baseURI).href, fresh: false });
    const open_ms = performance.now() - open;
    const picture = await (await fetch("samples/cat.jpg")).arrayBuffer();
    const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
    const pictures = [];
    const songs = [];
    const three = [];
    for (let round = 0; round <= rounds; round++) {
      const start = performance.now();
      const { caption } = await client.caption(new Uint8Array(picture.slice(0)), "cat.jpg", 3);
      const seen = performance.now();
      const plain = { caption, temperature: 0.8, random_seed: String(round), lines, songs: 1, choose: false };
      const song = (await client.write(plain)).songs[0];
      const written = performance.now();
      const steps = [...song.text].length;
      await client.write({ caption, random_seed: String(round) });
      const chosen = performance.now();
      if (round > 0) {
        pictures.push(seen - start);
        songs.push((steps * 1000) / (written - seen));
        three.push(chosen - written);
      }
    }
    client.close();
    return {
      device,
      models_ready_ms: Math.round(open_ms),
      picture_ms: Math.round(median(pictures) * 10) / 10,
      chars_per_second: Math.round(median(songs)),
      three_songs_ms: Math.round(median(three)),
    };
  },
  { device, rounds, lines },
);
console.log(JSON.stringify(found));
await close();
await browser.close();
site.close();
