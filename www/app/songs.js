/**
 * The songs on the sheet, side by side, each growing as it is written.
 */
import { Reveal } from "./reveal.js";

/** @param {string} tag @param {string} className @param {string} [text] */
function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

export class Songs {
  #container;
  /** @type {{reveal: Reveal, lines: HTMLElement, note: HTMLElement, copy: HTMLButtonElement, shown: string}[]} */
  #cards = [];
  #say;

  /** @param {HTMLElement} container @param {(text: string) => void} say tells the visitor something */
  constructor(container, say) {
    this.#container = container;
    this.#say = say;
  }

  /** Takes all songs off the sheet. */
  clear() {
    this.#cards = [];
    this.#container.replaceChildren();
    this.#container.dataset.state = "empty";
    this.#container.removeAttribute("aria-busy");
  }

  /** New songs are on their way; those that stand there go when they come. */
  expect() {
    this.#container.dataset.state = "writing";
  }

  /** Makes room for new songs. @param {number} count */
  begin(count) {
    this.#container.replaceChildren();
    this.#container.dataset.state = "writing";
    this.#container.setAttribute("aria-busy", "true");
    this.#cards = Array.from({ length: count }, (_, i) => this.#card(i, count));
  }

  /** @param {number} song @param {string} text all of it so far */
  grow(song, text) {
    const card = this.#cards[song];
    if (!card || !text.startsWith(card.shown)) return;
    card.reveal.push(text.slice(card.shown.length));
    card.shown = text;
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
   * Says what became of the keywords.
   * @param {import("./protocol.js").Song[]} songs
   */
  tell(songs) {
    this.#cards.forEach((card, i) => {
      const song = songs[i];
      if (!song) return;
      const missing = song.keywords.filter(({ used, present }) => used && !present).map(({ used }) => used);
      const without = missing.length > 0 ? `, without “${missing.join("”, “")}”` : "";
      card.note.textContent = `Seed ${song.random_seed}${without}`;
    });
    this.settle();
  }

  /** Nothing more will come. */
  settle() {
    if (this.#container.dataset.state === "writing") this.#container.dataset.state = "done";
    this.#container.removeAttribute("aria-busy");
    for (const { lines, copy } of this.#cards) copy.disabled = lines.textContent.trim() === "";
  }

  /** @param {number} i @param {number} count */
  #card(i, count) {
    const article = element("article", "song");
    article.setAttribute("aria-label", count > 1 ? `Song ${i + 1} of ${count}` : "Song");
    const lines = element("div", "lines");
    const foot = element("div", "foot");
    const note = element("p", "note");
    const copy = /** @type {HTMLButtonElement} */ (element("button", "copy", "Copy"));
    copy.type = "button";
    copy.disabled = true;
    copy.addEventListener("click", async () => {
      const text = [...lines.children].map((line) => line.textContent).join("\n");
      try {
        await navigator.clipboard.writeText(`${text.trim()}\n`);
        this.#say("Copied.");
      } catch {
        this.#say("The browser did not allow copying.");
      }
    });
    foot.append(note, copy);
    article.append(lines, foot);
    this.#container.append(article);
    return { reveal: new Reveal(lines), lines, note, copy, shown: "" };
  }
}
