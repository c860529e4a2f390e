/**
 * Songs as files: what they are called, what is in them, and how the visitor gets them.
 */
import { link } from "./permalink.js";
import { firstLine } from "./record.js";

/** Long enough for any browser to have begun with the file, in milliseconds. */
const UNTIL_REVOKED = 30_000;

/**
 * Hands the visitor a file, as if a link to it had been clicked.
 * @param {Blob} blob @param {string} name
 */
export function save(blob, name) {
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(blob);
  anchor.download = name;
  anchor.click();
  const url = anchor.href;
  setTimeout(() => URL.revokeObjectURL(url), UNTIL_REVOKED);
}

/**
 * A name for a song's file, made of its first line.
 * @param {string} text @param {string} ending without the dot
 */
export function fileName(text, ending) {
  const words = firstLine(text)
    .toLowerCase()
    .replace(/['’]/g, "")
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-+|-+$/g, "");
  return `${[...words].slice(0, 60).join("").replace(/-+$/, "") || "song"}.${ending}`;
}

/**
 * A song as plain text, with all that it takes to write it again.
 * @param {import("./record.js").SongRecord} record
 */
export function asText(record) {
  const facts = [
    ["Words", record.keywords.join(", ") || "none"],
    ["Mood", record.mood ?? "any"],
    ["Kind", record.kind ?? "any"],
    ["Rhyme", record.scheme],
    ["Lines", String(record.lines)],
    ["Temperature", record.temperature.toFixed(2)],
    ["Begins with", record.seed_text.replaceAll("\n", " / ")],
    ["Lines chosen", record.choose ? "" : "no, first drafts"],
    ["Random seed", record.random_seed],
    ["Songwriter", record.songwriter],
  ];
  const said = facts.filter(([, value]) => value !== "").map(([name, value]) => `${name}: ${value}`);
  const about = record.caption ? [`About a picture: ${record.caption}`, ""] : [];
  return [...about, record.text.trim(), "", "--", ...said, "", "The same song again:", link(record), ""].join("\n");
}
