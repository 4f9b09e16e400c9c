// Elements made by code. What comes from the service is only ever set as text, so none of it can become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element: `h("p", {class: "note"}, "text", element, [more])`; `onclick` and the like take functions. */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Replaces what a container holds; elements with a `data-key` keep focus and, as `<details>`, stay open. */
export function swap(container, ...nodes) {
  const focused = container.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const open = new Set([...container.querySelectorAll("details[open][data-key]")].map((found) => found.dataset.key));
  container.replaceChildren(...nodes.flat(Infinity).filter(Boolean));
  for (const found of container.querySelectorAll("details[data-key]")) {
    if (open.has(found.dataset.key)) found.open = true;
  }
  if (focused) {
    [...container.querySelectorAll("[data-key]")].find((found) => found.dataset.key === focused)?.focus({ preventScroll: true });
  }
}

/** Says a sentence to people who listen rather than look. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}
