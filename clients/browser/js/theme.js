/** Dark or light: what the system prefers until somebody chooses, then what was chosen. */

const KEY = "cmstream-theme";
const LIGHT = matchMedia("(prefers-color-scheme: light)");

/** @param {HTMLButtonElement} button @param {() => void} onChange after the colours changed */
export function installTheme(button, onChange) {
  let chosen = remembered();
  const apply = () => {
    const theme = chosen ?? (LIGHT.matches ? "light" : "dark");
    document.documentElement.dataset.theme = theme;
    button.title = `Use the ${theme === "dark" ? "light" : "dark"} theme`;
    button.setAttribute("aria-label", button.title);
    onChange();
  };
  button.addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    remember(chosen);
    apply();
  });
  LIGHT.addEventListener("change", apply);
  apply();
}

/** @returns {string | null} */
function remembered() {
  try {
    const chosen = localStorage.getItem(KEY);
    return chosen === "dark" || chosen === "light" ? chosen : null;
  } catch {
    return null;
  }
}

/** @param {string} theme */
function remember(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // No storage here: the choice lasts as long as the page.
  }
}
