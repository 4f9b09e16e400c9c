// Registered receivers, and what became of each message to them.

import { smallButton } from "../actions.js";
import { get, path } from "../api.js";
import { h } from "../dom.js";
import { ago, empty, heading, jobLink, table } from "../parts.js";
import { number } from "../words.js";

const SHOWN = 20;
const KINDS = { delivered: "job-succeeded", failed: "job-failed", pending: "job-queued" };

export function webhooksView() {
  return { title: "Webhooks", section: "webhooks", ages: true, load, draw };
}

async function load(signal) {
  const { webhooks } = await get("/webhooks", signal);
  return Promise.all(webhooks.map(async (webhook) => ({ webhook, ...(await get(`${path("webhooks", webhook.id, "deliveries")}?page_size=${SHOWN}`, signal)) })));
}

function draw(receivers, refresh) {
  return [
    heading("Webhooks"),
    receivers.length
      ? receivers.map(({ webhook, deliveries }) => receiver(webhook, deliveries, refresh))
      : empty("No receiver is registered. Register one: ", h("code", {}, "kecs-state webhooks create URL"), "."),
  ];
}

function receiver(webhook, deliveries, refresh) {
  const id = `webhook-${webhook.id}`;
  return h(
    "section",
    { class: "panel", "aria-labelledby": id },
    h("h2", { id }, webhook.description || webhook.url),
    h(
      "p",
      { class: "hint" },
      h("span", { class: "code" }, webhook.url),
      ` · ${webhook.events.length ? webhook.events.join(", ") : "all events"}`,
      !webhook.enabled && [" · ", h("b", {}, `disabled: ${webhook.disabled_reason || "by hand"}`)],
    ),
    deliveries.length ? deliveriesTable(deliveries, refresh) : empty("Nothing has been sent yet."),
  );
}

function deliveriesTable(deliveries, refresh) {
  return table(
    "Deliveries",
    ["Message", "Status", "Attempts", "Created", "Last answer", "Job", "Again"],
    deliveries.map((delivery) => [
      delivery.type,
      h("span", { class: `badge ${KINDS[delivery.status] ?? ""}` }, delivery.status),
      number(delivery.attempts),
      ago(delivery.created_at),
      delivery.last_status ?? (delivery.last_error || "–"),
      delivery.job_id ? jobLink(delivery.job_id, "open") : "–",
      smallButton("Send again", `Send again: ${delivery.type} ${delivery.id}`, delivery.links.replay, refresh),
    ]),
  );
}
