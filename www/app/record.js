/**
 * A song with all that it takes to write it again, and the check that every such record passes
 * before it is used: links and files come from strangers.
 *
 * @typedef {object} SongRecord
 * @property {string} text the song; empty in a link, which holds only how to write it
 * @property {string} caption what the picture shows
 * @property {string[]} keywords in the order in which the songwriter was given them
 * @property {string | null} mood
 * @property {string | null} kind
 * @property {string} scheme
 * @property {number} lines
 * @property {number} temperature
 * @property {boolean} choose whether each line was chosen among several
 * @property {string} seed_text what the song begins with
 * @property {string} random_seed of this song alone
 * @property {string} songwriter which lyricist wrote it, eight hexadecimal digits; empty if unknown
 *
 * @typedef {import("./protocol.js").Options} Options
 */

/** Most characters of each text, and the like. */
export const MOST = {
  caption: 200,
  keyword: 40,
  keywords: 3,
  seed_text: 300,
  text: 4000,
  text_lines: 80,
  /** The largest random seed, 64 bits of ones. */
  random_seed: 2n ** 64n - 1n,
};

/** The ends and the steps of the slider, of which a temperature is always one. */
export const TEMPERATURES = { min: 0.2, max: 1.4, steps_in_one: 20 };

/** What no caption or song needs: control characters, halves of characters, marks that turn text around. */
const STRANGE = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffd]/gu;
/** As a name of a mood and the like looks. */
const NAME = /^[a-z]{1,16}$/;

/**
 * Text from the visitor, without what a link could not carry.
 * @param {string} text
 */
export function clean(text) {
  return text.replace(/\r\n?/g, "\n").replace(STRANGE, (found) => (found === "\n" ? found : " "));
}

/** @param {string} text @param {boolean} multiline */
function isClean(text, multiline) {
  return (text.match(STRANGE) ?? []).every((found) => multiline && found === "\n");
}

/** The first line of a song that says something. @param {string} text */
export function firstLine(text) {
  return text.split("\n").find((line) => line.trim() !== "")?.trim() ?? "";
}

/**
 * How a record was written, as the songwriter wants to hear it.
 * @param {SongRecord} record
 * @returns {import("./protocol.js").WriteOptions}
 */
export function settings({ keywords, mood, kind, scheme, lines, temperature, choose, seed_text }) {
  return { keywords, mood, kind, scheme, lines, temperature, choose, seed_text };
}

/** @param {string} why the end of a sentence @returns {never} */
function refuse(why) {
  throw new Error(why);
}

/**
 * @param {unknown} value @param {string} what @param {number} most
 * @param {boolean} multiline
 * @returns {string}
 */
function text(value, what, most, multiline = false) {
  if (typeof value !== "string") return refuse(`${what} is no text`);
  if (value.length > most) return refuse(`${what} is longer than ${most} characters`);
  if (!isClean(value, multiline)) return refuse(`${what} has characters that do not belong there`);
  return value;
}

/**
 * @param {unknown} value @param {string} what
 * @param {readonly string[] | undefined} offered undefined as long as the songwriter has not said
 * @returns {string}
 */
function choice(value, what, offered) {
  const fits = typeof value === "string" && (offered ? offered.includes(value) : NAME.test(value));
  if (!fits) return refuse(`its ${what} is not one that the songwriter knows`);
  return value;
}

/**
 * @param {unknown} value @param {string} what
 * @param {readonly [number, number]} range
 * @returns {number}
 */
function number(value, what, [min, max]) {
  const fits = typeof value === "number" && value >= min && value <= max;
  return fits ? value : refuse(`its ${what} has to be from ${min} to ${max}`);
}

/**
 * A record from values that anybody may have made up.
 * @param {Record<string, unknown>} found
 * @param {Options | null} offered what the songwriter can do; null as long as that is not known
 * @returns {SongRecord}
 * @throws {Error} the end of a sentence: "its temperature has to be …"
 */
export function check(found, offered) {
  const { keywords, lines, random_seed, songwriter } = found;
  if (!Array.isArray(keywords)) return refuse("its words are no list");
  const most = offered?.limits.keywords ?? MOST.keywords;
  if (keywords.length > most) return refuse(`it asks for more than ${most} words`);
  const words = keywords.map((word) => text(word, "one of its words", MOST.keyword));
  if (words.some((word) => word.trim() === "" || word.includes(","))) return refuse("one of its words is none");
  if (!Number.isInteger(lines)) return refuse("its number of lines is no whole number");
  const isSeed = typeof random_seed === "string" && /^[0-9]{1,20}$/.test(random_seed);
  if (!isSeed || BigInt(random_seed) > MOST.random_seed) {
    return refuse(`its random seed has to be a whole number from 0 to ${MOST.random_seed}`);
  }
  if (typeof songwriter !== "string" || !/^([0-9a-f]{8})?$/.test(songwriter)) {
    return refuse("it does not say rightly which songwriter it is for");
  }
  if (typeof found.choose !== "boolean") return refuse("it does not say rightly whether lines are chosen");
  const song = text(found.text, "its song", MOST.text, true);
  if (song.split("\n").length > MOST.text_lines) return refuse(`its song has more than ${MOST.text_lines} lines`);
  const { min, max, steps_in_one } = TEMPERATURES;
  const temperature = number(found.temperature, "temperature", [min, max]);
  return {
    text: song,
    caption: text(found.caption, "its caption", MOST.caption),
    keywords: words,
    mood: found.mood === null ? null : choice(found.mood, "mood", offered?.moods),
    kind: found.kind === null ? null : choice(found.kind, "kind", offered?.kinds),
    scheme: choice(found.scheme, "rhyme", offered?.schemes),
    lines: number(lines, "number of lines", offered?.limits.lines ?? [1, 16]),
    temperature: Math.round(temperature * steps_in_one) / steps_in_one,
    choose: found.choose,
    seed_text: text(found.seed_text, "its beginning", MOST.seed_text, true),
    random_seed,
    songwriter,
  };
}
