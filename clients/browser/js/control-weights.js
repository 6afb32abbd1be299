/** A number for each of several names, any of which may be 0: the LoRAs that are mixed in. */

import { make } from "./element.js";
import { Field, titled } from "./field.js";
import { makeSlider, setSlider } from "./slider.js";

const STEP = 0.05;

export class WeightsControl {
  #field;
  #rows;
  #onInput;

  /**
   * @param {string} name @param {import("./api.js").ParameterSchema} schema @param {Record<string, {maximum?: number}>} ranges
   * @param {(value: Record<string, number>) => void} onInput
   */
  constructor(name, schema, ranges, onInput) {
    this.#onInput = onInput;
    this.#field = new Field(name, schema, { group: true });
    this.#rows = Object.entries(ranges).map(([of, { maximum = 1 }]) => this.#makeRow(of, maximum));
    this.#field.body.append(...this.#rows.map(({ row }) => row));
    this.element = this.#field.element;
    this.show(schema.default);
  }

  /** @param {unknown} value weights by name; what is not named is 0 */
  show(value) {
    const weights = value && typeof value === "object" ? /** @type {Record<string, number>} */ (value) : {};
    for (const { name, input, text } of this.#rows) {
      setSlider(input, weights[name] ?? 0);
      text.textContent = (weights[name] ?? 0).toFixed(2);
    }
  }

  /** @param {string} problem */
  complain(problem) {
    this.#field.complain(problem);
  }

  /** @param {string} name @param {number} maximum */
  #makeRow(name, maximum) {
    const input = makeSlider({ min: "0", max: `${maximum}`, step: `${STEP}`, "aria-label": `Weight of ${name}` });
    const text = make("span", { class: "readout" });
    input.addEventListener("input", () => (text.textContent = Number(input.value).toFixed(2)));
    input.addEventListener("change", () => this.#report()); // once the hand lets go: each change rewrites the network
    return { name, input, text, row: make("div", { class: "weight" }, make("span", { class: "weight-name" }, titled(name)), input, text) };
  }

  #report() {
    const weights = this.#rows.map(({ name, input }) => /** @type {[string, number]} */ ([name, Number(input.value)]));
    this.#onInput(Object.fromEntries(weights.filter(([, weight]) => weight > 0)));
  }
}
