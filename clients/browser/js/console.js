/** The console: puts the page's parts together and says which phase they are in. */

import { Address } from "./address.js";
import { Api } from "./api.js";
import { Broadcast } from "./broadcast.js";
import { Controls } from "./controls.js";
import { find } from "./element.js";
import { Measuring } from "./measuring.js";
import { ModelPicker } from "./model-picker.js";
import { Notice } from "./notice.js";
import { Painting } from "./painting.js";
import { Palette } from "./palette.js";
import { Patcher } from "./patcher.js";
import { Problem, explain } from "./problem.js";
import { Recorder } from "./recorder.js";
import { Backoff, sleep } from "./retry.js";
import { Share } from "./share.js";
import { ServerRecorder } from "./server-recorder.js";
import { Signal } from "./signal.js";
import { Sound } from "./sound.js";
import { SourcePicker } from "./source-picker.js";
import { isSourceKind, openSource } from "./source.js";
import { Stage, isView } from "./stage.js";
import { installTheme } from "./theme.js";
import { askForToken, keepToken, keptToken } from "./token-dialog.js";

/** @typedef {"idle" | "connecting" | "live" | "waiting"} Phase */

/** @type {Record<Phase, string>} */
const PHASES = { idle: "Ready", connecting: "Connecting", live: "Live", waiting: "Reconnecting" };

const FALLBACK = " over WebSocket, as UDP is blocked here";

class Console {
  #address = new Address();
  #api = new Api(this.#address.token || keptToken());
  #stage = new Stage();
  #notice = new Notice();
  #signal = new Signal();
  #measuring = new Measuring(this.#stage.video, () => this.#toggleMeasuring());
  #sound = new Sound(this.#stage.video, () => this.#broadcast && this.#start());
  #serverRecorder = new ServerRecorder(this.#api, () => this.#address.stream, (said) => this.#tell(said));
  #models = new ModelPicker(this.#api, (said) => this.#tell(said), () => this.#modelChanged());
  #painting = new Painting();
  #palette = new Palette(this.#painting);
  #picker;
  #controls;
  #patcher;
  #share;
  #button = find("start", HTMLButtonElement);
  #record = find("record", HTMLButtonElement);
  /** @type {import("./source.js").Source | null} */
  #source = null;
  /** @type {Broadcast | null} */
  #broadcast = null;
  /** @type {Recorder | null} */
  #recorder = null;
  /** @type {(() => void) | null} */
  #rest = null;
  #starts = 0;
  #adopting = false;
  /** @type {Phase} */
  #phase = "idle";

