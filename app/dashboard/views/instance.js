// One instance: its state, what can be asked of it, its backups and jobs.

import { get, path } from "../api.js";
import { h } from "../dom.js";
import { livePhases } from "../following.js";
import { historyCharts } from "../history.js";
import { ago, backupBadge, backupLink, crumbs, empty, heading, jobLink, section, stateBadge, table } from "../parts.js";
import { bytes, number, seconds, typeWord } from "../words.js";
import { actions, lossButton, outstanding, proofFigures, protection } from "./instances.js";
import { jobsTable } from "./jobs.js";

const HISTORY = 100;
const JOBS_SHOWN = 10;

export function instanceView(name) {
  const load = async (signal) => {
    const [instance, { backups }, { jobs }, stats] = await Promise.all([
      get(path("instances", name), signal),
      get(`${path("instances", name, "backups")}?page_size=${HISTORY}`, signal),
      get(`/jobs?instance=${encodeURIComponent(name)}&page_size=${HISTORY}`, signal),
      get(path("instances", name, "stats"), signal),
    ]);
    return { instance, backups, jobs, stats };
  };
  return { title: name, section: "instances", ages: true, load, draw };
}

function draw({ instance, backups, jobs, stats }) {
  const active = jobs.find((job) => job.id === instance.active_job);
  return [
    crumbs(h("a", { href: "#/" }, "Instances")),
    heading(instance.name, stateBadge(instance.state), h("div", { class: "actions" }, actions(instance))),
    instance.detail && h("p", { class: "hint" }, instance.detail),
    outstanding(instance),
    protection(instance),
    active && section("Going on now", h("p", {}, jobLink(active.id, `${typeWord(active.type)}, job ${active.id}`)), livePhases(active)),
    section("Last proof", proofFigures(instance, backups, "Ended"), h("div", { class: "loss-row" }, lossButton(instance))),
    section("History", historyCharts(jobs, backups, stats)),
    section("Backups", backupsTable(backups)),
    section("Jobs", jobsTable("Jobs", jobs.slice(0, JOBS_SHOWN))),
  ];
}

function backupsTable(backups) {
  if (!backups.length) return empty("None yet.");
  return table(
    "Backups",
    ["Backup", "Status", "Made", "Objects", "Size", "Took"],
    backups.map((backup) => [
      [backupLink(backup.instance_name, backup.id), backup.pinned && h("span", { class: "badge" }, "Pinned")],
      backupBadge(backup),
      ago(backup.created_at),
      number(backup.items),
      bytes(backup.size_bytes),
      seconds(backup.seconds),
    ]),
  );
}
