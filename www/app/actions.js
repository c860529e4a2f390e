/**
 * What can be done with a song: the row of buttons under it.
 */
import { drawCard } from "./card.js";
import { asText, fileName, save } from "./files.js";
import { icon, redraw } from "./icons.js";
import { link } from "./permalink.js";
import { firstLine } from "./record.js";
import { entry, identity, shelf } from "./shelf.js";
import { shownPicture, thumbnail } from "./thumbnail.js";

/** @typedef {import("./record.js").SongRecord} SongRecord */
/** @typedef {import("./icons.js").IconName} IconName */
/**
 * @typedef {object} Host what the page does for its songs
 * @property {(text: string) => void} say tells the visitor something, in few words: a second line
 *   would push the page down
 * @property {(text: string) => void} complain tells of a problem
 * @property {(record: SongRecord) => void} more writes songs like this one
 * @property {() => void} shelved a song has been kept
 */

/** How long a button shows that it has done its work, in milliseconds. */
const TICK = 1800;

/** Phones have a sheet for sharing; elsewhere it is more of a detour than a copied link. */
const shares = typeof navigator.share === "function" && matchMedia("(pointer: coarse)").matches;

export class Actions {
  element = document.createElement("div");
  #lines;
  #host;
  /** @type {SongRecord | null} */
  #record = null;
  /** @type {HTMLElement | null} */
  #linkField = null;
  #buttons;

  /** @param {HTMLElement} lines the song's, one element each @param {Host} host */
  constructor(lines, host) {
    this.#lines = lines;
    this.#host = host;
    this.element.className = "actions";
    this.element.setAttribute("role", "group");
    this.element.setAttribute("aria-label", "Keep and share");
    this.#buttons = {
      keep: this.#button("keep", "Keep", "Keeps the song in this browser, under “Kept songs”.", () => this.#keep()),
      copy: this.#button("copy", "Copy", "Copies the song’s text.", () => this.#copy()),
      link: shares
        ? this.#button("share", "Share", "Shares the song with a link that writes it again.", () => this.#share())
        : this.#button("link", "Link", "Copies a link that writes the song again.", () => this.#copyLink()),
      picture: this.#button("picture", "Card", "Saves picture and song as one picture.", () => this.#saveCard()),
      text: this.#button("text", "Text", "Saves the song as a text file.", () => this.#saveText()),
      more: this.#button("more", "More like this", "Writes songs that begin with this song’s first line, with its words and settings.", () => {
        if (this.#record) this.#host.more(this.#record);
      }),
    };
    this.set(null);
  }

  /**
   * What the buttons are about; null as long as the song is not there.
   * @param {SongRecord | null} record
   */
  set(record) {
    this.#record = record;
    for (const { button } of Object.values(this.#buttons)) button.disabled = !record;
    this.showKept();
  }

  /** Shows whether the song is kept. */
  async showKept() {
    const record = this.#record;
    const isKept = record !== null && (await shelf.has(identity(record)).catch(() => false));
    if (record === this.#record) this.#markKept(isKept);
  }

  /** @param {boolean} isKept */
  #markKept(isKept) {
    const { button, label } = this.#buttons.keep;
    button.classList.toggle("kept", isKept);
    label.textContent = isKept ? "Kept" : "Keep";
  }

  /**
   * @param {IconName} name @param {string} text @param {string} title
   * @param {() => void | Promise<void>} work what it throws is told
   */
  #button(name, text, title, work) {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.action = name;
    button.title = title;
    const drawing = icon(name);
    const label = document.createElement("span");
    label.textContent = text;
    button.append(drawing, label);
    button.addEventListener("click", async () => {
      this.#linkField?.remove();
      this.#linkField = null;
      try {
        await work();
      } catch (error) {
        this.#host.complain(error instanceof Error ? error.message : String(error));
      }
    });
    this.element.append(button);
    const tick = () => {
      redraw(drawing, "done");
      setTimeout(() => redraw(drawing, name), TICK);
    };
    return { button, label, tick };
  }

  #text() {
    return `${[...this.#lines.children].map((line) => line.textContent).join("\n").trim()}\n`;
  }

  async #keep() {
    const record = this.#record;
    if (!record) return;
    const added = await shelf.add([entry(record, await thumbnail(shownPicture()))]);
    this.#markKept(true);
    this.#host.say(added > 0 ? "Kept in this browser." : "Kept already.");
    this.#host.shelved();
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.#text());
      this.#buttons.copy.tick();
      this.#host.say("Copied.");
    } catch {
      getSelection()?.selectAllChildren(this.#lines);
      this.#host.say("Not allowed to copy; the song is selected.");
    }
  }

  async #share() {
    if (!this.#record) return;
    try {
      await navigator.share({ title: firstLine(this.#record.text), text: this.#text(), url: link(this.#record) });
    } catch (error) {
      // Closing the sheet is an answer, too.
      if (error instanceof DOMException && error.name === "AbortError") return;
      await this.#copyLink();
    }
  }

  async #copyLink() {
    if (!this.#record) return;
    const address = link(this.#record);
    try {
      await navigator.clipboard.writeText(address);
      this.#buttons.link.tick();
      this.#host.say("Link copied.");
    } catch {
      this.#offerLink(address);
      this.#host.say("Not allowed to copy; the link is below.");
    }
  }

  /** @param {string} address */
  #offerLink(address) {
    const label = document.createElement("label");
    label.className = "link-field";
    label.textContent = "Link to this song";
    const field = document.createElement("input");
    field.type = "text";
    field.readOnly = true;
    field.value = address;
    label.append(field);
    this.element.after(label);
    this.#linkField = label;
    field.focus();
    field.select();
  }

  async #saveCard() {
    if (!this.#record) return;
    save(await drawCard(this.#record, shownPicture()), fileName(this.#record.text, "png"));
    this.#buttons.picture.tick();
    this.#host.say("Saved as a picture card.");
  }

  #saveText() {
    if (!this.#record) return;
    const file = new Blob([asText(this.#record)], { type: "text/plain;charset=utf-8" });
    save(file, fileName(this.#record.text, "txt"));
    this.#buttons.text.tick();
    this.#host.say("Saved as text.");
  }
}
