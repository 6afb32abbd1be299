/** A screen, window or tab as a source. */

import { aspectOf, devices, trackOf, videoOf } from "./track.js";
import { MAX_FPS } from "./whip.js";

/** @param {boolean} sound what the screen or tab plays goes along, if the user ticks that @returns {Promise<import("./source.js").Source>} */
export async function openScreen(sound) {
  const media = devices();
  if (!media.getDisplayMedia) throw new DOMException("This browser cannot share a screen. Choose Camera, Canvas or File.", "InvalidStateError");
  const stream = await media.getDisplayMedia({ audio: sound, video: { frameRate: { max: MAX_FPS }, width: { max: 1280 } } });
  const track = trackOf(stream);
  const video = videoOf(stream);
  const audio = stream.getAudioTracks()[0] ?? null;
  const close = () => {
    for (const one of stream.getTracks()) one.stop();
  };
  return { kind: "screen", track, audio, element: video, aspect: () => aspectOf(video, track), close };
}
