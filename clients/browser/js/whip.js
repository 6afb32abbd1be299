/** WHIP: publishes one video track, and sound where there is some. The uplink is kept small, since the server styles at a modest size anyway. */

import { Peer } from "./peer.js";

export const MAX_WIDTH_PX = 640;
export const MAX_FPS = 30;
const MAX_BITRATE_BPS = 2_500_000;

/** Publishes `track` to `url`. Throws a Problem. @param {string} url @param {string} token @param {MediaStreamTrack} track @param {MediaStreamTrack | null} audio @param {AbortSignal} signal */
export async function publish(url, token, track, audio, signal) {
  const peer = new Peer(url, token);
  track.contentHint = "motion";
  const width = track.getSettings().width ?? MAX_WIDTH_PX;
  const encoding = {
    maxBitrate: MAX_BITRATE_BPS,
    maxFramerate: MAX_FPS,
    scaleResolutionDownBy: Math.max(1, width / MAX_WIDTH_PX),
  };
  peer.pc.addTransceiver(track, { direction: "sendonly", sendEncodings: [encoding] });
  if (audio) peer.pc.addTransceiver(audio, { direction: "sendonly" });
  await peer.connect(signal);
  return peer;
}
