/**
 * The kept songs: a dialog with a page of them, newest first.
 */
import { pack, unpack } from "./backup.js";
import { $ } from "./dom.js";
import { save } from "./files.js";
import { firstLine } from "./record.js";
import { shelf } from "./shelf.js";
import { asBlob } from "./thumbnail.js";

/** @typedef {import("./shelf.js").Entry} Entry */

/** Songs that are shown before "Show more". */
const AT_ONCE = 24;
/** Lines of each. */
const LINES = 6;

const dialog = /** @type {HTMLDialogElement} */ ($("gallery"));

/** All kept songs as of now, the newest first. @type {Entry[]} */
let entries = [];
/** How many of them are shown, or would be if there were as many. */
let shown = AT_ONCE;
/** What "Undo" does. @type {(() => Promise<void>) | null} */
let undo = null;

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {string} className @param {string} [text]
 */
function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** @param {number} count */
const songs = (count) => (count === 1 ? "1 song" : `${count} songs`);

/** @param {string} text @param {(() => Promise<void>) | null} [back] */
function say(text, back = null) {
  $("gallery-status").textContent = text;
  undo = back;
  $("gallery-undo").hidden = !back;
}

/** Does what may go wrong, and says so then. @param {() => Promise<void>} work */
async function attempt(work) {
  try {
    await work();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  }
}

/** Shows at the door how many songs are kept. */
export async function countKept() {
  // Where nothing can be kept, there is nothing to count; the rest is said when somebody tries.
  const count = await shelf.count().catch(() => 0);
  $("kept-count").textContent = count > 0 ? String(count) : "";
}

/** Reads the shelf again and shows it. */
async function refresh() {
  entries = await shelf.all();
  render();
  await countKept();
}

function render() {
  $("kept").replaceChildren(...entries.slice(0, shown).map(kept));
  const isEmpty = entries.length === 0;
  $("gallery-none").hidden = !isEmpty;
  $("gallery-save").disabled = $("gallery-clear").disabled = isEmpty;
  $("gallery-more").hidden = entries.length <= shown;
}

/** @param {Entry} entry */
function kept(entry) {
  const { record } = entry;
  const item = element("li", "kept-song");
  const blob = asBlob(entry.picture);
  if (blob) item.append(picture(blob, record.caption));
  const body = element("div", "kept-body");
  const lines = record.text.trim().split("\n");
  const verse = element("div", "kept-verse");
  verse.append(...lines.slice(0, LINES).map((line) => element("div", "", line)));
  if (lines.length > LINES) verse.append(element("div", "", "…"));
  const date = new Date(entry.kept);
  const when = element("time", "kept-date", date.toLocaleDateString("en", { dateStyle: "medium" }));
  when.dateTime = date.toISOString();
  const buttons = element("div", "kept-buttons");
  const name = firstLine(record.text);
  const open = element("button", "", "Open");
  open.type = "button";
  open.setAttribute("aria-label", `Open “${name}”`);
  open.addEventListener("click", () => {
    dialog.close();
    opened(entry);
  });
  const remove = element("button", "", "Delete");
  remove.type = "button";
  remove.setAttribute("aria-label", `Delete “${name}”`);
  remove.addEventListener("click", () => attempt(() => removeOne(entry)));
  buttons.append(when, open, remove);
  body.append(verse, buttons);
  item.append(body);
  return item;
}

/** @param {Blob} blob @param {string} caption */
function picture(blob, caption) {
  const image = element("img", "kept-picture");
  image.alt = caption || "The picture";
  image.width = image.height = 160;
  const done = () => URL.revokeObjectURL(image.src);
  image.onload = done;
  image.onerror = () => {
    done();
    image.remove();
  };
  image.src = URL.createObjectURL(blob);
  return image;
}

/** @param {Entry} entry */
async function removeOne(entry) {
  await shelf.remove(entry.id);
  await refresh();
  say(`“${firstLine(entry.record.text)}” is deleted.`, async () => {
    await shelf.add([entry]);
    await refresh();
    say("It is back.");
    $("gallery-close").focus();
  });
  // The button that had the focus is gone; and this is the likeliest next step.
  $("gallery-undo").focus();
}

/** Asks before all songs go. @param {boolean} asks */
function confirmClear(asks) {
  $("gallery-tools").hidden = asks;
  $("gallery-confirm").hidden = !asks;
  if (!asks) return;
  $("gallery-question").textContent = `Delete ${songs(entries.length)} for good?`;
  $("gallery-clear-no").focus();
}

/** @type {(entry: Entry) => void} */
let opened = () => {};

/**
 * Brings the dialog to life.
 * @param {object} host
 * @param {(entry: Entry) => void} host.open shows a kept song on the sheet
 * @param {() => void} host.closed the dialog is gone, songs may be too
 * @param {() => import("./protocol.js").Options | null} host.offered what the songwriter can do
 */
export function setUp({ open, closed, offered }) {
  opened = open;
  countKept();

  $("gallery-open").addEventListener("click", () => {
    shown = AT_ONCE;
    say("");
    confirmClear(false);
    $("kept").replaceChildren();
    dialog.showModal();
    attempt(refresh);
  });
  $("gallery-close").addEventListener("click", () => dialog.close());
  // A click beside the sheet means the dialog itself.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => {
    entries = [];
    undo = null;
    $("kept").replaceChildren();
    closed();
  });

  $("gallery-undo").addEventListener("click", () => {
    if (undo) attempt(undo);
  });
  $("gallery-more").addEventListener("click", () => {
    const next = shown;
    shown += AT_ONCE;
    render();
    $("kept").children[next]?.querySelector("button").focus();
  });
  $("gallery-save").addEventListener("click", () =>
    attempt(async () => {
      const name = `kept-songs-${new Date().toISOString().slice(0, 10)}.json`;
      save(await pack(entries), name);
      say(`${songs(entries.length)} saved as ${name}.`);
    }),
  );
  $("gallery-load").addEventListener("click", () => $("gallery-file").click());
  $("gallery-file").addEventListener("change", () =>
    attempt(async () => {
      const [file] = $("gallery-file").files;
      if (!file) return;
      try {
        say("Reading the file…");
        const found = await unpack(file, offered());
        const added = await shelf.add(found);
        await refresh();
        const known = found.length - added;
        say(`${songs(added)} brought in${known > 0 ? `; ${songs(known)} of the file had been here already` : ""}.`);
      } finally {
        // So that picking the same file again counts as a change.
        $("gallery-file").value = "";
      }
    }),
  );
  $("gallery-clear").addEventListener("click", () => confirmClear(true));
  $("gallery-clear-no").addEventListener("click", () => {
    confirmClear(false);
    $("gallery-clear").focus();
  });
  $("gallery-clear-yes").addEventListener("click", () =>
    attempt(async () => {
      confirmClear(false);
      $("gallery-close").focus();
      const count = entries.length;
      await shelf.clear();
      await refresh();
      say(`${songs(count)} deleted.`);
    }),
  );
}
