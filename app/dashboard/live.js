// One stream of events for the whole page, given to whoever listens.
//
// A browser opens six connections to a host and no more (HTTP/1.1), so there is one for all jobs, and none for a tab
// that nobody sees.

import { events } from "./api.js";

const listeners = new Set();
const cursor = { last: undefined };
let stream = null;

/** Hears every event, and `null` whenever the stream has begun anew; gives back how to stop. */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(event) {
  for (const listener of [...listeners]) listener(event);
}

async function run(signal) {
  for await (const event of events(cursor, signal, () => tell(null))) tell(event);
}

function follow() {
  if (document.hidden) {
    stream?.abort();
    stream = null;
  } else if (!stream) {
    stream = new AbortController();
    run(stream.signal);
  }
}

/** Begins to follow; from then on as long as somebody looks. */
export function startFollowing() {
  document.addEventListener("visibilitychange", follow);
  follow();
}
