// What can be asked of an instance, each after saying what will happen.

import { path, post } from "./api.js";
import { h, swap } from "./dom.js";
import { problemBox } from "./parts.js";
import { lossReport } from "./preflight.js";

const STOP = {
  title: (name) => `Stop ${name}?`,
  does: "Stop",
  kind: "danger",
  happens: [
    "Every object of the cluster is backed up, and the backup is proven: every byte read back, data found on this machine's disk.",
    "Only then is the cluster powered off. If the proof fails, it runs on and the job says why.",
    "A start brings back what was there.",
  ],
};
const START = {
  title: (name) => `Start ${name}?`,
  does: "Start",
  kind: "primary",
  happens: [
    "The cluster is powered on.",
    "If it survived, only what is missing is brought back. If it was made anew, everything is brought back from the newest proven backup.",
    "The content is compared with the backup, and the job lists what is missing or differs.",
  ],
};
const BACK_UP = {
  title: (name) => `Back up ${name}?`,
  does: "Back up",
  kind: "primary",
  happens: ["Every object is backed up and the backup is proven.", "The instance keeps running. Backups beyond those kept are deleted, oldest first."],
};

export function stopButton(instance) {
  return actionButton("Stop", instance, STOP, ["stop"], true);
}

export function startButton(instance) {
  return actionButton("Start", instance, START, ["start"], false);
}

export function backupButton(instance) {
  return actionButton("Back up now", instance, BACK_UP, ["backups"], true);
}

function actionButton(text, instance, action, route, asksLoss) {
  const press = () => confirm(action, instance.name, () => post(path("instances", instance.name, ...route)), asksLoss);
  return h(
    "button",
    {
      type: "button",
      class: text === "Back up now" ? null : action.kind,
      onclick: press,
      disabled: Boolean(instance.active_job),
      "aria-label": `${text}: ${instance.name}`,
      "data-key": `${text} ${instance.name}`,
    },
    text,
  );
}

/** Says what will happen and does it if the user agrees; a refusal is shown where it was asked for. */
function confirm(action, name, carryOut, asksLoss) {
  const refusal = h("div", {});
  const go = h("button", { class: action.kind }, `${action.does} ${name}`);
  const submit = async (event) => {
    event.preventDefault();
    go.disabled = true;
    try {
      const job = await carryOut();
      dialog.close();
      location.hash = `#${path("jobs", job.id)}`;
    } catch (error) {
      go.disabled = false;
      swap(refusal, problemBox(error));
    }
  };
  const dialog = h(
    "dialog",
    { "aria-labelledby": "confirm-title", onclose: () => dialog.remove() },
    h(
      "form",
      { onsubmit: submit },
      h("h2", { id: "confirm-title" }, action.title(name)),
      h("p", {}, "What will happen:"),
      h("ol", { class: "happens" }, action.happens.map((line) => h("li", {}, line))),
      asksLoss && [h("h3", {}, "What would be lost now"), lossReport(name)],
      refusal,
      h("div", { class: "buttons" }, h("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Cancel"), go),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}

/** A button that does a small thing at once; a refusal appears beside it. */
export function smallButton(text, label, route, then) {
  const refusal = h("div", {});
  const press = async () => {
    button.disabled = true;
    try {
      then(await post(route));
    } catch (error) {
      swap(refusal, problemBox(error));
    }
    button.disabled = false;
  };
  const button = h("button", { type: "button", class: "small", onclick: press, "aria-label": label, "data-key": label }, text);
  return h("span", { class: "small-action" }, button, refusal);
}
