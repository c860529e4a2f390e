/**
 * How the two networks work, drawn from what they have just done: where the captioner looked for
 * each word, and what the lyricist expected at each letter of the first song, in step with the
 * letters as they appear.
 */
import { drawShade } from "./attention.js";
import { $ } from "./dom.js";

/** Side of the small pictures, in pixels. */
const SIDE = 144;
/** Letters shown before and behind the one at work. */
const BEFORE = 22;
const BEHIND = 8;
/** How long the odds of a letter stay while the song is shown, in milliseconds: long enough to read. */
const PACE = 160;

/** How a character that can't be seen is shown. @param {string | null} character */
function visible(character) {
  if (character === null) return "end";
  if (character === " ") return "space";
  return character === "\n" ? "new line" : character;
}

/**
 * Draws where it was looked for each word of a caption, on the picture that is shown.
 * @param {import("./protocol.js").SeenWord[]} words
 */
export function drawSeeing(words) {
  const image = $("preview", HTMLImageElement);
  const seen = image.hidden ? [] : words.filter(({ attention }) => attention.length > 0);
  $("how-words-empty").hidden = seen.length > 0;
  $("how-words").replaceChildren(
    ...seen.map(({ word, attention }) => {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = SIDE;
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
      // Squashed to a square, as the network sees it.
      context.drawImage(image, 0, 0, SIDE, SIDE);
      drawShade(context, attention, SIDE, SIDE);
      const label = document.createElement("span");
      label.textContent = word;
      const item = document.createElement("li");
      item.append(canvas, label);
      return item;
    }),
  );
}

/** The odds of each letter of a song. */
export class Foresight {
  #ask;
  /** @type {import("./protocol.js").Foreseen[]} */
  #seen = [];
  /** The song that is to be asked about, once somebody looks. @type {{text: string, options: object} | null} */
  #wanted = null;
  #follows = false;
  #last = 0;
  #shown = new MutationObserver(() => this.#follow());

  /** @param {(text: string, options: object) => Promise<import("./protocol.js").Foreseen[]>} ask */
  constructor(ask) {
    this.#ask = ask;
    $("how").addEventListener("toggle", () => this.#look());
    $("place").addEventListener("input", () => {
      this.#follows = false;
      this.#draw(Number($("place").value));
    });
  }

  /** A song has been written. @param {string} text @param {object} options what was asked for */
  wrote(text, options) {
    this.#wanted = { text, options };
    this.#shown.disconnect();
    const lines = document.querySelector("#song .lines");
    if (lines) this.#shown.observe(lines, { childList: true, characterData: true, subtree: true });
    this.#follows = true;
    this.#look();
  }

  async #look() {
    const wanted = this.#wanted;
    if (!wanted || !$("how").open) return;
    this.#wanted = null;
    const seen = await this.#ask(wanted.text, wanted.options).catch(() => null);
    if (!seen || this.#wanted) return;
    this.#seen = seen;
    $("place").max = String(seen.length - 1);
    $("foresight").hidden = false;
    $("foresight-empty").hidden = true;
    this.#last = 0;
    this.#follow();
  }

  /** Moves on to the letter that has just appeared. */
  #follow() {
    if (!this.#follows || this.#seen.length === 0) return;
    const now = performance.now();
    const lines = document.querySelectorAll("#song .song:first-child .lines > div");
    const shown = [...lines].reduce((sum, line) => sum + [...line.textContent].length + 1, -1);
    const isLast = shown >= this.#seen.length - 1;
    if (now - this.#last < PACE && !isLast) return;
    this.#last = now;
    this.#draw(Math.min(Math.max(shown, 0), this.#seen.length - 1));
  }

  /** @param {number} place */
  #draw(place) {
    const { next, p, likeliest } = this.#seen[place];
    const text = this.#seen.map((foreseen) => foreseen.next ?? "");
    /** @param {number} from @param {number} to */
    const line = (from, to) => text.slice(Math.max(from, 0), to).join("").replaceAll("\n", " / ");
    $("tape-before").textContent = line(place - BEFORE, place);
    $("tape-now").textContent = next === " " ? "\u2423" : next === "\n" ? "/" : (next ?? "\u25a0");
    $("tape-after").textContent = line(place + 1, place + 1 + BEHIND);
    $("place").value = String(place);
    $("place").setAttribute("aria-valuetext", `letter ${place + 1}: ${visible(next)}`);
    /** @type {[string | null, number][]} */
    const odds = likeliest.some(([character]) => character === next)
      ? likeliest
      : [...likeliest.slice(0, -1), [next, p]];
    $("odds").replaceChildren(
      ...odds.map(([character, share]) => {
        const item = document.createElement("li");
        const letter = document.createElement("span");
        const bar = document.createElement("span");
        const percent = document.createElement("span");
        letter.className = "letter";
        letter.textContent = visible(character);
        bar.className = "bar";
        bar.style.setProperty("--share", String(share));
        percent.className = "percent";
        percent.textContent = share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;
        item.classList.toggle("taken", character === next);
        item.append(letter, bar, percent);
        return item;
      }),
    );
  }
}
