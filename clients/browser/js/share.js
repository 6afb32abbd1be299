/** The stream's name, and the addresses that other programs need, each a click from the clipboard. */

import { isStreamName, viewUrl, whipUrl } from "./address.js";
import { find } from "./element.js";

const COPIED_MS = 1500;

export class Share {
  #name = find("stream-name", HTMLInputElement);
  #address;
  #token;

  /** @param {import("./address.js").Address} address @param {() => string} token @param {() => void} onRename */
  constructor(address, token, onRename) {
    this.#address = address;
    this.#token = token;
    this.#name.addEventListener("change", () => {
      const good = isStreamName(this.#name.value);
      this.#name.setCustomValidity(good ? "" : "Up to 64 letters, digits, '.', '_' or '-'; a letter or digit first.");
      if (!this.#name.reportValidity() || this.#name.value === address.stream) return;
      address.rename(this.#name.value);
      this.show();
      onRename();
    });
    this.#name.addEventListener("input", () => this.#name.setCustomValidity(""));
    this.#name.addEventListener("keydown", ({ key }) => key === "Enter" && this.#name.blur());
    copies("copy-view", () => viewUrl(address.stream, token()));
    copies("copy-whip", () => whipUrl(address.stream));
    this.show();
  }

  /** Shows the addresses as they are now. */
  show() {
    const { stream } = this.#address;
    this.#name.value = stream;
    this.#name.style.setProperty("--letters", String(Math.max(8, stream.length)));
    find("view-url", HTMLElement).textContent = viewUrl(stream, "");
    find("whip-url", HTMLElement).textContent = whipUrl(stream);
    find("open-view", HTMLAnchorElement).href = viewUrl(stream, this.#token());
  }
}

/** @param {string} id of a button @param {() => string} text */
function copies(id, text) {
  const button = find(id, HTMLButtonElement);
  const said = button.getAttribute("aria-label") ?? "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  button.addEventListener("click", async () => {
    const done = await copy(text());
    button.toggleAttribute("data-copied", done);
    button.setAttribute("aria-label", done ? "Copied" : "Copying is not allowed here: select the address instead");
    clearTimeout(timer);
    timer = setTimeout(() => {
      button.removeAttribute("data-copied");
      button.setAttribute("aria-label", said);
    }, COPIED_MS);
  });
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
