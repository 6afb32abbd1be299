/** One of a few named choices. */

import { make } from "./element.js";
import { Field, titled } from "./field.js";

/** Letters of all choices that fit beside their label. */
const SHORT = 14;

export class ChoiceControl {
  #field;
  #inputs;
  #onInput;

  /** @param {string} name @param {import("./api.js").ParameterSchema} schema @param {string[]} choices @param {(value: string) => void} onInput */
  constructor(name, schema, choices, onInput) {
    this.#onInput = onInput;
    this.#field = new Field(name, schema, { group: true });
    this.#inputs = choices.map((choice) => this.#makeInput(name, choice));
    const labels = this.#inputs.map((input) => make("label", { class: "choice" }, input, make("span", {}, titled(input.value))));
    this.#field.body.append(make("div", { class: "choices", role: "radiogroup", "aria-labelledby": this.#field.label.id }, ...labels));
    this.element = this.#field.element;
    this.element.classList.toggle("beside", choices.join("").length <= SHORT);
    this.show(schema.default);
  }

  /** @param {unknown} value */
  show(value) {
    for (const input of this.#inputs) input.checked = input.value === value;
  }

  /** @param {string} problem */
  complain(problem) {
    this.#field.complain(problem);
  }

  /** @param {string} name @param {string} choice */
  #makeInput(name, choice) {
    const input = make("input", { type: "radio", name: `parameter-${name}`, value: choice });
    input.addEventListener("change", () => this.#onInput(choice));
    return input;
  }
}
