/**
 * What the page and its worker say to each other, and the page's end of it. Every request carries
 * an id, every answer repeats it. The worker does one request at a time, in order; only `stop` and
 * `ping` overtake. See session.js for who starts another worker when one is lost.
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
 *   | {id: number, kind: "ping"}
 *   | {id: number, kind: "picture_features", bytes: Uint8Array, name: string}
 *   | {id: number, kind: "lyricist_logits", text: string}} Request
 *   A `stop` carries the id of the request to write that it ends, a `ping` the id 0.
 *
 * @typedef {"program" | "lyricist" | "captioner" | "checking" | "waiting" | "tuning"} Stage
 *   What is downloaded, or: what is there is checked, a download that broke off will be tried
 *   again, the networks are set up.
 * @typedef {{id: number, kind: "progress", stage: Stage, loaded: number, total: number}
 *   | {id: number, kind: "text", song: number, text: string}
 *   | {id: number, kind: "done", value: any}
 *   | {id: number, kind: "failed", code: import("./failure.js").Code, message: string}} Answer
 *   Any number of `progress` (in bytes) or `text` (all of a song so far), then one `done` or `failed`.
 * @typedef {{id: 0, kind: "alive", lock: string | null}
 *   | {id: 0, kind: "pong"}
 *   | {id: 0, kind: "broken", code: import("./failure.js").Code, message: string}} News
 *   What the worker says without being asked: that it is there and holds a lock for as long as it
 *   lives, that it still is, that it can't go on.
 */
import { Failure } from "./failure.js";
import { scriptAddress } from "./trusted.js";
import { Watchdog } from "./watchdog.js";

/** A request that has no id yet. @typedef {Request extends infer R ? R extends Request ? Omit<R, "id"> : never : never} Question */

/** The worker, as a set of asynchronous functions. What they throw is a `Failure`. */
export class Client {
  #worker = new Worker(scriptAddress(new URL("worker.js", import.meta.url)), { type: "module" });
  #next = 1;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (failure: Failure) => void, heard: (answer: any) => void}>} */
  #waiting = new Map();
  /** @type {Failure | null} */
  #end = null;
  #onEnd;
  #watchdog = new Watchdog(
    () => this.#worker.postMessage({ id: 0, kind: "ping" }),
    (why) => this.#fail(new Failure("killed", why)),
  );
  /** Whether the worker has ever said anything. */
  hasSpoken = false;

  /** @param {(failure: Failure) => void} onEnd told once, if the worker is lost, after all pending requests have failed */
  constructor(onEnd = () => {}) {
    this.#onEnd = onEnd;
    this.#worker.onmessage = ({ data }) => this.#hear(data);
    // A panic in WebAssembly ends in an uncaught error, never in an answer.
    this.#worker.onerror = (event) => this.#fail(new Failure("crash", event.message ?? "It could not be started."));
    this.#worker.onmessageerror = () => this.#fail(new Failure("crash", "It said what can't be understood."));
  }

  /**
   * Downloads the models and readies a device.
   * @param {OpenOptions} options
   * @param {(progress: {stage: Stage, loaded: number, total: number}) => void} onProgress in bytes
   * @returns {Promise<Opened>}
   */
  open(options, onProgress = () => {}) {
    return this.#ask({ kind: "open", ...options }, onProgress).answer;
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
    const { id, answer } = this.#ask({ kind: "write", options }, (/** @type {{song: number, text: string}} */ piece) => onText(piece.song, piece.text));
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
  close() {
    this.#finish(new Failure("closed", "The songwriter has been closed."));
  }

  /** @param {Question} question @param {(answer: any) => void} heard */
  #ask(question, heard = () => {}) {
    const id = this.#next++;
    /** @type {Promise<any>} */
    const answer = new Promise((resolve, reject) => {
      if (this.#end) return reject(this.#end);
      this.#waiting.set(id, { resolve, reject, heard });
      this.#worker.postMessage({ ...question, id });
      this.#watchdog.watch(true);
    });
    return { id, answer };
  }

  /** @param {Answer | News} said */
  #hear(said) {
    this.hasSpoken = true;
    this.#watchdog.heard();
    switch (said.kind) {
      case "alive":
        return this.#watchdog.waitFor(said.lock);
      case "broken":
        return this.#fail(new Failure(said.code, said.message));
      case "pong":
        return;
      case "progress":
      case "text":
        return this.#waiting.get(said.id)?.heard(said);
    }
    const waiting = this.#waiting.get(said.id);
    if (!waiting) return;
    if (said.kind === "failed") {
      const failure = new Failure(said.code, said.message);
      if (failure.isFatal) return this.#fail(failure);
      waiting.reject(failure);
    } else {
      waiting.resolve(said.value);
    }
    this.#waiting.delete(said.id);
    if (this.#waiting.size === 0) this.#watchdog.watch(false);
  }

  /** @param {Failure} failure */
  #fail(failure) {
    if (this.#end) return;
    console.error(`The songwriter's worker is lost (${failure.code}):`, failure.message);
    this.#finish(failure);
    this.#onEnd(failure);
  }

  /** @param {Failure} end */
  #finish(end) {
    this.#end ??= end;
    this.#watchdog.close();
    this.#worker.terminate();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(this.#end);
  }
}
