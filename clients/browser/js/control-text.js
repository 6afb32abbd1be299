/** Free text, such as a prompt: reported when typing pauses. */

import { make } from "./element.js";
import { Field } from "./field.js";

const PAUSE_MS = 400;

export class TextControl {
  #field;
  #input;

  /** @param {string} name @param {import("./api.js").ParameterSchema} schema @param {(value: string) => void} onInput */
  constructor(name, schema, onInput) {
    this.#field = new Field(name, schema);
    this.#input = make("textarea", { id: this.#field.id, rows: "2", maxlength: `${schema.maxLength ?? 2000}`, spellcheck: "false" });
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    this.#input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => onInput(this.#input.value), PAUSE_MS);
    });
    this.#field.body.append(this.#input);
    this.element = this.#field.element;
    this.show(schema.default ?? "");
  }

  /** @param {unknown} value */
  show(value) {
    if (document.activeElement !== this.#input) this.#input.value = String(value);
  }

  /** @param {string} problem */
  complain(problem) {
    this.#field.complain(problem);
  }
}
