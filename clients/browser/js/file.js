/** A picture or a video file as a source: drawn at a steady pace, small enough to send, and never uploaded. */

import { trackOf } from "./track.js";
import { Ticker } from "./ticker.js";
import { MAX_FPS, MAX_WIDTH_PX } from "./whip.js";

/** @typedef {{pixels: CanvasImageSource, width: number, height: number, audio: MediaStreamTrack | null, close: () => void}} Reel */

/** @param {File} file @param {boolean} sound a film's own sound goes along @returns {Promise<import("./source.js").Source>} */
export async function openFile(file, sound) {
  const reel = file.type.startsWith("video/") ? await openVideo(file, sound) : await openPicture(file);
  const scale = Math.min(1, MAX_WIDTH_PX / reel.width);
  const canvas = document.createElement("canvas");
  canvas.width = even(reel.width * scale);
  canvas.height = even(reel.height * scale);
  const context = canvas.getContext("2d", { alpha: false });
  const draw = () => context?.drawImage(reel.pixels, 0, 0, canvas.width, canvas.height);
  draw();
  const ticker = new Ticker(MAX_FPS, draw);
  const track = trackOf(canvas.captureStream(MAX_FPS));
  const close = () => {
    ticker.close();
    track.stop();
    reel.close();
  };
  return { kind: "file", track, audio: reel.audio, element: canvas, aspect: () => canvas.width / canvas.height, close };
}

/** @param {File} file @returns {Promise<Reel>} */
async function openPicture(file) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new DOMException(`${file.name} is no picture or video that this browser can show.`, "NotSupportedError");
  });
  return { pixels: bitmap, width: bitmap.width, height: bitmap.height, audio: null, close: () => bitmap.close() };
}

/** @param {File} file @param {boolean} sound @returns {Promise<Reel>} */
async function openVideo(file, sound) {
  const video = document.createElement("video");
  video.muted = !sound; // with sound it goes into the stream, and to nobody's ears here
  const played = sound ? new PlayedSound(video) : null;
  video.loop = true;
  video.playsInline = true;
  const url = URL.createObjectURL(file);
  video.src = url;
  const close = () => {
    played?.close();
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(url);
  };
  try {
    await video.play();
  } catch {
    close();
    throw new DOMException(`${file.name} cannot be played by this browser. Convert it to MP4 (H.264) or WebM.`, "NotSupportedError");
  }
  return { pixels: video, width: video.videoWidth, height: video.videoHeight, audio: played?.track ?? null, close };
}

/** What an element plays, as a track instead of aloud. */
class PlayedSound {
  #context = new AudioContext();
  #end = this.#context.createMediaStreamDestination();

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#context.createMediaElementSource(video).connect(this.#end);
  }

  get track() {
    return this.#end.stream.getAudioTracks()[0] ?? null;
  }

  close() {
    this.#context.close();
  }
}

/** @param {number} px */
function even(px) {
  return Math.max(16, Math.round(px / 2) * 2);
}
