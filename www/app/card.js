/**
 * A song as a picture: the photo above, the song below it as a song book sets it. Always in the
 * light palette, whatever the visitor's screen: it is paper.
 */
import { NOTES } from "./icons.js";
import { encode } from "./thumbnail.js";

/** Pixels. Songs too long for the height are set smaller. */
const WIDTH = 1200;
const MOST_HEIGHT = 1500;
const LEAST_HEIGHT = 720;
const MARGIN = 84;
/** The paper's frame stands this far from its edge. */
const FRAME = 36;
const LARGEST = 46;
const SMALLEST = 14;
/** So small the letters may become for lines that need no breaking. */
const UNBROKEN = 34;
const LEADING = 1.5;
/** Of a line that goes on, in letter heights. */
const INDENT = 1.5;
const COLOURS = { paper: "#fffdf9", ink: "#2a2420", soft: "#6d6359", line: "#ddd3c4", accent: "#8c3b2e" };
const NAME = "Neural Songwriter";
const CAPTION_SIZE = 27;
/** From the bottom edge to the rule above the name. */
const FOOT = 132;
/** Above and below the song, at least. */
const GAP = 52;
/** Height of the notes that stand in the picture's place. */
const ORNAMENT = 62;

/** @typedef {CanvasRenderingContext2D} Context */
/** @typedef {{text: string, indent: number, gap: boolean}} SetLine `gap`: a stanza begins here */
/** @typedef {{lines: SetLine[], width: number, height: number, size: number}} Verse a song set at one size */

function serif() {
  return getComputedStyle(document.documentElement).getPropertyValue("--serif") || "Georgia, serif";
}

/**
 * Breaks a line where it has to be broken.
 * @param {Context} context with the font set
 * @param {string} line @param {number} width @param {number} indent of what goes on
 * @returns {string[]}
 */
function broken(context, line, width, indent) {
  const pieces = [];
  let piece = "";
  const fits = (/** @type {string} */ text) => context.measureText(text).width <= width - (pieces.length > 0 ? indent : 0);
  for (const word of line.trim().split(/\s+/)) {
    const longer = piece ? `${piece} ${word}` : word;
    if (fits(longer)) {
      piece = longer;
      continue;
    }
    if (piece) pieces.push(piece);
    piece = "";
    // A word wider than the page is cut.
    for (const letter of word) {
      if (piece && !fits(piece + letter)) {
        pieces.push(piece);
        piece = "";
      }
      piece += letter;
    }
  }
  pieces.push(piece);
  return pieces;
}

/**
 * Sets a song at one size.
 * @param {Context} context @param {string} text @param {number} size @param {number} width
 * @returns {Verse}
 */
function set(context, text, size, width) {
  context.font = `${size}px ${serif()}`;
  /** @type {SetLine[]} */
  const lines = [];
  let gap = false;
  for (const line of text.trim().split("\n")) {
    if (line.trim() === "") {
      gap = true;
      continue;
    }
    broken(context, line, width, INDENT * size).forEach((piece, i) => {
      lines.push({ text: piece, indent: i > 0 ? INDENT * size : 0, gap: gap && i === 0 });
    });
    gap = false;
  }
  const gaps = lines.filter((line) => line.gap).length;
  return {
    lines,
    size,
    width: Math.max(...lines.map((line) => line.indent + context.measureText(line.text).width)),
    height: (lines.length + gaps * 0.7) * LEADING * size,
  };
}

/** The tallest and the flattest picture, and how flat it may become for the song's sake. @param {HTMLImageElement} image */
function pictureHeights(image) {
  const wanted = ((WIDTH - 2 * MARGIN) * image.naturalHeight) / image.naturalWidth;
  const most = Math.min(Math.max(wanted, 460), 760);
  return [most, Math.min(most, 620), Math.min(most, 500), 400];
}

/**
 * The largest setting that fits, or one a little smaller that breaks no line.
 * @param {Context} context @param {string} text @param {number[]} pictureHeights to choose from
 * @param {number} rest height of all but song and picture
 * @returns {{song: Verse, pictureHeight: number}}
 */
function fit(context, text, pictureHeights, rest) {
  const width = WIDTH - 2 * MARGIN - 40;
  /** @type {{song: Verse, pictureHeight: number} | null} */
  let largest = null;
  for (let size = LARGEST; size >= SMALLEST; size -= 2) {
    const song = set(context, text, size, width);
    // First the picture gives way a little, then the letters, then both.
    const heights = size > UNBROKEN ? pictureHeights.filter((height, i) => i === 0 || height >= 600) : pictureHeights;
    const pictureHeight = heights.find((height) => song.height + height + rest <= MOST_HEIGHT);
    if (pictureHeight !== undefined) {
      largest ??= { song, pictureHeight };
      if (song.lines.every(({ indent }) => indent === 0)) return { song, pictureHeight };
    }
    if (size <= UNBROKEN && largest) return largest;
  }
  // Longer than any song that is written here: the card grows.
  const song = set(context, text, SMALLEST, width);
  return { song, pictureHeight: pictureHeights[pictureHeights.length - 1] };
}

