/** Calls back `hz` times a second, also while the page is hidden. */

export class Ticker {
  #worker = new Worker(new URL("./ticker-worker.js", import.meta.url), { type: "module" });

  /** @param {number} hz @param {(nowMs: number) => void} tick */
  constructor(hz, tick) {
    this.#worker.onmessage = () => tick(performance.now());
    this.#worker.postMessage(hz);
  }

  close() {
    this.#worker.terminate();
  }
}
