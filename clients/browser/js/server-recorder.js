/** The switch that records the stream into a file of the server, where the server is set up for that. */

import { find } from "./element.js";
import { Problem } from "./problem.js";

/** @typedef {import("./api.js").RecordingState} RecordingState */

export class ServerRecorder {
  #button = find("record-server", HTMLButtonElement);
  #api;
  #stream;
  #tell;
  /** @type {RecordingState | null} */
  #recording = null;
  #busy = false;

  /**
   * @param {import("./api.js").Api} api @param {() => string} stream what the stream is called now
   * @param {(advice: import("./problem.js").Advice | unknown) => void} tell
   */
  constructor(api, stream, tell) {
    this.#api = api;
    this.#stream = stream;
    this.#tell = tell;
    this.#button.addEventListener("click", () => this.#toggle());
    this.#show();
  }

  /** Asks the server whether it records; the button is there only then. */
  async offer() {
    this.#button.hidden = !(await this.#api.recordingEnabled().catch(() => false));
  }

  /** Whether there is anything to record. @param {boolean} live */
  set live(live) {
    this.#button.disabled = !live;
  }

  /** Looks whether the recording still runs: a disk may be full, a limit reached. */
  async check() {
    const before = this.#recording;
    if (!before || this.#busy) return;
    const now = await this.#api.recording(before).catch((/** @type {unknown} */ error) => error);
    if (this.#recording !== before) return;
    if (now instanceof Problem && now.status === 0) return; // the server is away, of which others tell
    if (now instanceof Error) return this.#ended(null);
    const state = /** @type {RecordingState} */ (now);
    if (state.state !== "recording") this.#ended(state);
    else this.#show(state);
  }

  async #toggle() {
    if (this.#busy) return;
    this.#busy = true;
    try {
      if (this.#recording) this.#ended(await this.#api.endRecording(this.#recording));
      else this.#recording = await this.#api.record(this.#stream());
    } catch (error) {
      this.#recording = null;
      this.#tell(error);
    } finally {
      this.#busy = false;
      this.#show();
    }
  }

  /** @param {RecordingState | null} state */
  #ended(state) {
    this.#recording = null;
    this.#show();
    if (!state) return;
    const about = `${state.file}, ${state.duration_s.toFixed(1)} s, ${(state.written_bytes / 1e6).toFixed(1)} MB, in the server’s folder.`;
    if (state.state === "failed") this.#tell({ title: "The recording ended", detail: `${state.reason}. What there was is kept: ${about}` });
    else if (state.pictures === 0) this.#tell({ title: "Nothing was recorded", detail: "No picture came meanwhile." });
    else this.#tell({ title: "Recorded on the server", detail: about });
  }

  /** @param {RecordingState | null} [state] */
  #show(state = this.#recording) {
    const title = state ? `Stop recording on the server (${state.duration_s.toFixed(0)} s)` : "Record on the server";
    this.#button.setAttribute("aria-pressed", String(state !== null));
    this.#button.setAttribute("aria-label", title);
    this.#button.title = title;
  }
}
