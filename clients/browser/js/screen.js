/** A screen, window or tab as a source. */

import { aspectOf, devices, trackOf, videoOf } from "./track.js";
import { MAX_FPS } from "./whip.js";

/** @returns {Promise<import("./source.js").Source>} */
export async function openScreen() {
  const media = devices();
  if (!media.getDisplayMedia) throw new DOMException("This browser cannot share a screen. Choose Camera, Canvas or File.", "InvalidStateError");
  const stream = await media.getDisplayMedia({ audio: false, video: { frameRate: { max: MAX_FPS }, width: { max: 1280 } } });
  const track = trackOf(stream);
  const video = videoOf(stream);
  return { kind: "screen", track, element: video, aspect: () => aspectOf(video, track), close: () => track.stop() };
}
