/**
 * A picture from the camera: a dialog that says what the browser is about to ask, shows what the
 * camera sees, and lets go of it when it closes.
 */
import { $ } from "./dom.js";

/** Longest side asked of the camera: the songwriter looks at 224 x 224 pixels, the card shows 1,200. */
const WIDTH = 1280;

/** What to do about each way in which a camera can be refused. @type {Record<string, string>} */
const REFUSALS = {
  NotAllowedError:
    "This page may not use the camera. Allow it beside the address of the page (the camera or lock symbol), then try again.",
  NotFoundError: "There is no camera here. Choose a picture from your files instead.",
  OverconstrainedError: "There is no camera here. Choose a picture from your files instead.",
  NotReadableError: "The camera is there but gives no picture. Close other programs that use it, then try again.",
};

/** Which camera is asked for: the one that looks away from the visitor, first. @type {"environment" | "user"} */
let facing = "environment";
/** @type {MediaStream | null} */
let stream = null;
/** Grows with each try: a camera that opens after the dialog was closed is let go. */
let turn = 0;

function letGo() {
  turn += 1;
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  $("camera-view").srcObject = null;
}

async function look() {
  letGo();
  const mine = turn;
  $("camera-shoot").disabled = true;
  $("camera-again").hidden = true;
  $("camera-turn").hidden = true;
  $("camera-text").textContent = "Your browser asks whether this page may use the camera. What it sees stays on this device.";
  try {
    const found = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { facingMode: facing, width: { ideal: WIDTH } },
    });
    if (mine !== turn) {
      for (const track of found.getTracks()) track.stop();
      return;
    }
    stream = found;
    const view = $("camera-view");
    view.srcObject = found;
    await view.play();
    $("camera").classList.add("live");
    $("camera-text").textContent = "The picture stays on this device.";
    $("camera-shoot").disabled = false;
    $("camera-shoot").focus();
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
    $("camera-turn").hidden = cameras.length < 2;
  } catch (error) {
    if (mine !== turn) return;
    letGo();
    $("camera").classList.remove("live");
    $("camera-text").textContent =
      REFUSALS[/** @type {Error} */ (error).name] ?? "The camera could not be opened. Try again, or choose a picture from your files.";
    $("camera-again").hidden = false;
    $("camera-again").focus();
  }
}

/** What the camera sees now, as a JPEG file. @returns {Promise<Blob>} */
function shoot() {
  const view = $("camera-view");
  const canvas = document.createElement("canvas");
  canvas.width = view.videoWidth;
  canvas.height = view.videoHeight;
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).drawImage(view, 0, 0);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/jpeg", 0.92);
  });
}

/**
 * Offers the camera where there is a way to ask for it (browsers have none on plain http).
 * @param {(blob: Blob, name: string) => void} use
 */
export function offerCamera(use) {
  if (!navigator.mediaDevices?.getUserMedia) return;
  const dialog = $("camera", HTMLDialogElement);
  $("camera-open").hidden = false;
  $("camera-open").addEventListener("click", () => {
    dialog.classList.remove("live");
    dialog.showModal();
    look();
  });
  $("camera-again").addEventListener("click", look);
  $("camera-turn").addEventListener("click", () => {
    facing = facing === "user" ? "environment" : "user";
    look();
  });
  $("camera-shoot").addEventListener("click", async () => {
    try {
      const blob = await shoot();
      dialog.close();
      use(blob, "The photo");
    } catch {
      $("camera-text").textContent = "The camera gave no picture. Try once more.";
    }
  });
  $("camera-close").addEventListener("click", () => dialog.close());
  // However it was closed: with Escape too, and when the visitor leaves for another tab for good.
  dialog.addEventListener("close", letGo);
  addEventListener("pagehide", () => dialog.open && dialog.close());
}