/**
 * Draws as much of a picture as fills a box, from above its middle, where faces are.
 * @param {Context} context @param {HTMLImageElement} image
 * @param {number} x @param {number} y @param {number} width @param {number} height
 */
function drawPicture(context, image, x, y, width, height) {
  const scale = Math.max(width / image.naturalWidth, height / image.naturalHeight);
  const [cutWidth, cutHeight] = [width / scale, height / scale];
  const left = (image.naturalWidth - cutWidth) / 2;
  const top = (image.naturalHeight - cutHeight) * 0.32;
  context.save();
  context.beginPath();
  context.roundRect(x, y, width, height, 10);
  context.clip();
  context.imageSmoothingQuality = "high";
  context.drawImage(image, left, top, cutWidth, cutHeight, x, y, width, height);
  context.restore();
  context.strokeStyle = "rgb(70 45 25 / 18%)";
  context.lineWidth = 1.5;
  context.beginPath();
  context.roundRect(x, y, width, height, 10);
  context.stroke();
}

/** @param {Context} context @param {number} y of the top */
function drawOrnament(context, y) {
  const scale = ORNAMENT / 18;
  context.save();
  context.translate(WIDTH / 2 - 11.5 * scale, y - 4 * scale);
  context.scale(scale, scale);
  context.strokeStyle = COLOURS.accent;
  context.lineWidth = 1.1;
  context.lineJoin = context.lineCap = "round";
  context.stroke(new Path2D(NOTES));
  context.restore();
}

/** @param {Context} context @param {number} height */
function drawFoot(context, height) {
  context.fillStyle = COLOURS.accent;
  context.fillRect(WIDTH / 2 - 30, height - FOOT, 60, 2);
  context.fillStyle = COLOURS.soft;
  context.font = `26px ${serif()}`;
  context.textAlign = "center";
  context.letterSpacing = "1.5px";
  context.fillText(NAME, WIDTH / 2, height - FOOT + 52);
  context.letterSpacing = "0px";
}

/**
 * @param {{text: string, caption: string}} song
 * @param {HTMLImageElement | null} image
 * @returns {Promise<Blob>} PNG
 */
export async function drawCard(song, image) {
  await document.fonts.ready;
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser does not draw pictures.");
  try {
    context.font = `italic ${CAPTION_SIZE}px ${serif()}`;
    const caption = song.caption.trim() ? broken(context, song.caption, WIDTH - 2 * MARGIN - 120, 0) : [];
    const captionHeight = caption.length * CAPTION_SIZE * 1.45;
    const top = image ? MARGIN : MARGIN + 26 + ORNAMENT;
    // Between picture, caption, song and foot.
    const rest = top + captionHeight + 34 + 2 * GAP + FOOT;
    const { song: verse, pictureHeight } = fit(context, song.text, image ? pictureHeights(image) : [0], rest);
    const height = Math.round(Math.max(LEAST_HEIGHT, rest + pictureHeight + verse.height));

    canvas.width = WIDTH;
    canvas.height = height;
    context.fillStyle = COLOURS.paper;
    context.fillRect(0, 0, WIDTH, height);
    context.strokeStyle = COLOURS.line;
    context.lineWidth = 2;
    context.strokeRect(FRAME, FRAME, WIDTH - 2 * FRAME, height - 2 * FRAME);

    let y = top;
    const drawCaption = () => {
      context.fillStyle = COLOURS.soft;
      context.font = `italic ${CAPTION_SIZE}px ${serif()}`;
      context.textAlign = "center";
      for (const line of caption) context.fillText(line, WIDTH / 2, (y += CAPTION_SIZE * 1.45));
    };
    if (image) {
      drawPicture(context, image, MARGIN, y, WIDTH - 2 * MARGIN, pictureHeight);
      y += pictureHeight + 12;
      drawCaption();
    } else {
      drawOrnament(context, MARGIN + 26);
    }

    // The song stands in the middle of what is left, its longest line in the middle of the page.
    const block = verse.height + (image || caption.length === 0 ? 0 : captionHeight + 34);
    y += (height - FOOT - y - block) / 2;
    context.fillStyle = COLOURS.ink;
    context.font = `${verse.size}px ${serif()}`;
    context.textAlign = "left";
    const x = (WIDTH - verse.width) / 2;
    for (const { text, indent, gap } of verse.lines) {
      y += LEADING * verse.size * (gap ? 1.7 : 1);
      context.fillText(text, x + indent, y - 0.42 * verse.size);
    }
    if (!image) {
      y += 34;
      drawCaption();
    }
    drawFoot(context, height);
    const blob = await encode(canvas, "image/png");
    if (!blob) throw new Error("The picture card could not be made. Try again, or save the song as text.");
    return blob;
  } finally {
    // Some browsers hold on to the pixels for long otherwise.
    canvas.width = canvas.height = 0;
  }
}
