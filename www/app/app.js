/**
 * The page: what can be clicked, what is shown. The thinking happens in the worker.
 */
import { showSeen } from "./attention.js";
import { offerCamera } from "./camera.js";
import { $ } from "./dom.js";
import { countKept, setUp as setUpGallery } from "./gallery.js";
import { Foresight, drawSeeing } from "./how.js";
import { Keywords } from "./keywords.js";
import { keepForOffline } from "./offline.js";
import { firstPaint } from "./paint.js";
import { listen, preview, readable } from "./pictures.js";
import { songwriter } from "./permalink.js";
import { clean, firstLine, settings } from "./record.js";
import { forgetLink, Replay } from "./replay.js";
import { Session } from "./session.js";
import { asked, offer } from "./settings.js";
import { Songs } from "./songs.js";

/** Captions weighed side by side. */
const BEAM = 3;
/** How long the visitor may pause before a changed caption is looked at again, in milliseconds. */
const TYPING_PAUSE = 350;

const query = new URLSearchParams(location.search);

/** Whether a picture waits for that. */
let pictureWaits = false;
/** Grows with each picture and song: who comes back from waiting to another number is out of date. */
let turn = 0;
/** Whether there is no songwriter, and only "Try again" helps. */
let isLost = false;
/** Ends the songs being written. @type {AbortController | null} */
let writing = null;
/** What the songwriter can do, once it is known. @type {import("./protocol.js").Options | null} */
let offered = null;
const songs = new Songs($("song"), { say, complain: showProblem, more: writeMore, shelved: countKept });
const keywords = new Keywords($("keywords"));
const foresight = new Foresight((text, options) => client.foresee(text, options));

// ---------------------------------------------------------------- what is said

/** @param {string} text */
function say(text) {
  $("status").textContent = text;
}

/**
 * @param {string} text
 * @param {(() => void) | null} retry
 */
function showProblem(text, retry = null) {
  $("problem-text").textContent = text;
  $("retry").hidden = !retry;
  $("retry").onclick = retry;
  $("problem").hidden = false;
}

function clearProblem() {
  // Without a songwriter, the way to get one has to stay.
  if (isLost) return;
  $("problem").hidden = true;
  $("problem-text").textContent = "";
}

/** @param {number} bytes */
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

// ---------------------------------------------------------------- the worker

/** What is done while bytes are counted; see protocol.js. */
const STAGES = {
  checking: "Checking the files",
  program: "Downloading the program",
  lyricist: "Downloading the lyricist",
  captioner: "Downloading the captioner",
  waiting: "Trying to go on",
};

const client = new Session(new URL("models/", document.baseURI), {
  onStart() {
    isLost = false;
    clearProblem();
    delete document.documentElement.dataset.device;
    $("progress").classList.remove("over");
    $("progress").value = 0;
    say("Starting…");
  },
  onProgress({ stage, loaded, total }) {
    $("progress").value = loaded / total;
    say(stage === "tuning" ? "Tuning up…" : `${STAGES[stage]}: ${megabytes(loaded)} of ${megabytes(total)} MB`);
  },
  onOpened({ device, why, options }) {
    offered = options;
    offer(options);
    keywords.limit = options.limits.keywords;
    songwriter();
    $("progress").classList.add("over");
    $("device").textContent = why;
    document.documentElement.dataset.device = device;
    if (!pictureWaits) say("Ready. Pick a picture.");
    // Not before: the models' bytes come first.
    keepForOffline();
  },
  onRestart: (sentence) => showProblem(sentence),
  onLost(sentence, retry) {
    isLost = true;
    say("Not ready.");
    $("progress").classList.add("over");
    showProblem(sentence, retry);
  },
});

// ---------------------------------------------------------------- picture to song

function idle() {
  writing = null;
  $("stop").disabled = true;
  const empty = $("caption").disabled;
  $("another").disabled = $("again").disabled = $("keyword").disabled = empty;
  songs.settle();
}

function clearSheet() {
  showSeen([]);
  drawSeeing([]);
  $("caption").value = "";
  $("caption").disabled = true;
  keywords.replace([]);
  songs.clear();
  $("numbers").textContent = "";
  idle();
}

function stopSong() {
  writing?.abort();
  songs.stop();
}

/**
 * Looks at a picture, then writes its first song.
 * @param {Blob} blob @param {string} name
 */
async function usePicture(blob, name) {
  stopSong();
  const mine = ++turn;
  clearProblem();
  clearSheet();
  forgetLink();
  try {
    const shown = preview(blob);
    const bytes = await readable(blob, name);
    await shown;
    if (mine !== turn) return;
    pictureWaits = true;
    await client.ready;
    if (mine !== turn) return;
    pictureWaits = false;
    say("Looking at the picture…");
    const { caption, words } = await client.caption(bytes, name, BEAM, {
      onAgain: () => mine === turn && say("Looking at the picture…"),
    });
    if (mine !== turn) return;
    showSeen(words);
    drawSeeing(words);
    $("caption").disabled = false;
    $("caption").value = caption;
    keywords.replace(await client.keywords(caption));
    if (mine !== turn) return;
    await write(newSeed());
  } catch (error) {
    if (mine !== turn) return;
    preview(null);
    say("Ready. Pick a picture.");
    showProblem(/** @type {Error} */ (error).message);
  }
}

