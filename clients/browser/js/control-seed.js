/** A seed: a whole number too large for a slider, and a die that throws another. */

import { icon, make } from "./element.js";
import { Field } from "./field.js";

export class SeedControl {
  #field;
  #input;
  #onInput;
  #default;

  /** @param {string} name @param {import("./api.js").ParameterSchema} schema @param {(value: number) => void} onInput */
  constructor(name, schema, onInput) {
    const low = schema.minimum ?? 0;
    const high = schema.maximum ?? 2 ** 32 - 1;
    this.#onInput = onInput;
    this.#default = Number(schema.default ?? 0);
    const row = make("div", { class: "row" });
    this.#field = new Field(name, schema, { readout: row, onReset: () => this.#report(this.#default) });
    this.#input = make("input", { type: "number", id: this.#field.id, class: "number wide", min: `${low}`, max: `${high}`, step: "1", inputmode: "numeric" });
    const dice = make("button", { type: "button", class: "button dice", "aria-label": `Another ${(schema.title ?? name).toLowerCase()}, at random`, title: "Another, at random" }, icon("dice"), "Shuffle");
    // Small enough to read out and type again; the whole range can be typed.
    dice.addEventListener("click", () => this.#report(low + Math.floor(Math.random() * Math.min(high - low, 99_999))));
    this.#input.addEventListener("change", () => this.#report(Number(this.#input.value)));
    row.append(this.#input, dice);
    this.element = this.#field.element;
    this.show(this.#default);
  }

  /** @param {unknown} value */
  show(value) {
    this.#input.value = String(value);
    if (this.#field.reset) this.#field.reset.hidden = Number(value) === this.#default;
  }

  /** @param {string} problem */
  complain(problem) {
    this.#field.complain(problem);
  }

  /** @param {number} value */
  #report(value) {
    this.show(value);
    this.#onInput(value);
  }
}
