/** Records the styled video into a file that the browser saves. Nothing leaves the machine. */

const TYPES = ["video/webm;codecs=vp9,opus", "video/webm;codecs=vp8,opus", "video/mp4", "video/webm"];
const BITRATE_BPS = 6_000_000;

export class Recorder {
  #recorder;
  /** @type {Blob[]} */
  #parts = [];

  /** @param {MediaStream} stream @param {string} name of the file, without its ending */
  constructor(stream, name) {
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    const sounding = stream.getTracks().filter(({ kind, muted }) => kind === "video" || !muted); // a recorder waits for every track
    this.#recorder = new MediaRecorder(new MediaStream(sounding), { mimeType, videoBitsPerSecond: BITRATE_BPS });
    this.#recorder.addEventListener("dataavailable", ({ data }) => this.#parts.push(data));
    /** @type {Promise<void>} resolves once it has ended, also when the stream did, and the file was offered */
    this.saved = new Promise((resolve) => {
      this.#recorder.addEventListener("stop", () => {
        save(new Blob(this.#parts, { type: this.#recorder.mimeType }), name);
        resolve();
      });
    });
    this.#recorder.start(1000);
  }

  /** Stopping twice is fine. */
  stop() {
    if (this.#recorder.state !== "inactive") this.#recorder.stop();
  }
}

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name}.${blob.type.includes("mp4") ? "mp4" : "webm"}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
