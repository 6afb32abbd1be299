/** A prompt: one text, or several that are mixed by weight. Reported when typing pauses, since each has to be encoded. */

import { make } from "./element.js";
import { Field } from "./field.js";
import { makeSlider, setSlider } from "./slider.js";

const PAUSE_MS = 400;
const FULL = 100;

/** @typedef {{element: HTMLElement, text: HTMLTextAreaElement, slider: HTMLInputElement, share: HTMLElement}} Row */

export class PromptControl {
  #field;
  #most;
  #maxLength;
  #onInput;
  #title;
  #add;
  /** @type {Row[]} */
  #rows = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {string} name @param {import("./api.js").ParameterSchema} schema @param {(value: string | Record<string, number>) => void} onInput */
  constructor(name, schema, onInput) {
    const [text, mix] = ["string", "object"].map((type) => schema.oneOf?.find((one) => one.type === type));
    this.#most = mix?.maxProperties ?? 1;
    this.#maxLength = text?.maxLength ?? 2000;
    this.#onInput = onInput;
    this.#title = schema.title ?? name;
    this.#add = make("button", { type: "button", class: "quiet mix", title: "Mix in another text" }, "Mix");
    this.#add.addEventListener("click", () => this.#append());
    this.#field = new Field(name, schema, this.#most > 1 ? { readout: this.#add } : {});
    this.element = this.#field.element;
    this.show(schema.default ?? "");
  }

  /** @param {unknown} value a text, or weights of several */
  show(value) {
    if (this.element.contains(document.activeElement)) return;
    const entries = value && typeof value === "object" ? Object.entries(value) : [[String(value ?? ""), 1]];
    this.#arrange(entries.map(([text, weight]) => this.#makeRow(String(text), Number(weight) * FULL)));
  }

  /** @param {string} problem */
  complain(problem) {
    this.#field.complain(problem);
  }

  #append() {
    const row = this.#makeRow("", FULL / 2);
    this.#arrange([...this.#rows, row]);
    row.text.focus();
  }

  /** @param {Row[]} rows */
  #arrange(rows) {
    this.#rows = rows;
    for (const [index, { text }] of rows.entries()) text.id = index === 0 ? this.#field.id : `${this.#field.id}-${index}`;
    this.element.classList.toggle("mixing", rows.length > 1);
    this.#add.disabled = rows.length >= this.#most;
    this.#field.body.replaceChildren(...rows.map(({ element }) => element));
    this.#readOut();
  }

  /** @param {string} written @param {number} weight 0 to 100 */
  #makeRow(written, weight) {
    const text = make("textarea", { rows: "2", maxlength: `${this.#maxLength}`, spellcheck: "false", "aria-label": this.#title });
    text.value = written;
    const slider = makeSlider({ min: "0", max: `${FULL}`, step: "1", "aria-label": "Weight of this text" });
    setSlider(slider, Math.round(weight));
    const share = make("span", { class: "readout" });
    const remove = make("button", { type: "button", class: "quiet remove", "aria-label": "Leave this text out" }, "×");
    const element = make("div", { class: "prompt" }, text, make("div", { class: "prompt-weight" }, slider, share, remove));
    const row = { element, text, slider, share };
    text.addEventListener("input", () => this.#reportLater());
    slider.addEventListener("input", () => this.#reportLater());
    remove.addEventListener("click", () => this.#leaveOut(row));
    return row;
  }

  /** @param {Row} row */
  #leaveOut(row) {
    this.#arrange(this.#rows.filter((other) => other !== row));
    this.#report();
  }

  #reportLater() {
    this.#readOut();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#report(), PAUSE_MS);
  }

  #report() {
    clearTimeout(this.#timer);
    const weights = this.#weights();
    const texts = Object.keys(weights);
    if (texts.length > 1) return this.#onInput(weights);
    this.#onInput(texts[0] ?? this.#rows[0]?.text.value ?? "");
  }

  /** What is written, each with its weight; a row of a mix with nothing in it does not count. @returns {Record<string, number>} */
  #weights() {
    /** @type {Record<string, number>} */
    const weights = {};
    for (const { text, slider } of this.#rows) {
      const weight = Number(slider.value) / FULL;
      if (weight > 0 && (text.value.trim() || this.#rows.length === 1)) weights[text.value] = (weights[text.value] ?? 0) + weight;
    }
    return weights;
  }

  #readOut() {
    const total = this.#rows.reduce((sum, { slider }) => sum + Number(slider.value), 0) || 1;
    for (const { slider, share } of this.#rows) {
      share.textContent = `${Math.round((Number(slider.value) / total) * 100)} %`;
      slider.setAttribute("aria-valuetext", share.textContent);
    }
  }
}
