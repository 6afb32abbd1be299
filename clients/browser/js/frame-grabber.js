/** A video track as JPEG pictures, one for each frame that there is a use for. */

import { MAX_WIDTH_PX } from "./whip.js";

const QUALITY = 0.8;

export class FrameGrabber {
  #video = document.createElement("video");
  #canvas = new OffscreenCanvas(1, 1);
  #closed = false;
  #busy = false;

  /** @param {MediaStreamTrack} track @param {() => boolean} wanted whether a picture is of use now @param {(jpeg: Uint8Array<ArrayBuffer>) => void} take */
  constructor(track, wanted, take) {
    this.#video.muted = true;
    this.track = track;
    const grab = async () => {
      if (this.#closed) return;
      this.#video.requestVideoFrameCallback(grab);
      if (this.#busy || !wanted()) return;
      this.#busy = true;
      try {
        take(await this.#jpeg());
      } catch {
        // A frame that cannot be read, as while the source changes its size; the next one comes.
      } finally {
        this.#busy = false;
      }
    };
    this.#video.requestVideoFrameCallback(grab);
  }

  /** @param {MediaStreamTrack} track */
  set track(track) {
    this.#video.srcObject = new MediaStream([track]);
    this.#video.play().catch(() => {});
  }

  close() {
    this.#closed = true;
    this.#video.srcObject = null;
  }

  async #jpeg() {
    const { videoWidth, videoHeight } = this.#video;
    const scale = Math.min(1, MAX_WIDTH_PX / videoWidth);
    this.#canvas.width = Math.round(videoWidth * scale);
    this.#canvas.height = Math.round(videoHeight * scale);
    const context = this.#canvas.getContext("2d");
    if (!context) throw new Error("no 2D canvas");
    context.drawImage(this.#video, 0, 0, this.#canvas.width, this.#canvas.height);
    const blob = await this.#canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
    return new Uint8Array(await blob.arrayBuffer());
  }
}
