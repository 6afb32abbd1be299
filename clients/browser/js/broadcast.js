/**
 * One stream on the air: publishes a source, plays what comes back, follows the events, and mends all three.
 * Knows the server and nothing of the page.
 */

import { whepUrl, whipUrl } from "./address.js";
import { NO_MEDIA, Problem } from "./problem.js";
import { Keeper } from "./retry.js";
import { SocketCall } from "./socket.js";
import { PeerMeter } from "./stats.js";
import { play } from "./whep.js";
import { publish } from "./whip.js";

/** @typedef {import("./api.js").StreamState} StreamState */

/**
 * @typedef {object} BroadcastEvents
 * @property {() => void} onTrying connecting, or again
 * @property {() => void} onUp the source arrives at the server
 * @property {(error: unknown, retryMs: number) => void} onDown tried again after `retryMs`
 * @property {() => void} onFallback no UDP passes: from now on the video travels over a WebSocket
 * @property {(error: Problem) => void} onRefused a token is asked for; nothing is tried again
 * @property {(state: StreamState) => void} onState
 */

const FOLLOW_AGAIN_MS = 1000;
const SILENCES = 2;

export class Broadcast {
  #events;
  #meter = new PeerMeter();
  /** @type {Keeper<import("./peer.js").Peer | SocketCall>} */
  #publisher;
  #track;
  #audio;
  #overSocket = false;
  #follower = new AbortController();
  /** @type {Keeper<import("./peer.js").Peer> | null} */
  #viewer = null;
  /** @type {StreamState | null} */
  #state = null;
  #closed = false;

  /**
   * @param {import("./api.js").Api} api @param {string} stream @param {MediaStreamTrack} track
   * @param {MediaStreamTrack | null} audio goes along, except over a WebSocket
   * @param {HTMLVideoElement} video shows what comes back
   * @param {BroadcastEvents} events
   */
  constructor(api, stream, track, audio, video, events) {
    this.#events = events;
    this.#track = track;
    this.#audio = audio;
    this.stream = stream;
    this.#publisher = new Keeper((signal) => this.#connect(api, video, signal), {
      trying: events.onTrying,
      up: () => {
        if (!this.#overSocket) this.#viewer ??= this.#view(api, video); // a WebSocket brings the results itself
        this.#follow(api);
        events.onUp();
      },
      down: (error, retryMs) => {
        if (this.#fallBack(error)) return;
        this.#follower.abort();
        this.#state = null;
        events.onDown(error, retryMs);
      },
      hopeless: (error) => this.#hopeless(error),
    });
  }

  /** The server's newest word on this stream. */
  get state() {
    return this.#state;
  }

  /** What the browser measured since it was last asked. */
  measure() {
    const kept = this.#publisher.kept;
    return kept instanceof SocketCall ? kept.measure() : this.#meter.read(kept?.pc, this.#viewer?.kept?.pc);
  }

  /** Publishes another track of the same size from now on, on the same connection. @param {MediaStreamTrack} track */
  async send(track) {
    this.#track = track;
    track.contentHint = "motion";
    const kept = this.#publisher.kept;
    if (kept instanceof SocketCall) return kept.publish(track);
    const sender = kept?.pc.getSenders().find((one) => one.track?.kind === "video");
    await sender?.replaceTrack(track);
  }

  /** Off the air. Closing twice is fine. */
  close() {
    this.#closed = true;
    this.#follower.abort();
    this.#viewer?.close();
    this.#publisher.close();
  }

  /** @param {import("./api.js").Api} api @param {HTMLVideoElement} video @param {AbortSignal} signal @returns {Promise<import("./peer.js").Peer | SocketCall>} */
  #connect(api, video, signal) {
    if (this.#overSocket) return SocketCall.connect(this.stream, api.token, video, this.#track, signal);
    return publish(whipUrl(this.stream), api.token, this.#track, this.#audio, signal);
  }

  /** Whether the error is that nothing passes but TCP, of which this is the first sign. @param {unknown} error */
  #fallBack(error) {
    if (this.#overSocket || !(error instanceof Problem) || error.status !== NO_MEDIA) return false;
    this.#overSocket = true;
    this.#viewer?.close();
    this.#viewer = null;
    this.#events.onFallback();
    return true;
  }

  /** @param {import("./api.js").Api} api @param {HTMLVideoElement} video */
  #view(api, video) {
    const events = this.#events;
    return new Keeper((signal) => play(whepUrl(this.stream), api.token, video, signal), {
      // While the publisher itself is away there is nothing to view, and it has its own word on that.
      down: (error, retryMs) => {
        if (this.#fallBack(error)) this.#publisher.kept?.close();
        else if (this.#publisher.kept) events.onDown(error, retryMs);
      },
      hopeless: (error) => this.#hopeless(error),
    });
  }

  /** @param {import("./api.js").Api} api */
  async #follow(api) {
    this.#follower.abort();
    this.#follower = new AbortController();
    const { signal } = this.#follower;
    let silences = 0;
    while (!signal.aborted && !this.#closed) {
      const heard = (/** @type {StreamState} */ state) => {
        silences = 0;
        this.#state = state;
        this.#events.onState(state);
      };
      // Events are a convenience: without them the picture goes on, and they are asked for again.
      const error = await api.follow(this.stream, heard, signal).catch((/** @type {unknown} */ caught) => caught);
      // But a server that no longer answers at all is gone, which WebRTC by itself notices only much later.
      if (error instanceof Problem && error.status === 0) silences += 1;
      if (silences >= SILENCES) return this.#publisher.kept?.close();
      await new Promise((resolve) => setTimeout(resolve, FOLLOW_AGAIN_MS));
    }
  }

  /** @param {unknown} error */
  #hopeless(error) {
    if (!(error instanceof Problem) || (error.status !== 401 && error.status !== 403)) return false;
    this.close();
    this.#events.onRefused(error);
    return true;
  }
}
