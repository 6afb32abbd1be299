/** Sends parameter changes at a pace the server can follow: one request at a time, and the newest value wins. */

const EVERY_MS = 60;

/** @typedef {Record<string, unknown>} Patch */

export class Patcher {
  /** @type {Patch} */
  #pending = {};
  #busy = false;
  #send;
  #onAccepted;
  #onRefused;

  /**
   * @param {(patch: Patch) => Promise<Patch>} send
   * @param {(params: Patch) => void} onAccepted the whole state, once nothing newer waits
   * @param {(error: unknown, patch: Patch) => void} onRefused
   */
  constructor(send, onAccepted, onRefused) {
    this.#send = send;
    this.#onAccepted = onAccepted;
    this.#onRefused = onRefused;
  }

  /** True while a change has not been answered. */
  get busy() {
    return this.#busy;
  }

  /** @param {Patch} patch */
  put(patch) {
    Object.assign(this.#pending, patch);
    if (!this.#busy) this.#drain();
  }

  async #drain() {
    this.#busy = true;
    while (Object.keys(this.#pending).length > 0) {
      const patch = this.#pending;
      this.#pending = {};
      try {
        const params = await this.#send(patch);
        if (Object.keys(this.#pending).length === 0) this.#onAccepted(params);
      } catch (error) {
        this.#onRefused(error, patch);
      }
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
    this.#busy = false;
  }
}
