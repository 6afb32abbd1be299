/** The JSON API: models, schema, state and parameters of a stream, and events. */

import { absolute } from "./address.js";
import { Problem, ask } from "./problem.js";

/**
 * @typedef {object} StreamState one stream as GET /api/v1/streams/{stream} shows it
 * @property {Record<string, unknown>} params
 * @property {string} model
 * @property {string} state
 * @property {string | null} publisher
 * @property {number} viewers
 * @property {[number, number] | null} working_px
 * @property {number} rung 0 is full size
 * @property {string} limiting_factor what keeps the stream from more
 * @property {number} budget_ms how old a frame may get
 * @property {number} fps_in
 * @property {number} fps_out
 * @property {number | null} age_ms median age of what is delivered, ms
 * @property {Record<string, number>} stages_ms
 * @property {Record<string, number>} frames_dropped
 * @property {{codec: string} | null} audio null while there is nothing to hear
 */

/**
 * @typedef {object} ModelListing one model as GET /api/v1/models lists it
 * @property {string} name
 * @property {string} title
 * @property {string} needs
 * @property {number} size_bytes 0 when it is not known
 * @property {boolean} present
 */

/**
 * @typedef {object} ModelState as GET /api/v1/model shows it
 * @property {string} name
 * @property {{model: string, state: "loading" | "moving" | "finished" | "failed" | "cancelled", doing: string, reason: string} | null} swap
 */

/**
 * @typedef {object} RecordingState one recording as /api/v1/streams/{stream}/recordings shows it
 * @property {string} id
 * @property {string} stream
 * @property {"recording" | "finished" | "failed"} state
 * @property {string} reason
 * @property {string} file
 * @property {number} pictures
 * @property {number} duration_s
 * @property {number} written_bytes
 */

/**
 * @typedef {object} ParameterSchema
 * @property {string} [type]
 * @property {string} [format]
 * @property {string} [title]
 * @property {string} [description]
 * @property {unknown} [default]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {number} [maxLength]
 * @property {string[]} [enum]
 * @property {{type?: string, enum?: string[], maxLength?: number, maxProperties?: number}[]} [oneOf]
 * @property {Record<string, {minimum?: number, maximum?: number}>} [properties]
 */

/** Calls the server with the token of the day. */
export class Api {
  /** @param {string} token */
  constructor(token) {
    this.token = token;
  }

  /** @param {AbortSignal} [signal] @returns {Promise<Record<string, ParameterSchema>>} */
  async schema(signal) {
    const response = await ask(absolute("/api/v1/schema"), { headers: this.#headers(), signal });
    const schema = await response.json();
    return schema.properties ?? {};
  }

  /** Changes a subset; answers the whole accepted state. @param {string} stream @param {Record<string, unknown>} patch @returns {Promise<Record<string, unknown>>} */
  async patch(stream, patch) {
    const headers = this.#headers({ "Content-Type": "application/json" });
    const response = await ask(streamUrl(stream), { method: "PATCH", headers, body: JSON.stringify(patch) });
    const body = await response.json();
    return body.params ?? body;
  }

  /** The model that serves, and those that may be asked for. @returns {Promise<{model: string, models: ModelListing[]}>} */
  async models() {
    return (await ask(absolute("/api/v1/models"), { headers: this.#headers() })).json();
  }

  /** Begins to change the model; `followSwap` tells how it goes. @param {string} model */
  async swapModel(model) {
    const headers = this.#headers({ "Content-Type": "application/json" });
    await ask(absolute("/api/v1/model"), { method: "PUT", headers, body: JSON.stringify({ model }) });
  }

  /** Calls off the change of the model that is under way. */
  async cancelSwap() {
    await ask(absolute("/api/v1/model/swap"), { method: "DELETE", headers: this.#headers() });
  }

  /** Follows a change of the model until `onState` says that it has ended. @param {(about: ModelState) => boolean} onState */
  async followSwap(onState) {
    const over = new AbortController();
    const heard = (/** @type {string} */ kind, /** @type {any} */ about) => kind === "swap" && onState(about) && over.abort();
    await this.#listen(absolute("/api/v1/model/events"), heard, over.signal).catch((error) => {
      if (!over.signal.aborted) throw error;
    });
  }

  /** Whether the server records at all. @returns {Promise<boolean>} */
  async recordingEnabled() {
    return (await (await ask(absolute("/api/v1/recordings"), { headers: this.#headers() })).json()).enabled === true;
  }

  /** Begins to record the styled stream. @param {string} stream @returns {Promise<RecordingState>} */
  async record(stream) {
    return (await ask(`${streamUrl(stream)}/recordings`, { method: "POST", headers: this.#headers() })).json();
  }

  /** @param {RecordingState} recording @returns {Promise<RecordingState>} */
  async recording({ stream, id }) {
    return (await ask(`${streamUrl(stream)}/recordings/${id}`, { headers: this.#headers() })).json();
  }

  /** Ends it; the file stays. @param {RecordingState} recording @returns {Promise<RecordingState>} */
  async endRecording({ stream, id }) {
    return (await ask(`${streamUrl(stream)}/recordings/${id}`, { method: "DELETE", headers: this.#headers() })).json();
  }

  /**
   * Follows the stream's server-sent events until they end.
   * @param {string} stream @param {(state: StreamState) => void} onState @param {AbortSignal} signal
   */
  async follow(stream, onState, signal) {
    await this.#listen(`${streamUrl(stream)}/events`, (kind, state) => kind === "stats" && onState(state), signal);
  }

  /**
   * Reads server-sent events with `fetch`, as EventSource cannot carry a token.
   * @param {string} url @param {(kind: string, data: any) => void} heard @param {AbortSignal} signal
   */
  async #listen(url, heard, signal) {
    const response = await ask(url, { headers: this.#headers({ Accept: "text/event-stream" }), signal });
    if (!response.body) throw new Problem(0, "the server sent no events");
    let pending = "";
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const messages = (pending + value).split(/\r?\n\r?\n/);
      pending = messages.pop() ?? "";
      for (const message of messages) if (!signal.aborted) deliver(message, heard);
      if (signal.aborted) return;
    }
  }

  /** @param {Record<string, string>} [more] @returns {Record<string, string>} */
  #headers(more = {}) {
    return this.token ? { ...more, Authorization: `Bearer ${this.token}` } : more;
  }
}

/** @param {string} stream */
function streamUrl(stream) {
  return absolute(`/api/v1/streams/${encodeURIComponent(stream)}`);
}

/** @param {string} message one event of a text/event-stream @param {(kind: string, data: any) => void} heard */
function deliver(message, heard) {
  const lines = message.split(/\r?\n/);
  const valuesOf = (/** @type {string} */ field) => lines.filter((line) => line.startsWith(field)).map((line) => line.slice(field.length).trimStart());
  const data = valuesOf("data:").join("\n");
  if (data) heard(valuesOf("event:").at(-1) ?? "message", JSON.parse(data));
}
