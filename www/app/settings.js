/**
 * What the visitor asks of the songs: the controls under the sheet.
 */
/** @param {string} id @returns {any} */
const $ = (id) => document.getElementById(id);

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

/** @param {number} value */
function setTemperature(value) {
  $("temperature").value = value;
  $("temperature-value").textContent = Number($("temperature").value).toFixed(2);
}

$("temperature").addEventListener("input", (/** @type {any} */ { target }) => {
  temperatureChosen = true;
  setTemperature(target.value);
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
    seed_text: $("seed-text").value,
    choose: !$("plain").checked,
  };
}
