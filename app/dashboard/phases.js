// What a job is doing, from its events: steps with their seconds, and the few phases a person cares about.

import { between, readable } from "./words.js";

const BACKING_UP = [
  ["Check", ["choose-for-stop", "record-identity", "identify-cluster", "require-storage"]],
  [
    "Look and wake",
    [
      "prepare-scope", "take-inventory", "wake-stack", "choose-backup-name", "start-node-agent",
      "maintain-repositories",
    ],
  ],
  ["Back up", ["create-backup", "wait-for-backup"]],
  ["Prove", ["prove-backup", "prune-backups"]],
];
const BRINGING_BACK = [
  ["Identify", ["choose-for-start", "identify-and-decide", "list-other-backups"]],
  ["Wake", ["tell-of-accepted", "wake-stack", "choose-backup", "prepare-volumes", "name-restores"]],
  [
    "Bring back",
    [
      "look-for-missing", "hold-kecs-server", "remove-ended-tasks", "restore-everything", "update-poorer-deployments",
      "release-kecs-server", "restore-missing", "restore-selection", "read-expected", "bring-store-to-server",
      "wait-for-kecs",
    ],
  ],
  ["Wait for workloads", ["wait-for-workloads", "restore-webhooks"]],
  [
    "Compare",
    [
      "list-restored-volumes", "compare-content", "compare-selection", "settle-outstanding", "list-rerun-tasks",
      "list-tasks-not-run", "list-duplicate-tasks",
    ],
  ],
];
const PHASES = {
  stop: [
    ...BACKING_UP,
    ["Power off", ["sleep-stack", "list-changes-since-backup", "power-off", "verify-off", "copy-state"]],
  ],
  backup: BACKING_UP,
  migrate: [
    ["Ask KECS", ["ask-kecs"]],
    ...BACKING_UP,
    ["Switch", ["check-coverage", "switch-policy", "switch-back"]],
  ],
  start: [
    ["Power on", ["read-power", "note-restore-pending", "ready-state", "power-on", "wait-for-api"]],
    ...BRINGING_BACK,
    ["Finish", ["finish-power-on"]],
  ],
  restore: BRINGING_BACK,
};

/** A job's steps in order: `{key, began, ended, status, progress}`, from its events, oldest first. */
export function stepsOf(events) {
  const steps = [];
  for (const event of events) {
    const found = steps.findLast((step) => step.key === event.data.step);
    if (event.type === "step.started") {
      steps.push({ key: event.data.step, began: event.at, ended: null, status: "running", progress: null });
    } else if (event.type === "progress") {
      const running = steps.findLast((step) => step.status === "running");
      if (running) running.progress = event.data;
    } else if (found && (event.type === "step.succeeded" || event.type === "step.failed")) {
      found.ended = event.at;
      found.status = event.type.slice("step.".length);
    } else if (event.type === "job.started") {
      // What ran when an attempt was cut off is run again.
      for (const step of steps.filter((step) => step.status === "running")) step.status = "cut off";
    }
  }
  return steps;
}

/** The phases of a job: `{name, status, seconds, step}`; a job of a type without any has one per step. */
export function phasesOf(job, steps) {
  const known = PHASES[job.type] ?? unique(steps).map((key) => [readable(key), [key]]);
  const phases = known.map(([name, keys]) => phase(name, steps.filter((step) => keys.includes(plain(step.key)))));
  const last = phases.findLastIndex((entry) => entry.status !== "waiting");
  const ended = ["succeeded", "failed", "cancelled"].includes(job.status);
  phases.forEach((entry, index) => {
    if (entry.status === "waiting" && index < last) entry.status = "skipped";
    if (entry.status === "waiting" && ended) entry.status = job.status === "succeeded" ? "skipped" : "unreached";
    // Between two steps of one phase nothing runs for a moment.
    if (entry.status === "succeeded" && index === last && !ended && known[index][1].length > entry.steps) entry.status = "running";
  });
  if (job.status === "failed" && last >= 0 && !phases.some((entry) => entry.status === "failed")) phases[last].status = "failed";
  return phases;
}

function phase(name, steps) {
  const running = steps.findLast((step) => step.status === "running");
  let status = "waiting";
  if (running) status = "running";
  else if (steps.at(-1)?.status === "failed") status = "failed";
  else if (steps.length) status = "succeeded";
  const ends = steps.map((step) => step.ended).filter(Boolean);
  const seconds = status === "succeeded" || status === "failed" ? between(steps[0].began, ends.at(-1)) : null;
  return { name, status, seconds, steps: new Set(steps.map((step) => plain(step.key))).size, step: running ?? null };
}

/** A step's name without the number of its try. */
function plain(key) {
  return key.split("#")[0];
}

function unique(steps) {
  return [...new Set(steps.map((step) => plain(step.key)))];
}

/** How much of the running step is done, from 0 to 1; null if nobody can tell. */
export function share(progress) {
  for (const [done, total] of [["bytes_done", "bytes_total"], ["items_done", "items_total"]]) {
    if (progress?.[total]) return Math.min((progress[done] ?? 0) / progress[total], 1);
  }
  return progress?.percent ? progress.percent / 100 : null;
}
