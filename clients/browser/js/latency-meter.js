/** Latencies read of late, and how many frames could be read. Pure. */

const KEPT = 300;

export class LatencyMeter {
  /** Newest last; null for a frame that could not be read. @type {(number | null)[]} */
  #readings = [];

  /** What a frame said; null when its mark was missing or damaged. @param {number | null} latency_ms */
  add(latency_ms) {
    // Frames from before measuring began are still under way and carry no mark: they say nothing of legibility.
    if (latency_ms === null && this.#readings.length === 0) return;
    this.#readings.push(latency_ms);
    if (this.#readings.length > KEPT) this.#readings.shift();
  }

  clear() {
    this.#readings = [];
  }

  /** Percentiles by nearest rank, and the share of the last 300 frames that was legible; null before the first reading. */
  summary() {
    const legible = this.#readings.filter((reading) => reading !== null).sort((one, other) => one - other);
    if (legible.length === 0) return null;
    const percentile = (/** @type {number} */ share) => legible[Math.ceil(share * legible.length) - 1] ?? 0;
    return { p50_ms: percentile(0.5), p95_ms: percentile(0.95), read: legible.length / this.#readings.length };
  }
}
