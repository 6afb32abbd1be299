/** Which model the server runs, where it may be changed: a list, and what becomes of a change. */

import { find, make } from "./element.js";
import { Problem } from "./problem.js";

/** @typedef {import("./api.js").ModelListing} ModelListing */

const STAYS = "The model stays as it was";
const GOES_ON = "The change goes on";
/** What has its own words: no answer, no token. */
const ELSEWHERE = new Set([0, 401, 403]);

export class ModelPicker {
  #select = find("model", HTMLSelectElement);
  #doing = find("model-doing", HTMLElement);
  #cancel = find("model-cancel", HTMLButtonElement);
  #api;
  #tell;
  #changed;
  #current = "";
  #busy = false;
  #cancelled = false;

  /**
   * @param {import("./api.js").Api} api
   * @param {(said: import("./problem.js").Advice | unknown) => void} tell
   * @param {() => void} changed another model serves
   */
  constructor(api, tell, changed) {
    this.#api = api;
    this.#tell = tell;
    this.#changed = changed;
    this.#select.addEventListener("change", () => this.#change(this.#select.value));
    this.#cancel.addEventListener("click", () => this.#callOff());
  }

  /** The model that serves; empty before it is known. */
  get current() {
    return this.#current;
  }

  /** Asks the server what there is; the list is there only where there is a choice. */
  async offer() {
    const { model, models } = await this.#api.models().catch(() => ({ model: "", models: [] }));
    this.#current = model;
    this.#select.replaceChildren(...models.map((one) => make("option", { value: one.name, title: one.needs }, labelOf(one))));
    this.#select.hidden = models.length < 2;
    this.#select.value = model;
  }

  /** What a stream says of its model, which somebody else may have changed. @param {string} model */
  heard(model) {
    if (model === this.#current || this.#current === "") return;
    this.#current = this.#select.value = model;
    this.#changed();
  }

  /** @param {string} model */
  async #change(model) {
    if (this.#busy) return;
    this.#busy = this.#select.disabled = true;
    this.#cancelled = false;
    try {
      await this.#api.swapModel(model);
      await this.#api.followSwap((about) => this.#follow(about));
    } catch (error) {
      this.#tell(inWords(STAYS, error));
    } finally {
      this.#busy = this.#select.disabled = false;
      this.#doing.hidden = this.#cancel.hidden = true;
      this.#select.value = this.#current;
    }
  }

  async #callOff() {
    this.#cancelled = true;
    this.#cancel.hidden = true;
    try {
      await this.#api.cancelSwap();
    } catch (error) {
      this.#cancelled = false;
      this.#tell(inWords(GOES_ON, error));
    }
  }

  /** Whether it has ended. @param {import("./api.js").ModelState} about */
  #follow({ name, swap }) {
    if (!swap) return true;
    this.#doing.hidden = false;
    this.#cancel.hidden = this.#cancelled;
    this.#doing.textContent = `${swap.model}: ${swap.doing}…`;
    if (swap.state === "failed" || (swap.state === "cancelled" && !this.#cancelled)) this.#tell({ title: STAYS, detail: swap.reason });
    if (swap.state === "finished") this.heard(name);
    return swap.state !== "loading" && swap.state !== "moving";
  }
}

/** @param {string} title @param {unknown} error */
function inWords(title, error) {
  return error instanceof Problem && !ELSEWHERE.has(error.status) ? { title, detail: error.message } : error;
}

/** @param {ModelListing} listing */
function labelOf({ title, present, size_bytes }) {
  if (present) return title;
  return size_bytes ? `${title} – ${(size_bytes / 1e9).toFixed(1)} GB to download` : `${title} – to download`;
}
