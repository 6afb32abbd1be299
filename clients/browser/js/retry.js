/** When to try again, and the loop that keeps a connection up. Knows nothing of what it keeps. */

const FIRST_MS = 500;
const LONGEST_MS = 10_000;
/** What was up for less is not thought mended: its delays go on growing. */
const STEADY_MS = 5_000;

/** Delays that double from half a second to ten, with jitter so that many pages do not return at once. */
export class Backoff {
  #next_ms = FIRST_MS;

  /** The delay before the next try; never sooner than the server asked. @param {number | null} [atLeastMs] */
  next(atLeastMs = null) {
    const delay = this.#next_ms * (0.8 + 0.4 * Math.random());
    this.#next_ms = Math.min(this.#next_ms * 2, LONGEST_MS);
    return Math.min(Math.max(delay, atLeastMs ?? 0), 60_000);
  }

  /** It worked: start over. */
  reset() {
    this.#next_ms = FIRST_MS;
  }
}

/** Resolves after `ms`; rejects as soon as `signal` aborts. @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, ms);
    signal.addEventListener("abort", abort, { once: true });
  });
}

/**
 * Something that can be kept: it is up until `lost` resolves.
 * @typedef {{lost: Promise<string>, close(): void}} Keepable
 */

/**
 * @typedef {object} KeeperEvents
 * @property {() => void} [trying] a try begins
 * @property {() => void} [up] it is connected
 * @property {(error: unknown, retryMs: number) => void} [down] it failed or was lost, and is tried again after `retryMs`
 * @property {(error: unknown) => boolean} [hopeless] true when trying again is no use; the keeper then ends
 */

/** Keeps one connection up until it is closed. @template {Keepable} T */
export class Keeper {
  #abort = new AbortController();
  #backoff = new Backoff();
  /** @type {T | null} */
  #kept = null;

  /**
   * @param {(signal: AbortSignal) => Promise<T>} connect
   * @param {KeeperEvents} events
   */
  constructor(connect, events) {
    this.ended = this.#keep(connect, events);
  }

  /** What is up now, if anything is. */
  get kept() {
    return this.#kept;
  }

  /** Ends it for good. Closing twice is fine. */
  close() {
    this.#abort.abort(new DOMException("closed", "AbortError"));
    this.#kept?.close();
    this.#kept = null;
  }

  /** @param {(signal: AbortSignal) => Promise<T>} connect @param {KeeperEvents} events */
  async #keep(connect, events) {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      /** @type {unknown} */
      let error;
      try {
        events.trying?.();
        const kept = await connect(signal);
        if (signal.aborted) return kept.close();
        this.#kept = kept;
        const upAt = performance.now();
        events.up?.();
        error = new Error(await kept.lost);
        if (performance.now() - upAt > STEADY_MS) this.#backoff.reset();
      } catch (caught) {
        error = caught;
      }
      if (signal.aborted) return;
      this.#kept?.close();
      this.#kept = null;
      if (events.hopeless?.(error)) return;
      const retryAfterMs = /** @type {{retryAfterMs?: number | null}} */ (error).retryAfterMs ?? null;
      const delay = this.#backoff.next(retryAfterMs);
      events.down?.(error, delay);
      await sleep(delay, signal).catch(() => {});
    }
  }
}
