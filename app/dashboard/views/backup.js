// One backup: what was proven of it, and what it holds.

import { Problem, get, path } from "../api.js";
import { h } from "../dom.js";
import { ago, backupBadge, crumbs, empty, figure, heading, instanceLink, jobLink, problemBox, section, table } from "../parts.js";
import { between, bytes, count, number, readable, seconds } from "../words.js";

const CANARY = {
  found: "found on this machine's disk",
  "not-found": "not found on this machine's disk",
  "n/a": "not looked for: the store is not on this machine",
};

export function backupView(instance, id) {
  const load = async (signal) => {
    const backup = await get(path("instances", instance, "backups", id), signal);
    return { backup, contents: await contentsOf(instance, backup, signal) };
  };
  return { title: id, section: "instances", load, draw };
}

/** What the backup holds by kind, or the problem where that is not kept on this host. */
async function contentsOf(instance, backup, signal) {
  if (backup.status === "deleted") return null;
  try {
    return { kinds: await get(path("instances", instance, "backups", backup.id, "contents"), signal) };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { problem: error.document };
  }
}

function draw({ backup, contents }) {
  return [
    crumbs(h("a", { href: "#/" }, "Instances"), instanceLink(backup.instance_name)),
    heading(backup.id, backupBadge(backup), backup.pinned && h("span", { class: "badge" }, "Pinned")),
    h(
      "dl",
      { class: "figures" },
      figure("Made", ago(backup.created_at)),
      figure("Objects", number(backup.items)),
      figure("Size", bytes(backup.size_bytes)),
      figure("Took", seconds(backup.seconds)),
      figure("Scope", backup.scope),
      backup.job_id && figure("Job", jobLink(backup.job_id, "open")),
    ),
    section("Proof", backup.proof ? proofOf(backup.proof) : empty("It was never proven on this host.")),
    section("Contents", contentsTree(contents)),
  ];
}

function proofOf(proof) {
  const good = proof.verdict === "proven";
  return [
    h("p", { class: good ? "verdict good" : "verdict bad" }, good ? "Proven: it holds everything the cluster offered." : `Not proven: ${count(proof.findings_total, "finding")}.`),
    h(
      "ul",
      { class: "proof" },
      h("li", {}, `${number(proof.items_in_backup)} of ${count(proof.items_in_inventory, "listed object")} in the backup`, proof.items_explained ? `, ${proof.items_explained} deleted meanwhile` : ""),
      h("li", {}, `${count(proof.objects.length, "file")} read back to the end and hashed, ${bytes(proof.size_bytes)}`),
      h("li", {}, `Canary ${CANARY[proof.canary.status] ?? proof.canary.status}`),
      h("li", {}, `Ended `, ago(proof.finished_at), `, took ${seconds(between(proof.started_at, proof.finished_at))}`),
    ),
    proof.findings.length > 0 && table("Findings", ["Finding", "What"], proof.findings.map((finding) => [readable(finding.code), finding.detail])),
    proof.not_saved.length > 0 &&
      h("details", { "data-key": "not saved" }, h("summary", {}, `${count(proof.not_saved.length, "thing")} not saved`), h("ul", { class: "lost-list" }, proof.not_saved.map((line) => h("li", {}, line)))),
    h(
      "details",
      { "data-key": "hashes" },
      h("summary", {}, "Files and their hashes"),
      table("Files", ["File", "Size", "SHA-256"], proof.objects.map((file) => [h("span", { class: "code" }, file.key.split("/").at(-1)), bytes(file.size), h("span", { class: "code" }, file.sha256)])),
    ),
  ];
}

function contentsTree(contents) {
  if (!contents) return empty("It is deleted; only its history stays.");
  if (contents.problem) return problemBox(new Problem(contents.problem), { alert: false });
  return h(
    "div",
    { class: "kinds" },
    Object.entries(contents.kinds).map(([kind, names]) =>
      h(
        "details",
        { "data-key": `kind ${kind}` },
        h("summary", {}, h("span", {}, kind.split("/").at(-1)), h("span", { class: "hint" }, kind.split("/").slice(0, -1).join("/")), h("b", {}, number(names.length))),
        h("ul", { class: "names" }, names.map((name) => h("li", { class: "code" }, name))),
      ),
    ),
  );
}
