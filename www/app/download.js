/**
 * Everything that the page needs before it can sing, under one count of bytes: from what is kept on
 * the device, else from the network. Nothing is used before its digest has been compared.
 */
import { Failure } from "./failure.js";
import { fetchLarge, fetchSmall } from "./fetching.js";
import { Store } from "./store.js";

/** In the order in which they are fetched. @type {("lyricist" | "captioner")[]} */
const MODELS = ["lyricist", "captioner"];
/** How often progress is told at most, in milliseconds. */
const TELLING = 50;

/**
 * @typedef {{path: string, bytes: number, sha256: string}} FileEntry of a model's manifest
 * @typedef {{name: "lyricist" | "captioner", url: URL, bytes: Uint8Array<ArrayBuffer>, files: FileEntry[]}} Manifest
 * @typedef {import("./protocol.js").Stage} Stage
 * @typedef {Record<string, Record<string, Uint8Array<ArrayBuffer>>>} Models file contents by model and name
 */

/** @param {Uint8Array} bytes @returns {any} */
const parse = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

/** @param {Uint8Array<ArrayBuffer>} bytes @param {string} sha256 in hexadecimal */
async function isIntact(bytes, sha256) {
  // Only secure addresses have digests. On others nothing is kept either, and the Rust side
  // compares the digests of the models once more.
  if (!crypto.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === sha256;
}

/**
 * A model's list of files. It says which ones belong together, so it must be current; the one that
 * is kept will do where there is no network.
 * @param {"lyricist" | "captioner"} name @param {URL} models @param {Store} store
 * @param {{cache: RequestCache, onWait: () => void}} how
 * @returns {Promise<Manifest>}
 */
async function manifestOf(name, models, store, { cache, onWait }) {
  const url = new URL(`${name}/manifest.json`, models);
  /** @param {Uint8Array<ArrayBuffer>} bytes */
  const read = (bytes) => {
    try {
      return { name, url, bytes, files: /** @type {FileEntry[]} */ (parse(bytes).files.slice()) };
    } catch {
      const sentence = `The list of files of the model ${name} can't be read. Reload the page to fetch it again.`;
      throw new Failure("damaged", sentence);
    }
  };
  const kept = await store.get(url);
  if (kept && navigator.onLine === false) return read(kept);
  try {
    return read(await fetchSmall(url, { cache, onWait, once: kept !== null }));
  } catch (failure) {
    // The login page of a hotel's network is no list either.
    if (kept) return read(kept);
    throw failure;
  }
}

/**
 * What the program's folder says of the program.
 * @param {URL} code @param {{cache: RequestCache, onWait: () => void}} how
 * @returns {Promise<{wasm_bytes: number, wasm_sha256: string}>}
 */
async function buildOf(code, how) {
  try {
    return parse(await fetchSmall(new URL("build.json", code), how));
  } catch (failure) {
    // The folder is named after its content: another page has another folder.
    if (failure instanceof Failure && failure.code === "http") {
      throw new Failure("outdated", "There is a newer version of this page. Reload it.");
    }
    throw failure;
  }
}

/**
 * Fetches the compiled Rust and then, while that is compiled, the models' files.
 *
 * @param {{code: URL, models: URL, fresh: boolean}} where `fresh` goes past the browser's own cache
 * @param {(progress: {stage: Stage, loaded: number, total: number}) => void} onProgress
 * @returns {Promise<{wasm: Response, models: Promise<Models>}>}
 */
export async function download({ code, models, fresh }, onProgress) {
  /** @type {Stage} */
  let stage = "checking";
  let loaded = 0;
  let total = 0;
  let told = 0;
  /** @param {Stage} now */
  const tell = (now) => {
    const time = performance.now();
    if (total === 0 || (now === stage && time - told < TELLING && loaded < total)) return;
    stage = now;
    told = time;
    onProgress({ stage, loaded, total });
  };
  const onWait = () => tell("waiting");

  // All but the lists may come from the browser's cache: the code's folder is named after its
  // content, and the digest in the address of a model's file does the same for that.
  const cached = fresh ? "reload" : "default";
  const store = await Store.open(models);
  const [build, ...manifests] = await Promise.all([
    buildOf(code, { cache: cached, onWait }),
    ...MODELS.map((name) => manifestOf(name, models, store, { cache: fresh ? "reload" : "no-cache", onWait })),
  ]);
  total = build.wasm_bytes;
  for (const { files } of manifests) for (const { bytes } of files) total += bytes;

  /** @type {{url: URL, bytes: Uint8Array<ArrayBuffer>, kept: Promise<boolean>}[]} */
  const taken = [];

  /** @param {number} count @param {Stage} now */
  const add = (count, now) => {
    loaded += count;
    tell(now);
  };

  /**
   * @param {URL} url @param {number} size @param {string} sha256
   * @param {Stage} now what to call its download
   * @param {string} damaged the beginning of a sentence
   */
  const take = async (url, size, sha256, now, damaged) => {
    const kept = await store.get(url);
    if (kept) {
      tell("checking");
      if (kept.length === size && (await isIntact(kept, sha256))) {
        taken.push({ url, bytes: kept, kept: Promise.resolve(true) });
        add(size, "checking");
        return kept;
      }
      await store.drop(url);
    }
    /** @param {number} count */
    const onBytes = (count) => add(count, now);
    // Once more if it is damaged, past all caches on the way.
    for (const cache of /** @type {RequestCache[]} */ ([cached, "reload"])) {
      tell(now);
      const bytes = await fetchLarge(url, { size, cache, onBytes, onWait });
      if (await isIntact(bytes, sha256)) {
        taken.push({ url, bytes, kept: store.put(url, bytes) });
        return bytes;
      }
      add(-size, "checking");
    }
    throw new Failure("damaged", `${damaged} is damaged: it is not the file that was announced. Try again later.`);
  };

  /** @param {Manifest} manifest @returns {Promise<[string, Record<string, Uint8Array<ArrayBuffer>>]>} */
  const takeModel = async ({ name, bytes, files }) => {
    const contents = files.map(async ({ path, bytes: size, sha256 }) => {
      const url = new URL(`${name}/${path}?sha256=${sha256.slice(0, 16)}`, models);
      return /** @type {const} */ ([path, await take(url, size, sha256, name, `${path} of the model ${name}`)]);
    });
    return [name, { "manifest.json": bytes, ...Object.fromEntries(await Promise.all(contents)) }];
  };

  // One after the other, so that the program is compiled while the rest is still on its way.
  const packed = new URL("neural-songwriter_bg.wasm.gzip", code);
  const program = await take(packed, build.wasm_bytes, build.wasm_sha256, "program", "The program");
  const arriving = (async () => {
    /** @type {Models} */
    const contents = {};
    for (const manifest of manifests) {
      const [name, files] = await takeModel(manifest);
      contents[name] = files;
    }
    tell("checking");
    // Nobody waits for this.
    store.settle(taken, manifests);
    return contents;
  })();
  // Whoever asks for the models will hear of it.
  arriving.catch(() => {});
  const unpacked = new Blob([program]).stream().pipeThrough(new DecompressionStream("gzip"));
  return {
    // Compilation in step with the unpacking insists on the type.
    wasm: new Response(unpacked, { headers: { "content-type": "application/wasm" } }),
    models: arriving,
  };
}
