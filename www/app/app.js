/**
 * The page: what can be clicked, what is shown. The thinking happens in the worker.
 */
import { Client, WorkerCrash } from "./protocol.js";
import { Reveal } from "./reveal.js";
import { samples } from "./samples.js";

/** Captions weighed side by side. */
const BEAM = 3;
/** Larger files are hardly pictures, and would fill the memory twice. */
const MAX_FILE = 64 * 1024 * 1024;
/** What browsers can show and the songwriter can't read: redrawn as PNG. */
const REDRAWN = /^image\/(avif|heic|heif|jxl|svg\+xml|tiff)$/;

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);

/** @type {Client} */
let client;
/** Resolves when the worker can work, however many tries that takes. */
let ready = deferred();
/** Whether a picture waits for that. */
let pictureWaits = false;
/** Characters of a song at most; the songwriter's own idea unless the address says otherwise. */
let maxChars = 0;
/** Grows with each picture and song: who comes back from waiting to another number is out of date. */
let turn = 0;
/** The song being written. @type {{abort: AbortController, reveal: Reveal} | null} */
let song = null;
/** Whether the visitor has moved the slider. */
let temperatureChosen = false;

/** @returns {{promise: Promise<void>, resolve: () => void}} */
function deferred() {
  let resolve;
  const promise = new Promise((fulfil) => {
    resolve = fulfil;
  });
  return { promise, resolve };
}

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
  $("problem").hidden = true;
  $("problem-text").textContent = "";
}

/** @param {number} bytes */
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

// ---------------------------------------------------------------- the worker

/**
 * Starts a worker and lets it download and open the models.
 * @param {{device: import("./protocol.js").Device | null, fresh?: boolean, because?: string}} options
 *   `because`: what to say of the device instead of the worker's own sentence
 */
function start({ device, fresh = false, because }) {
  /** What the worker settled on, once it is open. @type {{device: string, why: string} | null} */
  let opened = null;
  const mine = new Client(() => {
    if (mine !== client) return;
    if (opened) {
      // The choice of the device is not made again: what broke might be the trial of WebGPU.
      const why = opened.device === "webgpu" ? "Runs on your CPU: WebGPU broke down." : opened.why;
      return recover(device === null ? { device: "cpu", because: why } : { device, because });
    }
    // WebGPU is the likelier culprit of a crash at the start; the CPU may still do.
    if (device === null) {
      const because = "Runs on your CPU: WebGPU broke down when it was tried.";
      return start({ device: "cpu", because });
    }
    lost("The songwriter broke down while starting. The browser's console has the details.", () =>
      start({ device, fresh: true, because }),
    );
  });
  client = mine;
  clearProblem();
  $("progress").classList.remove("over");
  $("progress").value = 0;
  say("Starting…");

  const models = new URL("models/", document.baseURI).href;
  const opening = mine.open({ device, fresh, models }, (loaded, total) => {
    $("progress").value = loaded / total;
    const amount = `${megabytes(loaded)} of ${megabytes(total)} MB`;
    say(loaded < total ? `Downloading the songwriter: ${amount}` : "Tuning up…");
  });
  opening.then(
    (answer) => {
      opened = { device: answer.device, why: because ?? answer.why };
      maxChars = Number(query.get("max_chars")) || answer.max_chars;
      if (!temperatureChosen) setTemperature(answer.temperature);
      $("progress").classList.add("over");
      $("device").textContent = opened.why;
      document.documentElement.dataset.device = answer.device;
      if (!pictureWaits) say("Ready. Pick a picture.");
      ready.resolve();
    },
    (error) => {
      // A crash has its own way out, above.
      if (error instanceof WorkerCrash) return;
      lost(error.message, () => start({ device, fresh: true, because }));
    },
  );
}

/** @param {string} text @param {() => void} retry */
function lost(text, retry) {
  say("Not ready.");
  $("progress").classList.add("over");
  showProblem(text, retry);
}

/** Something panicked in the middle of the work: a new worker takes over. */
function recover(options) {
  ready = deferred();
  stopSong();
  start(options);
  idle();
  showProblem(
    "Something broke inside the songwriter, and it has been started again. Pick the picture once more; the browser's console has the details.",
  );
}

// ---------------------------------------------------------------- picture to song

function idle() {
  song = null;
  $("stop").disabled = true;
  const empty = $("caption").disabled;
  $("another").disabled = $("again").disabled = empty;
  if ($("song").dataset.state === "writing") $("song").dataset.state = "done";
  $("song").removeAttribute("aria-busy");
}

function clearSheet() {
  $("caption").value = "";
  $("caption").disabled = true;
  $("song").replaceChildren();
  $("song").dataset.state = "empty";
  $("numbers").textContent = "";
  $("copy").disabled = true;
  idle();
}

function stopSong() {
  song?.abort.abort();
  song?.reveal.stop();
}

/** @param {Blob | null} blob */
async function preview(blob) {
  const image = $("preview");
  const frame = $("frame");
  URL.revokeObjectURL(image.src);
  image.hidden = true;
  image.removeAttribute("src");
  frame.classList.remove("filled");
  frame.querySelector(".action").textContent = "Choose a picture";
  if (!blob) return;
  image.src = URL.createObjectURL(blob);
  try {
    await image.decode();
  } catch {
    // The songwriter will say what is wrong with it.
    return;
  }
  image.hidden = false;
  frame.classList.add("filled");
  frame.querySelector(".action").textContent = "Choose another";
}

