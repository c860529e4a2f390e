/**
 * Songs that were written before: from a link, which has them written again, or from the shelf.
 */
import { isLink, parse, songwriter } from "./permalink.js";
import { settings } from "./record.js";
import { adopt } from "./settings.js";
import { asBlob } from "./thumbnail.js";

/** @typedef {import("./record.js").SongRecord} SongRecord */
/**
 * @typedef {object} Page what the rest of the page does for them
 * @property {() => number} turn grows with each picture and song
 * @property {() => Promise<void>} ready resolves when the worker can work
 * @property {() => import("./protocol.js").Options | null} offered
 * @property {() => import("./session.js").Session} client
 * @property {(picture: Blob | null) => Promise<boolean>} makeRoom clears the sheet; false if
 *   something else has come meanwhile
 * @property {() => void} idle
 * @property {(seed: string, instead: import("./protocol.js").WriteOptions, more: {remark?: string, done?: string}) => Promise<void>} write
 * @property {import("./songs.js").Songs} songs
 * @property {import("./keywords.js").Keywords} keywords
 * @property {(text: string) => void} say
 * @property {(text: string) => void} complain
 */

/** What stands under the song of an old link, and what is said. */
const OLD_LINK = {
  remark: "The songwriter has learned since this link was made: the song may differ.",
  done: "Done. It may differ from the link’s song.",
};

/** Takes a link to a song out of the address: what is on the sheet now is not what it says. */
export function forgetLink() {
  if (isLink(location.hash)) history.replaceState(null, "", location.pathname + location.search);
}

export class Replay {
  #page;

  /** Opens the address's link, and any that is pasted later. @param {Page} page */
  constructor(page) {
    this.#page = page;
    addEventListener("hashchange", () => this.#openLink());
    this.#openLink();
  }

  /** Shows a kept song. @param {import("./shelf.js").Entry} entry */
  async openKept({ record, picture }) {
    const { makeRoom, songs, say } = this.#page;
    forgetLink();
    if (!(await makeRoom(asBlob(picture)))) return;
    songs.show(record, "Kept in this browser.");
    songs.focus();
    await this.#attempt(async () => {
      if (await this.#restore(record)) say("A kept song.");
    });
  }

  /** Writes the song of a link again, if the address is one. */
  async #openLink() {
    const { turn, ready, offered, makeRoom, write } = this.#page;
    if (!isLink(location.hash)) return;
    const before = turn();
    await ready();
    if (before !== turn()) return;
    await this.#attempt(async () => {
      const options = offered();
      if (!options) return;
      const record = parse(location.hash, options);
      const now = await songwriter();
      const isOld = record.songwriter !== "" && now !== "" && record.songwriter !== now;
      if (before !== turn() || !(await makeRoom(null)) || !(await this.#restore(record))) return;
      await write(record.random_seed, { ...settings(record), songs: 1 }, isOld ? OLD_LINK : {});
    });
  }

  /**
   * Sets the page as it was for a song: caption, controls and words.
   * @param {SongRecord} record
   * @returns {Promise<boolean>} false if the visitor has gone on to something else meanwhile
   */
  async #restore(record) {
    const { turn, ready, client, keywords, idle } = this.#page;
    const caption = /** @type {HTMLTextAreaElement} */ (document.getElementById("caption"));
    const mine = turn();
    caption.value = record.caption;
    await ready();
    if (mine !== turn()) return false;
    adopt(record);
    const chosen = record.keywords.length > 0 ? await client().keywords(`${record.keywords.join(",")},`) : [];
    const others = await client().keywords(record.caption.replaceAll(",", " "));
    if (mine !== turn()) return false;
    keywords.restore(chosen, others);
    caption.disabled = false;
    idle();
    return true;
  }

  /** @param {() => Promise<void>} work whose failure is told */
  async #attempt(work) {
    try {
      await work();
    } catch (error) {
      this.#page.complain(error instanceof Error ? error.message : String(error));
    }
  }
}
