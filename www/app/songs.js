/**
 * The songs on the sheet, side by side, each growing as it is written.
 */
import { Actions } from "./actions.js";
import { Reveal } from "./reveal.js";

/** @typedef {import("./record.js").SongRecord} SongRecord */
/**
 * @typedef {object} Card
 * @property {HTMLElement} article
 * @property {Reveal} reveal
 * @property {HTMLElement} lines
 * @property {HTMLElement} note
 * @property {Actions} actions
 * @property {string} heard all that the songwriter has sent
 */

/** @param {string} tag @param {string} className @param {string} [text] */
function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

export class Songs {
  #container;
  #host;
  /** @type {Card[]} */
  #cards = [];

  /** @param {HTMLElement} container @param {import("./actions.js").Host} host */
  constructor(container, host) {
    this.#container = container;
    this.#host = host;
  }

  /** Takes all songs off the sheet. */
  clear() {
    this.#cards = [];
    this.#container.replaceChildren();
    this.#container.dataset.state = "empty";
    this.#rest();
  }

  /** New songs are on their way; those that stand there go when they come. */
  expect() {
    this.#container.dataset.state = "writing";
  }

  /** Makes room for new songs. @param {number} count @param {number} [lines] of each */
  begin(count, lines = 4) {
    // The songs before may have been taller: what is below stays where it is until it is known
    // how tall the new ones are.
    this.#container.style.minHeight = `${this.#container.offsetHeight}px`;
    this.#container.replaceChildren();
    this.#container.dataset.state = "writing";
    this.#container.setAttribute("aria-busy", "true");
    this.#cards = Array.from({ length: count }, (_, i) => this.#card(i, count, lines));
  }

  /** @param {number} song @param {string} text all of it so far */
  grow(song, text) {
    const card = this.#cards[song];
    if (!card || !text.startsWith(card.heard)) return;
    card.reveal.push(text.slice(card.heard.length));
    card.heard = text;
  }

  /** Resolves when the last letter is shown. */
  ended() {
    return Promise.all(this.#cards.map(({ reveal }) => reveal.end()));
  }

  /** Drops the letters not yet shown. */
  stop() {
    for (const { reveal } of this.#cards) reveal.stop();
  }

  /**
   * Says what became of the keywords, and how each song can be had again.
   * @param {import("./protocol.js").Song[]} songs
   * @param {Omit<SongRecord, "text" | "random_seed">} how they were written
   * @param {string} [remark] something to know of them, a sentence
   */
  tell(songs, how, remark = "") {
    this.#cards.forEach((card, i) => {
      const song = songs[i];
      if (!song) return;
      const missing = song.keywords.filter(({ used, present }) => used && !present).map(({ used }) => used);
      const without = missing.length > 0 ? `, without “${missing.join("”, “")}”` : "";
      card.note.textContent = `Seed ${song.random_seed}${without}${remark && `. ${remark}`}`;
      // A song that was stopped is what is seen of it.
      const text = [...card.lines.children].map((line) => line.textContent).join("\n").trim();
      if (text) card.actions.set({ ...how, text, random_seed: song.random_seed });
    });
    this.settle();
  }

  /** Shows a song that is there already. @param {SongRecord} record @param {string} remark */
  show(record, remark) {
    this.begin(1, 0);
    const [{ reveal, note, actions }] = this.#cards;
    reveal.all(record.text);
    note.textContent = `Seed ${record.random_seed}. ${remark}`;
    actions.set(record);
    this.settle();
  }

  /** Moves there, for those who came from somewhere else. */
  focus() {
    const [first] = this.#cards;
    first?.article.scrollIntoView({ block: "nearest" });
    first?.article.focus({ preventScroll: true });
  }

  /** Looks again which songs are kept. */
  showKept() {
    for (const { actions } of this.#cards) actions.showKept();
  }

  /** Nothing more will come. */
  settle() {
    if (this.#container.dataset.state === "writing") this.#container.dataset.state = "done";
    this.#rest();
  }

  #rest() {
    this.#container.style.minHeight = "";
    this.#container.removeAttribute("aria-busy");
  }

  /** @param {number} i @param {number} count @param {number} wanted number of lines @returns {Card} */
  #card(i, count, wanted) {
    const article = element("article", "song");
    article.tabIndex = -1;
    article.setAttribute("aria-label", count > 1 ? `Song ${i + 1} of ${count}` : "Song");
    const lines = element("div", "lines");
    // What is below stays where it is while the lines come.
    lines.style.minHeight = `${1.6 * wanted}em`;
    const foot = element("div", "foot");
    const note = element("p", "note");
    const actions = new Actions(lines, this.#host);
    foot.append(actions.element, note);
    article.append(lines, foot);
    this.#container.append(article);
    return { article, reveal: new Reveal(lines), lines, note, actions, heard: "" };
  }
}
