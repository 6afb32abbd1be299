/** A source with the time drawn into every frame of it, for measuring: the same picture otherwise, by way of a canvas. */

import { Ticker } from "./ticker.js";
import { trackOf } from "./track.js";
import { draw, stamp } from "./watermark.js";
import { MAX_FPS } from "./whip.js";

export class MarkedSource {
  #canvas = document.createElement("canvas");
  #context;
  #picture;
  #ticker;

  /** @param {HTMLElement} picture what shows the source: a video or a canvas */
  constructor(picture) {
    if (!(picture instanceof HTMLVideoElement || picture instanceof HTMLCanvasElement)) throw new TypeError("a source is shown by a video or a canvas");
    const context = this.#canvas.getContext("2d", { alpha: false });
    if (!context) throw new DOMException("This browser cannot draw.", "NotSupportedError");
    this.#picture = picture;
    this.#context = context;
    this.#draw();
    this.#ticker = new Ticker(MAX_FPS, () => this.#draw());
    this.track = trackOf(this.#canvas.captureStream());
  }

  close() {
    this.#ticker.close();
    this.track.stop();
  }

  #draw() {
    const { width, height } = sizeOf(this.#picture);
    if (width === 0 || height === 0) return; // nothing to see yet
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    this.#context.drawImage(this.#picture, 0, 0, width, height);
    draw(this.#context, stamp(performance.now()));
  }
}

/** @param {HTMLVideoElement | HTMLCanvasElement} picture */
function sizeOf(picture) {
  if (picture instanceof HTMLCanvasElement) return { width: picture.width, height: picture.height };
  return { width: picture.videoWidth, height: picture.videoHeight };
}
