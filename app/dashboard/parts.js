// Small pieces that several views show.

import { h } from "./dom.js";
import { Problem, path } from "./api.js";
import { STATES, age, moment, readable } from "./words.js";

const JOB_SIGNS = { succeeded: "✓", failed: "✕", cancelled: "–", queued: "…", running: "●", cancelling: "●" };

export function stateBadge(state) {
  return h("span", { class: `badge state-${state}` }, h("span", { class: "dot", "aria-hidden": "true" }), STATES[state] ?? readable(state));
}

export function jobBadge(status) {
  return h("span", { class: `badge job-${status}` }, h("span", { "aria-hidden": "true" }, JOB_SIGNS[status] ?? "•"), readable(status));
}

export function backupBadge(backup) {
  return h("span", { class: `badge backup-${backup.status}` }, readable(backup.status));
}

export function ago(time) {
  return h("time", { datetime: time, title: moment(time) }, age(time));
}

export function instanceLink(name) {
  return h("a", { href: `#${path("instances", name)}`, "data-key": `instance ${name}` }, name);
}

export function backupLink(instance, backup) {
  return h("a", { class: "code", href: `#${path("instances", instance, "backups", backup)}`, "data-key": `backup ${backup}` }, backup);
}

export function jobLink(id, ...children) {
  return h("a", { href: `#${path("jobs", id)}`, "data-key": `job ${id}` }, ...children);
}

/** A figure with what it is of, for a `<dl class="figures">`. */
export function figure(name, ...value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, ...value));
}

/** A table that can be scrolled by keyboard where the window is narrow. */
export function table(caption, heads, rows) {
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption, "data-key": `table ${caption}` },
    h(
      "table",
      {},
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, cell))))),
    ),
  );
}

/** What went wrong, and what to do about it. */
export function problemBox(error, { alert = true } = {}) {
  const { title, detail, remedy } = error instanceof Problem ? error.document : { title: "That did not work", detail: error.message };
  return h(
    "div",
    { class: "problem", role: alert ? "alert" : null },
    h("strong", {}, title),
    detail && h("p", {}, detail),
    remedy && h("p", { class: "remedy" }, h("b", {}, "What to do: "), remedy),
  );
}

export function empty(...children) {
  return h("p", { class: "empty" }, ...children);
}

export function section(title, ...children) {
  const id = `section-${title.toLowerCase().replaceAll(/[^a-z]+/g, "-")}`;
  return h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, title), ...children);
}

/** A page's heading with what stands beside it. */
export function heading(title, ...beside) {
  return h("div", { class: "heading" }, h("h1", { tabindex: "-1" }, title), ...beside);
}

export function crumbs(...links) {
  return h("nav", { class: "crumbs", "aria-label": "Path" }, h("ol", {}, links.map((link) => h("li", {}, link))));
}
