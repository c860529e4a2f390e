/**
 * The worker: downloads the models, picks the device and runs the songwriter there, so that the
 * page stays free to scroll, stop and draw.
 */
import init, { Engine } from "./neural-songwriter.js";
import { download } from "./download.js";
import { Failure, asFailure } from "./failure.js";
import { lostWithin, watchGpu } from "./gpu.js";

/** How long a song may keep the worker from hearing "stop", in milliseconds. */
const HEARING_PAUSE = 30;
/** How long WebGPU may take over its trial before the CPU gets the work, in milliseconds. */
const TRIAL_LIMIT = 15_000;
/** How long an error may wait for the news that explains it, in milliseconds. */
const GPU_NEWS = 500;

/** What it means when a request fails and nobody knows better. @type {Partial<Record<Request["kind"], import("./failure.js").Code>>} */
const CODES = { open: "unsupported", caption: "bad-picture" };

/** @typedef {import("./protocol.js").Request} Request */
/** @typedef {import("./protocol.js").Device} Device */

/** Set by the first request, `open`. @type {Engine} */
let engine;
/** What becomes of the work when the graphics card is lost; null while it is not needed. @type {((failure: Failure) => void) | null} */
let onGpuLoss = null;
/** Songs asked for and not finished, and whether each is to stop. @type {Map<number, boolean>} */
const songs = new Map();
/** Ends with the last request: they run one after the other. */
let tail = Promise.resolve();

const { port1: hears, port2: calls } = new MessageChannel();

/** Lets waiting messages in. A timer would do, but browsers stretch nested ones to 4 ms and more. */
const turn = () =>
  new Promise((resolve) => {
    hears.onmessage = resolve;
    calls.postMessage(null);
  });

/** @param {import("./protocol.js").Answer | import("./protocol.js").News} message */
const send = (message) => self.postMessage(message);

self.onmessage = (/** @type {MessageEvent<Request>} */ { data: request }) => {
  if (request.kind === "ping") return send({ id: 0, kind: "pong" });
  if (request.kind === "stop") {
    if (songs.has(request.id)) songs.set(request.id, true);
    return;
  }
  if (request.kind === "write") songs.set(request.id, false);
  tail = tail.then(() => answer(request));
};

/** @param {Exclude<Request, {kind: "stop" | "ping"}>} request */
async function answer(request) {
  const { id, kind } = request;
  try {
    const value = await /** @type {(request: any) => any} */ (handlers[kind])(request);
    send({ id, kind: "done", value });
  } catch (error) {
    // A trap leaves the Rust side half done: let it end the worker as any uncaught error would.
    if (error instanceof WebAssembly.RuntimeError) {
      setTimeout(() => {
        throw error;
      });
      return;
    }
    // The news of a lost graphics card may come after the errors that it leads to, and says more.
    if (onGpuLoss && (await lostWithin(GPU_NEWS))) return;
    const { code, message } = asFailure(error, CODES[kind] ?? "bad-request");
    const sentence = code === "unsupported" ? `This browser can't run the songwriter; a newer one may. (${message})` : message;
    send({ id, kind: "failed", code, message: sentence });
  } finally {
    songs.delete(id);
  }
}

/**
 * Sets up the networks. What goes wrong here has a name of its own.
 * @param {Device} device @param {import("./download.js").Models} files
 */
async function open(device, files) {
  try {
    return await Engine.open(device, files.captioner, files.lyricist);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) throw error;
    throw asFailure(error, /WebGPU/.test(String(error)) ? "no-device" : "damaged");
  }
}

const handlers = {
  /** @param {Extract<Request, {kind: "open"}>} request */
  async open({ id, device, models, fresh }) {
    const where = { code: new URL(".", import.meta.url), models: new URL(models), fresh };
    let total = 0;
    const arriving = await download(where, (progress) => {
      total = progress.total;
      send({ id, kind: "progress", ...progress });
    });
    await init({ module_or_path: arriving.wasm });
    const files = await arriving.models;
    send({ id, kind: "progress", stage: "tuning", loaded: total, total });
    const chosen = await choose(device, (device) => open(device, files));
    engine = chosen.engine;
    return { device: engine.device(), why: chosen.why, options: Engine.options() };
  },

  /** @param {Extract<Request, {kind: "caption"}>} request */
  caption: ({ bytes, name, beam }) => engine.caption(bytes, name, beam),

  /** @param {Extract<Request, {kind: "keywords"}>} request */
  keywords: ({ text }) => engine.keywords(text),

  /** @param {Extract<Request, {kind: "write"}>} request */
  async write({ id, options }) {
    /** What has grown since the page last heard of it. @type {Map<number, string>} */
    const unsent = new Map();
    let heard = performance.now();
    const tell = () => {
      for (const [song, text] of unsent) send({ id, kind: "text", song, text });
      unsent.clear();
    };
    const goesOn = () => !songs.get(id);
    const start = heard;
    const written = await engine.write(options, (/** @type {{song: number, text: string}} */ { song, text }) => {
      unsent.set(song, text);
      const now = performance.now();
      if (now - heard < HEARING_PAUSE) return goesOn();
      heard = now;
      tell();
      return turn().then(goesOn);
    });
    tell();
    return { ...written, seconds: (performance.now() - start) / 1000 };
  },

  /** @param {Extract<Request, {kind: "foresee"}>} request */
  foresee: ({ text, options }) => engine.foresee(text, options),

  /** @param {Extract<Request, {kind: "picture_digest"}>} request */
  picture_digest: ({ bytes, name }) => Engine.picture_digest(bytes, name),

  /** @param {Extract<Request, {kind: "picture_features"}>} request */
  picture_features: ({ bytes, name }) => engine.picture_features(bytes, name),

  /** @param {Extract<Request, {kind: "lyricist_logits"}>} request */
  lyricist_logits: ({ text }) => engine.lyricist_logits(text),
};

