/** Tracks of the browser's capture APIs, and the elements that show them. */

/** A muted video element that shows `stream`. @param {MediaStream} stream */
export function videoOf(stream) {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.autoplay = true;
  video.srcObject = stream;
  return video;
}

/** The aspect of a live video track's element. @param {HTMLVideoElement} video @param {MediaStreamTrack} track */
export function aspectOf(video, track) {
  if (video.videoWidth > 0) return video.videoWidth / video.videoHeight;
  const { width, height } = track.getSettings();
  return width && height ? width / height : 4 / 3;
}

/** The only video track of a stream. @param {MediaStream} stream */
export function trackOf(stream) {
  const track = stream.getVideoTracks()[0];
  if (!track) throw new DOMException("It gives no picture.", "NotFoundError");
  return track;
}

/** `mediaDevices`, which a browser hides from pages that are not on https or this machine. */
export function devices() {
  if (!navigator.mediaDevices) {
    throw new DOMException("Browsers give cameras and screens only to pages on https or on localhost. Open this page as http://localhost, or put the server behind https.", "InvalidStateError");
  }
  return navigator.mediaDevices;
}
