// The page: which view the address names, and when it is loaded again.

import { Problem, Unreachable, get, setTokenDialog } from "./api.js";
import { h, swap } from "./dom.js";
import { listen, startFollowing } from "./live.js";
import { heading, problemBox } from "./parts.js";
import { askForToken } from "./token.js";
import { backupView } from "./views/backup.js";
import { instanceView } from "./views/instance.js";
import { instancesView } from "./views/instances.js";
import { jobView, jobsView } from "./views/jobs.js";
import { webhooksView } from "./views/webhooks.js";

/** Somebody may switch a cluster by hand, which no event tells of. */
const REFRESH_MS = 15_000;
/** Events come in bursts. */
const GATHER_MS = 150;

// A view is `{title, section, load, draw}`: `load` gets its data, `draw` makes elements of it.
const ROUTES = [
  [/^\/?$/, instancesView],
  [/^\/instances\/([^/]+)$/, instanceView],
  [/^\/instances\/([^/]+)\/backups\/([^/]+)$/, backupView],
  [/^\/jobs$/, jobsView],
  [/^\/jobs\/([^/]+)$/, jobView],
  [/^\/webhooks$/, webhooksView],
];

const main = document.getElementById("main");
const lost = document.getElementById("lost");
let view = null;
let visit = null;
let gathering = 0;

function viewOf(address) {
  for (const [pattern, make] of ROUTES) {
    const match = pattern.exec(address);
    if (match) return make(...match.slice(1).map(decodeURIComponent));
  }
  return { title: "Nothing here", load: async () => null, draw: () => h("p", {}, "There is no such page. ", h("a", { href: "#/" }, "All instances"), ".") };
}

async function open() {
  visit?.abort();
  visit = new AbortController();
  view = { ...viewOf(location.hash.slice(1)), seen: null };
  document.title = `${view.title} · kecs-state`;
  for (const link of document.querySelectorAll("header nav a")) {
    if (link.dataset.section === view.section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  swap(main, heading(view.title), h("p", { class: "loading" }, "Loading …"));
  // The first view is where the page begins; every other one is told by its heading.
  if (open.before) main.querySelector("h1").focus({ preventScroll: true });
  open.before = true;
  window.scrollTo(0, 0);
  await refresh();
}

async function refresh() {
  const [shown, { signal }] = [view, visit];
  let nodes;
  let seen;
  try {
    const data = await shown.load(signal);
    seen = JSON.stringify([data, shown.ages && Math.floor(Date.now() / REFRESH_MS)]);
    nodes = () => shown.draw(data, refresh);
    lost.hidden = true;
  } catch (error) {
    if (signal.aborted) return;
    lost.hidden = !(error instanceof Unreachable);
    if (!lost.hidden && shown.seen) return;
    seen = `error ${error.message}`;
    nodes = () => [heading(shown.title), problemBox(error)];
    if (!(error instanceof Problem || error instanceof Unreachable)) throw error;
  }
  if (signal.aborted || seen === shown.seen) return;
  shown.seen = seen;
  const onHeading = document.activeElement === main.querySelector("h1");
  swap(main, nodes());
  if (onHeading) main.querySelector("h1")?.focus({ preventScroll: true });
}

function refreshSoon() {
  clearTimeout(gathering);
  gathering = setTimeout(refresh, GATHER_MS);
}

async function nameWorld() {
  const { driver, service } = await get("/version");
  document.getElementById("about").textContent = `kecs-state ${service}, power driver ${driver}. Backups are proven before anything is powered off.`;
  const world = document.getElementById("world");
  world.textContent = "Sandbox";
  world.title = "The embedded sandbox: no cluster here is real";
  world.hidden = driver !== "sandbox";
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the view
  main.focus();
});
setTokenDialog(askForToken);
window.addEventListener("hashchange", open);
listen((event) => {
  if (event === null || event.type.startsWith("job.") || event.type === "warning") refreshSoon();
});
setInterval(() => document.hidden || refresh(), REFRESH_MS);
await open();
await nameWorld().catch(() => {}); // said by the view already
startFollowing();
