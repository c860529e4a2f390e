/**
 * Notices that a worker is gone. One that throws is announced by the browser; one that the browser
 * has ended (for its memory, or as a page would, with `self.close()`) leaves without a word.
 *
 * Two signs are watched. A lock that the worker holds as long as it lives, and which falls to the
 * page the moment it dies. And, where there are no locks (insecure addresses, old browsers) or
 * the worker lives but hangs, silence: no answer to a ping for a whole minute, counted in the
 * page's own waking hours. The longest that a slow device is silent for is a few seconds.
 */

/** How often the worker is asked for a sign of life while it has something to do, in milliseconds. */
const TICK = 5_000;
/** So many silent ticks in a row mean that it is gone. */
const SILENT_TICKS = 12;

export class Watchdog {
  #ping;
  #gone;
  #timer = 0;
  #silent = 0;
  #lock = new AbortController();

  /**
   * @param {() => void} ping asks the worker for any message
   * @param {(why: string) => void} gone told once
   */
  constructor(ping, gone) {
    this.#ping = ping;
    this.#gone = gone;
  }

  /** The worker has said something. */
  heard() {
    this.#silent = 0;
  }

  /** Whether the worker has something to do, and so to be asked for signs of life. @param {boolean} busy */
  watch(busy) {
    if (busy === this.#timer > 0) return;
    clearInterval(this.#timer);
    this.#silent = 0;
    this.#timer = busy ? Number(setInterval(() => this.#tick(), TICK)) : 0;
    if (busy) this.#ping();
  }

  /** @param {string | null} name of the lock that the worker holds */
  waitFor(name) {
    if (name === null || !navigator.locks) return;
    const { signal } = this.#lock;
    // Rejects when the watch ends first; and a page that may not have locks still has the ticks.
    navigator.locks.request(name, { signal }, () => this.#end("The browser has ended it.")).catch(() => {});
  }

  /** Ends the watch. */
  close() {
    this.watch(false);
    this.#lock.abort();
  }

  #tick() {
    // Ticks are counted, not seconds: a computer that was asleep, or a hidden page whose timers
    // run once a minute, has not waited for an answer in the meantime.
    this.#silent += 1;
    if (this.#silent > SILENT_TICKS) return this.#end(`It has been silent for ${SILENT_TICKS} ticks.`);
    this.#ping();
  }

  /** @param {string} why */
  #end(why) {
    if (this.#lock.signal.aborted) return;
    this.close();
    this.#gone(why);
  }
}
