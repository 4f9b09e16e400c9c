// Accepted operations: all of them, and one with its phases and how it ended.

import { smallButton } from "../actions.js";
import { Problem, get, path } from "../api.js";
import { h } from "../dom.js";
import { livePhases } from "../following.js";
import { ago, backupLink, crumbs, empty, figure, heading, instanceLink, jobBadge, jobLink, problemBox, section, table } from "../parts.js";
import { between, count, readable, seconds, typeWord } from "../words.js";

const SHOWN = 50;

export function jobsView() {
  const load = (signal) => get(`/jobs?page_size=${SHOWN}`, signal);
  const draw = ({ jobs }) => [heading("Jobs"), jobsTable("Jobs", jobs)];
  return { title: "Jobs", section: "jobs", ages: true, load, draw };
}

export function jobsTable(caption, jobs) {
  if (!jobs.length) return empty("None yet.");
  return table(
    caption,
    ["Operation", "Instance", "Status", "Created", "Took"],
    jobs.map((job) => [
      jobLink(job.id, typeWord(job.type)),
      instanceLink(job.instance_name),
      [jobBadge(job.status), job.error && h("span", { class: "hint" }, ` ${job.error.title}`)],
      ago(job.created_at),
      seconds(between(job.started_at, job.finished_at)),
    ]),
  );
}

export function jobView(id) {
  const load = async (signal) => {
    const [job, events] = await Promise.all([get(path("jobs", id), signal), get(path("jobs", id, "events"), signal)]);
    return { job, events };
  };
  return { title: `Job ${id.slice(0, 8)}`, section: "jobs", load, draw };
}

function draw({ job, events }, refresh) {
  return [
    crumbs(h("a", { href: "#/jobs" }, "Jobs"), instanceLink(job.instance_name)),
    heading(`${typeWord(job.type)} of ${job.instance_name}`, jobBadge(job.status), h("div", { class: "actions" }, buttons(job, refresh))),
    h("section", { class: "panel", "aria-label": "Phases" }, livePhases(job, events)),
    job.error && problemBox(new Problem(job.error), { alert: false }),
    job.result && outcome(job),
    job.warnings.length > 0 &&
      section("Warnings", h("ul", { class: "checks" }, job.warnings.map((warning) => h("li", { class: "check warns" }, h("b", {}, readable(warning.code)), `: ${warning.detail}`)))),
    figures(job),
    job.finished_at && h("details", { "data-key": "events" }, h("summary", {}, `${count(events.length, "event")}`), eventsTable(events, job)),
  ];
}

function buttons(job, refresh) {
  const open = (made) => {
    location.hash = `#${path("jobs", made.id)}`;
  };
  return [
    job.links.cancel && job.status !== "cancelling" && smallButton("Cancel", "Cancel this job", job.links.cancel, refresh),
    job.links.retry && smallButton("Submit again", "Submit this operation again", job.links.retry, open),
  ];
}

function figures(job) {
  return h(
    "dl",
    { class: "figures" },
    figure("Created", ago(job.created_at)),
    figure("Took", seconds(between(job.started_at, job.finished_at))),
    figure("Attempt", String(job.attempt)),
    job.backup && h("div", { class: "wide" }, h("dt", {}, "Backup"), h("dd", {}, backupLink(job.instance_name, job.backup))),
    h("div", { class: "wide" }, h("dt", {}, "Job"), h("dd", { class: "code" }, job.id)),
  );
}

/** How a job that succeeded ended, in a sentence or two. */
function outcome(job) {
  const { result } = job;
  const good = !(job.type === "stop" && result.protected === false);
  return h("div", { class: good ? "outcome" : "outcome unprotected" }, sentences(job).map((sentence) => h("p", {}, sentence)));
}

function sentences({ type, result, instance_name: name }) {
  const lines = [];
  if (type === "stop") {
    lines.push(result.noop ? `${name} was off already.` : `${name} is off.`);
    lines.push(result.protected ? "Protected: a proven backup holds the state that was powered off." : `Unprotected: ${result.reason}.`);
    if (result.changed_since_backup?.length) lines.push(`${count(result.changed_since_backup.length, "object")} changed since the backup.`);
  } else if (type === "start" || type === "restore") {
    lines.push(result.noop ? `${name} was running already; nothing to do.` : `${readable(result.action ?? "done")}: ${result.reason}.`);
    const missing = result.restored?.comparison?.missing ?? [];
    if (result.restored) lines.push(missing.length ? `${count(missing.length, "object")} did not come back: ${missing.slice(0, 5).join(", ")}` : "Everything the backup holds is there.");
  } else if (result.proof) {
    lines.push(`Proven: ${count(result.proof.items_in_backup, "object")} in the backup.`);
  }
  if (result.not_saved?.length) lines.push(`${count(result.not_saved.length, "thing")} could not be saved; the backup's page lists them.`);
  return lines.length ? lines : ["Done."];
}

function eventsTable(events, job) {
  const rows = events.map((event) => [`+${seconds(between(job.created_at, event.at))}`, readable(event.type), event.data.step ?? event.data.message ?? event.data.detail ?? ""]);
  return table("Events", ["After", "Event", "Of what"], rows);
}