/**
 * @param {string} seed
 * @param {import("./protocol.js").WriteOptions} [instead] of what the controls say
 * @param {{caption?: string, saying?: string, done?: string, remark?: string}} [more] what the songs
 *   are about, if not the caption on the sheet; what is said meanwhile and then; what stands under them
 */
async function write(seed, instead = {}, more = {}) {
  const { caption = $("caption").value, saying = "Writing…", done = "", remark = "" } = more;
  stopSong();
  const mine = ++turn;
  const abort = new AbortController();
  writing = abort;
  clearProblem();
  say(saying);
  $("seed").value = seed;
  $("numbers").textContent = "";
  $("stop").disabled = false;
  $("another").disabled = $("again").disabled = $("keyword").disabled = false;
  const options = { ...asked(), keywords: keywords.chosen, ...instead, random_seed: seed };
  songs.begin(options.songs, options.lines);
  try {
    const written = await client.write(options, {
      onText: (song, text) => mine === turn && songs.grow(song, text),
      signal: abort.signal,
      onAgain(moved) {
        if (mine !== turn) return;
        say("Writing…");
        // The same seed gives the same songs, and they grow on from where they are; on another
        // device, a letter may come out otherwise.
        if (moved) songs.begin(options.songs, options.lines);
      },
    });
    if (mine === turn) foresight.wrote(written.songs[0].text, options);
    const name = await songwriter();
    await songs.ended();
    if (mine !== turn) return;
    const stopped = abort.signal.aborted;
    const how = /** @type {any} */ ({ ...options, caption: clean(caption), songwriter: name });
    songs.tell(written.songs, how, stopped ? "Stopped; seed and link give the whole song." : remark);
    // What was written but not shown when "stop" came is nobody's business: no count then.
    const letters = written.songs.reduce((sum, { text }) => sum + [...text].length, 0);
    const length = stopped ? "Stopped" : `${letters} letters in ${written.seconds.toFixed(2)} s`;
    $("numbers").textContent = `${length}; temperature ${options.temperature.toFixed(2)}, seed ${seed}.`;
    say(stopped ? "Stopped." : done || (options.songs > 1 ? "The songs are done." : "The song is done."));
    idle();
  } catch (error) {
    if (mine !== turn) return;
    idle();
    if (abort.signal.aborted) return say("Stopped.");
    say("No song this time.");
    showProblem(/** @type {Error} */ (error).message);
  }
}

/**
 * Writes songs that begin with the first line of one, as that one was written. The line goes to
 * the songwriter only: the visitor's own beginning stays in its field.
 * @param {import("./record.js").SongRecord} record
 */
async function writeMore(record) {
  const seed_text = firstLine(record.text);
  forgetLink();
  await write(newSeed(), { ...settings(record), seed_text }, { caption: record.caption, saying: "Writing more like it…" });
}

/** Makes room for a song from elsewhere. @param {Blob | null} picture */
async function makeRoom(picture) {
  stopSong();
  const mine = ++turn;
  pictureWaits = false;
  clearProblem();
  clearSheet();
  await preview(picture);
  return mine === turn;
}

/** @returns {string} */
function newSeed() {
  return String(crypto.getRandomValues(new Uint32Array(1))[0]);
}

// ---------------------------------------------------------------- controls

/** Writes about the caption as it stands. @param {string} seed */
async function writeAbout(seed) {
  forgetLink();
  songs.expect();
  if (typing) await newKeywords();
  await write(seed);
}

$("another").addEventListener("click", () => writeAbout(newSeed()));
$("seed-form").addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  if (!$("again").disabled) writeAbout($("seed").value.trim() || newSeed());
});
$("caption").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.key !== "Enter" || event.isComposing) return;
  event.preventDefault();
  writeAbout(newSeed());
});
$("stop").addEventListener("click", stopSong);

let typing = 0;
$("caption").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(newKeywords, TYPING_PAUSE);
});

/** Reads the caption's words again. */
async function newKeywords() {
  clearTimeout(typing);
  typing = 0;
  const found = await client.keywords($("caption").value.replaceAll(",", " ")).catch(() => null);
  if (found) keywords.replace(found);
}

$("keyword-form").addEventListener("submit", async (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  const word = $("keyword").value.trim();
  if (!word) return;
  const found = await client.keywords(`${word},`).catch(() => []);
  keywords.add(found);
  $("keyword").value = "";
  const unknown = found.filter(({ used }) => used === null).map(({ word }) => `“${word}”`);
  if (unknown.length > 0) say(`The songwriter does not know ${unknown.join(", ")}.`);
});

listen(usePicture, showProblem);
offerCamera(usePicture);
const replay = new Replay({
  turn: () => turn,
  ready: () => client.ready,
  offered: () => offered,
  client: () => client,
  makeRoom,
  idle,
  write,
  songs,
  keywords,
  say,
  complain: showProblem,
});
setUpGallery({ open: (entry) => replay.openKept(entry), closed: () => songs.showKept(), offered: () => offered });
const device = query.get("device");
firstPaint().then(() => client.start({ device: device === "cpu" || device === "webgpu" ? device : null }));
