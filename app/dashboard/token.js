// Asks for a token where the service wants one. It is kept in this tab's session storage and nowhere else.

import { h } from "./dom.js";

/** Resolves to what was entered, or to null when the user gives up; `problem` is why it is asked for. */
export function askForToken(problem) {
  return new Promise((resolve) => {
    const input = h("input", { id: "token", type: "password", autocomplete: "off", required: true, spellcheck: "false" });
    const send = (event) => {
      event.preventDefault();
      dialog.close(input.value.trim());
    };
    const dialog = h(
      "dialog",
      { "aria-labelledby": "token-title", "aria-describedby": "token-why" },
      h(
        "form",
        { onsubmit: send },
        h("h2", { id: "token-title" }, "This service asks for a token"),
        h("p", { id: "token-why" }, `${problem.title}: ${problem.detail}.`),
        h("p", { class: "remedy" }, "Make one where the service runs: ", h("code", {}, "kecs-state token create NAME"), "."),
        h("label", { for: "token" }, "Token"),
        input,
        h("p", { class: "hint" }, "Kept until this tab is closed."),
        h(
          "div",
          { class: "buttons" },
          h("button", { type: "button", onclick: () => dialog.close("") }, "Cancel"),
          h("button", { class: "primary" }, "Use this token"),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue || null);
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
