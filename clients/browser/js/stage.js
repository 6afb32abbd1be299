/** The stage: source and result in one frame, split, side by side, or the result alone. */

import { find } from "./element.js";
import { Split } from "./split.js";

/** @typedef {"split" | "side" | "result"} View */

/** @param {string | null} text @returns {text is View} */
export function isView(text) {
  return text === "split" || text === "side" || text === "result";
}

export class Stage {
  #element = find("stage", HTMLElement);
  #frame = find("frame", HTMLElement);
  #sourcePane = find("source-pane", HTMLElement);
  /** @type {(() => number) | null} */
  #aspect = null;
  video = find("styled", HTMLVideoElement);
  split = new Split(this.#frame, find("divider", HTMLElement));

  constructor() {
    this.video.addEventListener("loadeddata", () => this.showStyled(true));
    this.video.addEventListener("resize", () => this.#fit());
    document.addEventListener("fullscreenchange", () => this.#fit());
  }

  /** @param {View} view */
  set view(view) {
    this.#element.dataset.view = view;
  }

  /** idle, connecting, live or waiting: how the frame is dressed. @param {string} phase */
  set phase(phase) {
    this.#element.dataset.phase = phase;
  }

  /** What is under the scrim while nothing runs. @param {string} kind */
  set kind(kind) {
    this.#element.dataset.kind = kind;
  }

  /** @param {HTMLElement} element @param {() => number} aspect */
  mount(element, aspect) {
    this.#aspect = aspect;
    if (this.#sourcePane.firstElementChild !== element) this.#sourcePane.replaceChildren(element);
    element.addEventListener("resize", () => this.#fit());
    element.addEventListener("loadedmetadata", () => this.#fit());
    this.#fit();
  }

  /** Whether there is a styled picture to show. @param {boolean} shown */
  showStyled(shown) {
    this.#element.toggleAttribute("data-styled", shown);
    if (!shown) this.video.srcObject = null;
    this.#fit();
  }

  async toggleFullScreen() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await this.#element.requestFullscreen();
  }

  /** @param {string} style */
  set styleName(style) {
    find("styled-tag", HTMLElement).textContent = style;
  }

  #fit() {
    if (this.#aspect) this.#frame.style.setProperty("--aspect", String(this.#aspect()));
  }
}
