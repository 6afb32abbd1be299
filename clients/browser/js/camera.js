/** The webcam as a source. */

import { aspectOf, devices, trackOf, videoOf } from "./track.js";
import { MAX_FPS, MAX_WIDTH_PX } from "./whip.js";

/** @param {string} deviceId empty for whichever the browser prefers @returns {Promise<import("./source.js").Source>} */
export async function openCamera(deviceId) {
  const stream = await devices().getUserMedia({
    audio: false,
    video: {
      width: { ideal: MAX_WIDTH_PX },
      height: { ideal: 480 },
      frameRate: { ideal: MAX_FPS, max: MAX_FPS },
      ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
    },
  });
  const track = trackOf(stream);
  const video = videoOf(stream);
  return { kind: "camera", track, element: video, aspect: () => aspectOf(video, track), close: () => track.stop() };
}

/** Cameras by name; unnamed ones (no permission yet) are left out. @returns {Promise<{id: string, label: string}[]>} */
export async function listCameras() {
  const found = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return found.filter(({ kind, label }) => kind === "videoinput" && label).map(({ deviceId, label }) => ({ id: deviceId, label }));
}
