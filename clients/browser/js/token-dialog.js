/** Asks for the token the server wants. It is kept for this tab only. */

import { find } from "./element.js";

const KEY = "cmstream-token";

/** The token kept from before in this tab. */
export function keptToken() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} token */
export function keepToken(token) {
  try {
    sessionStorage.setItem(KEY, token);
  } catch {
    // No storage here: it is asked for again after a reload.
  }
}

/** @param {boolean} wrong whether one was tried already @returns {Promise<string>} empty when the person gave up */
export function askForToken(wrong) {
  const dialog = find("token-dialog", HTMLDialogElement);
  const input = find("token", HTMLInputElement);
  find("token-wrong", HTMLElement).hidden = !wrong;
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "use" ? input.value.trim() : ""), { once: true });
  });
}
