/** What a source is, wherever it comes from; and how one is opened. */

import { openCamera } from "./camera.js";
import { openFile } from "./file.js";
import { openMicrophone } from "./microphone.js";
import { openScreen } from "./screen.js";

/** @typedef {"camera" | "canvas" | "screen" | "file"} SourceKind */

/**
 * @typedef {object} Source an open source; whoever opened it closes it
 * @property {SourceKind} kind
 * @property {MediaStreamTrack} track what is published
 * @property {MediaStreamTrack | null} [audio] the sound that goes with it
 * @property {HTMLElement} element what shows it
 * @property {() => number} aspect width by height, as it is now
 * @property {() => void} close
 */

/** @type {readonly SourceKind[]} */
export const SOURCE_KINDS = ["camera", "canvas", "screen", "file"];

/** @param {string | null} text @returns {text is SourceKind} */
export function isSourceKind(text) {
  return SOURCE_KINDS.includes(/** @type {SourceKind} */ (text));
}

/**
 * Opens a source; throws a DOMException that `explain` can put in words.
 * @param {SourceKind} kind
 * @param {{deviceId: string, file: File | null, painting: {source(): Source}, sound: boolean}} from
 * @returns {Promise<Source>}
 */
export async function openSource(kind, { deviceId, file, painting, sound }) {
  switch (kind) {
    case "camera":
      return withMicrophone(await openCamera(deviceId), sound);
    case "screen":
      return openScreen(sound);
    case "canvas":
      return withMicrophone(painting.source(), sound);
    case "file":
      if (!file) throw new DOMException("Choose a picture or a video first.", "NotSupportedError");
      return openFile(file, sound);
  }
}

/** @param {Source} source @param {boolean} sound @returns {Promise<Source>} */
async function withMicrophone(source, sound) {
  if (!sound) return source;
  try {
    const audio = await openMicrophone();
    const close = () => {
      audio.stop();
      source.close();
    };
    return { ...source, audio, close };
  } catch (error) {
    source.close();
    throw error;
  }
}
