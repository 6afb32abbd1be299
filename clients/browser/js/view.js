/**
 * The bare view, for an OBS Browser Source: the painted video and nothing else, and it always comes back by itself.
 * ?fit=contain|cover|fill  ?token=…  ?muted for no sound  ?debug shows what is going on, and how late the painting is.
 * In OBS it is heard at once; a browser begins muted, and lets it be heard at the first click or key.
 */

import { whepUrl } from "./address.js";
import { Api } from "./api.js";
import { find } from "./element.js";
import { NO_MEDIA, Problem, explain } from "./problem.js";
import { Keeper } from "./retry.js";
import { SocketCall } from "./socket.js";
import { play } from "./whep.js";

const STALLED_MS = 5_000;
const GONE_MS = 15_000;
const CHECK_EVERY_MS = 1_000;

const query = new URLSearchParams(location.search);
const stream = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1) ?? "");
const video = find("styled", HTMLVideoElement);
const debug = query.has("debug") ? find("debug", HTMLElement) : null;

const fit = query.get("fit") ?? "";
if (["contain", "cover", "fill"].includes(fit)) video.style.objectFit = fit;
if (debug) debug.hidden = false;

video.muted = query.has("muted");
if (!video.muted) for (const gesture of ["pointerdown", "keydown"]) addEventListener(gesture, () => (video.muted = false));

/** @param {string} text */
function say(text) {
  if (debug) debug.textContent = text;
}

let framesSeen = 0;
let movedAt = performance.now();

const token = query.get("token") ?? "";
let overSocket = false;
let following = new AbortController();

/** @param {AbortSignal} signal @returns {Promise<import("./peer.js").Peer | SocketCall>} */
function connect(signal) {
  return overSocket ? SocketCall.connect(stream, token, video, null, signal) : play(whepUrl(stream), token, video, signal);
}

const keeper = new Keeper(connect, {
  trying: () => say(`connecting to ${stream}`),
  up: () => {
    movedAt = performance.now();
    say(connected());
    if (debug) void follow();
  },
  down: (error, retryMs) => {
    following.abort();
    if (error instanceof Problem && error.status === NO_MEDIA) overSocket = true; // no UDP passes here
    const { title, detail } = explain(error, stream);
    say(`${title}: ${detail} Again in ${(retryMs / 1000).toFixed(1)} s.`);
  },
});

/** @param {number | null} [lateMs] */
function connected(lateMs = null) {
  const late = lateMs === null ? "" : `: painted ${Math.round(lateMs)} ms after it reached the server`;
  return `connected to ${stream}${overSocket ? " over WebSocket, as UDP is blocked here" : ""}${late}`;
}

/** Once a second, until the connection is lost, or for as long as the server tells. */
async function follow() {
  following.abort();
  following = new AbortController();
  const { signal } = following;
  try {
    await new Api(token).follow(stream, (state) => !signal.aborted && say(connected(state.age_ms)), signal);
  } catch (error) {
    if (!signal.aborted) say(`${connected()}; ${explain(error, stream).detail}`);
  }
}

/** A frozen picture on air is worse than none: hide it, and ask anew when nothing moves for longer. */
async function check() {
  const { kept } = keeper;
  const frames = (kept instanceof SocketCall ? kept.measure().frames_decoded : await framesDecoded(kept?.pc)) ?? framesSeen;
  const now = performance.now();
  if (frames !== framesSeen) movedAt = now;
  framesSeen = frames;
  video.classList.toggle("stalled", now - movedAt > STALLED_MS);
  if (now - movedAt > GONE_MS) {
    movedAt = now;
    keeper.kept?.close();
  }
}

/** Counted by the decoder, which goes on while a page is hidden. @param {RTCPeerConnection | undefined} pc @returns {Promise<number | undefined>} */
async function framesDecoded(pc) {
  if (!pc) return undefined;
  for (const report of (await pc.getStats()).values()) if (report.type === "inbound-rtp" && report.kind === "video") return report.framesDecoded;
  return undefined;
}

setInterval(check, CHECK_EVERY_MS);
addEventListener("pagehide", () => keeper.close());
