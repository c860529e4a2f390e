/**
 * The songwriter as the page knows it: workers may come and go behind it. When one is lost (a panic,
 * a graphics card that went away, a browser that needed the memory), another one takes its place,
 * on the CPU if it was the graphics card's fault, and is asked once more what its predecessor had
 * not answered. What is on the page stays there: the same seed gives the same song.
 */
import { Failure } from "./failure.js";
import { Client } from "./protocol.js";

/** So many workers lost in a row without an answer between them are too many. */
const MOST_LOSSES = 3;

/**
 * @typedef {import("./protocol.js").Device} Device
 * @typedef {{device: Device | null, fresh?: boolean, because?: string}} StartOptions
 *   `because`: what to say of the device instead of the worker's own sentence; `fresh` goes past the
 *   browser's cache
 * @typedef {(moved: boolean) => void} OnAgain told when the request is asked once more; `moved` if
 *   on another device, where a song may come out otherwise
 *
 * @typedef {object} Listener
 * @property {() => void} onStart a worker starts
 * @property {(progress: {stage: import("./protocol.js").Stage, loaded: number, total: number}) => void} onProgress
 * @property {(opened: import("./protocol.js").Opened) => void} onOpened it can work
 * @property {(sentence: string) => void} onRestart what to say of a worker that was lost; after `onStart`
 * @property {(sentence: string, retry: () => void) => void} onLost there is no songwriter until `retry`
 */

/** @param {Failure} failure @param {boolean} onGpu */
function whatHappened({ code }, onGpu) {
  if (code === "device-lost") return "The graphics card was lost";
  if (code === "out-of-memory") return onGpu ? "The graphics card’s memory is full" : "The memory is full";
  if (code === "killed") return "The songwriter stopped answering";
  return "Something broke inside the songwriter";
}

/** Rejects when the visitor no longer wants the answer. @param {AbortSignal} signal @returns {Promise<never>} */
const whenAborted = (signal) =>
  new Promise((_, reject) => {
    const stop = () => reject(new Failure("closed", "Stopped."));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
  });

/** @returns {{promise: Promise<void>, resolve: () => void}} */
function deferred() {
  let resolve = () => {};
  const promise = /** @type {Promise<void>} */ (
    new Promise((fulfil) => {
      resolve = () => fulfil(undefined);
    })
  );
  return { promise, resolve };
}

export class Session {
  #models;
  #listener;
  /** @type {Client} */
  #client;
  #isUsed = false;
  #ready = deferred();
  /** What the worker works on, once it can, and the sentence on why. @type {{device: Device, why: string} | null} */
  #opened = null;
  /** What the last start was told. @type {StartOptions} */
  #asked = { device: null };
  #losses = 0;
  /** Number of requests that have no answer. */
  #pending = 0;

  /** @param {URL} models the folder of the models @param {Listener} listener */
  constructor(models, listener) {
    this.#models = models;
    this.#listener = listener;
    // Its scripts load while the page is still drawn.
    this.#client = this.#hire();
  }

  #hire() {
    /** @type {Client} */
    const client = new Client((failure) => {
      if (client === this.#client) this.#replace(failure);
    });
    return client;
  }

  /** Resolves when the worker can work, however many tries that takes. */
  get ready() {
    return this.#ready.promise;
  }

