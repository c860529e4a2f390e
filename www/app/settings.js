/**
 * What the visitor asks of the songs: the controls under the sheet.
 */
import { $ } from "./dom.js";
import { clean } from "./record.js";

/** @type {Record<string, string>} */
const LABELS = {
  aabb: "pairs (aabb)",
  abab: "crossed (abab)",
  abcb: "ballad (abcb)",
  off: "none",
};

/** Whether the visitor has moved the slider. */
let temperatureChosen = false;
/** What the address asks for, for those who test the page: `?songs=1&lines=2&plain`. */
const query = new URLSearchParams(location.search);

/** @param {string} id @param {string[]} values @param {string | null} chosen @param {string} [none] */
function fill(id, values, chosen, none) {
  const select = $(id);
  if (select.options.length > 0) return;
  if (none) select.append(new Option(none, ""));
  for (const value of values) select.append(new Option(LABELS[value] ?? value, value));
  select.value = chosen ?? "";
}

/** @param {string} id @param {[number, number]} range @param {number} value */
function bound(id, [min, max], value) {
  const input = $(id);
  input.min = String(min);
  input.max = String(max);
  if (!input.value) input.value = query.get(id) ?? String(value);
}

/** @param {number | string} value */
function setTemperature(value) {
  $("temperature").value = String(value);
  $("temperature-value").textContent = Number($("temperature").value).toFixed(2);
}

$("temperature").addEventListener("input", () => {
  temperatureChosen = true;
  setTemperature($("temperature").value);
});

/**
 * Fills the controls with what the songwriter can do.
 * @param {import("./protocol.js").Options} options
 */
export function offer({ moods, kinds, schemes, defaults, limits }) {
  fill("mood", moods, defaults.mood ?? null, "any");
  fill("kind", kinds, defaults.kind ?? null, "any");
  fill("scheme", schemes, defaults.scheme ?? null);
  bound("lines", limits.lines, defaults.lines ?? 4);
  bound("songs", limits.songs, defaults.songs ?? 1);
  if (!temperatureChosen) setTemperature(defaults.temperature ?? 0.8);
  $("plain").checked ||= query.has("plain");
}

/** A whole number from a field, within its bounds. @param {string} id */
function whole(id) {
  const input = $(id);
  const value = Math.round(Number(input.value)) || Number(input.min);
  const within = Math.min(Math.max(value, Number(input.min)), Number(input.max));
  input.value = String(within);
  return within;
}

/**
 * What the controls say.
 * @returns {import("./protocol.js").WriteOptions & {songs: number, temperature: number}}
 */
export function asked() {
  return {
    mood: $("mood").value || null,
    kind: $("kind").value || null,
    scheme: $("scheme").value,
    lines: whole("lines"),
    songs: whole("songs"),
    temperature: Number($("temperature").value),
    seed_text: clean($("seed-text").value),
    choose: !$("plain").checked,
  };
}

/**
 * Sets the controls as a song was written, so that the visitor can go on from there.
 * @param {import("./record.js").SongRecord} record
 */
export function adopt({ mood, kind, scheme, lines, temperature, choose, seed_text, random_seed }) {
  for (const [id, value] of [["mood", mood ?? ""], ["kind", kind ?? ""], ["scheme", scheme]]) {
    const select = $(id);
    // A kept song may be older than the songwriter, and ask for what it does no more.
    if ([...select.options].some((option) => option.value === value)) select.value = value;
  }
  $("lines").value = String(lines);
  temperatureChosen = true;
  setTemperature(temperature);
  $("seed-text").value = seed_text;
  $("plain").checked = !choose;
  $("seed").value = random_seed;
  // What is set has to be seen.
  const details = $("seed-text").closest("details");
  if (details && (seed_text !== "" || !choose)) details.open = true;
}
