// A job's phases as they go on; one element per job, which stays the same however often a view is drawn anew.

import { get, path } from "./api.js";
import { announce, h, swap } from "./dom.js";
import { listen } from "./live.js";
import { phasesOf, share, stepsOf } from "./phases.js";
import { bytes, number, readable, seconds, typeWord } from "./words.js";

const SIGNS = { succeeded: "✓", failed: "✕", running: "", waiting: "", skipped: "–", unreached: "" };
const SAID = { succeeded: "done", failed: "failed", running: "running", waiting: "to come", skipped: "not needed", unreached: "not reached" };
const PAGE = 1000;

const followed = new Map();

/** The element that shows the phases of a job; it follows the job to its end by itself, from the events known here. */
export function livePhases(job, events = []) {
  let following = followed.get(job.id);
  if (!following) {
    following = new Following(job, events);
    followed.set(job.id, following);
  }
  following.update(job);
  return following.element;
}

class Following {
  constructor(job, events) {
    this.job = job;
    // By id: the stream may be ahead of what is still being read.
    this.events = new Map();
    this.read = 0;
    this.element = h("div", { class: "live" });
    this.stop = listen((event) => (event === null ? this.catchUp() : this.hear(event)));
    events.forEach((event) => this.take(event));
    if (events.length) this.draw();
    this.catchUp();
  }

  update(job) {
    if (job.status === this.job.status) return;
    this.job = job;
    this.draw();
  }

  /** Reads what has happened so far; the stream tells only of what comes. */
  async catchUp() {
    try {
      let page;
      do {
        page = await get(`${path("jobs", this.job.id, "events")}?after=${this.read}`);
        page.forEach((event) => this.take(event));
        this.read = page.at(-1)?.id ?? this.read;
      } while (page.length === PAGE);
    } catch {
      return; // asked for again when the stream begins anew
    }
    this.draw();
  }

  hear(event) {
    if (event.job_id !== this.job.id) return;
    this.take(event);
    this.draw();
  }

  take(event) {
    this.events.set(event.id, event);
    const ended = /^job\.(succeeded|failed|cancelled)$/.exec(event.type);
    if (ended) {
      this.job = { ...this.job, status: ended[1] };
      this.stop();
    }
  }

  draw() {
    const steps = stepsOf([...this.events.values()].sort((one, other) => one.id - other.id));
    const phases = phasesOf(this.job, steps);
    const now = phases.find((phase) => phase.status === "running");
    const items = phases.map((phase) => phaseItem(phase, phase === now));
    swap(
      this.element,
      h("ol", { class: "phases", "aria-label": `Phases of the ${typeWord(this.job.type).toLowerCase()}` }, items),
      now?.step && detailOf(now.step),
    );
    this.say(now?.name);
  }

  /** Phases are announced, not each of their steps. */
  say(name) {
    if (!name || name === this.said) return;
    this.said = name;
    announce(`${typeWord(this.job.type)} of ${this.job.instance_name}: ${name}`);
  }
}

/** Phases can run side by side; only one of them is `current`, as a set may have one current member. */
function phaseItem(phase, current) {
  return h(
    "li",
    { class: `phase ${phase.status}`, "aria-current": current ? "step" : null },
    h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[phase.status]),
    h("span", { class: "phase-name" }, phase.name),
    h("span", { class: "phase-time" }, phase.seconds === null ? SAID[phase.status] : seconds(phase.seconds)),
    phase.seconds !== null && h("span", { class: "unseen" }, SAID[phase.status]),
  );
}

function detailOf(step) {
  const done = share(step.progress);
  const name = readable(step.key.split("#")[0]);
  return h(
    "div",
    { class: "step-now" },
    h("span", {}, name, step.progress?.message && `: ${step.progress.message}`),
    h("progress", { "aria-label": name, max: "1", value: done }),
    h("span", { class: "figures-now" }, figuresOf(step.progress)),
  );
}

function figuresOf(progress) {
  if (progress?.bytes_total) return `${bytes(progress.bytes_done)} of ${bytes(progress.bytes_total)}`;
  if (progress?.items_total) return `${number(progress.items_done ?? 0)} of ${number(progress.items_total)}`;
  return "";
}
