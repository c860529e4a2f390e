/**
 * Links to songs. The part behind the `#`, which browsers keep to themselves, says how the song is
 * written; whoever opens the link has their own browser write it again, letter by letter:
 * `#song?caption=a+cat+on+a+wall&keywords=cat,wall&…&seed=7&songwriter=762fc911`
 */
import { check } from "./record.js";

/** @typedef {import("./record.js").SongRecord} SongRecord */

const START = "#song?";
/** No honest link is longer. */
const MOST_LETTERS = 6000;
/** How long the songs wait for the songwriter's name, in milliseconds. */
const PATIENCE = 4000;

/** The lyricist's short name, once it is known. @type {Promise<string> | null} */
let name = null;

/**
 * Tells this lyricist from earlier and later ones: eight digits of the digest of its weights. Empty
 * if that can't be found out.
 * @returns {Promise<string>}
 */
export function songwriter() {
  name ??= askName().catch(() => {
    name = null;
    return "";
  });
  return name;
}

async function askName() {
  // The worker has just made sure that what the cache holds is current.
  const url = new URL("models/lyricist/manifest.json", document.baseURI);
  const response = await fetch(url, { cache: "force-cache", signal: AbortSignal.timeout(PATIENCE) });
  /** @type {{files: {path: string, sha256: string}[]}} */
  const { files } = await response.json();
  const [, digits] = /^([0-9a-f]{8})/.exec(files.find(({ path }) => path === "tensors.safetensors")?.sha256 ?? "") ?? [];
  if (!digits) throw new Error("a digest was expected");
  return digits;
}

/**
 * A record as the part of a link behind the `#`. Equal for equal records.
 * @param {SongRecord} record
 */
export function fragment(record) {
  const said = new URLSearchParams({
    caption: record.caption,
    keywords: record.keywords.join(","),
    mood: record.mood ?? "",
    kind: record.kind ?? "",
    rhyme: record.scheme,
    lines: String(record.lines),
    temperature: String(record.temperature),
    begin: record.seed_text,
    draft: record.choose ? "" : "first",
    seed: record.random_seed,
    songwriter: record.songwriter,
  });
  for (const [key, value] of [...said]) if (value === "") said.delete(key);
  return `${START}${said.toString().replaceAll("%2C", ",")}`;
}

/** @param {SongRecord} record @returns {string} the whole address */
export function link(record) {
  const url = new URL(location.href);
  // Which device writes, and what else the address asks for, is for each visitor to choose.
  url.search = "";
  url.hash = fragment(record);
  return url.href;
}

/** Whether an address's fragment means to be a link to a song. @param {string} hash */
export function isLink(hash) {
  return hash.startsWith(START);
}

/**
 * What a link says, if it says so properly.
 * @param {string} hash
 * @param {import("./protocol.js").Options} offered what the songwriter can do
 * @returns {SongRecord}
 * @throws {Error} a sentence
 */
export function parse(hash, offered) {
  try {
    return read(hash, offered);
  } catch (error) {
    const why = error instanceof Error ? error.message : "it is damaged";
    throw new Error(`This link can’t be opened: ${why}. Ask for it again, or pick a picture.`);
  }
}

/** @param {string} hash @param {import("./protocol.js").Options} offered */
function read(hash, offered) {
  if (hash.length > MOST_LETTERS) throw new Error("it is too long");
  const said = new URLSearchParams(hash.slice(START.length));
  for (const key of said.keys()) {
    // Two answers to one question: somebody has tinkered.
    if (said.getAll(key).length > 1) throw new Error("it says something twice");
  }
  if (!said.has("seed")) throw new Error("it holds no song");
  const { lines, temperature, scheme } = offered.defaults;
  /** @param {string} key @param {number} [usual] */
  const number = (key, usual) => {
    const value = said.get(key);
    if (value === null) return usual;
    return /^\d{1,3}(\.\d{1,9})?$/.test(value) ? Number(value) : NaN;
  };
  const draft = said.get("draft") ?? "";
  return check(
    {
      text: "",
      caption: said.get("caption") ?? "",
      keywords: (said.get("keywords") ?? "").split(",").filter((word) => word !== ""),
      mood: said.get("mood") || null,
      kind: said.get("kind") || null,
      scheme: said.get("rhyme") ?? scheme,
      lines: number("lines", lines),
      temperature: number("temperature", temperature),
      choose: draft === "" ? true : draft === "first" ? false : null,
      seed_text: said.get("begin") ?? "",
      random_seed: said.get("seed"),
      songwriter: said.get("songwriter") ?? "",
    },
    offered,
  );
}