/**
 * @param {Blob} blob
 * @returns {Promise<Uint8Array>} a file that the songwriter can read, if the browser can read this one
 */
async function readable(blob) {
  let source = blob;
  if (REDRAWN.test(blob.type)) {
    try {
      const image = new Image();
      image.src = URL.createObjectURL(blob);
      await image.decode();
      const scale = Math.min(1, 1024 / Math.max(image.naturalWidth, image.naturalHeight, 1));
      const canvas = document.createElement("canvas");
      canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
      canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      URL.revokeObjectURL(image.src);
      source = (await new Promise((resolve) => canvas.toBlob(resolve, "image/png"))) ?? blob;
    } catch {
      source = blob;
    }
  }
  return new Uint8Array(await source.arrayBuffer());
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
  try {
    if (blob.size > MAX_FILE) {
      throw new Error(`${name} is larger than ${MAX_FILE / 1024 / 1024} MB. Make it smaller and try again.`);
    }
    const shown = preview(blob);
    const bytes = await readable(blob);
    await shown;
    if (mine !== turn) return;
    pictureWaits = true;
    await ready.promise;
    if (mine !== turn) return;
    pictureWaits = false;
    say("Looking at the picture…");
    const { caption } = await client.caption(bytes, name, BEAM);
    if (mine !== turn) return;
    $("caption").disabled = false;
    $("caption").value = caption;
    await write(newSeed());
  } catch (error) {
    if (error instanceof WorkerCrash || mine !== turn) return;
    preview(null);
    say("Ready. Pick a picture.");
    showProblem(error.message);
  }
}

/** @param {string} seed */
async function write(seed) {
  stopSong();
  const mine = ++turn;
  const caption = $("caption").value.trim();
  const abort = new AbortController();
  const reveal = new Reveal($("song"));
  song = { abort, reveal };
  clearProblem();
  say("Writing…");
  $("seed").value = seed;
  $("numbers").textContent = "";
  $("stop").disabled = false;
  $("another").disabled = $("again").disabled = false;
  $("copy").disabled = true;
  $("song").dataset.state = "writing";
  $("song").setAttribute("aria-busy", "true");
  try {
    const written = await client.write(
      { caption, temperature: Number($("temperature").value), random_seed: seed, max_chars: maxChars },
      { onText: (text) => reveal.push(text), signal: abort.signal },
    );
    await reveal.end();
    if (mine !== turn) return;
    const stopped = abort.signal.aborted;
    // What was written but not shown when "stop" came is nobody's business: no count then.
    const length = stopped ? "Stopped" : `${[...written.text].length} letters in ${written.seconds.toFixed(2)} s`;
    $("numbers").textContent =
      `${length}; temperature ${written.temperature.toFixed(2)}, seed ${written.random_seed}.`;
    say(stopped ? "Stopped." : "The song is done.");
    $("copy").disabled = $("song").textContent.trim() === "";
    idle();
  } catch (error) {
    if (mine !== turn || error instanceof WorkerCrash) return;
    idle();
    say("No song this time.");
    showProblem(error.message);
  }
}

/** @returns {string} */
function newSeed() {
  return String(crypto.getRandomValues(new Uint32Array(1))[0]);
}

// ---------------------------------------------------------------- controls

/** @param {number} value */
function setTemperature(value) {
  $("temperature").value = value;
  $("temperature-value").textContent = Number($("temperature").value).toFixed(2);
}

$("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  if (file) usePicture(file, file.name);
  // So that picking the same file again counts as a change.
  target.value = "";
});

$("another").addEventListener("click", () => write(newSeed()));
$("seed-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!$("again").disabled) write($("seed").value.trim() || newSeed());
});
$("caption").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing) return;
  event.preventDefault();
  write(newSeed());
});
$("stop").addEventListener("click", stopSong);
$("temperature").addEventListener("input", ({ target }) => {
  temperatureChosen = true;
  setTemperature(target.value);
});
$("copy").addEventListener("click", async () => {
  const lines = [...$("song").children].map((line) => line.textContent);
  try {
    await navigator.clipboard.writeText(lines.join("\n").trim() + "\n");
    say("Copied.");
  } catch {
    say("The browser did not allow copying.");
  }
});

let dragged = 0;
const dropping = (by) => {
  dragged = Math.max(0, dragged + by);
  $("frame").classList.toggle("dropping", dragged > 0);
};
addEventListener("dragenter", () => dropping(1));
addEventListener("dragleave", () => dropping(-1));
// Without this the browser would leave the page to show the file.
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  dropping(-Infinity);
  const [file] = event.dataTransfer.files;
  if (file) usePicture(file, file.name);
});
addEventListener("paste", (event) => {
  const [file] = event.clipboardData?.files ?? [];
  if (file) usePicture(file, file.name || "The pasted picture");
});

for (const { file, label } of samples) {
  const image = document.createElement("img");
  image.src = new URL(`samples/${file}`, document.baseURI).href;
  image.alt = label;
  image.width = image.height = 96;
  const button = document.createElement("button");
  button.type = "button";
  button.title = label;
  button.append(image);
  button.addEventListener("click", async () => {
    try {
      const response = await fetch(image.src);
      if (!response.ok) throw new Error();
      await usePicture(await response.blob(), file);
    } catch {
      showProblem("The sample could not be downloaded. Check the connection and try again.");
    }
  });
  const item = document.createElement("li");
  item.append(button);
  $("samples").append(item);
}

const asked = query.get("device");
start({ device: asked === "cpu" || asked === "webgpu" ? asked : null });
