// Which colours: the system's, or the ones chosen here. Loaded before the first paint, so that nothing flashes.
"use strict";

(() => {
  const KEY = "kecs-state-theme";
  const NEXT = { system: "light", light: "dark", dark: "system" };
  const SIGNS = { system: "◐", light: "☀", dark: "☾" };
  const WORDS = { system: "as the system", light: "light", dark: "dark" };

  let chosen = "system";
  try {
    chosen = localStorage.getItem(KEY) in NEXT ? localStorage.getItem(KEY) : "system";
  } catch {
    // A browser that keeps nothing: the choice then lasts as long as the page.
  }

  const apply = () => {
    document.documentElement.dataset.theme = chosen;
    const button = document.getElementById("theme");
    if (button) {
      button.setAttribute("aria-label", `Colours: ${WORDS[chosen]}. Change to ${WORDS[NEXT[chosen]]}`);
      button.title = `Colours: ${WORDS[chosen]}`;
      document.getElementById("theme-sign").textContent = SIGNS[chosen];
    }
  };

  apply();
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      chosen = NEXT[chosen];
      apply();
      try {
        localStorage.setItem(KEY, chosen);
      } catch {
        // As above.
      }
    });
  });
})();