/**
 * Picks the device: as asked, else whichever writes faster here.
 * @param {Device | null} wanted
 * @param {(device: Device) => Promise<Engine>} open
 * @returns {Promise<{engine: Engine, why: string}>}
 */
async function choose(wanted, open) {
  if (wanted === "cpu") return { engine: await open("cpu"), why: "Runs on your CPU, as the address asks." };
  /** Nothing helps then but another worker. @param {Failure} failure */
  const giveUp = ({ code, message }) => send({ id: 0, kind: "broken", code, message });
  if (wanted === "webgpu") {
    onGpuLoss = giveUp;
    return { engine: await open("webgpu"), why: "Runs on your graphics card through WebGPU, as the address asks." };
  }
  const cpu = await open("cpu");
  /** @param {string} reason */
  const onCpu = (reason) => ({ engine: cpu, why: `Runs on your CPU: ${reason}.` });
  const obstacle = await webgpuObstacle();
  if (obstacle) return onCpu(obstacle);
  /** @type {Engine | null} */
  let gpu = null;
  /** @type {Promise<number> | null} */
  let run = null;
  let timer = 0;
  try {
    /** @type {Promise<never>} */
    const inVain = new Promise((_, reject) => {
      timer = self.setTimeout(() => reject(new Error(`no song within ${TRIAL_LIMIT / 1000} s`)), TRIAL_LIMIT);
      onGpuLoss = reject;
    });
    const trial = async () => {
      gpu = await open("webgpu");
      return charsPerSecond(gpu);
    };
    run = trial();
    const gpuSpeed = await Promise.race([run, inVain]);
    const cpuSpeed = await charsPerSecond(cpu);
    const speeds = [gpuSpeed, cpuSpeed].map((speed) => Math.round(speed).toLocaleString("en"));
    if (gpu && gpuSpeed > cpuSpeed) {
      onGpuLoss = giveUp;
      cpu.free();
      return {
        engine: gpu,
        why: `Runs on your graphics card through WebGPU: it writes ${speeds[0]} letters a second, your CPU ${speeds[1]}.`,
      };
    }
    onGpuLoss = null;
    /** @type {Engine | null} */ (gpu)?.free();
    return onCpu(`it writes ${speeds[1]} letters a second, WebGPU ${speeds[0]}`);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) throw error;
    onGpuLoss = null;
    console.info("WebGPU is not used:", error);
    // A trial that took too long ends by itself; its engine is of no use then.
    run?.finally(() => /** @type {Engine | null} */ (gpu)?.free()).catch(() => {});
    return onCpu("WebGPU is there but did not work");
  } finally {
    clearTimeout(timer);
  }
}

/** Why WebGPU is not worth a trial, as the end of a sentence; null if it is. */
async function webgpuObstacle() {
  if (!navigator.gpu) return "this browser offers no WebGPU";
  const adapter = await navigator.gpu.requestAdapter().catch(() => null);
  if (!adapter) return "WebGPU finds no graphics card here";
  // An emulation on the CPU: many times slower than the CPU without the detour.
  // Older browsers say so in another place.
  if (adapter.info?.isFallbackAdapter ?? /** @type {any} */ (adapter).isFallbackAdapter) return "WebGPU is only emulated here";
  return null;
}

/** @param {Engine} engine */
async function charsPerSecond(engine) {
  /** @type {import("./protocol.js").WriteOptions} */
  const options = { temperature: 0.8, random_seed: "1", lines: 1, songs: 1, choose: false };
  // The first characters pay for compiled shaders and cold caches.
  let left = 4;
  await engine.write(options, () => --left > 0);
  const start = performance.now();
  const { songs } = await engine.write(options, () => true);
  return ([...songs[0].text].length * 1000) / Math.max(performance.now() - start, 0.1);
}

watchGpu((failure) => onGpuLoss?.(failure));

// Held as long as this worker lives: so the page hears of its end, whatever ends it.
const lock = `neural-songwriter worker ${Date.now()} ${Math.random()}`;
const alive = (/** @type {string | null} */ held) => send({ id: 0, kind: "alive", lock: held });
if (navigator.locks) {
  const held = () => {
    alive(lock);
    return new Promise(() => {});
  };
  navigator.locks.request(lock, held).catch(() => alive(null));
} else {
  alive(null);
}
