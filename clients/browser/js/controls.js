/** All controls of one stream: what was chosen here, what the server accepted, and what it refused. */

import { controlOf } from "./control.js";

const SETTLE_MS = 1200;

/** What is about the signal and not the look has its place there. */
const OF_SIGNAL = new Set(["budget_ms"]);

export class Controls {
  #element;
  #signalElement;
  /** @type {Map<string, import("./control.js").Control>} */
  #controls = new Map();
  /** @type {Map<string, number>} when each parameter was last touched here */
  #touched = new Map();
  /** @type {Record<string, unknown>} chosen here or named in the address: these follow to the next stream */
  #chosen;
  #onChange;

  /**
   * @param {HTMLElement} element holds them
   * @param {HTMLElement} signalElement holds those that are about the signal
   * @param {Record<string, unknown>} chosen parameters the page's address names
   * @param {(name: string, value: unknown) => void} onChange
   */
  constructor(element, signalElement, chosen, onChange) {
    this.#element = element;
    this.#signalElement = signalElement;
    this.#chosen = chosen;
    this.#onChange = onChange;
  }

  /** Parameters to start a stream with: only what was chosen. */
  get chosen() {
    return { ...this.#chosen };
  }

  /** @param {Record<string, import("./api.js").ParameterSchema>} schema */
  build(schema) {
    this.#controls.clear();
    this.#chosen = Object.fromEntries(Object.entries(this.#chosen).filter(([name]) => name in schema));
    for (const [name, property] of Object.entries(schema)) {
      const control = controlOf(name, property, (value) => this.#changed(name, value));
      if (!control) continue;
      if (name in this.#chosen) control.show(this.#chosen[name]);
      this.#controls.set(name, control);
    }
    const placed = (/** @type {boolean} */ ofSignal) => [...this.#controls].filter(([name]) => OF_SIGNAL.has(name) === ofSignal).map(([, { element }]) => element);
    this.#element.replaceChildren(...placed(false));
    this.#signalElement.replaceChildren(...placed(true));
  }

  /** Another model serves: what was chosen is from now on what it made of that. @param {Record<string, unknown>} params */
  adopt(params) {
    this.#touched.clear();
    for (const name of Object.keys(this.#chosen)) {
      if (name in params) this.#chosen[name] = params[name];
      else delete this.#chosen[name];
    }
    this.show(params);
  }

  /** Shows what the server has, save for what a hand is on right now. @param {Record<string, unknown>} params */
  show(params) {
    const now = performance.now();
    for (const [name, value] of Object.entries(params)) {
      const control = this.#controls.get(name);
      const handled = now - (this.#touched.get(name) ?? -Infinity) < SETTLE_MS;
      if (control && !handled && !isTypedIn(control.element)) control.show(value);
    }
  }

  /** What was refused is forgotten, so that it does not spoil the next start. @param {Record<string, string>} problems by parameter */
  complain(problems) {
    for (const [name, problem] of Object.entries(problems)) {
      this.#controls.get(name)?.complain(problem);
      delete this.#chosen[name];
    }
  }

  /** @param {string} name @param {unknown} value */
  #changed(name, value) {
    this.#touched.set(name, performance.now());
    this.#chosen[name] = value;
    this.#controls.get(name)?.complain("");
    this.#onChange(name, value);
  }
}

/** Whether somebody may be half way through a number or a text here. @param {HTMLElement} element */
function isTypedIn(element) {
  const { activeElement } = document;
  return activeElement !== null && element.contains(activeElement) && activeElement.matches("input[type=number], textarea");
}
