/**
 * Kept songs as one file, to carry them to another browser, and back.
 */
import { check, firstLine } from "./record.js";
import { entry, MOST_SONGS } from "./shelf.js";
import { asBlob, MOST_BYTES } from "./thumbnail.js";

/** @typedef {import("./shelf.js").Entry} Entry */
/** @typedef {import("./thumbnail.js").Thumbnail} Thumbnail */

const FORMAT = "neural-songwriter-songs";
/** What a full shelf comes to, and some. */
const MOST_FILE_BYTES = 100_000_000;
/** The longer side of a picture; ours are half of it. */
const MOST_PIXELS = 1024;

/** @param {Blob} blob @returns {Promise<string>} */
function dataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/**
 * @param {Entry[]} entries
 * @returns {Promise<Blob>} JSON, a song a line
 */
export async function pack(entries) {
  const songs = [];
  for (const { record, kept, picture } of entries) {
    const blob = asBlob(picture);
    const song = { ...record, kept: new Date(kept).toISOString(), picture: blob && (await dataUrl(blob)) };
    songs.push(`${songs.length > 0 ? "," : ""}\n${JSON.stringify(song)}`);
  }
  const head = `{"format": "${FORMAT}", "version": 1, "songs": [`;
  return new Blob([head, ...songs, "\n]}\n"], { type: "application/json" });
}

/**
 * What such a file holds, all of it checked.
 * @param {File} file
 * @param {import("./protocol.js").Options | null} offered what the songwriter can do, if that is known
 * @returns {Promise<Entry[]>}
 * @throws {Error} a sentence
 */
export async function unpack(file, offered) {
  try {
    return await read(file, offered);
  } catch (error) {
    const why = error instanceof Error ? error.message : "it can’t be read";
    throw new Error(`${file.name} can’t be brought in: ${why}. Nothing was changed.`);
  }
}

/** @param {File} file @param {import("./protocol.js").Options | null} offered */
async function read(file, offered) {
  if (file.size > MOST_FILE_BYTES) throw new Error(`it is larger than ${MOST_FILE_BYTES / 1e6} MB`);
  let found;
  try {
    found = JSON.parse(await file.text());
  } catch {
    throw new Error("it is not a file of kept songs");
  }
  if (found?.format !== FORMAT || !Array.isArray(found.songs)) throw new Error("it is not a file of kept songs");
  if (found.version !== 1) throw new Error("it is from a later version of this page");
  if (found.songs.length > MOST_SONGS) throw new Error(`it holds more than ${MOST_SONGS} songs`);
  /** @type {Entry[]} */
  const entries = [];
  for (const [i, song] of found.songs.entries()) {
    try {
      entries.push(await readSong(song, offered));
    } catch (error) {
      throw new Error(`song ${i + 1} is not right, ${error instanceof Error ? error.message : "it can’t be read"}`);
    }
  }
  return entries;
}

/** @param {any} song @param {import("./protocol.js").Options | null} offered @returns {Promise<Entry>} */
async function readSong(song, offered) {
  if (typeof song !== "object" || song === null) throw new Error("it is none");
  const record = check(song, offered);
  if (firstLine(record.text) === "") throw new Error("it has no text");
  const kept = typeof song.kept === "string" && song.kept.length < 40 ? Date.parse(song.kept) : NaN;
  if (!(kept >= 0)) throw new Error("its date is none");
  // A clock that was ahead must not keep a song on top for ever.
  return entry(record, await readPicture(song.picture), Math.min(kept, Date.now()));
}

/** @param {unknown} url @returns {Promise<Thumbnail | null>} */
async function readPicture(url) {
  if (url === null || url === undefined) return null;
  const wrong = new Error("its picture is none, or too large");
  if (typeof url !== "string" || url.length > MOST_BYTES * 1.4 + 50) throw wrong;
  const [, type, letters] = /^data:(image\/(?:jpeg|png|webp));base64,([A-Za-z0-9+/]+={0,2})$/.exec(url) ?? [];
  if (!letters) throw wrong;
  let bytes;
  try {
    bytes = Uint8Array.from(atob(letters), (letter) => letter.charCodeAt(0)).buffer;
  } catch {
    throw wrong;
  }
  const picture = { type, bytes };
  const blob = asBlob(picture);
  const bitmap = blob && (await createImageBitmap(blob).catch(() => null));
  if (!bitmap) throw wrong;
  const fits = Math.max(bitmap.width, bitmap.height) <= MOST_PIXELS;
  bitmap.close();
  if (!fits) throw wrong;
  return picture;
}
