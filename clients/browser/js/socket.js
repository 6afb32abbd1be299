/** A stream over a WebSocket, where no UDP passes: publishes and shows what comes back, or only shows. */

import { absolute } from "./address.js";
import { FrameGrabber } from "./frame-grabber.js";
import { frameRequest, heard, openRequest } from "./messages.js";
import { PictureScreen } from "./picture-screen.js";
import { Problem } from "./problem.js";

const RESULT_QUALITY = 85;
const STATUS_CODES = 4000; // close codes are this plus the HTTP status of the error
const WAITING_BYTES = 256 * 1024; // what the browser may hold back; a frame more would only be older

/** @param {string} stream @param {string} token @param {boolean} publishing */
function socketUrl(stream, token, publishing) {
  const url = new URL(absolute(`/ws/${encodeURIComponent(stream)}${publishing ? "" : "/view"}`));
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  if (token) url.searchParams.set("token", token); // a WebSocket can set no header
  return url.href;
}

/** One call. `lost` resolves, once, with why it ended. */
export class SocketCall {
  #socket;
  #screen;
  /** @type {FrameGrabber | null} */
  #grabber = null;
  #nextFrameId = 0;
  #window = 1;
  #inFlight = new Set();
  #bytes = 0;
  #read = { at: performance.now(), shown: 0, bytes: 0 };
  /** @type {(why: string) => void} */
  #lose = () => {};

  /** @param {WebSocket} socket an open one @param {HTMLVideoElement} video */
  constructor(socket, video) {
    this.#socket = socket;
    this.#screen = new PictureScreen(video);
    /** @type {Promise<string>} */
    this.lost = new Promise((resolve) => (this.#lose = resolve));
    socket.addEventListener("message", ({ data }) => this.#hear(new Uint8Array(data)));
    socket.addEventListener("close", ({ reason }) => {
      this.close();
      this.#lose(reason || "the connection was lost");
    });
    socket.send(openRequest(RESULT_QUALITY));
  }

  /** The styled pictures appear in `video`; with a `track`, that is published. Throws a Problem. @param {string} stream @param {string} token @param {HTMLVideoElement} video @param {MediaStreamTrack | null} track @param {AbortSignal} signal @returns {Promise<SocketCall>} */
  static connect(stream, token, video, track, signal) {
    const socket = new WebSocket(socketUrl(stream, token, track !== null));
    socket.binaryType = "arraybuffer";
    signal.addEventListener("abort", () => socket.close(), { once: true });
    return new Promise((resolve, reject) => {
      socket.addEventListener("close", ({ code, reason }) => reject(new Problem(code > STATUS_CODES ? code - STATUS_CODES : 0, reason)));
      socket.addEventListener("open", () => {
        const call = new SocketCall(socket, video);
        call.#opened = () => {
          if (track) call.publish(track);
          resolve(call);
        };
      });
    });
  }

  /** Publishes this track from now on. @param {MediaStreamTrack} track */
  publish(track) {
    if (this.#grabber) this.#grabber.track = track;
    else this.#grabber = new FrameGrabber(track, () => this.#hasRoom(), (jpeg) => this.#send(jpeg));
  }

  /** What was shown since it was last asked. @returns {import("./stats.js").PeerStats} */
  measure() {
    const [before, now] = [this.#read, { at: performance.now(), shown: this.#screen.shown, bytes: this.#bytes }];
    this.#read = now;
    const seconds = (now.at - before.at) / 1000;
    return {
      encode_ms: null,
      rtt_ms: null,
      buffer_ms: null,
      decode_ms: null,
      fps_shown: seconds > 0 ? (now.shown - before.shown) / seconds : null,
      frames_decoded: now.shown,
      kbps: seconds > 0 ? ((now.bytes - before.bytes) * 8) / 1000 / seconds : null,
    };
  }

  /** Hangs up. Closing twice is fine. */
  close() {
    this.#grabber?.close();
    this.#screen.close();
    this.#socket.close();
    this.#lose("closed");
  }

  #opened = () => {};

  #hasRoom() {
    return this.#inFlight.size < this.#window && this.#socket.bufferedAmount < WAITING_BYTES && this.#socket.readyState === WebSocket.OPEN;
  }

  /** @param {Uint8Array<ArrayBuffer>} jpeg */
  #send(jpeg) {
    if (!this.#hasRoom()) return;
    this.#inFlight.add(this.#nextFrameId);
    this.#socket.send(frameRequest(this.#nextFrameId++, jpeg));
  }

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  #hear(bytes) {
    this.#bytes += bytes.length;
    const { opened, frame, dropped } = heard(bytes);
    if (opened) {
      this.#nextFrameId = opened.nextFrameId;
      this.#window = opened.window;
      this.#opened();
    }
    if (dropped !== undefined) this.#inFlight.delete(dropped);
    if (!frame) return;
    this.#inFlight.delete(frame.frameId);
    this.#screen.show(frame.jpeg).catch(() => {}); // a picture that cannot be shown is followed by another
  }
}
