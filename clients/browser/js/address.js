/** What the page's address says, and the addresses made from it. The address is the page's only memory of a stream. */

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const RESERVED = new Set(["stream", "token", "source", "view"]);

const FIRST = ["amber", "ashen", "coral", "dusky", "golden", "hazel", "indigo", "ivory", "mossy", "ochre", "pale", "russet", "umber", "velvet"];
const SECOND = ["brook", "cove", "dune", "fern", "field", "grove", "harbor", "heron", "meadow", "orchard", "pine", "shore", "swift", "willow"];

/** @param {string} name */
export function isStreamName(name) {
  return NAME.test(name);
}

/** A name nobody is likely to hold: a stream is seen by whoever knows what it is called. */
export function randomName() {
  const [first = 0, second = 0, third = 0] = crypto.getRandomValues(new Uint32Array(3));
  return `${FIRST[first % FIRST.length]}-${SECOND[second % SECOND.length]}-${(third % 0x10000).toString(16).padStart(4, "0")}`;
}

/** The console's own address: stream, source, view and the parameters that were chosen. */
export class Address {
  #query = new URLSearchParams(location.search);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  constructor() {
    const named = this.#query.get("stream") ?? "";
    this.stream = isStreamName(named) ? named : randomName();
    this.token = this.#query.get("token") ?? "";
    if (!this.token) return;
    this.#query.delete("token"); // the address is copied and shown on screen; the token should not be
    this.#write();
  }

  /** From now on a reload comes back to the same stream. */
  keepStream() {
    this.set("stream", this.stream);
  }

  /** @param {string} stream */
  rename(stream) {
    this.stream = stream;
    this.set("stream", stream);
  }

  /** @param {string} name */
  get(name) {
    return this.#query.get(name);
  }

  /** @param {string} name @param {string} value */
  set(name, value) {
    this.#query.set(name, value);
    this.#writeSoon();
  }

  /** Browsers refuse an address that changes at a slider's pace. */
  #writeSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#write(), 400);
  }

  /** Parameters in the address, as JSON where they are JSON. @returns {Record<string, unknown>} */
  parameters() {
    const entries = [...this.#query].filter(([name]) => !RESERVED.has(name));
    return Object.fromEntries(entries.map(([name, text]) => [name, parsed(text)]));
  }

  /** A picture is too long for an address, and is left out. @param {string} name @param {unknown} value undefined takes it out */
  setParameter(name, value) {
    const isPicture = typeof value === "string" && value.startsWith("data:");
    if (value !== undefined && !isPicture) return this.set(name, typeof value === "string" ? value : JSON.stringify(value));
    this.#query.delete(name);
    this.#writeSoon();
  }

  #write() {
    const query = String(this.#query);
    history.replaceState(null, "", query ? `?${query}` : location.pathname);
  }
}

/** Absolute address of `path` on this server. @param {string} path */
export function absolute(path) {
  return new URL(path, location.origin).href;
}

/** The bare page that shows `stream`; it carries the token where there is one. @param {string} stream @param {string} token */
export function viewUrl(stream, token) {
  const query = token ? `?token=${encodeURIComponent(token)}` : "";
  return absolute(`/view/${encodeURIComponent(stream)}${query}`);
}

/** @param {string} stream */
export function whipUrl(stream) {
  return absolute(`/whip/${encodeURIComponent(stream)}`);
}

/** @param {string} stream */
export function whepUrl(stream) {
  return absolute(`/whep/${encodeURIComponent(stream)}`);
}

/** @param {string} text @returns {unknown} */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
