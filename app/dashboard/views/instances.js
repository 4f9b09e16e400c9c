// All instances: state, last proof, what would be lost now; then how it went so far.

import { backupButton, startButton, stopButton } from "../actions.js";
import { get, path } from "../api.js";
import { h, swap } from "../dom.js";
import { livePhases } from "../following.js";
import { historyCharts } from "../history.js";
import { ago, backupLink, empty, figure, heading, jobLink, section, stateBadge } from "../parts.js";
import { lossReport } from "../preflight.js";
import { bytes, count, number, seconds, typeWord } from "../words.js";
import { jobsTable } from "./jobs.js";

const JOBS_SHOWN = 6;
const HISTORY = 100;

export function instancesView() {
  return { title: "Instances", section: "instances", ages: true, load, draw };
}

async function load(signal) {
  const [{ instances }, { jobs }, stats] = await Promise.all([get("/instances", signal), get(`/jobs?page_size=${HISTORY}`, signal), get("/stats", signal)]);
  const backups = await Promise.all(instances.map(async ({ name }) => (await get(`${path("instances", name, "backups")}?page_size=${HISTORY}`, signal)).backups));
  return { instances, jobs, stats, backups };
}

function draw({ instances, jobs, stats, backups }) {
  const all = backups.flat().sort((one, other) => other.created_at.localeCompare(one.created_at));
  return [
    heading("Instances", h("span", { class: "hint" }, summary(instances))),
    instances.length
      ? h("ul", { class: "cards" }, instances.map((instance, index) => h("li", {}, card(instance, backups[index], jobs))))
      : empty("No instance yet. With the sandbox: ", h("code", {}, "kecs-state sandbox create demo"), "; with KECS: ", h("code", {}, "kecs start"), "."),
    section("History", historyCharts(jobs, all, stats)),
    section("Latest jobs", jobsTable("Latest jobs", jobs.slice(0, JOBS_SHOWN)), jobs.length > JOBS_SHOWN && h("p", {}, h("a", { href: "#/jobs" }, "All jobs"))),
  ];
}

function summary(instances) {
  const running = instances.filter((instance) => instance.state === "running").length;
  return `${running} of ${count(instances.length, "instance")} running`;
}

function card(instance, backups, jobs) {
  const id = `card-${instance.name}`;
  const active = jobs.find((job) => job.id === instance.active_job);
  return h(
    "article",
    { class: "card", "aria-labelledby": id },
    h("header", {}, h("h2", { id }, h("a", { href: `#${path("instances", instance.name)}`, "data-key": id }, instance.name)), stateBadge(instance.state)),
    instance.detail && h("p", { class: "hint" }, instance.detail),
    outstanding(instance),
    protection(instance),
    proofFigures(instance, backups),
    active && [h("p", { class: "hint" }, jobLink(active.id, `${typeWord(active.type)} goes on`)), livePhases(active)],
    h("footer", {}, actions(instance), lossButton(instance)),
  );
}

/** The last proof with its age and figures, for cards and for the instance's own page. */
export function proofFigures(instance, backups, label = "Last proof") {
  const proven = backups.find((backup) => backup.id === instance.last_proven_backup);
  if (!instance.last_proven_backup) return empty("No proven backup yet. The next stop makes one before anything is powered off.");
  return h(
    "dl",
    { class: "figures" },
    figure(label, instance.last_proven_at ? ago(instance.last_proven_at) : "unknown"),
    figure("Objects", number(proven?.items)),
    figure("Size", bytes(proven?.size_bytes)),
    figure("Took", seconds(proven?.seconds)),
    figure("Storage", bytes(instance.storage_bytes)),
    h("div", { class: "wide" }, h("dt", {}, "Backup"), h("dd", {}, backupLink(instance.name, instance.last_proven_backup))),
  );
}

/** Whether a proven backup holds what was powered off. */
export function protection(instance) {
  if (instance.state !== "stopped") return null;
  return instance.stopped_with
    ? h("p", { class: "verdict good" }, "Protected: a proven backup holds the state that was powered off.")
    : h("p", { class: "verdict bad" }, "Unprotected: no proven stop turned it off.");
}

/** A restore that is due, with the ways out as the service names them. */
export function outstanding(instance) {
  const due = instance.restore_outstanding;
  return (
    due &&
    h(
      "div",
      { class: "problem" },
      h("strong", {}, "A restore is outstanding"),
      h("p", {}, `What ${due.backup} holds has not been brought back. Nothing is backed up or pruned until it is, or is given up.`),
      h("p", { class: "remedy" }, h("b", {}, "Ways out: "), due.ways_out.join(" or ")),
    )
  );
}

export function actions(instance) {
  if (instance.state === "running") {
    const due = instance.restore_outstanding && startButton(instance);
    return [due, stopButton(instance), backupButton(instance)];
  }
  return instance.state === "stopped" ? [startButton(instance)] : [];
}

/** Asks what would be lost, and puts the answer below. */
export function lossButton(instance) {
  if (instance.state !== "running") return null;
  const answer = h("div", { class: "answer" });
  const button = h(
    "button",
    { type: "button", class: "link", "data-key": `loss ${instance.name}`, "aria-label": `What would be lost now: ${instance.name}`, onclick: () => swap(answer, lossReport(instance.name)) },
    "What would be lost now?",
  );
  return [button, answer];
}