  constructor() {
    const source = this.#address.get("source");
    this.#picker = new SourcePicker(isSourceKind(source) ? source : "camera", () => this.#picked());
    this.#controls = new Controls(find("controls", HTMLElement), find("signal-controls", HTMLElement), this.#address.parameters(), (name, value) => this.#changed(name, value));
    this.#patcher = new Patcher(
      (patch) => this.#api.patch(this.#address.stream, patch),
      (params) => this.#accepted(params),
      (error, patch) => this.#refused(error, patch),
    );
    this.#share = new Share(this.#address, () => this.#api.token, () => this.#broadcast && this.#start());
    installTheme(find("theme", HTMLButtonElement), () => this.#signal.redraw());
    this.#button.addEventListener("click", () => (this.#phase === "idle" ? this.#start() : this.#stop()));
    this.#record.addEventListener("click", () => this.#toggleRecording());
    find("full-screen", HTMLButtonElement).addEventListener("click", () => this.#stage.toggleFullScreen().catch((error) => this.#tell(error)));
    this.#wireViews();
    // The page may go away at any moment: the server should not wait for it.
    addEventListener("pagehide", () => this.#stop());
    setInterval(() => this.#measure(), 1000);
    if (this.#address.token) keepToken(this.#address.token);
    this.#setPhase("idle");
    this.#idle();
    this.#loadSchema();
  }

  async #start() {
    this.#stop();
    delete document.documentElement.dataset.carrier;
    const start = ++this.#starts;
    this.#address.keepStream();
    this.#setPhase("connecting");
    try {
      const from = { deviceId: this.#picker.deviceId, file: this.#picker.file, painting: this.#painting, sound: this.#sound.sends };
      const source = await openSource(this.#picker.kind, from);
      if (start !== this.#starts) return source.close(); // stopped, or started anew, while the browser asked
      this.#use(source);
    } catch (error) {
      if (start !== this.#starts) return;
      this.#stop();
      this.#tell(error);
    }
  }

  /** @param {import("./source.js").Source} source */
  #use(source) {
    this.#source = source;
    this.#rest?.();
    this.#rest = null;
    this.#stage.mount(source.element, source.aspect);
    source.track.addEventListener("ended", () => {
      this.#stop();
      this.#notice.show({ title: "The source ended", detail: "It was unplugged or no longer shared. Press Start to choose again." });
    });
    this.#picker.refresh();
    this.#broadcast = new Broadcast(this.#api, this.#address.stream, this.#measuring.trackOf(source), source.audio ?? null, this.#stage.video, {
      onTrying: () => this.#setPhase(this.#phase === "waiting" ? "waiting" : "connecting"),
      onUp: () => this.#up(),
      onDown: (error, retryMs) => this.#down(error, retryMs),
      onFallback: () => this.#fallBack(),
      onRefused: () => this.#askForToken(() => this.#start()),
      onState: ({ params, audio, model }) => {
        this.#sound.sounding = Boolean(audio);
        this.#models.heard(model);
        if (this.#adopting && model === this.#models.current) this.#adopt(params);
        if (!this.#patcher.busy) this.#accepted(params);
      },
    });
  }

  #stop() {
    this.#starts += 1;
    this.#recorder?.stop();
    this.#broadcast?.close();
    this.#broadcast = null;
    this.#measuring.rest();
    this.#source?.close();
    this.#source = null;
    this.#sound.sounding = false;
    this.#notice.hide();
    this.#setPhase("idle");
    this.#idle();
  }

  #up() {
    this.#notice.hide();
    this.#setPhase("live");
    const wanted = this.#measuring.on ? { ...this.#controls.chosen, ...this.#measuring.params } : this.#controls.chosen;
    if (Object.keys(wanted).length > 0) this.#patcher.put(wanted);
  }

  /** Said where the state is said, and there to stay: it explains what the picture looks like. */
  #fallBack() {
    document.documentElement.dataset.carrier = "websocket";
    this.#setPhase("connecting");
  }

  /** @param {unknown} error @param {number} retryMs */
  #down(error, retryMs) {
    this.#setPhase("waiting");
    const lost = !(error instanceof Problem) && !(error instanceof DOMException);
    const advice = lost ? { title: "The connection was lost", detail: "The server or the network went away." } : explain(error, this.#address.stream);
    this.#notice.show(advice, retryMs);
  }

  /** The painting moves behind the invitation; with the canvas chosen it is the stage itself. */
  #idle() {
    const { kind } = this.#picker;
    this.#stage.kind = kind;
    this.#palette.shown = kind === "canvas";
    this.#painting.element.toggleAttribute("inert", kind !== "canvas");
    if (this.#source) return;
    this.#stage.showStyled(false);
    this.#stage.mount(this.#painting.element, () => this.#painting.element.width / this.#painting.element.height);
    this.#rest ??= this.#painting.animate();
    this.#signal.clear();
  }

  #picked() {
    this.#address.set("source", this.#picker.kind);
    this.#notice.hide();
    const running = this.#phase !== "idle";
    this.#stop();
    if (running || (this.#picker.kind === "file" && this.#picker.file)) this.#start();
  }

  /** @param {string} name @param {unknown} value */
  #changed(name, value) {
    this.#address.setParameter(name, value);
    if (this.#broadcast) this.#patcher.put({ [name]: value });
    if (name === "style") this.#nameStyle(value);
  }

  /** @param {Record<string, unknown>} params */
  #accepted(params) {
    this.#controls.show(params);
    this.#nameStyle(params.style);
  }

  /** @param {unknown} error @param {Record<string, unknown>} patch */
  #refused(error, patch) {
    if (!(error instanceof Problem)) return this.#tell(error);
    if (Object.keys(error.fields).length > 0) {
      this.#controls.complain(error.fields);
      // A patch is refused whole: what was good in it is sent again without the rest.
      const good = Object.entries(patch).filter(([name]) => !(name in error.fields));
      if (good.length > 0 && good.length < Object.keys(patch).length) this.#patcher.put(Object.fromEntries(good));
      return;
    }
    // The stream is on its way up or down, or its own connection reports what is wrong: the next start sends it again.
    if (error.status !== 404 && error.status !== 0) this.#tell(error);
  }

  /** @param {unknown} style */
  #nameStyle(style) {
    this.#stage.styleName = typeof style === "string" ? style : Object.keys(style ?? {}).join(" + ");
  }

  /** Its parameters are others, and what was chosen for the one before may mean nothing to it. */
  #modelChanged() {
    this.#adopting = this.#broadcast !== null;
    this.#loadSchema();
  }

