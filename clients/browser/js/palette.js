/** The tools of the drawing canvas: colours, brush size, undo, clear, landscape or paper. */

import { find, make } from "./element.js";
import { makeSlider, setSlider } from "./slider.js";

const COLOURS = [
  ["#e2573d", "Vermilion"],
  ["#f3c64f", "Ochre"],
  ["#7fae5a", "Sap green"],
  ["#2f8f83", "Viridian"],
  ["#3f6fc4", "Ultramarine"],
  ["#8a5aa8", "Violet"],
  ["#f6ead2", "Ivory"],
  ["#1d1a24", "Ink"],
];

export class Palette {
  #painting;
  #element = find("palette", HTMLElement);
  #undo = find("undo", HTMLButtonElement);
  #clear = find("clear", HTMLButtonElement);

  /** @param {import("./painting.js").Painting} painting */
  constructor(painting) {
    this.#painting = painting;
    find("colours", HTMLElement).append(...COLOURS.map(([colour = "", name = ""]) => this.#swatch(colour, name)), this.#anyColour());
    const size = makeSlider({ id: "brush", min: "3", max: "60", step: "1", "aria-label": "Brush size" });
    size.addEventListener("input", () => (painting.brushPx = Number(size.value)));
    find("brush-size", HTMLElement).append(size);
    setSlider(size, painting.brushPx);
    this.#undo.addEventListener("click", () => painting.undo());
    this.#clear.addEventListener("click", () => painting.clear());
    const scenery = find("scenery", HTMLButtonElement);
    scenery.addEventListener("click", () => {
      painting.scenery = !painting.scenery;
      scenery.setAttribute("aria-pressed", String(painting.scenery));
    });
    painting.onChange = () => this.#update();
    document.addEventListener("keydown", (event) => this.#shortcut(event));
    this.#update();
  }

  /** @param {boolean} shown */
  set shown(shown) {
    this.#element.hidden = !shown;
  }

  #update() {
    this.#undo.disabled = this.#clear.disabled = this.#painting.strokes === 0;
  }

  /** @param {string} colour @param {string} name */
  #swatch(colour, name) {
    const input = make("input", { type: "radio", name: "colour", value: colour, "aria-label": name });
    input.checked = colour === this.#painting.colour;
    input.addEventListener("change", () => (this.#painting.colour = colour));
    const dot = make("span", { class: "dot" });
    dot.style.setProperty("--dot", colour);
    return make("label", { class: "colour", title: name }, input, dot);
  }

  #anyColour() {
    const input = make("input", { type: "color", value: "#e58fb1", "aria-label": "Any other colour" });
    input.addEventListener("input", () => {
      for (const radio of this.#element.querySelectorAll("input[name=colour]")) if (radio instanceof HTMLInputElement) radio.checked = false;
      this.#painting.colour = input.value;
    });
    return make("label", { class: "colour any", title: "Any other colour" }, input);
  }

  /** @param {KeyboardEvent} event */
  #shortcut(event) {
    const typing = event.target instanceof Element && event.target.closest("input:not([type=range],[type=radio]), textarea");
    if (this.#element.hidden || typing || event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    this.#painting.undo();
  }
}
