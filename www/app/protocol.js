/**
 * What the page and its worker say to each other. Every request carries an id, every answer
 * repeats it. The worker does one request at a time, in order; only `stop` overtakes.
 *
 * @typedef {"webgpu" | "cpu"} Device
 * @typedef {{device: Device | null, models: string, fresh: boolean}} OpenOptions
 *   `device` null leaves the choice to the worker; `models` is the address of the model folders;
 *   `fresh` goes past the browser's cache.
 * @typedef {{device: Device, why: string, options: Options}} Opened
 *   The device in use, a sentence on why, and what can be asked of the songwriter.
 * @typedef {{moods: string[], kinds: string[], schemes: string[], defaults: WriteOptions,
 *   limits: Record<string, [number, number]> & {keywords: number}}} Options
 * @typedef {{word: string, attention: number[]}} SeenWord
 *   Shares of 7 x 7 regions of the picture, row by row: where it was looked for the word.
 * @typedef {{caption: string, log_prob: number, words: SeenWord[],
 *   candidates: {caption: string, log_prob: number}[]}} Caption
 * @typedef {{word: string, used: string | null, present?: boolean}} Keyword
 *   `used` is the word that stands for `word` in a song.
 * @typedef {{caption?: string, keywords?: string[] | null, seed_text?: string, mood?: string | null,
 *   kind?: string | null, scheme?: string, lines?: number, stanzas?: number, temperature?: number,
 *   top_p?: number, choose?: boolean, random_seed?: string, songs?: number}} WriteOptions
 *   What is left out is as the songwriter likes it. The random seed is a 64-bit number, more than a
 *   JavaScript number holds: hence a string.
 * @typedef {{text: string, temperature: number, random_seed: string, keywords: Keyword[], left_out: number}} Song
 * @typedef {{songs: Song[], seconds: number}} Songs
 * @typedef {{next: string | null, p: number, likeliest: [string | null, number][]}} Foreseen
 *   What the lyricist expected at a place of a song: the probability of the letter that stands
 *   there, and the likeliest ones. `null` is the end.
 *
 * @typedef {{id: number, kind: "open"} & OpenOptions
 *   | {id: number, kind: "caption", bytes: Uint8Array, name: string, beam: number}
 *   | {id: number, kind: "write", options: WriteOptions}
 *   | {id: number, kind: "keywords", text: string}
 *   | {id: number, kind: "foresee", text: string, options: WriteOptions}
 *   | {id: number, kind: "stop"}
 *   | {id: number, kind: "picture_digest", bytes: Uint8Array, name: string}
 *   | {id: number, kind: "picture_features", bytes: Uint8Array, name: string}
 *   | {id: number, kind: "lyricist_logits", text: string}} Request
 *   A `stop` carries the id of the request to write that it ends.
 *
 * @typedef {{id: number, kind: "progress", loaded: number, total: number}
 *   | {id: number, kind: "text", song: number, text: string}
 *   | {id: number, kind: "done", value: any}
 *   | {id: number, kind: "failed", message: string}} Answer
 *   Any number of `progress` or `text` (all of a song so far), then one `done` or `failed`.
 */

import { scriptAddress } from "./trusted.js";

/** The worker is gone: what it was asked will never be answered. */
export class WorkerCrash extends Error {}

/** The worker, as a set of asynchronous functions. */
export class Client {
  #worker = new Worker(scriptAddress(new URL("worker.js", import.meta.url)), { type: "module" });
  #next = 1;
  /** @type {Map<number, {resolve: Function, reject: Function, heard: (answer: Answer) => void}>} */
  #waiting = new Map();
  /** @type {WorkerCrash | null} */
  #crash = null;

  /** @param {(crash: WorkerCrash) => void} onCrash told once, after all pending requests have failed */
  constructor(onCrash = () => {}) {
    this.#worker.onmessage = ({ data }) => this.#hear(data);
    // A panic in WebAssembly ends in an uncaught error, never in an answer.
    this.#worker.onerror = (event) => {
      if (this.#crash) return;
      console.error("The worker broke down:", event.message);
      this.close(event.message);
      onCrash(this.#crash);
    };
  }

  /**
   * Downloads the models and readies a device.
   * @param {OpenOptions} options
   * @param {(loaded: number, total: number) => void} onProgress bytes
   * @returns {Promise<Opened>}
   */
  open(options, onProgress = () => {}) {
    return this.#ask({ kind: "open", ...options }, (answer) => onProgress(answer.loaded, answer.total)).answer;
  }

  /**
   * Says what is in a picture.
   * @param {Uint8Array} bytes @param {string} name @param {number} beam
   * @returns {Promise<Caption>}
   */
  caption(bytes, name, beam) {
    return this.#ask({ kind: "caption", bytes, name, beam }).answer;
  }

  /**
   * The words of a caption, or of a list with commas, that a song can hold.
   * @param {string} text
   * @returns {Promise<Keyword[]>}
   */
  keywords(text) {
    return this.#ask({ kind: "keywords", text }).answer;
  }

  /**
   * Writes songs. Aborting `signal` ends them early; what there is by then is the result.
   * @param {WriteOptions} options
   * @param {{onText?: (song: number, text: string) => void, signal?: AbortSignal}} more
   *   `onText` hears all of a song so far whenever it has grown
   * @returns {Promise<Songs>}
   */
  write(options, { onText = () => {}, signal } = {}) {
    const { id, answer } = this.#ask({ kind: "write", options }, (piece) => onText(piece.song, piece.text));
    const stop = () => this.#worker.postMessage({ id, kind: "stop" });
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
    return answer.finally(() => signal?.removeEventListener("abort", stop));
  }

  /**
   * What the lyricist expected at each letter of a song that it wrote as `options` asked.
   * @param {string} text @param {WriteOptions} options
   * @returns {Promise<Foreseen[]>}
   */
  foresee(text, options) {
    return this.#ask({ kind: "foresee", text, options }).answer;
  }

  /**
   * Digest of the pixels that the encoder is given, for the tests.
   * @param {Uint8Array} bytes @param {string} name
   * @returns {Promise<string>}
   */
  pictureDigest(bytes, name) {
    return this.#ask({ kind: "picture_digest", bytes, name }).answer;
  }

  /**
   * The encoder's view of a picture, for the tests.
   * @param {Uint8Array} bytes @param {string} name
   * @returns {Promise<Float32Array>}
   */
  pictureFeatures(bytes, name) {
    return this.#ask({ kind: "picture_features", bytes, name }).answer;
  }

  /**
   * What the lyricist thinks of each character as the next one, for the tests.
   * @param {string} text
   * @returns {Promise<Float32Array>}
   */
  lyricistLogits(text) {
    return this.#ask({ kind: "lyricist_logits", text }).answer;
  }

  /** Ends the worker. */
  close(why = "closed") {
    this.#crash ??= new WorkerCrash(why);
    this.#worker.terminate();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(this.#crash);
  }

  #ask(request, heard = () => {}) {
    const id = this.#next++;
    const answer = new Promise((resolve, reject) => {
      if (this.#crash) return reject(this.#crash);
      this.#waiting.set(id, { resolve, reject, heard });
      this.#worker.postMessage({ ...request, id });
    });
    return { id, answer };
  }

  /** @param {Answer} answer */
  #hear(answer) {
    const waiting = this.#waiting.get(answer.id);
    if (!waiting) return;
    if (answer.kind === "progress" || answer.kind === "text") return waiting.heard(answer);
    this.#waiting.delete(answer.id);
    if (answer.kind === "done") waiting.resolve(answer.value);
    else waiting.reject(new Error(answer.message));
  }
}