  /** @param {Record<string, unknown>} params what the new model has made of those before */
  #adopt(params) {
    this.#adopting = false;
    const chosen = Object.keys(this.#controls.chosen);
    this.#controls.adopt(params);
    for (const name of chosen) this.#address.setParameter(name, params[name]);
  }

  async #loadSchema() {
    const backoff = new Backoff();
    for (;;) {
      try {
        const { watermark, ...look } = await this.#api.schema();
        this.#serverRecorder.offer();
        this.#models.offer();
        this.#measuring.offered = watermark !== undefined; // a switch of its own, and no part of the look
        this.#controls.build(look);
        if (this.#broadcast?.state) this.#controls.show(this.#broadcast.state.params);
        this.#nameStyle(this.#controls.chosen.style ?? look.style?.default ?? "Result");
        if (this.#phase === "idle") this.#notice.hide();
        return;
      } catch (error) {
        if (error instanceof Problem && error.status === 401) return this.#askForToken(() => this.#loadSchema());
        const delay = backoff.next(error instanceof Problem ? error.retryAfterMs : null);
        if (this.#phase === "idle") this.#notice.show(explain(error, this.#address.stream), delay);
        await sleep(delay, new AbortController().signal);
      }
    }
  }

  /** @param {() => void} then */
  async #askForToken(then) {
    this.#stop();
    const token = await askForToken(this.#api.token !== "");
    if (!token) return this.#notice.show(explain(new Problem(401, ""), this.#address.stream));
    this.#api.token = token;
    keepToken(token);
    this.#share.show();
    then();
  }

  async #measure() {
    const broadcast = this.#broadcast;
    if (!broadcast) return;
    const peer = await broadcast.measure();
    if (broadcast !== this.#broadcast) return;
    this.#serverRecorder.check();
    this.#signal.show(broadcast.state, peer);
    this.#measuring.show();
  }

  /** While something is on the air, from the next frame on; otherwise from the next start on. */
  #toggleMeasuring() {
    if (!this.#broadcast || !this.#source) return;
    this.#patcher.put(this.#measuring.params);
    this.#broadcast.send(this.#measuring.trackOf(this.#source)).catch((error) => this.#tell(error));
  }

  #toggleRecording() {
    if (this.#recorder) return this.#recorder.stop();
    const stream = this.#stage.video.srcObject;
    if (!(stream instanceof MediaStream)) return;
    try {
      this.#recorder = new Recorder(stream, this.#address.stream);
    } catch (error) {
      return this.#tell(error);
    }
    this.#showRecording(true);
    this.#recorder.saved.then(() => {
      this.#recorder = null;
      this.#showRecording(false);
    });
  }

  /** @param {boolean} on */
  #showRecording(on) {
    this.#record.setAttribute("aria-pressed", String(on));
    this.#record.title = on ? "Stop recording and save" : "Record the painted video";
    this.#record.setAttribute("aria-label", this.#record.title);
  }

  #wireViews() {
    const asked = this.#address.get("view");
    const first = isView(asked) ? asked : "split";
    this.#stage.view = first;
    for (const radio of document.querySelectorAll("input[name=view]")) {
      if (!(radio instanceof HTMLInputElement) || !isView(radio.value)) continue;
      const view = radio.value;
      radio.checked = view === first;
      radio.addEventListener("change", () => {
        this.#stage.view = view;
        this.#address.set("view", view);
      });
    }
  }

  /** @param {Phase} phase */
  #setPhase(phase) {
    this.#phase = phase;
    this.#stage.phase = phase;
    document.documentElement.dataset.phase = phase;
    const carrier = document.documentElement.dataset.carrier === "websocket" && phase !== "idle" ? FALLBACK : "";
    find("status-text", HTMLElement).textContent = `${PHASES[phase]}${carrier}`;
    find("start-text", HTMLElement).textContent = phase === "idle" ? "Start" : "Stop";
    this.#record.disabled = phase !== "live";
    this.#serverRecorder.live = phase === "live";
    document.title = phase === "idle" ? "cmstream" : `${PHASES[phase]} · ${this.#address.stream} · cmstream`;
  }

  /** @param {unknown} said what went wrong, or advice that is in words already */
  #tell(said) {
    this.#notice.show(isAdvice(said) ? said : explain(said, this.#address.stream));
  }
}

/** @param {unknown} said @returns {said is import("./problem.js").Advice} */
function isAdvice(said) {
  return typeof said === "object" && said !== null && "title" in said && "detail" in said;
}

new Console();
