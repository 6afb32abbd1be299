/** Which source is published: kind, camera, file. A file can also be dropped on the stage. */

import { listCameras } from "./camera.js";
import { find, make } from "./element.js";

/** @typedef {import("./source.js").SourceKind} SourceKind */

export class SourcePicker {
  #cameras = find("cameras", HTMLSelectElement);
  #file = find("file", HTMLInputElement);
  #onPick;
  /** @type {SourceKind} */
  kind = "camera";
  /** @type {File | null} */
  file = null;

  /** @param {SourceKind} kind at first @param {() => void} onPick after any change */
  constructor(kind, onPick) {
    this.#onPick = onPick;
    for (const radio of document.querySelectorAll("input[name=source]")) {
      if (!(radio instanceof HTMLInputElement)) continue;
      radio.addEventListener("change", () => this.#pick(/** @type {SourceKind} */ (radio.value)));
      // A second click on File chooses another one.
      radio.addEventListener("click", () => radio.value === "file" && this.file && this.#file.click());
    }
    this.#cameras.addEventListener("change", onPick);
    this.#file.addEventListener("change", () => this.#take(this.#file.files?.[0]));
    find("choose-file", HTMLButtonElement).addEventListener("click", () => this.#file.click());
    this.#acceptDrops(find("stage", HTMLElement));
    navigator.mediaDevices?.addEventListener("devicechange", () => this.refresh());
    this.#show(kind);
    this.refresh();
  }

  get deviceId() {
    return this.#cameras.value;
  }

  /** Lists the cameras again; their names are known once one was allowed. */
  async refresh() {
    const cameras = await listCameras();
    const before = this.#cameras.value;
    this.#cameras.replaceChildren(...cameras.map(({ id, label }) => make("option", { value: id }, label)));
    if (cameras.some(({ id }) => id === before)) this.#cameras.value = before;
    this.#cameras.hidden = this.kind !== "camera" || cameras.length < 2;
  }

  /** @param {SourceKind} kind */
  #pick(kind) {
    this.#show(kind);
    this.#onPick();
  }

  /** @param {SourceKind} kind */
  #show(kind) {
    this.kind = kind;
    const radio = document.querySelector(`input[name=source][value=${kind}]`);
    if (radio instanceof HTMLInputElement) radio.checked = true;
    this.#cameras.hidden = kind !== "camera" || this.#cameras.options.length < 2;
    find("file-name", HTMLElement).textContent = this.file?.name ?? "";
  }

  /** @param {File | undefined} file */
  #take(file) {
    if (!file) return;
    this.file = file;
    this.#file.value = "";
    this.#pick("file");
  }

  /** @param {HTMLElement} target */
  #acceptDrops(target) {
    target.addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      target.toggleAttribute("data-dropping", true);
    });
    target.addEventListener("dragleave", () => target.toggleAttribute("data-dropping", false));
    target.addEventListener("drop", (event) => {
      event.preventDefault();
      target.toggleAttribute("data-dropping", false);
      this.#take(event.dataTransfer?.files[0]);
    });
  }
}
