/** What went wrong and what to do, on the stage itself. One at a time; the newest wins. */

import { find } from "./element.js";

export class Notice {
  #element = find("notice", HTMLElement);
  #title = find("notice-title", HTMLElement);
  #detail = find("notice-detail", HTMLElement);
  #countdown = find("notice-countdown", HTMLElement);
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  constructor() {
    find("notice-dismiss", HTMLButtonElement).addEventListener("click", () => this.hide());
  }

  /** @param {import("./problem.js").Advice} advice @param {number | null} [retryMs] counted down where it is tried again */
  show({ title, detail }, retryMs = null) {
    clearInterval(this.#timer);
    this.#title.textContent = title;
    this.#detail.textContent = detail;
    this.#countdown.textContent = "";
    this.#element.hidden = false;
    if (retryMs === null) return;
    const until = performance.now() + retryMs;
    const count = () => {
      const left = Math.ceil((until - performance.now()) / 1000);
      this.#countdown.textContent = left > 0 ? `Trying again in ${left} s` : "Trying again…";
    };
    this.#timer = setInterval(count, 500);
    count();
  }

  hide() {
    clearInterval(this.#timer);
    this.#element.hidden = true;
  }
}
