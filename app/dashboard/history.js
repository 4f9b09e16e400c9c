// How it went so far, from jobs and backups: duration, size, success rate, storage.

import { areaChart, barChart, lineChart, outcomeChart } from "./charts.js";
import { h } from "./dom.js";
import { empty } from "./parts.js";
import { between, bytes, count, moment, seconds, spanOf, typeWord } from "./words.js";

const MOST_BARS = 24;
const MOST_BLOCKS = 40;

/** The charts; `jobs` and `backups` newest first, as the API lists them; `stats` for the medians. */
export function historyCharts(jobs, backups, stats) {
  const ended = jobs.filter((job) => job.finished_at).toReversed();
  const made = backups.filter((backup) => backup.size_bytes !== null).toReversed();
  const charts = [
    durations(ended, stats),
    successes(ended),
    made.length > 0 && sizes(made),
    made.length > 0 && storage(made),
  ].filter(Boolean);
  return charts.length ? h("div", { class: "charts" }, charts) : empty("Nothing yet: charts appear with the first stop or backup.");
}

function durations(ended, stats) {
  const worked = ended.filter((job) => job.status === "succeeded" && !job.result?.noop && job.started_at);
  const jobs = worked.filter((job) => job.type === "stop" || job.type === "start");
  if (!jobs.length) return null;
  const points = jobs.map(durationPoint);
  const series = ["stop", "start"].map((type) => ({ name: typeWord(type), points: points.filter((_, index) => jobs[index].type === type) }));
  return lineChart({
    title: "Duration",
    headline: stats.stop_seconds.median === null ? "" : `stop ${seconds(stats.stop_seconds.median)} (median)`,
    said: `median of stops ${seconds(stats.stop_seconds.median)}, of starts ${seconds(stats.start_seconds.median)}`,
    series,
    format: (value) => `${Number(value.toFixed(1))} s`,
    ends: spanOf(jobs.map((job) => job.finished_at)),
    figures: [["When", "Operation", "Took"], jobs.toReversed().map((job) => [moment(job.finished_at), typeWord(job.type), seconds(between(job.started_at, job.finished_at))])],
  });
}

/** By order and not by time: a quiet week would push all the rest into a corner. */
function durationPoint(job, index) {
  const took = between(job.started_at, job.finished_at);
  return { at: index, value: took, label: `${typeWord(job.type)} of ${job.instance_name}: ${seconds(took)}, ${moment(job.finished_at)}` };
}

function successes(ended) {
  const counted = ended.filter((job) => job.status !== "cancelled").slice(-MOST_BLOCKS);
  if (!counted.length) return null;
  const good = counted.filter((job) => job.status === "succeeded").length;
  const rate = `${Math.floor((100 * good) / counted.length)} %`;
  return outcomeChart({
    title: "Success rate",
    headline: rate,
    said: `${good} of the last ${count(counted.length, "job")} succeeded`,
    blocks: counted.map((job) => ({ good: job.status === "succeeded", label: `${typeWord(job.type)} of ${job.instance_name} ${job.status}, ${moment(job.finished_at)}` })),
    ends: spanOf(counted.map((job) => job.finished_at)),
    figures: [["When", "Operation", "Ended"], counted.toReversed().map((job) => [moment(job.finished_at), typeWord(job.type), job.status])],
  });
}

function sizes(made) {
  const shown = made.slice(-MOST_BARS);
  const newest = shown.at(-1);
  return barChart({
    title: "Size of backups",
    headline: bytes(newest.size_bytes),
    said: `the newest of ${count(made.length, "backup")} has ${bytes(newest.size_bytes)}`,
    bars: shown.map((backup) => ({ value: backup.size_bytes, kind: backup.status, label: `${backup.id}: ${bytes(backup.size_bytes)}, ${backup.status}` })),
    format: bytes,
    ends: spanOf(shown.map((backup) => backup.created_at)),
    figures: [["Backup", "Size", "Status"], shown.toReversed().map((backup) => [backup.id, bytes(backup.size_bytes), backup.status])],
  });
}

/** Bytes kept at each time a backup came or went, up to now. */
export function keptBytes(backups, now) {
  const changes = backups.flatMap((backup) => [
    { at: Date.parse(backup.created_at), by: backup.size_bytes },
    ...(backup.deleted_at ? [{ at: Date.parse(backup.deleted_at), by: -backup.size_bytes }] : []),
  ]);
  let kept = 0;
  const points = changes.sort((one, other) => one.at - other.at).map((change) => ({ at: change.at, value: (kept += change.by) }));
  return [...points, { at: now, value: kept }];
}

function storage(made) {
  const points = keptBytes(made, Date.now());
  const kept = made.filter((backup) => !backup.deleted_at).length;
  return areaChart({
    title: "Storage",
    headline: bytes(points.at(-1).value),
    said: `${count(kept, "backup")} kept, ${bytes(points.at(-1).value)} in all`,
    points,
    format: bytes,
    ends: [spanOf([points[0].at, points.at(-1).at])[0], "now"],
    figures: [["When", "Kept"], points.toReversed().map((point) => [moment(point.at), bytes(point.value)])],
  });
}
