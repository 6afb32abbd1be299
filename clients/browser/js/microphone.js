/** The microphone, which goes along with a picture. */

import { devices } from "./track.js";

/** @returns {Promise<MediaStreamTrack>} throws a DOMException that `explain` can put in words */
export async function openMicrophone() {
  try {
    const stream = await devices().getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } });
    const track = stream.getAudioTracks()[0];
    if (track) return track;
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== "NotFoundError") throw error;
  }
  throw new DOMException("No microphone was found. Plug one in, or turn sound off beside Start.", "InvalidStateError");
}
