/** Reads the mark of every frame that a video shows, and how long ago it was drawn on this page. */

import { SHARE, age_ms, read } from "./watermark.js";

export class MarkReader {
  #corner = new OffscreenCanvas(1, 1);
  #context;
  #video;
  #onFrame;
  /** @type {number | null} */
  #waiting = null;

  /**
   * @param {HTMLVideoElement} video
   * @param {(latency_ms: number | null) => void} onFrame null for a frame whose mark is missing or damaged
   */
  constructor(video, onFrame) {
    const context = this.#corner.getContext("2d", { alpha: false, willReadFrequently: true });
    if (!context) throw new DOMException("This browser cannot draw.", "NotSupportedError");
    this.#context = context;
    this.#video = video;
    this.#onFrame = onFrame;
    this.#wait();
  }

  /** Whether this browser tells of the frames it shows. */
  static get possible() {
    return "requestVideoFrameCallback" in HTMLVideoElement.prototype;
  }

  close() {
    if (this.#waiting !== null) this.#video.cancelVideoFrameCallback(this.#waiting);
    this.#waiting = null;
  }

  #wait() {
    this.#waiting = this.#video.requestVideoFrameCallback((_, { expectedDisplayTime, width, height }) => {
      this.#wait();
      this.#onFrame(this.#latency_ms(expectedDisplayTime, width, height));
    });
  }

  /** @param {number} shown_ms when the frame is on the screen @param {number} width @param {number} height */
  #latency_ms(shown_ms, width, height) {
    const columns = Math.ceil(width * SHARE.width);
    const rows = Math.ceil(height * SHARE.height);
    if (columns === 0 || rows === 0) return null;
    if (this.#corner.width !== columns || this.#corner.height !== rows) Object.assign(this.#corner, { width: columns, height: rows });
    this.#context.drawImage(this.#video, 0, 0, columns, rows, 0, 0, columns, rows);
    const value = read(this.#context.getImageData(0, 0, columns, rows).data, columns, width, height);
    return value === null ? null : age_ms(value, shown_ms);
  }
}
