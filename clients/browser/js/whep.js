/** WHEP: plays one stream as it is now, with no buffer to fall behind in. */

import { Peer } from "./peer.js";

/** The `video` shows the stream at `url` once this returns. Throws a Problem. @param {string} url @param {string} token @param {HTMLVideoElement} video @param {AbortSignal} signal */
export async function play(url, token, video, signal) {
  const peer = new Peer(url, token);
  const { receiver } = peer.pc.addTransceiver("video", { direction: "recvonly" });
  hurry(receiver);
  await peer.connect(signal);
  video.srcObject = new MediaStream([receiver.track]);
  await video.play().catch(() => {}); // muted video may always play; a hidden page may put it off
  return peer;
}

/** Shows each frame as soon as it is decoded. @param {RTCRtpReceiver} receiver */
function hurry(receiver) {
  if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
  const older = /** @type {{playoutDelayHint?: number}} */ (/** @type {unknown} */ (receiver));
  if ("playoutDelayHint" in older) older.playoutDelayHint = 0;
}
