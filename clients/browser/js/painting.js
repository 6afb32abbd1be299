/** The drawing canvas: strokes over a moving landscape or plain paper, with undo. Always there, published on demand. */

import { drawScenery } from "./scenery.js";
import { trackOf } from "./track.js";
import { Ticker } from "./ticker.js";
import { MAX_FPS } from "./whip.js";

const WIDTH_PX = 640;
const HEIGHT_PX = 480;
const PAPER = "#f4efe4";

/** @typedef {{colour: string, width: number, points: [number, number, number][]}} Stroke points are x, y, pressure */

export class Painting {
  #context;
  #ink = new OffscreenCanvas(WIDTH_PX, HEIGHT_PX);
  #inkContext;
  /** @type {Stroke[]} */
  #strokes = [];
  /** @type {Stroke | null} */
  #stroke = null;
  /** @type {Ticker | null} */
  #ticker = null;
  #users = 0;

  colour = "#e2573d";
  brushPx = 16;
  scenery = true;
  /** @type {() => void} called when strokes were added or taken away */
  onChange = () => {};

  constructor() {
    this.element = document.createElement("canvas");
    this.element.width = WIDTH_PX;
    this.element.height = HEIGHT_PX;
    this.element.className = "painting";
    this.element.setAttribute("role", "img");
    this.element.setAttribute("aria-label", "Drawing canvas. Draw with a pointer; the tools beside it are reachable by keyboard.");
    const context = this.element.getContext("2d", { alpha: false });
    const inkContext = this.#ink.getContext("2d");
    if (!context || !inkContext) throw new DOMException("This browser cannot draw.", "NotSupportedError");
    this.#context = context;
    this.#inkContext = inkContext;
    this.element.addEventListener("pointerdown", (event) => this.#begin(event));
    this.element.addEventListener("pointermove", (event) => this.#extend(event));
    for (const end of ["pointerup", "pointercancel"]) this.element.addEventListener(end, () => this.#finish());
    this.#draw(performance.now());
  }

  /** How many strokes there are. */
  get strokes() {
    return this.#strokes.length;
  }

  undo() {
    this.#strokes.pop();
    this.#redraw();
  }

  clear() {
    this.#strokes = [];
    this.#redraw();
  }

  /** Moves while somebody looks; each call is undone by the function it returns. */
  animate() {
    this.#users += 1;
    this.#ticker ??= new Ticker(MAX_FPS, (nowMs) => this.#draw(nowMs));
    let animated = true;
    return () => {
      if (!animated) return;
      animated = false;
      this.#users -= 1;
      if (this.#users === 0) {
        this.#ticker?.close();
        this.#ticker = null;
      }
    };
  }

  /** @returns {import("./source.js").Source} */
  source() {
    const rest = this.animate();
    const track = trackOf(this.element.captureStream(MAX_FPS));
    const close = () => {
      rest();
      track.stop();
    };
    return { kind: "canvas", track, element: this.element, aspect: () => WIDTH_PX / HEIGHT_PX, close };
  }

  /** @param {number} nowMs */
  #draw(nowMs) {
    if (this.scenery) drawScenery(this.#context, WIDTH_PX, HEIGHT_PX, nowMs / 1000);
    else {
      this.#context.fillStyle = PAPER;
      this.#context.fillRect(0, 0, WIDTH_PX, HEIGHT_PX);
    }
    this.#context.drawImage(this.#ink, 0, 0);
  }

  /** @param {PointerEvent} event */
  #begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.element.setPointerCapture(event.pointerId);
    this.#stroke = { colour: this.colour, width: this.brushPx, points: [] };
    this.#strokes.push(this.#stroke);
    this.#add(event);
    this.onChange();
  }

  /** @param {PointerEvent} event */
  #extend(event) {
    if (!this.#stroke) return;
    const parts = event.getCoalescedEvents?.() ?? [];
    for (const part of parts.length > 0 ? parts : [event]) this.#add(part);
  }

  #finish() {
    this.#stroke = null;
  }

  /** @param {PointerEvent} event */
  #add(event) {
    if (!this.#stroke) return;
    const box = this.element.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH_PX;
    const y = ((event.clientY - box.top) / box.height) * HEIGHT_PX;
    const pressure = event.pointerType === "pen" ? 0.3 + event.pressure : 1;
    this.#stroke.points.push([x, y, pressure]);
    this.#drawFrom(this.#stroke, this.#stroke.points.length - 1);
  }

  #redraw() {
    this.#inkContext.clearRect(0, 0, WIDTH_PX, HEIGHT_PX);
    for (const stroke of this.#strokes) stroke.points.forEach((_, index) => this.#drawFrom(stroke, index));
    this.onChange();
  }

  /** Draws one segment of a stroke. @param {Stroke} stroke @param {number} index of the point it ends in */
  #drawFrom(stroke, index) {
    const end = stroke.points[index];
    const start = stroke.points[index - 1] ?? end;
    if (!start || !end) return;
    const ink = this.#inkContext;
    ink.strokeStyle = stroke.colour;
    ink.lineWidth = stroke.width * end[2];
    ink.lineCap = "round";
    ink.beginPath();
    ink.moveTo(start[0], start[1]);
    ink.lineTo(end[0], end[1]);
    ink.stroke();
  }
}
