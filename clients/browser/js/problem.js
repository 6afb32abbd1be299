/** What went wrong, in words a person can act on. Owns the wording of every failure; knows nothing of the page. */

/**
 * @typedef {object} Advice
 * @property {string} title what happened, a few words
 * @property {string} detail what to do about it, a sentence or two
 */

/** A refusal by the server (RFC 9457 problem+json), or no answer at all (`status` 0). */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {string} detail
   * @param {{fields?: Record<string, string>, retryAfterMs?: number | null}} [more]
   */
  constructor(status, detail, { fields = {}, retryAfterMs = null } = {}) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.fields = fields;
    this.retryAfterMs = retryAfterMs;
  }

  /** Reads a refusal. @param {Response} response @returns {Promise<Problem>} */
  static async of(response) {
    const text = await response.text().catch(() => "");
    /** @type {Record<string, unknown>} */
    let body = {};
    try {
      body = JSON.parse(text);
    } catch {
      body = { detail: text.slice(0, 300) };
    }
    const detail = typeof body.detail === "string" && body.detail ? body.detail : response.statusText;
    const retryAfterS = Number(response.headers.get("Retry-After"));
    return new Problem(response.status, detail, {
      fields: fieldsOf(body.errors ?? body.problems),
      retryAfterMs: retryAfterS > 0 ? retryAfterS * 1000 : null,
    });
  }
}

/** `fetch` that turns both a refusal and silence into a Problem. @param {string} url @param {RequestInit} options */
export async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem(0, "the server does not answer");
  }
  if (!response.ok) throw await Problem.of(response);
  return response;
}

/** @param {unknown} error @param {string} stream @returns {Advice} */
export function explain(error, stream) {
  if (error instanceof Problem) return explainStatus(error, stream);
  if (error instanceof DOMException) return explainDevice(error);
  return { title: "Something unexpected happened", detail: `${error instanceof Error ? error.message : error}` };
}

/** @param {Problem} problem @param {string} stream @returns {Advice} */
function explainStatus(problem, stream) {
  const said = sentence(problem.message);
  switch (problem.status) {
    case 0:
      return { title: "The server does not answer", detail: "See that “cmstream serve” is running and that this page’s address is still right." };
    case 401:
    case 403:
      return { title: "The server asks for a token", detail: "Enter the token it was started with (auth.token in its settings)." };
    case 404:
      return { title: "That stream is gone", detail: said };
    case 409:
      return { title: `“${stream}” cannot be had now`, detail: said }; // it is taken, or nobody publishes it: the server says what to do
    case 429:
      return { title: "Too many tries", detail: said };
    case 503:
      return { title: "The server is full or stopping", detail: said };
    case NO_MEDIA:
      return { title: "No path for the video", detail: said };
    default:
      return { title: `The server refused (${problem.status})`, detail: said };
  }
}

/** The status of a session that was answered and whose media never came through; no HTTP status. */
export const NO_MEDIA = -1;

/** @param {DOMException} error @returns {Advice} */
function explainDevice(error) {
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return { title: "The browser did not allow it", detail: "Allow it with the icon in the address bar, then press Start again." };
    case "NotFoundError":
      return { title: "No camera found", detail: "Plug one in, or choose Canvas, Screen or File below." };
    case "NotReadableError":
      return { title: "The camera is busy", detail: "Another program holds it. Close that program, then press Start again." };
    case "OverconstrainedError":
      return { title: "That camera is gone", detail: "Choose another one from the list, then press Start again." };
    case "EncodingError":
    case "NotSupportedError":
      return { title: "This file cannot be shown", detail: error.message || "Choose a picture or a video that this browser can play." };
    default:
      return { title: "That source could not be opened", detail: sentence(error.message) };
  }
}

/** Problems by field: an object of them, or RFC 9457's list of {pointer, detail}. @param {unknown} errors @returns {Record<string, string>} */
function fieldsOf(errors) {
  if (Array.isArray(errors)) {
    return Object.fromEntries(errors.map((one) => [String(one?.name ?? one?.pointer ?? "").replace(/^#?\//, ""), String(one?.detail ?? one)]));
  }
  if (typeof errors !== "object" || errors === null) return {};
  return Object.fromEntries(Object.entries(errors).map(([name, said]) => [name, String(said)]));
}

/** @param {string} text */
function sentence(text) {
  const trimmed = text.trim();
  if (!trimmed) return "";
  return trimmed.charAt(0).toUpperCase() + trimmed.slice(1) + (/[.!?]$/.test(trimmed) ? "" : ".");
}
