/** The frame of a control: label, read-out, reset button, description and the problem line. */

import { icon, make } from "./element.js";

export class Field {
  #problem;

  /**
   * @param {string} name @param {import("./api.js").ParameterSchema} schema
   * @param {{onReset?: () => void, readout?: HTMLElement, group?: boolean}} [parts] `group` for several inputs under one label
   */
  constructor(name, schema, { onReset, readout, group = false } = {}) {
    const title = schema.title ?? name;
    this.id = `parameter-${name}`;
    this.label = group ? make("span", { class: "field-label", id: `${this.id}-label` }, title) : make("label", { class: "field-label", for: this.id }, title);
    if (schema.description) this.label.title = schema.description;
    this.#problem = make("p", { class: "field-problem", id: `${this.id}-problem`, role: "alert" });
    this.#problem.hidden = true;
    const head = make("div", { class: "field-head" }, this.label);
    if (onReset) {
      const reset = make("button", { type: "button", class: "quiet reset", "aria-label": `Reset ${title} to ${schema.default}`, title: `Reset to ${schema.default}` }, icon("reset"));
      reset.addEventListener("click", onReset);
      head.append(reset);
      this.reset = reset;
    }
    if (readout) head.append(readout);
    this.body = make("div", { class: "field-body" });
    this.element = make("div", { class: "field", "data-parameter": name }, head, this.body, this.#problem);
    if (group) {
      this.element.setAttribute("role", "group");
      this.element.setAttribute("aria-labelledby", this.label.id);
    }
  }

  /** @param {string} problem empty when all is well */
  complain(problem) {
    this.#problem.textContent = problem;
    this.#problem.hidden = !problem;
    this.element.classList.toggle("refused", Boolean(problem));
    for (const input of this.element.querySelectorAll("input, textarea, select")) {
      if (problem) input.setAttribute("aria-describedby", this.#problem.id);
      else input.removeAttribute("aria-describedby");
    }
  }
}

/** A style or choice as people read it. @param {string} name */
export function titled(name) {
  return name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
}