  /**
   * Lets a worker download and open the models.
   * @param {StartOptions} options
   */
  start({ device, fresh = false, because }) {
    if (this.#isUsed) {
      this.#client.close();
      this.#client = this.#hire();
    }
    this.#isUsed = true;
    this.#asked = { device, because };
    const mine = this.#client;
    this.#listener.onStart();
    const options = { device, fresh, models: this.#models.href };
    mine.open(options, (progress) => this.#listener.onProgress(progress)).then(
      (opened) => {
        this.#opened = { device: opened.device, why: because ?? opened.why };
        this.#listener.onOpened({ ...opened, ...this.#opened });
        this.#ready.resolve();
      },
      (failure) => {
        // Who is lost is replaced, and reports elsewhere.
        if (mine === this.#client && !failure.isFatal) this.#mend(failure);
      },
    );
  }

  /** The worker is there and could not open the models. @param {Failure} failure */
  #mend({ code, message }) {
    if (code === "no-device" && this.#asked.device === "webgpu") {
      return this.start({ device: "cpu", because: "Runs on your CPU: WebGPU could not be opened here." });
    }
    const mine = this.#client;
    const again = () => this.start({ ...this.#asked, fresh: true });
    this.#listener.onLost(message, code === "outdated" ? () => location.reload() : again);
    // Nobody has to press a button for a network that comes back.
    if (code === "offline" || code === "broken-off") {
      addEventListener("online", () => mine === this.#client && again(), { once: true });
    }
  }

  /** The worker is lost. @param {Failure} failure */
  #replace(failure) {
    const opened = this.#opened;
    const { device, because } = this.#asked;
    if (!opened) {
      // WebGPU is the likelier culprit of a crash at the start; the CPU may still do.
      if (device !== "cpu") {
        return this.start({ device: "cpu", because: "Runs on your CPU: WebGPU broke down when it was tried." });
      }
      if (!this.#client.hasSpoken) {
        const sentence = "The songwriter could not be started. Check the connection and reload the page.";
        return this.#listener.onLost(sentence, () => location.reload());
      }
      const sentence = "The songwriter broke down while starting. The browser's console has the details.";
      return this.#listener.onLost(sentence, () => this.start({ device, because, fresh: true }));
    }
    this.#opened = null;
    this.#ready = deferred();
    this.#losses += 1;
    const onGpu = opened.device === "webgpu";
    const what = whatHappened(failure, onGpu);
    // The choice of the device is not made again: what broke might be the trial of WebGPU.
    const lower = what[0].toLowerCase() + what.slice(1);
    const why = onGpu ? `Runs on your CPU: ${failure.code === "crash" ? "WebGPU broke down" : lower}.` : opened.why;
    const again = () => this.start({ device: "cpu", because: why });
    if (this.#losses > MOST_LOSSES) {
      return this.#listener.onLost(`${what} several times in a row. The browser's console has the details.`, again);
    }
    again();
    const where = onGpu ? " on your CPU" : "";
    const goesOn = this.#pending > 0 ? " and goes on with what it was doing" : "";
    this.#listener.onRestart(`${what}: it has been started again${where}${goesOn}.`);
  }

  /**
   * Asks, and asks once more if the worker is lost over it: twice would hardly be chance.
   * @template Answer
   * @param {(client: Client) => Promise<Answer>} ask
   * @param {{signal?: AbortSignal, onAgain?: OnAgain}} more
   * @returns {Promise<Answer>}
   */
  async #ask(ask, { signal, onAgain = () => {} } = {}) {
    /** @type {Device | null} */
    let before = null;
    this.#pending += 1;
    try {
      for (;;) {
        await (signal ? Promise.race([this.ready, whenAborted(signal)]) : this.ready);
        const device = this.#opened?.device ?? "cpu";
        if (before) onAgain(device !== before);
        try {
          const answer = await ask(this.#client);
          this.#losses = 0;
          return answer;
        } catch (failure) {
          if (!(failure instanceof Failure && failure.isFatal)) throw failure;
          if (before) {
            const sentence = "The songwriter broke down twice over this. Try another picture, or other words.";
            throw new Failure(failure.code, sentence);
          }
          before = device;
        }
      }
    } finally {
      this.#pending -= 1;
    }
  }

  /**
   * Says what is in a picture.
   * @param {Uint8Array} bytes @param {string} name @param {number} beam
   * @param {{onAgain?: OnAgain}} more
   */
  caption(bytes, name, beam, more = {}) {
    return this.#ask((client) => client.caption(bytes, name, beam), more);
  }

  /** The words of a caption, or of a list with commas, that a song can hold. @param {string} text */
  keywords(text) {
    return this.#ask((client) => client.keywords(text));
  }

  /**
   * What the lyricist expected at each letter of a song that it wrote as `options` asked.
   * @param {string} text @param {import("./protocol.js").WriteOptions} options
   */
  foresee(text, options) {
    return this.#ask((client) => client.foresee(text, options));
  }

  /**
   * Writes songs. Aborting `signal` ends them early; what there is by then is the result.
   * @param {import("./protocol.js").WriteOptions} options with a random seed
   * @param {{onText?: (song: number, text: string) => void, signal?: AbortSignal, onAgain?: OnAgain}} more
   *   `onText` hears all of a song so far whenever it has grown
   */
  write(options, more = {}) {
    return this.#ask((client) => client.write(options, more), more);
  }
}
