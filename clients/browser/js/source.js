/** What a source is, wherever it comes from; and how one is opened. */

import { openCamera } from "./camera.js";
import { openFile } from "./file.js";
import { openScreen } from "./screen.js";

/** @typedef {"camera" | "canvas" | "screen" | "file"} SourceKind */

/**
 * @typedef {object} Source an open source; whoever opened it closes it
 * @property {SourceKind} kind
 * @property {MediaStreamTrack} track what is published
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
 * @param {{deviceId: string, file: File | null, painting: {source(): Source}}} from
 * @returns {Promise<Source>}
 */
export async function openSource(kind, { deviceId, file, painting }) {
  switch (kind) {
    case "camera":
      return openCamera(deviceId);
    case "screen":
      return openScreen();
    case "canvas":
      return painting.source();
    case "file":
      if (!file) throw new DOMException("Choose a picture or a video first.", "NotSupportedError");
      return openFile(file);
  }
}
