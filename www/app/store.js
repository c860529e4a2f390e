/**
 * The downloads that are kept on the device, with the browser's Cache API. Nothing here may cost
 * the visitor more than another download: where the browser refuses to keep things (a private
 * window, an insecure address, a full disk), there is simply nothing kept.
 */

/** How many programs are kept: one more than the newest, for a tab that still runs it. */
const PROGRAMS = 2;
const PROGRAM = /\/app-[^/]+\/[^/]+$/;

/**
 * All pages of a host share one storage: the folder in the name tells them apart.
 * sw.js says the same once more.
 * @param {URL} models the folder of the models
 */
const storeName = (models) => `neural-songwriter downloads ${models.pathname}`;

export class Store {
  /** @type {Cache | null} */
  #cache;

  /** @param {Cache | null} cache */
  constructor(cache) {
    this.#cache = cache;
  }

  /** @param {URL} models the folder of the models */
  static async open(models) {
    try {
      return new Store(await caches.open(storeName(models)));
    } catch {
      return new Store(null);
    }
  }

  /** What is kept of an address. @param {URL} url @returns {Promise<Uint8Array<ArrayBuffer> | null>} */
  async get(url) {
    try {
      const kept = await this.#cache?.match(url, { ignoreVary: true });
      return kept ? new Uint8Array(await kept.arrayBuffer()) : null;
    } catch {
      return null;
    }
  }

  /** @param {URL} url @param {Uint8Array<ArrayBuffer>} bytes @returns {Promise<boolean>} whether it is kept now */
  async put(url, bytes) {
    if (!this.#cache) return false;
    try {
      const headers = { "content-type": "application/octet-stream", "content-length": String(bytes.length) };
      await this.#cache.put(url, new Response(bytes, { headers }));
      return true;
    } catch {
      return false;
    }
  }

  /** @param {URL} url */
  async drop(url) {
    try {
      await this.#cache?.delete(url, { ignoreVary: true });
    } catch {
      // It will be overwritten.
    }
  }

  /**
   * Keeps all of what belongs together, and nothing else. The old goes when the new is in, or when
   * there is no room for both.
   * @param {{url: URL, bytes: Uint8Array<ArrayBuffer>, kept: Promise<boolean>}[]} files some kept already
   * @param {{url: URL, bytes: Uint8Array<ArrayBuffer>}[]} lists kept last: who finds them finds the files
   */
  async settle(files, lists) {
    if (!this.#cache) return;
    const named = new Set([...files, ...lists].map(({ url }) => url.href));
    let all = true;
    for (const { url, bytes, kept } of files) {
      if (await kept) continue;
      await this.#sweep(named);
      all &&= await this.put(url, bytes);
    }
    if (!all) return;
    for (const { url, bytes } of lists) await this.put(url, bytes);
    await this.#sweep(named);
  }

  /** @param {Set<string>} named what stays */
  async #sweep(named) {
    try {
      const entries = (await this.#cache?.keys()) ?? [];
      const others = entries.filter(({ url }) => !named.has(url));
      // In the order in which they came.
      const programs = others.filter(({ url }) => PROGRAM.test(new URL(url).pathname));
      const stay = new Set(programs.slice(programs.length - (PROGRAMS - 1)));
      await Promise.all(others.filter((entry) => !stay.has(entry)).map((entry) => this.#cache?.delete(entry)));
    } catch {
      // Swept another time.
    }
  }
}
