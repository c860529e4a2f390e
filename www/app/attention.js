/**
 * Where the songwriter looked for each word of its caption: the words stand under the picture, and
 * the one that is pointed at (or has the focus, or was tapped) leaves light what it came from.
 */
import { $ } from "./dom.js";

/** Of the large canvas that the shares are stretched over, in pixels. */
const SIDE = 168;
/** How dark the least looked-at part becomes, of 255. */
const SHADE = 190;

/**
 * Darkens what was looked at less than the rest, however small the difference, as it is for words
 * like "a".
 * @param {CanvasRenderingContext2D} context @param {number[]} shares of as many rows as columns, row by row
 * @param {number} width @param {number} height of the whole picture on the canvas
 */
export function drawShade(context, shares, width, height) {
  const side = Math.round(Math.sqrt(shares.length));
  const small = document.createElement("canvas");
  small.width = small.height = side;
  const fields = /** @type {CanvasRenderingContext2D} */ (small.getContext("2d"));
  const pixels = fields.createImageData(side, side);
  const [least, most] = [Math.min(...shares), Math.max(...shares)];
  shares.forEach((share, i) => {
    pixels.data[4 * i + 3] = SHADE * (1 - (share - least) / (most - least || 1));
  });
  fields.putImageData(pixels, 0, 0);
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, width, height);
}

/** Shades the picture. @param {number[]} shares */
function shade(shares) {
  const image = $("preview");
  // The picture was squashed to a square; its shade gets the picture's own proportions again.
  const canvas = $("looking");
  const ratio = image.naturalWidth / image.naturalHeight || 1;
  canvas.width = Math.max(1, Math.round(SIDE * Math.min(1, ratio)));
  canvas.height = Math.max(1, Math.round(SIDE / Math.max(1, ratio)));
  drawShade(canvas.getContext("2d"), shares, canvas.width, canvas.height);
  canvas.classList.add("on");
}

function lighten() {
  $("looking").classList.remove("on");
}

/**
 * Shows the words of a caption, or none.
 * @param {import("./protocol.js").SeenWord[]} words
 */
export function showSeen(words) {
  lighten();
  const seen = words.filter(({ attention }) => attention.length > 0);
  $("seen").classList.toggle("filled", seen.length > 0);
  $("seen-words").replaceChildren(
    ...seen.map(({ word, attention }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = word;
      const show = () => shade(attention);
      button.addEventListener("pointerenter", show);
      button.addEventListener("focus", show);
      button.addEventListener("click", show);
      button.addEventListener("pointerleave", lighten);
      button.addEventListener("blur", lighten);
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
}
