/** The latency of up to the last minute and a half, stacked by stage. Drawn when a second is added, not every frame. */

import { STAGES } from "./stages.js";

const SECONDS = 90;
const LEAST_SECONDS = 30;
const FLOOR_MS = 40;

export class Plot {
  #canvas;
  /** @type {Record<string, number>[]} */
  #samples = [];

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** @param {Record<string, number>} stages ms by stage */
  add(stages) {
    this.#samples.push(stages);
    if (this.#samples.length > SECONDS) this.#samples.shift();
    this.draw();
  }

  clear() {
    this.#samples = [];
    this.draw();
  }

  /** Also to be called when the theme changes. */
  draw() {
    const context = this.#canvas.getContext("2d");
    const ratio = devicePixelRatio || 1;
    const width = this.#canvas.clientWidth;
    const height = this.#canvas.clientHeight;
    if (!context || width === 0 || height === 0) return;
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    context.scale(ratio, ratio);
    const style = getComputedStyle(this.#canvas);
    const top_ms = scaleOf(Math.max(...this.#samples.map(total), 0));
    const y = (/** @type {number} */ ms) => height - (ms / top_ms) * (height - 14);
    this.#drawStack(context, style, width, y);
    drawGrid(context, style, width, top_ms, y);
  }

  /** @param {CanvasRenderingContext2D} context @param {CSSStyleDeclaration} style @param {number} width @param {(ms: number) => number} y */
  #drawStack(context, style, width, y) {
    const count = this.#samples.length;
    const step = width / (Math.max(count, LEAST_SECONDS) - 1);
    const x = (/** @type {number} */ index) => width - (count - 1 - index) * step;
    let floor = this.#samples.map(() => 0);
    for (const { key } of STAGES) {
      const ceiling = floor.map((ms, index) => ms + (this.#samples[index]?.[key] ?? 0));
      context.fillStyle = style.getPropertyValue(`--stage-${key.replace("_", "-")}`);
      context.beginPath();
      ceiling.forEach((ms, index) => context.lineTo(x(index), y(ms)));
      for (let index = count - 1; index >= 0; index--) context.lineTo(x(index), y(floor[index] ?? 0));
      context.fill();
      floor = ceiling;
    }
  }
}

/** @param {CanvasRenderingContext2D} context @param {CSSStyleDeclaration} style @param {number} width @param {number} top_ms @param {(ms: number) => number} y */
function drawGrid(context, style, width, top_ms, y) {
  context.font = `10px ${style.fontFamily}`;
  context.textBaseline = "bottom";
  context.lineWidth = 1;
  for (const ms of [top_ms / 2, top_ms]) {
    const level = Math.round(y(ms)) + 0.5;
    context.strokeStyle = style.getPropertyValue("--plot-grid");
    context.beginPath();
    context.moveTo(0, level);
    context.lineTo(width, level);
    context.stroke();
    context.fillStyle = style.getPropertyValue("--text-faint");
    context.fillText(`${ms} ms`, 1, level - 1);
  }
}

/** @param {Record<string, number>} stages */
function total(stages) {
  return Object.values(stages).reduce((sum, ms) => sum + ms, 0);
}

/** The round number of ms that the plot ends at. @param {number} most_ms */
function scaleOf(most_ms) {
  const wanted = Math.max(most_ms * 1.08, FLOOR_MS);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 3, 4, 6, 8, 10].map((factor) => factor * power).find((round) => round >= wanted) ?? wanted;
}
