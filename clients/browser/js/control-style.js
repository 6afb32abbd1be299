/** The style: one of several at a click, or several mixed by weight. */

import { make } from "./element.js";
import { Field, titled } from "./field.js";
import { makeSlider, setSlider } from "./slider.js";

const FULL = 100;

export class StyleControl {
  #field;
  #styles;
  #onInput;
  #choices;
  #weights;
  #mix;
  #mixing = false;

  /** @param {string} name @param {import("./api.js").ParameterSchema} schema @param {string[]} styles @param {(value: string | Record<string, number>) => void} onInput */
  constructor(name, schema, styles, onInput) {
    this.#styles = styles;
    this.#onInput = onInput;
    this.#mix = make("button", { type: "button", class: "quiet mix", "aria-pressed": "false" }, "Mix");
    const sole = make("span", { class: "sole-style" }, titled(styles[0] ?? ""));
    this.#field = new Field(name, schema, { readout: styles.length > 1 ? this.#mix : sole, group: true });
    this.#choices = styles.map((style) => this.#makeChoice(name, style));
    this.#weights = styles.map((style) => this.#makeWeight(style));
    const choices = make("div", { class: "choices", role: "radiogroup", "aria-labelledby": this.#field.label.id }, ...this.#choices.map(({ label }) => label));
    const weights = make("div", { class: "weights" }, ...this.#weights.map(({ row }) => row));
    if (styles.length > 1) this.#field.body.append(choices, weights);
    this.#mix.addEventListener("click", () => this.#toggle());
    this.element = this.#field.element;
    this.show(schema.default);
  }

  /** @param {unknown} value a style's name, or weights of several */
  show(value) {
    const weights = weightsOf(value);
    const shown = this.#styles.filter((style) => (weights[style] ?? 0) > 0);
    if (shown.length > 1) this.#mixing = true;
    for (const { input } of this.#choices) input.checked = !this.#mixing && shown[0] === input.value;
    const shares = this.#readOut(weights);
    for (const { style, input } of this.#weights) setSlider(input, Math.round((shares[style] ?? 0) * FULL));
    this.#arrange();
  }

  /** @param {string} problem */
  complain(problem) {
    this.#field.complain(problem);
  }

  #toggle() {
    this.#mixing = !this.#mixing;
    if (!this.#mixing) {
      const heaviest = this.#weights.reduce((best, one) => (Number(one.input.value) > Number(best.input.value) ? one : best));
      this.#report(heaviest.style);
    }
    this.#arrange();
  }

  #arrange() {
    this.element.classList.toggle("mixing", this.#mixing);
    this.#mix.setAttribute("aria-pressed", String(this.#mixing));
  }

  /** @param {string | Record<string, number>} value */
  #report(value) {
    this.show(value);
    this.#onInput(value);
  }

  /** The sliders stay where the hand put them; only the read-outs are shares of the whole. */
  #reportMix() {
    const weights = Object.fromEntries(this.#weights.map(({ style, input }) => [style, Number(input.value) / FULL]));
    if (!Object.values(weights).some((weight) => weight > 0)) return this.complain("At least one style needs some weight.");
    this.#readOut(weights);
    this.#onInput(weights);
  }

  /** @param {Record<string, number>} weights @returns {Record<string, number>} each style's share of the whole */
  #readOut(weights) {
    const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0) || 1;
    const shares = Object.fromEntries(this.#styles.map((style) => [style, (weights[style] ?? 0) / total]));
    for (const { style, input, text } of this.#weights) {
      text.textContent = `${Math.round((shares[style] ?? 0) * 100)} %`;
      input.setAttribute("aria-valuetext", text.textContent);
    }
    return shares;
  }

  /** @param {string} name @param {string} style */
  #makeChoice(name, style) {
    const input = make("input", { type: "radio", name: `parameter-${name}`, value: style });
    input.addEventListener("change", () => this.#report(style));
    return { input, label: make("label", { class: "choice" }, input, make("span", {}, titled(style))) };
  }

  /** @param {string} style */
  #makeWeight(style) {
    const input = makeSlider({ min: "0", max: `${FULL}`, step: "1", "aria-label": `Weight of ${style}` });
    input.addEventListener("input", () => this.#reportMix());
    const text = make("span", { class: "readout" });
    return { style, input, text, row: make("div", { class: "weight" }, make("span", { class: "weight-name" }, titled(style)), input, text) };
  }
}

/** @param {unknown} value @returns {Record<string, number>} */
function weightsOf(value) {
  if (typeof value === "string") return { [value]: 1 };
  return value && typeof value === "object" ? /** @type {Record<string, number>} */ (value) : {};
}
