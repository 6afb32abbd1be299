/** What the browser itself measures of both connections, once a second, from getStats. Pure reading. */

/**
 * @typedef {object} PeerStats averages since the previous reading; null where the browser does not say
 * @property {number | null} encode_ms per frame sent
 * @property {number | null} rtt_ms the shortest of the last few
 * @property {number | null} buffer_ms waiting to be shown
 * @property {number | null} decode_ms per frame shown
 * @property {number | null} fps_shown
 * @property {number} frames_decoded since this viewer connected
 * @property {number | null} kbps received
 */

/** @typedef {Record<string, number | undefined>} Counters */

/** Round trips are measured by checks that the server answers between frames: the shortest of the last few is the network's. */
const RTT_READINGS = 8;

export class PeerMeter {
  /** @type {number[]} */
  #rtts_ms = [];
  /** @type {Counters} */
  #sent = {};
  /** @type {Counters} */
  #shown = {};

  /** @param {RTCPeerConnection | undefined} uplink @param {RTCPeerConnection | undefined} downlink @returns {Promise<PeerStats>} */
  async read(uplink, downlink) {
    const [up, down] = await Promise.all([reportOf(uplink, "outbound-rtp"), reportOf(downlink, "inbound-rtp")]);
    const sent = since(this.#sent, up.rtp);
    const shown = since(this.#shown, down.rtp);
    this.#sent = up.rtp;
    this.#shown = down.rtp;
    const seconds = shown("timestamp") / 1000;
    const rtt_ms = up.rtt_ms ?? down.rtt_ms;
    if (rtt_ms !== null) this.#rtts_ms = [...this.#rtts_ms, rtt_ms].slice(-RTT_READINGS);
    return {
      encode_ms: ratio(sent("totalEncodeTime") * 1000, sent("framesEncoded")),
      rtt_ms: this.#rtts_ms.length > 0 ? Math.min(...this.#rtts_ms) : null,
      buffer_ms: ratio(shown("jitterBufferDelay") * 1000, shown("jitterBufferEmittedCount")),
      decode_ms: ratio(shown("totalDecodeTime") * 1000, shown("framesDecoded")),
      fps_shown: ratio(shown("framesDecoded"), seconds),
      frames_decoded: down.rtp.framesDecoded ?? 0,
      kbps: ratio((shown("bytesReceived") * 8) / 1000, seconds),
    };
  }
}

/** @param {RTCPeerConnection | undefined} pc @param {string} type @returns {Promise<{rtp: Counters, rtt_ms: number | null}>} */
async function reportOf(pc, type) {
  /** @type {Counters} */
  let rtp = {};
  /** @type {number | null} */
  let rtt_ms = null;
  const reports = pc && pc.connectionState === "connected" ? await pc.getStats() : new Map();
  for (const report of reports.values()) {
    if (report.type === type && report.kind === "video") rtp = report;
    if (report.type === "candidate-pair" && report.nominated && report.currentRoundTripTime !== undefined) {
      rtt_ms = report.currentRoundTripTime * 1000;
    }
  }
  return { rtp, rtt_ms };
}

/** How much a counter grew; 0 after a reconnect, when it starts again. @param {Counters} before @param {Counters} now */
function since(before, now) {
  return (/** @type {string} */ name) => Math.max(0, (now[name] ?? 0) - (before[name] ?? now[name] ?? 0));
}

/** @param {number} amount @param {number} count @returns {number | null} */
function ratio(amount, count) {
  return count > 0 ? amount / count : null;
}
