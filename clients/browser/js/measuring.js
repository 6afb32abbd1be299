/** The switch that measures latency from glass to glass: marks what is sent, reads what is shown, and says both percentiles. */

import { find } from "./element.js";
import { LatencyMeter } from "./latency-meter.js";
import { MarkReader } from "./mark-reader.js";
import { MarkedSource } from "./marked-source.js";

export class Measuring {
  #button = find("measure", HTMLButtonElement);
  #output = find("stat-glass", HTMLElement);
  #meter = new LatencyMeter();
  #video;
  /** @type {MarkedSource | null} */
  #marked = null;
  /** @type {MarkReader | null} */
  #reader = null;
  #on = false;

  /** @param {HTMLVideoElement} video shows what comes back @param {() => void} onToggle */
  constructor(video, onToggle) {
    this.#video = video;
    this.#button.addEventListener("click", () => {
      this.#on = !this.#on;
      this.#button.setAttribute("aria-pressed", String(this.#on));
      onToggle();
    });
  }

  /** Whether the server knows how. @param {boolean} offered */
  set offered(offered) {
    this.#button.disabled = !(offered && MarkReader.possible);
  }

  /** The parameters that go with it. */
  get params() {
    return { watermark: this.#on ? "pass" : "off" };
  }

  get on() {
    return this.#on;
  }

  /** The track of `source` to publish: its own, or a marked one that is read again. @param {import("./source.js").Source} source */
  trackOf(source) {
    this.rest();
    if (!this.#on) return source.track;
    this.#marked = new MarkedSource(source.element);
    this.#reader = new MarkReader(this.#video, (latency_ms) => this.#meter.add(latency_ms));
    return this.#marked.track;
  }

  /** Nothing is sent any more; the switch stays as it is. */
  rest() {
    this.#reader?.close();
    this.#marked?.close();
    this.#reader = this.#marked = null;
    this.#meter.clear();
    this.show();
  }

  /** Says what was read of late. */
  show() {
    const summary = this.#meter.summary();
    this.#output.textContent = summary ? `p50 ${Math.round(summary.p50_ms)} · p95 ${Math.round(summary.p95_ms)} ms · ${Math.round(100 * summary.read)} %` : "";
  }
}
