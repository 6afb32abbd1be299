/** The stages of a frame's journey, in order: what they are called, and what a second of both sides' figures says of them. */

/** @typedef {{key: string, title: string, about: string}} StageTitle */

/** The server's own stages are those of cmstream/core/trace.py. @type {readonly StageTitle[]} */
export const STAGES = [
  { key: "browser_encode", title: "Browser encode", about: "Compressing the source here" },
  { key: "network", title: "Network", about: "Round trip between here and the server" },
  { key: "decode", title: "Decode", about: "Packets to picture, on the server" },
  { key: "queue", title: "Queue", about: "Waiting for the model: at most one frame does" },
  { key: "h2d", title: "Resize", about: "Resizing, and copying to the device" },
  { key: "infer", title: "Model", about: "One evaluation of the network" },
  { key: "d2h", title: "Read back", about: "Copying from the device" },
  { key: "repeat", title: "Repeat", about: "Instead of the four before: nothing had changed, the last picture goes again" },
  { key: "deliver", title: "Deliver", about: "Waiting for this viewer to take the frame" },
  { key: "encode", title: "Encode", about: "Picture to packets, on the server" },
  { key: "send", title: "Send", about: "Handing packets to the network" },
  { key: "browser_play", title: "Browser play", about: "Smoothing and decoding here" },
];

/**
 * Milliseconds by stage; stages nobody measured are absent.
 * @param {import("./api.js").StreamState | null} server @param {import("./stats.js").PeerStats} peer
 * @returns {Record<string, number>}
 */
export function stagesOf(server, peer) {
  /** @type {Record<string, number>} */
  const stages = { ...(server?.stages_ms ?? {}) };
  if (peer.encode_ms !== null) stages.browser_encode = peer.encode_ms;
  if (peer.rtt_ms !== null) stages.network = peer.rtt_ms;
  if (peer.buffer_ms !== null || peer.decode_ms !== null) stages.browser_play = (peer.buffer_ms ?? 0) + (peer.decode_ms ?? 0);
  return stages;
}

/**
 * From the browser's encoder to its screen, in ms: the sum of what either side measured, the camera and the screen left out.
 * Null until the server and the browser have both measured something.
 * @param {Record<string, number>} stages
 */
export function endToEnd_ms(stages) {
  if (stages.infer === undefined || stages.browser_play === undefined) return null;
  return STAGES.reduce((sum, { key }) => sum + (stages[key] ?? 0), 0);
}
