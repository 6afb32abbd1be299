/** Two switches: whether sound is sent along, and whether the painted video is heard. Both are off at first. */

import { find } from "./element.js";

export class Sound {
  #send = find("send-sound", HTMLButtonElement);
  #hear = find("hear-sound", HTMLButtonElement);
  #video;
  #sends = false;

  /** @param {HTMLVideoElement} video shows what comes back @param {() => void} onChange whether it is sent has changed */
  constructor(video, onChange) {
    this.#video = video;
    this.#send.addEventListener("click", () => {
      this.#sends = !this.#sends;
      this.#show();
      onChange();
    });
    this.#hear.addEventListener("click", () => {
      video.muted = !video.muted;
      this.#show();
    });
    this.#show();
  }

  /** Whether the user chose to send sound. */
  get sends() {
    return this.#sends;
  }

  /** Whether the stream has any sound to hear. @param {boolean} sounding */
  set sounding(sounding) {
    this.#hear.disabled = !sounding;
    if (!sounding) this.#video.muted = true; // the next stream does not begin aloud
    this.#show();
  }

  #show() {
    say(this.#send, this.#sends, this.#sends ? "Sound is sent along: the microphone, or the file’s or tab’s own" : "Send sound along: the microphone, or the file’s or tab’s own");
    say(this.#hear, !this.#video.muted, this.#video.muted ? "Hear the painted video" : "Mute the painted video");
  }
}

/** @param {HTMLButtonElement} button @param {boolean} on @param {string} title */
function say(button, on, title) {
  button.setAttribute("aria-pressed", String(on));
  button.setAttribute("aria-label", title);
  button.title = title;
}
