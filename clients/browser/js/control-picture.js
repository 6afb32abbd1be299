/** A picture, such as one to look like: scaled down here, sent as a data URL, and known by its digest from then on. */

import { icon, make } from "./element.js";
import { Field } from "./field.js";

/** Models look at few hundred pixels of it. */
const SIDE_PX = 512;
const QUALITY = 0.9;

export class PictureControl {
  #field;
  #input;
  #thumbnail = make("img", { class: "thumbnail", alt: "" });
  #said = make("span", { class: "picture-said" });
  #remove;
  #onInput;
  /** @type {Map<string, string>} what was sent from this page, by digest */
  #sent = new Map();

  /** @param {string} name @param {import("./api.js").ParameterSchema} schema @param {(value: string) => void} onInput */
  constructor(name, schema, onInput) {
    this.#onInput = onInput;
    this.#field = new Field(name, schema);
    this.#input = make("input", { type: "file", accept: "image/*", id: this.#field.id, class: "visually-hidden" });
    const choose = make("button", { type: "button" }, "Choose…");
    this.#remove = make("button", { type: "button", class: "quiet remove", "aria-label": "Remove the picture", title: "Remove" }, icon("close"));
    choose.addEventListener("click", () => this.#input.click());
    this.#input.addEventListener("change", () => this.#take());
    this.#remove.addEventListener("click", () => {
      this.show("");
      this.#onInput("");
    });
    this.#field.body.append(make("div", { class: "picture" }, this.#thumbnail, this.#said, choose, this.#remove, this.#input));
    this.element = this.#field.element;
    this.show(schema.default ?? "");
  }

  /** @param {unknown} value a data URL, the digest of a picture, or empty for none */
  show(value) {
    const told = String(value ?? "");
    const url = told.startsWith("data:") ? told : this.#sent.get(told);
    this.#thumbnail.hidden = !url;
    if (url) this.#thumbnail.src = url;
    this.#said.textContent = url ? "" : told ? "Set elsewhere" : "None";
    this.#remove.hidden = !told;
  }

  /** @param {string} problem */
  complain(problem) {
    this.#field.complain(problem);
  }

  async #take() {
    const [file] = this.#input.files ?? [];
    this.#input.value = ""; // so that the same file may be chosen again
    if (!file) return;
    const bitmap = await createImageBitmap(file).catch(() => null);
    if (!bitmap) return this.complain(`${file.name} is no picture that this browser can read.`);
    const url = scaled(bitmap);
    const digest = await digestOf(url);
    if (digest) this.#sent.set(digest, url);
    this.show(url);
    this.#onInput(url);
  }
}

/** @param {ImageBitmap} bitmap */
function scaled(bitmap) {
  const ratio = Math.min(1, SIDE_PX / Math.max(bitmap.width, bitmap.height));
  const canvas = make("canvas", { width: `${Math.max(16, Math.round(bitmap.width * ratio))}`, height: `${Math.max(16, Math.round(bitmap.height * ratio))}` });
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.toDataURL("image/jpeg", QUALITY);
}

/** As the server names it; null on pages that are not secure, where browsers compute none. @param {string} url */
async function digestOf(url) {
  if (!crypto.subtle) return null;
  const file = Uint8Array.from(atob(url.slice(url.indexOf(",") + 1)), (character) => character.charCodeAt(0));
  const found = new Uint8Array(await crypto.subtle.digest("SHA-256", file));
  return `sha256:${[...found].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
