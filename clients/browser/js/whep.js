/** WHEP: plays one stream as it is now, with no buffer to fall behind in. */

import { Peer } from "./peer.js";

/** The `video` shows the stream at `url` once this returns. Throws a Problem. @param {string} url @param {string} token @param {HTMLVideoElement} video @param {AbortSignal} signal */
export async function play(url, token, video, signal) {
  const peer = new Peer(url, token);
  const receivers = ["video", "audio"].map((kind) => peer.pc.addTransceiver(kind, { direction: "recvonly" }).receiver);
  receivers.forEach(hurry);
  await peer.connect(signal);
  video.srcObject = new MediaStream(receivers.map(({ track }) => track));
  await start(video);
  return peer;
}

/** Muted video may always play, and a hidden page may put it off; what is heard needs a click first. @param {HTMLVideoElement} video */
async function start(video) {
  try {
    await video.play();
  } catch (error) {
    if (video.muted || !(error instanceof DOMException) || error.name !== "NotAllowedError") return;
    video.muted = true;
    await video.play().catch(() => {});
  }
}

/** Shows each frame as soon as it is decoded. @param {RTCRtpReceiver} receiver */
function hurry(receiver) {
  if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
  const older = /** @type {{playoutDelayHint?: number}} */ (/** @type {unknown} */ (receiver));
  if ("playoutDelayHint" in older) older.playoutDelayHint = 0;
}
