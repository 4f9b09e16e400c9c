// The service's own API: requests with the caller's token, problems as errors, and its stream of events.

const TOKEN = "kecs-state-token";
const RECONNECT_MS = 1000;
/** An answer that has not come by then never will: the machine has slept, or the service hangs. */
const ANSWER_MS = 30_000;

/** An RFC 9457 problem document; `document` has `title`, `detail`, `remedy`, `code`. */
export class Problem extends Error {
  constructor(document) {
    super(document.detail ?? document.title);
    this.document = document;
  }
}

/** Nobody answered. */
export class Unreachable extends Error {}

let askForToken = async () => null;
let asking = null;

/** Sets who asks the user for a token: given the problem, the function resolves to a token or null. */
export function setTokenDialog(ask) {
  askForToken = ask;
}

async function newToken(problem) {
  asking ??= askForToken(problem).finally(() => {
    asking = null;
  });
  const token = await asking;
  // For this tab and no longer.
  if (token) sessionStorage.setItem(TOKEN, token);
  return token;
}

async function send(method, path, { body, headers = {}, signal } = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const sent = { ...headers };
    if (token) sent.Authorization = `Bearer ${token}`;
    if (body !== undefined) sent["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(path, { method, headers: sent, signal, body: body === undefined ? undefined : JSON.stringify(body) });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Unreachable(String(error));
    }
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (response.status !== 401) throw problem;
    // Another request may have brought a new one meanwhile.
    if (sessionStorage.getItem(TOKEN) === token && !(await newToken(problem.document))) throw problem;
  }
}

async function problemOf(response) {
  const type = response.headers.get("Content-Type") ?? "";
  if (type.startsWith("application/problem+json")) return new Problem(await response.json());
  return new Problem({ title: `The service answered ${response.status}`, detail: "without saying why", status: response.status });
}

export async function get(path, signal) {
  const late = AbortSignal.timeout(ANSWER_MS);
  return (await send("GET", path, { signal: signal ? AbortSignal.any([signal, late]) : late })).json();
}

export async function post(path, body) {
  // A key, so that a request sent twice is one job.
  const headers = path.startsWith("/webhooks/") ? {} : { "Idempotency-Key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` };
  return (await send("POST", path, { body, headers })).json();
}

/** One path from parts, each of them escaped. */
export function path(...parts) {
  return `/${parts.map(encodeURIComponent).join("/")}`;
}

/**
 * Events of all jobs as they happen, until the signal; goes on after the last one seen when the connection breaks.
 *
 * `EventSource` cannot send a token, so the stream is read by hand (WHATWG HTML 9.2: lines `id:` and `data:`).
 */
export async function* events(cursor, signal, onOpen) {
  while (!signal.aborted) {
    try {
      const headers = { Accept: "text/event-stream" };
      if (cursor.last) headers["Last-Event-ID"] = String(cursor.last);
      const response = await send("GET", "/events", { headers, signal });
      onOpen();
      for await (const event of messages(response.body)) {
        cursor.last = event.id;
        yield event;
      }
    } catch (error) {
      if (signal.aborted) return;
      // The journal may have been replaced by one that has not come that far.
      if (error instanceof Problem) cursor.last = undefined;
    }
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
  }
}

async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (pending + value).split("\n\n");
    pending = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").find((line) => line.startsWith("data: "));
      if (data) yield JSON.parse(data.slice("data: ".length));
    }
  }
}
