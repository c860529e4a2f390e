/**
 * The words that the songs shall hold: those of the caption, to be dropped or added to.
 */
export class Keywords {
  #list;
  #limit = 3;
  /** @type {{word: string, known: boolean, on: boolean, button: HTMLButtonElement}[]} */
  #words = [];

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
  }

  /** Most words of a song. @param {number} limit */
  set limit(limit) {
    this.#limit = limit;
  }

  /** The words that are switched on. @returns {string[]} */
  get chosen() {
    return this.#words.filter(({ on }) => on).map(({ word }) => word);
  }

  /** Shows the words of a caption, the first ones switched on. @param {import("./protocol.js").Keyword[]} found */
  replace(found) {
    this.#words = [];
    this.#list.replaceChildren();
    for (const keyword of found) this.#add(keyword, this.chosen.length < this.#limit);
    this.#update();
  }

  /**
   * Shows the words that a song was written with, switched on, and after them those of its caption
   * that it was written without.
   * @param {import("./protocol.js").Keyword[]} chosen @param {import("./protocol.js").Keyword[]} others
   */
  restore(chosen, others) {
    this.#words = [];
    this.#list.replaceChildren();
    for (const keyword of chosen) this.#add(keyword, true);
    for (const keyword of others) {
      if (!this.#words.some(({ word }) => word === keyword.word)) this.#add(keyword, false);
    }
    this.#update();
  }

  /** Adds words that the visitor has typed, in place of earlier ones if there are too many. @param {import("./protocol.js").Keyword[]} found */
  add(found) {
    for (const keyword of found) {
      if (this.#words.some(({ word }) => word === keyword.word)) continue;
      const last = this.#words.findLast(({ on }) => on);
      if (keyword.used !== null && this.chosen.length >= this.#limit && last) last.on = false;
      this.#add(keyword, true);
    }
    this.#update();
  }

  /** @param {import("./protocol.js").Keyword} keyword @param {boolean} on */
  #add({ word, used }, on) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = word;
    const entry = { word, known: used !== null, on: on && used !== null, button };
    if (used === null) {
      button.disabled = true;
      button.className = "unknown";
      const flag = document.createElement("span");
      flag.textContent = "not known";
      button.append(" ", flag);
    } else if (used !== word.toLowerCase()) {
      button.title = `The songwriter says “${used}” instead.`;
      button.textContent = `${word} → ${used}`;
    }
    button.addEventListener("click", () => {
      entry.on = !entry.on;
      this.#update();
    });
    const item = document.createElement("li");
    item.append(button);
    this.#list.append(item);
    this.#words.push(entry);
  }

  /** Words beyond the limit wait until another one is dropped. */
  #update() {
    const full = this.chosen.length >= this.#limit;
    for (const { known, on, button } of this.#words) {
      if (known) button.setAttribute("aria-pressed", String(on));
      button.classList.toggle("waits", known && full && !on);
    }
    for (const { known, on, button } of this.#words) button.disabled = !known || (full && !on);
  }
}
