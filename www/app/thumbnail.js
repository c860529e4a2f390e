/**
 * Small copies of the picture, to keep beside a song.
 *
 * @typedef {{type: string, bytes: ArrayBuffer}} Thumbnail
 *   Bytes, since not every browser stores a blob.
 */

/** The longer side, in pixels. */
const SIDE = 512;
/** Most bytes. */
export const MOST_BYTES = 120_000;
/** From good to just good enough. */
const QUALITIES = [0.82, 0.65, 0.45, 0.25];
/** How files of each type begin; where WebP's name stands is checked apart. */
const BEGINNINGS = {
  "image/jpeg": [0xff, 0xd8, 0xff],
  "image/png": [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
  "image/webp": [0x52, 0x49, 0x46, 0x46],
};

/** The picture in the frame, if there is one. @returns {HTMLImageElement | null} */
export function shownPicture() {
  const image = /** @type {HTMLImageElement} */ (document.getElementById("preview"));
  return !image.hidden && image.complete && image.naturalWidth > 0 ? image : null;
}

/**
 * @param {HTMLCanvasElement} canvas @param {string} type @param {number} [quality]
 * @returns {Promise<Blob | null>}
 */
export function encode(canvas, type, quality) {
  return new Promise((resolve) => canvas.toBlob(resolve, type, quality));
}

/**
 * @param {HTMLImageElement | null} image
 * @returns {Promise<Thumbnail | null>} null where there is no picture, or none that can be copied
 */
export async function thumbnail(image) {
  if (!image) return null;
  const canvas = document.createElement("canvas");
  try {
    const scale = Math.min(1, SIDE / Math.max(image.naturalWidth, image.naturalHeight));
    canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
    canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
    const context = canvas.getContext("2d");
    if (!context) return null;
    context.imageSmoothingQuality = "high";
    // JPEG has no transparency; black would show through otherwise.
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    for (const quality of QUALITIES) {
      const blob = await encode(canvas, "image/jpeg", quality);
      if (blob && blob.size <= MOST_BYTES) return { type: blob.type, bytes: await blob.arrayBuffer() };
    }
    return null;
  } catch {
    // Some browsers lock a canvas that an SVG was drawn on. The song is kept without its picture.
    return null;
  } finally {
    // Some browsers hold on to the pixels for long otherwise.
    canvas.width = canvas.height = 0;
  }
}

/**
 * A thumbnail as a file that an image element may show, if it is what it says it is.
 * @param {Thumbnail | null} kept
 * @returns {Blob | null}
 */
export function asBlob(kept) {
  const { type, bytes } = kept ?? {};
  if (!(bytes instanceof ArrayBuffer) || bytes.byteLength > MOST_BYTES) return null;
  const beginning = BEGINNINGS[/** @type {keyof typeof BEGINNINGS} */ (type)];
  const found = new Uint8Array(bytes);
  if (!beginning?.every((byte, i) => found[i] === byte)) return null;
  if (type === "image/webp" && String.fromCharCode(...found.subarray(8, 12)) !== "WEBP") return null;
  return new Blob([bytes], { type });
}
