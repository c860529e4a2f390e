/**
 * What can go wrong, as a word for programs and a sentence for people.
 *
 * | code | what happened |
 * |---|---|
 * | `offline` | there is no connection, and what is needed is not on this device |
 * | `http` | the server answered, but not with the file |
 * | `broken-off` | a download broke off again and again |
 * | `damaged` | a file is not the one that was announced |
 * | `outdated` | the server has a newer page and no longer what this one needs |
 * | `unsupported` | the browser lacks something that the songwriter needs |
 * | `no-device` | WebGPU can't be opened |
 * | `bad-picture` | the picture can't be read |
 * | `bad-request` | songs can't be had like this |
 * | `device-lost` | the graphics card went away in the middle of the work |
 * | `out-of-memory` | there is not enough memory |
 * | `crash` | something broke inside the songwriter |
 * | `killed` | the browser has ended the worker, or it hangs |
 * | `closed` | the page itself has ended the worker |
 *
 * @typedef {"offline" | "http" | "broken-off" | "damaged" | "outdated" | "unsupported" | "no-device"
 *   | "bad-picture" | "bad-request" | "device-lost" | "out-of-memory" | "crash" | "killed" | "closed"} Code
 */

/** What no worker goes on from: another one has to be started. @type {ReadonlySet<Code>} */
const FATAL = new Set(["device-lost", "out-of-memory", "crash", "killed"]);

/** A failure that has a name. */
export class Failure extends Error {
  name = "Failure";

  /** @param {Code} code @param {string} message a sentence for the visitor */
  constructor(code, message) {
    super(message);
    this.code = code;
  }

  /** Whether the worker is lost with it. */
  get isFatal() {
    return FATAL.has(this.code);
  }
}

/** Any error as a failure. @param {unknown} error @param {Code} code the name of one that has none */
export function asFailure(error, code) {
  if (error instanceof Failure) return error;
  const message = error instanceof Error ? error.message : String(error);
  // Browsers' words for memory that can't be had: V8's, SpiderMonkey's, JavaScriptCore's.
  const isMemory = error instanceof RangeError && /memory|allocat|array length|buffer/i.test(message);
  return new Failure(isMemory ? "out-of-memory" : code, message);
}
