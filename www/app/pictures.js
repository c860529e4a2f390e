/**
 * Pictures on their way in: chosen, dropped, pasted, or one of the samples.
 */
import { $ } from "./dom.js";
import { samples } from "./samples.js";

/** Larger files are hardly pictures, and would fill the memory twice. */
const MAX_FILE = 64 * 1024 * 1024;
/** What browsers can show and the songwriter can't read: redrawn as PNG. */
const REDRAWN = /^image\/(avif|heic|heif|jxl|svg\+xml|tiff)$/;

/** Shows a picture in its frame, or none. @param {Blob | null} blob */
export async function preview(blob) {
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
 * @param {Blob} blob @param {string} name
 * @returns {Promise<Uint8Array>} a file that the songwriter can read, if the browser can read this one
 */
export async function readable(blob, name) {
  if (blob.size > MAX_FILE) {
    throw new Error(`${name} is larger than ${MAX_FILE / 1024 / 1024} MB. Make it smaller and try again.`);
  }
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
      canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
      URL.revokeObjectURL(image.src);
      source = (await new Promise((/** @type {BlobCallback} */ resolve) => canvas.toBlob(resolve, "image/png"))) ?? blob;
    } catch {
      source = blob;
    }
  }
  return new Uint8Array(await source.arrayBuffer());
}

/**
 * Listens for pictures.
 * @param {(blob: Blob, name: string) => void} use
 * @param {(text: string) => void} complain
 */
export function listen(use, complain) {
  $("file").addEventListener("change", (/** @type {any} */ { target }) => {
    const [file] = target.files;
    if (file) use(file, file.name);
    // So that picking the same file again counts as a change.
    target.value = "";
  });

  let dragged = 0;
  const dropping = (/** @type {number} */ by) => {
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
    const [file] = event.dataTransfer?.files ?? [];
    if (file) use(file, file.name);
  });
  addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) use(file, file.name || "The pasted picture");
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
        use(await response.blob(), file);
      } catch {
        complain("The sample could not be downloaded. Check the connection and try again.");
      }
    });
    const item = document.createElement("li");
    item.append(button);
    $("samples").append(item);
  }
}
