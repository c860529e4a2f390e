/**
 * The worker: downloads the models, picks the device and runs the songwriter there, so that the
 * page stays free to scroll, stop and draw.
 */
import init, { Engine } from "./neural-songwriter.js";
import { download } from "./download.js";

/** How long a song may keep the worker from hearing "stop", in milliseconds. */
const HEARING_PAUSE = 30;
/** How long WebGPU may take over its trial before the CPU gets the work, in milliseconds. */
const TRIAL_LIMIT = 15_000;

/** @type {Engine | null} */
let engine = null;
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

self.onmessage = ({ data: request }) => {
  if (request.kind === "stop") {
    if (songs.has(request.id)) songs.set(request.id, true);
    return;
  }
  if (request.kind === "write") songs.set(request.id, false);
  tail = tail.then(() => answer(request));
};

/** @param {import("./protocol.js").Request} request */
async function answer(request) {
  const { id, kind } = request;
  try {
    const value = await handlers[kind](request);
    self.postMessage({ id, kind: "done", value });
  } catch (error) {
    // A trap leaves the Rust side half done: let it end the worker as any uncaught error would.
    if (error instanceof WebAssembly.RuntimeError) {
      setTimeout(() => {
        throw error;
      });
      return;
    }
    self.postMessage({ id, kind: "failed", message: error instanceof Error ? error.message : String(error) });
  } finally {
    songs.delete(id);
  }
}

const handlers = {
  async open({ id, device, models, fresh }) {
    const where = { code: new URL(".", import.meta.url), models: new URL(models), fresh };
    const arriving = await download(where, (loaded, total) =>
      self.postMessage({ id, kind: "progress", loaded, total }),
    );
    await init({ module_or_path: arriving.wasm });
    const files = await arriving.models;
    const open = (device) => Engine.open(device, files.captioner, files.lyricist);
    const chosen = await choose(device, open);
    engine = chosen.engine;
    return { device: engine.device(), why: chosen.why, options: Engine.options() };
  },

  caption: ({ bytes, name, beam }) => engine.caption(bytes, name, beam),

  keywords: ({ text }) => engine.keywords(text),

  async write({ id, options }) {
    /** What has grown since the page last heard of it. @type {Map<number, string>} */
    const unsent = new Map();
    let heard = performance.now();
    const send = () => {
      for (const [song, text] of unsent) self.postMessage({ id, kind: "text", song, text });
      unsent.clear();
    };
    const goesOn = () => !songs.get(id);
    const start = heard;
    const written = await engine.write(options, ({ song, text }) => {
      unsent.set(song, text);
      const now = performance.now();
      if (now - heard < HEARING_PAUSE) return goesOn();
      heard = now;
      send();
      return turn().then(goesOn);
    });
    send();
    return { ...written, seconds: (performance.now() - start) / 1000 };
  },

  foresee: ({ text, options }) => engine.foresee(text, options),

  picture_digest: ({ bytes, name }) => Engine.picture_digest(bytes, name),

  picture_features: ({ bytes, name }) => engine.picture_features(bytes, name),

  lyricist_logits: ({ text }) => engine.lyricist_logits(text),
};

/**
 * Picks the device: as asked, else whichever writes faster here.
 * @param {"webgpu" | "cpu" | null} wanted
 * @param {(device: "webgpu" | "cpu") => Promise<Engine>} open
 * @returns {Promise<{engine: Engine, why: string}>}
 */
async function choose(wanted, open) {
  if (wanted === "cpu") return { engine: await open("cpu"), why: "Runs on your CPU, as the address asks." };
  if (wanted === "webgpu") {
    return { engine: await open("webgpu"), why: "Runs on your graphics card through WebGPU, as the address asks." };
  }
  const cpu = await open("cpu");
  const onCpu = (reason) => ({ engine: cpu, why: `Runs on your CPU: ${reason}.` });
  const obstacle = await webgpuObstacle();
  if (obstacle) return onCpu(obstacle);
  let gpu = null;
  let run = null;
  let timer;
  try {
    const tooLong = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no song within ${TRIAL_LIMIT / 1000} s`)), TRIAL_LIMIT);
    });
    const trial = async () => {
      gpu = await open("webgpu");
      return charsPerSecond(gpu);
    };
    run = trial();
    const gpuSpeed = await Promise.race([run, tooLong]);
    const cpuSpeed = await charsPerSecond(cpu);
    const speeds = [gpuSpeed, cpuSpeed].map((speed) => Math.round(speed).toLocaleString("en"));
    if (gpuSpeed > cpuSpeed) {
      cpu.free();
      return {
        engine: gpu,
        why: `Runs on your graphics card through WebGPU: it writes ${speeds[0]} letters a second, your CPU ${speeds[1]}.`,
      };
    }
    gpu.free();
    return onCpu(`it writes ${speeds[1]} letters a second, WebGPU ${speeds[0]}`);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) throw error;
    console.info("WebGPU is not used:", error);
    // A trial that took too long ends by itself; its engine is of no use then.
    run?.finally(() => gpu?.free()).catch(() => {});
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
  if (adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter) return "WebGPU is only emulated here";
  return null;
}

/** @param {Engine} engine */
async function charsPerSecond(engine) {
  const options = { temperature: 0.8, random_seed: "1", lines: 1, songs: 1, choose: false };
  // The first characters pay for compiled shaders and cold caches.
  let left = 4;
  await engine.write(options, () => --left > 0);
  const start = performance.now();
  const { songs } = await engine.write(options, () => true);
  return ([...songs[0].text].length * 1000) / Math.max(performance.now() - start, 0.1);
}
