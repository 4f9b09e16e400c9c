// What would be lost if an instance were stopped now; asked for only when somebody wants to know.

import { get, path } from "./api.js";
import { h, swap } from "./dom.js";
import { problemBox } from "./parts.js";
import { count, readable } from "./words.js";

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

/** What is lost for one reason together: most of it is of one kind, and the odd one must not drown in it. */
function lostList(lost, instance) {
  const groups = new Map();
  for (const entry of lost) {
    const key = `${entry.kind}: ${entry.reason}`;
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  return h("ul", { class: "lost-list" }, [...groups].map(([key, entries]) => h("li", {}, lostGroup(entries, `lost ${instance} ${key}`))));
}

function lostGroup(entries, key) {
  const [{ kind, name, reason }] = entries;
  if (entries.length === 1) return [h("span", { class: "code" }, `${kind} ${name}`), `: ${reason}`];
  return [
    `${count(entries.length, kind)}: ${reason}`,
    h("details", { "data-key": key }, h("summary", {}, "Which"), h("ul", { class: "lost-list" }, entries.map((entry) => h("li", { class: "code" }, entry.name)))),
  ];
}
