/** The signal section: rates, end-to-end latency, the plot and its legend, drops by reason. */

import { find, make } from "./element.js";
import { Plot } from "./plot.js";
import { STAGES, endToEnd_ms, stagesOf } from "./stages.js";

const DROP_TITLES = /** @type {Record<string, string>} */ ({
  superseded: "superseded by a newer frame",
  slow_sink: "newer styled frame ready first",
  engine_failed: "failed in the model",
  late: "waited longer than the latency budget",
  unwatched: "nobody was watching",
  closed: "stream closed meanwhile",
});

/** What limits a stream, as a sentence; nothing is said of "none". */
const LIMITS = /** @type {Record<string, string>} */ ({
  frames: "Frames are skipped: the engine is busy",
  resolution: "Painted smaller to stay within budget",
  engine: "Over budget even at the smallest size",
  source: "Frames reach the server late",
  delivery: "Frames leave late: a viewer or its network is slow",
});

export class Signal {
  #plot = new Plot(find("plot", HTMLCanvasElement));
  #legend = new Map(STAGES.map(({ key, title, about }) => [key, legendItem(key, title, about)]));

  constructor() {
    find("legend", HTMLElement).replaceChildren(...[...this.#legend.values()].map(({ element }) => element));
  }

  /** Shows one second. @param {import("./api.js").StreamState | null} server @param {import("./stats.js").PeerStats} peer */
  show(server, peer) {
    const stages = stagesOf(server, peer);
    const whole_ms = endToEnd_ms(stages);
    this.#plot.add(stages);
    say("stat-fps-in", rate(server?.fps_in ?? null));
    say("stat-fps-out", rate(peer.fps_shown));
    say("stat-latency", whole_ms === null ? "–" : String(Math.round(whole_ms)));
    say("stat-rtt", peer.rtt_ms === null ? "–" : `${peer.rtt_ms.toFixed(peer.rtt_ms < 10 ? 1 : 0)} ms`);
    say("stat-age", server?.age_ms == null ? "–" : `${Math.round(server.age_ms)} ms`);
    say("stat-frames", String(peer.frames_decoded));
    say("stat-size", server?.working_px ? server.working_px.join(" × ") : "–");
    for (const { key } of STAGES) this.#legend.get(key)?.show(stages[key]);
    this.#limit(server);
    this.#drops(server?.frames_dropped ?? {});
    find("plot", HTMLCanvasElement).setAttribute("aria-label", described(stages, whole_ms));
  }

  /** Nothing runs: dashes, an empty plot. */
  clear() {
    this.show(null, { encode_ms: null, rtt_ms: null, buffer_ms: null, decode_ms: null, fps_shown: null, frames_decoded: 0, kbps: null });
    this.#plot.clear();
  }

  /** The colours changed. */
  redraw() {
    this.#plot.draw();
  }

  /** @param {import("./api.js").StreamState | null} server */
  #limit(server) {
    const line = find("limit", HTMLElement);
    const sentence = LIMITS[server?.limiting_factor ?? "none"] ?? "";
    line.hidden = sentence === "";
    if (line.textContent !== sentence) line.textContent = sentence; // a screen reader says it once
  }

  /** @param {Record<string, number>} dropped */
  #drops(dropped) {
    const counts = Object.entries(dropped).filter(([, count]) => count > 0);
    const total = counts.reduce((sum, [, count]) => sum + count, 0);
    const output = find("stat-drops", HTMLElement);
    output.textContent = String(total);
    output.title = counts.map(([reason, count]) => `${count} ${DROP_TITLES[reason] ?? reason}`).join("\n") || "No frame was dropped";
    find("drops", HTMLElement).textContent = counts.map(([reason, count]) => `${count} ${DROP_TITLES[reason] ?? reason}`).join(" · ");
  }
}

/** @param {string} key @param {string} title @param {string} about */
function legendItem(key, title, about) {
  const value = make("span", { class: "legend-value" }, "–");
  const element = make("li", { title: about, "data-stage": key }, make("span", { class: `swatch stage-${key.replace("_", "-")}` }), make("span", { class: "legend-title" }, title), value);
  const show = (/** @type {number | undefined} */ ms) => (value.textContent = ms === undefined ? "–" : ms.toFixed(1));
  return { element, show };
}

/** @param {string} id @param {string} text */
function say(id, text) {
  find(id, HTMLElement).textContent = text;
}

/** @param {number | null} fps */
function rate(fps) {
  return fps === null ? "–" : fps.toFixed(fps < 9.95 ? 1 : 0);
}

/** @param {Record<string, number>} stages @param {number | null} whole_ms */
function described(stages, whole_ms) {
  if (whole_ms === null) return "Latency by stage; nothing measured yet";
  const parts = STAGES.filter(({ key }) => stages[key] !== undefined).map(({ key, title }) => `${title} ${(stages[key] ?? 0).toFixed(1)}`);
  return `Latency by stage in milliseconds, ${Math.round(whole_ms)} in all: ${parts.join(", ")}`;
}
