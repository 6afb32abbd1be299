/** A range input that paints how full it is; browsers do not agree on a way to style that. */

import { make } from "./element.js";

/** @param {Record<string, string>} attributes */
export function makeSlider(attributes) {
  const input = make("input", { type: "range", class: "slider", ...attributes });
  input.addEventListener("input", () => paint(input));
  return input;
}

/** @param {HTMLInputElement} input @param {number} value */
export function setSlider(input, value) {
  input.value = String(value);
  paint(input);
}

/** @param {HTMLInputElement} input */
function paint(input) {
  const low = Number(input.min || 0);
  const high = Number(input.max || 100);
  input.style.setProperty("--fill", `${((Number(input.value) - low) / (high - low)) * 100}%`);
}
