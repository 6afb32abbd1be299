/** The divider between source and result: dragged, or moved with the arrow keys. */

const STEP = 2;
const LEAP = 10;

export class Split {
  #frame;
  #handle;
  #percent = 50;

  /** @param {HTMLElement} frame what it divides @param {HTMLElement} handle role="slider" */
  constructor(frame, handle) {
    this.#frame = frame;
    this.#handle = handle;
    handle.addEventListener("pointerdown", (event) => this.#grab(event));
    handle.addEventListener("keydown", (event) => this.#key(event));
    handle.addEventListener("dblclick", () => this.move(50));
    this.move(50);
  }

  /** @param {number} percent of the width that shows the source */
  move(percent) {
    this.#percent = Math.min(100, Math.max(0, percent));
    this.#frame.style.setProperty("--split", `${this.#percent}%`);
    this.#handle.setAttribute("aria-valuenow", String(Math.round(this.#percent)));
  }

  /** @param {PointerEvent} event */
  #grab(event) {
    if (event.button !== 0) return;
    this.#handle.setPointerCapture(event.pointerId);
    const follow = (/** @type {PointerEvent} */ { clientX }) => {
      const box = this.#frame.getBoundingClientRect();
      this.move(((clientX - box.left) / box.width) * 100);
    };
    const drop = () => {
      this.#handle.removeEventListener("pointermove", follow);
      this.#handle.removeEventListener("lostpointercapture", drop);
    };
    this.#handle.addEventListener("pointermove", follow);
    this.#handle.addEventListener("lostpointercapture", drop);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    /** @type {Record<string, number>} */
    const moves = { ArrowLeft: -STEP, ArrowRight: STEP, ArrowDown: -STEP, ArrowUp: STEP, PageDown: -LEAP, PageUp: LEAP, Home: -100, End: 100 };
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault();
    this.move(this.#percent + move);
  }
}
