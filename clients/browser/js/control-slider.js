/** A number in a range: a slider, the number itself to type, and a way back to the default. */

import { make } from "./element.js";
import { Field } from "./field.js";
import { makeSlider, setSlider } from "./slider.js";

const STEPS = 200;

export class SliderControl {
  #field;
  #slider;
  #number;
  #low;
  #high;
  #curve;
  #whole;
  #default;
  #onInput;

  /** @param {string} name @param {import("./api.js").ParameterSchema} schema @param {(value: number) => void} onInput */
  constructor(name, schema, onInput) {
    this.#low = schema.minimum ?? 0;
    this.#high = schema.maximum ?? 1;
    this.#whole = schema.type === "integer" || this.#high - this.#low >= 50;
    this.#default = Number(schema.default ?? this.#low);
    // Where the default sits in the lowest tenth, as a duration's does, most of the travel goes to small values.
    this.#curve = (this.#default - this.#low) / (this.#high - this.#low) < 0.1 && this.#default > this.#low ? 3 : 1;
    this.#onInput = onInput;
    const id = `parameter-${name}`;
    this.#number = make("input", { type: "number", class: "number", min: `${this.#low}`, max: `${this.#high}`, step: this.#whole ? "1" : "0.01", "aria-label": `${schema.title ?? name}, as a number` });
    this.#field = new Field(name, schema, { readout: this.#number, onReset: () => this.#report(this.#default) });
    this.#slider = makeSlider({ id, min: "0", max: `${STEPS}`, step: "1" });
    this.#field.body.append(this.#slider);
    this.#slider.addEventListener("input", () => this.#report(this.#valueAt(Number(this.#slider.value) / STEPS)));
    this.#number.addEventListener("change", () => this.#report(Number(this.#number.value)));
    this.element = this.#field.element;
    this.show(this.#default);
  }

  /** @param {unknown} value */
  show(value) {
    const number = Number(value);
    if (!Number.isFinite(number)) return;
    this.#number.value = this.#whole ? String(Math.round(number)) : number.toFixed(2);
    const travel = Math.min(1, Math.max(0, (number - this.#low) / (this.#high - this.#low)));
    setSlider(this.#slider, Math.round(travel ** (1 / this.#curve) * STEPS));
    this.#slider.setAttribute("aria-valuetext", this.#number.value);
    if (this.#field.reset) this.#field.reset.hidden = number === this.#default;
  }

  /** @param {string} problem */
  complain(problem) {
    this.#field.complain(problem);
  }

  /** @param {number} value what was typed may be out of range: the server says so */
  #report(value) {
    this.show(value);
    this.#onInput(value);
  }

  /** @param {number} travel 0 to 1 */
  #valueAt(travel) {
    const value = this.#low + (this.#high - this.#low) * travel ** this.#curve;
    if (!this.#whole) return Math.round(value * 200) / 200;
    const step = value < 100 ? 5 : value < 1000 ? 10 : 50;
    return this.#high - this.#low >= 1000 ? Math.round(value / step) * step : Math.round(value);
  }
}
