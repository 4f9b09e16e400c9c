// What would be lost if an instance were stopped now; asked for only when somebody wants to know.

import { get, path } from "./api.js";
import { h, swap } from "./dom.js";
import { problemBox } from "./parts.js";
import { count, readable } from "./words.js";

const MOST_SHOWN = 8;

/** An element that fills itself with the answer. */
export function lossReport(instance) {
  const element = h("div", { class: "loss", role: "status", "aria-busy": "true" }, h("p", { class: "loading" }, "Looking; nothing is changed or woken …"));
  get(path("instances", instance, "preflight"))
    .then((preflight) => swap(element, report(preflight)), (error) => swap(element, problemBox(error)))
    .finally(() => element.removeAttribute("aria-busy"));
  return element;
}

function report(preflight) {
  const lost = preflight.not_saved;
  const telling = preflight.checks.filter((check) => check.outcome !== "ok");
  return [
    h("p", { class: preflight.would_stop ? "verdict good" : "verdict bad" }, verdict(preflight)),
    preflight.objects !== null && h("p", {}, `${count(preflight.objects, "object")} would be saved.`),
    telling.length > 0 && h("ul", { class: "checks" }, telling.map(checkItem)),
    preflight.objects !== null &&
      (lost.length === 0
        ? h("p", {}, "Nothing would be lost.")
        : [h("p", {}, h("b", {}, `${count(lost.length, "thing")} would not be saved:`)), lostList(lost, preflight.instance_name)]),
  ];
}

function verdict(preflight) {
  if (preflight.state === "stopped") return "It is off already: nothing to lose now.";
  return preflight.would_stop ? "A stop would go ahead." : "A stop would be refused, and nothing would be touched.";
}

function checkItem(check) {
  return h(
    "li",
    { class: `check ${check.outcome}` },
    h("b", {}, `${readable(check.name)} (${check.outcome})`),
    check.detail && `: ${check.detail}`,
    check.remedy && h("p", { class: "remedy" }, check.remedy),
  );
}

function lostList(lost, instance) {
  const items = lost.map((entry) => h("li", {}, h("span", { class: "code" }, `${entry.kind} ${entry.name}`), h("span", { class: "hint" }, ` ${entry.reason}`)));
  if (items.length <= MOST_SHOWN) return h("ul", { class: "lost-list" }, items);
  return [
    h("ul", { class: "lost-list" }, items.slice(0, MOST_SHOWN)),
    h("details", { "data-key": `lost ${instance}` }, h("summary", {}, `${items.length - MOST_SHOWN} more`), h("ul", { class: "lost-list" }, items.slice(MOST_SHOWN))),
  ];
}
