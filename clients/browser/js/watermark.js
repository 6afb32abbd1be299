/**
 * A number drawn into the corner of a frame, legible after codecs and styling: what latency is measured with.
 * The layout is told in cmstream/core/watermark.py, and tests/console/watermark.json holds the two equal.
 */

export const VALUES = 2 ** 24;
/** The part of a frame that the mark covers, from the top left corner. */
export const SHARE = { width: 16 / 32, height: 3 / 24 };

const COLUMNS = 16;
const ROWS = 3;
const ACROSS = 32;
const DOWN = 24;
const HEAD = [1, 0, 1, 0];
const TAIL = [0, 1, 0, 1];
const VALUE_BITS = 24;
const CHECK_BITS = 16;
const LEAST_CONTRAST = 40;
const CLEAR = 0.15;
const POINTS = [5, 7, 9, 11];

/** The 48 cells of a value, row by row; 1 is white. @param {number} value */
export function cells(value) {
  return [...HEAD, ...bits(value, VALUE_BITS), ...bits(crc(value), CHECK_BITS), ...TAIL];
}

/**
 * Where each cell of a frame is and whether it is white, in whole pixels.
 * @param {number} value @param {number} width @param {number} height
 */
export function rectangles(value, width, height) {
  return cells(value).map((white, index) => {
    const column = index % COLUMNS;
    const row = Math.floor(index / COLUMNS);
    const [left, right] = [edge(column, width, ACROSS), edge(column + 1, width, ACROSS)];
    const [top, bottom] = [edge(row, height, DOWN), edge(row + 1, height, DOWN)];
    return { left, top, width: right - left, height: bottom - top, white: white === 1 };
  });
}

/** Draws the mark over a canvas's picture. @param {CanvasRenderingContext2D} context @param {number} value */
export function draw(context, value) {
  const { width, height } = context.canvas;
  for (const cell of rectangles(value, width, height)) {
    context.fillStyle = cell.white ? "#fff" : "#000";
    context.fillRect(cell.left, cell.top, cell.width, cell.height);
  }
}

/**
 * The value that a frame carries; null when there is none, or when it is damaged: never another value.
 * @param {Uint8ClampedArray} rgba of the frame's corner, rows of `stride` pixels @param {number} stride
 * @param {number} width of the whole frame @param {number} height
 */
export function read(rgba, stride, width, height) {
  const levels = [];
  for (let index = 0; index < COLUMNS * ROWS; index++) {
    const rows = points(Math.floor(index / COLUMNS), height, DOWN);
    const columns = points(index % COLUMNS, width, ACROSS);
    let sum = 0;
    for (const y of rows) {
      for (const x of columns) {
        const at = 4 * (y * stride + x);
        sum += (rgba[at] ?? 0) + (rgba[at + 1] ?? 0) + (rgba[at + 2] ?? 0);
      }
    }
    levels.push(sum / (3 * POINTS.length ** 2));
  }
  return valueOf(levels);
}

/** The value of 48 cells from their brightness, 0 to 255; null if they are no mark, or a damaged one. @param {number[]} levels */
export function valueOf(levels) {
  const ends = [...levels.slice(0, HEAD.length), ...levels.slice(-TAIL.length)];
  const truth = [...HEAD, ...TAIL];
  const black = mean(ends.filter((_, index) => truth[index] === 0));
  const contrast = mean(ends.filter((_, index) => truth[index] === 1)) - black;
  if (contrast < LEAST_CONTRAST) return null;
  const fromMiddle = levels.map((level) => (level - black) / contrast - 0.5);
  if (fromMiddle.some((distance) => Math.abs(distance) < CLEAR)) return null;
  const seen = fromMiddle.map((distance) => (distance > 0 ? 1 : 0));
  const value = parseInt(seen.slice(HEAD.length, HEAD.length + VALUE_BITS).join(""), 2);
  return cells(value).every((cell, index) => cell === seen[index]) ? value : null;
}

/** The value for a frame captured now. @param {number} now_ms */
export function stamp(now_ms) {
  return Math.floor(now_ms) % VALUES;
}

/** How long ago `stamp` gave this value, in ms. @param {number} value @param {number} now_ms */
export function age_ms(value, now_ms) {
  return (((now_ms - value) % VALUES) + VALUES) % VALUES;
}

/** CRC-16/IBM-3740 of the value's three bytes. @param {number} value */
function crc(value) {
  let sum = 0xffff;
  for (const byte of [value >> 16, (value >> 8) & 0xff, value & 0xff]) {
    sum ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) sum = sum & 0x8000 ? ((sum << 1) ^ 0x1021) & 0xffff : sum << 1;
  }
  return sum;
}

/** @param {number} number @param {number} count */
function bits(number, count) {
  return Array.from({ length: count }, (_, index) => (number >> (count - 1 - index)) & 1);
}

/** @param {number} cell @param {number} side @param {number} whole */
function edge(cell, side, whole) {
  return Math.floor((cell * side) / whole);
}

/** @param {number} cell @param {number} side @param {number} whole */
function points(cell, side, whole) {
  return POINTS.map((point) => Math.floor(((16 * cell + point) * side) / (16 * whole)));
}

/** @param {number[]} values */
function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
