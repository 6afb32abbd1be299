/** JPEG pictures as the video of a `<video>`: what else the page does with that (recording, full screen) goes on as it is. */

export class PictureScreen {
  #canvas = document.createElement("canvas");
  #context = this.#canvas.getContext("2d");
  #video;
  /** @type {MediaStream | null} */
  #stream = null;
  #closed = false;
  /** Pictures shown. */
  shown = 0;

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
  }

  /** @param {Uint8Array<ArrayBuffer>} jpeg */
  async show(jpeg) {
    const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    if (!this.#closed) {
      this.#fit(bitmap);
      this.#context?.drawImage(bitmap, 0, 0);
      this.shown += 1;
    }
    bitmap.close();
  }

  close() {
    this.#closed = true;
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    if (this.#video.srcObject === this.#stream) this.#video.srcObject = null;
  }

  /** @param {ImageBitmap} bitmap */
  #fit({ width, height }) {
    if (this.#canvas.width !== width || this.#canvas.height !== height) [this.#canvas.width, this.#canvas.height] = [width, height];
    if (this.#stream) return;
    this.#stream = this.#canvas.captureStream();
    this.#video.srcObject = this.#stream;
    this.#video.play().catch(() => {});
  }
}
