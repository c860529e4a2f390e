/**
 * Shows a song letter by letter, at a pace that can be read along, however fast it is written.
 */

/** Letters a second at the least. */
const PACE = 55;
/** Share of the letters still to show that is added to the pace each second. */
const CATCH_UP = 0.3;

export class Reveal {
  #element;
  /** @type {string[]} */
  #letters = [];
  #shown = 0;
  #due = 0;
  #last = 0;
  #frame = 0;
  #ended = false;
  #stopped = false;
  /** @type {(() => void) | null} */
  #whenShown = null;
  /** The line at work. @type {HTMLElement} */
  #line = document.createElement("div");

  /** @param {HTMLElement} element emptied first */
  constructor(element) {
    this.#element = element;
    element.replaceChildren();
    this.#line = this.#newLine();
  }

  /** @param {string} text the next letters */
  push(text) {
    if (this.#stopped) return;
    this.#letters.push(...text);
    this.#wake();
  }

  /** Shows a whole song at once. @param {string} text */
  all(text) {
    this.#letters = [...text];
    this.#shown = this.#letters.length;
    this.#element.replaceChildren();
    for (const line of text.split("\n")) this.#newLine(line);
  }

  /** Says that no more letters come; resolves when the last one is shown. @returns {Promise<void>} */
  end() {
    this.#ended = true;
    return new Promise((resolve) => {
      this.#whenShown = () => resolve(undefined);
      this.#wake();
    });
  }

  /** Drops the letters not yet shown, now and later. */
  stop() {
    this.#letters.length = this.#shown;
    this.#stopped = true;
    this.#wake();
  }

  #wake() {
    if (this.#frame) return;
    this.#last = performance.now();
    this.#frame = requestAnimationFrame((now) => this.#step(now));
    // A hidden page draws no frames; nobody waits for letters there.
    if (document.hidden) {
      cancelAnimationFrame(this.#frame);
      this.#step(Infinity);
    }
  }

  /** @param {number} now */
  #step(now) {
    this.#frame = 0;
    const left = this.#letters.length - this.#shown;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches || now === Infinity;
    this.#due += (Math.max(now - this.#last, 0) / 1000) * (PACE + left * CATCH_UP);
    const count = still ? left : Math.min(Math.floor(this.#due), left);
    this.#due = count === left ? 0 : this.#due - count;
    this.#last = now;
    for (const letter of this.#letters.slice(this.#shown, this.#shown + count)) {
      if (letter === "\n") this.#line = this.#newLine();
      else this.#line.textContent += letter;
    }
    this.#shown += count;
    if (this.#shown < this.#letters.length) {
      this.#frame = requestAnimationFrame((next) => this.#step(next));
    } else if (this.#ended) {
      this.#whenShown?.();
    }
  }

  /** @param {string} [text] */
  #newLine(text = "") {
    const line = document.createElement("div");
    line.textContent = text;
    this.#element.append(line);
    return line;
  }
}
