// Requests as they happen. Every text goes in as text: what clients send is never read as HTML.

const ROWS = 500;
const RETRY = 5000;

const rows = document.getElementById("requests");
const state = document.getElementById("tail-state");
const filter = document.getElementById("filter");
let events = null;
let paused = false;
let shown = 0;
let lost = 0;

function say() {
  const parts = [paused ? "Paused" : "Live", `${shown} shown`];
  if (lost) parts.push(`${lost} lost: they came faster than they were read`);
  state.textContent = `${parts.join(", ")}.`;
}

function cell(text, className) {
  const made = document.createElement("td");
  made.textContent = text ?? "";
  if (className) made.className = className;
  return made;
}

/** A cell that leads to all that is known of the request, where requests have ids (`[server] request_id`). */
function linked(text, id) {
  if (!id) return cell(text, "keep");
  const link = document.createElement("a");
  link.href = `/?${new URLSearchParams({ view: "explain", id })}`;
  link.textContent = text;
  const made = cell("", "keep");
  made.append(link);
  return made;
}

function took(microseconds) {
  return microseconds < 1000 ? `${microseconds} µs` : `${(microseconds / 1000).toFixed(1)} ms`;
}

function show(facts) {
  const row = document.createElement("tr");
  const bad = facts.status >= 500 ? "bad" : "";
  row.append(
    linked((facts.timestamp ?? "").slice(11, 23), facts.request_id),
    cell(facts.client, "keep"),
    cell(facts.method),
    cell(`${facts.scheme}://${facts.host}${facts.target}`),
    cell(facts.status, bad),
    cell(facts.result),
    cell(facts.reason),
    cell(took(facts.duration_us), "num"),
    cell(facts.route),
  );
  rows.prepend(row);
  while (rows.childElementCount > ROWS) rows.lastElementChild.remove();
  shown += 1;
}

function query() {
  const given = [...new FormData(filter)].filter(([, value]) => value.trim() !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

/** Says why the gateway refuses a filter: an EventSource does not tell. */
async function explainRefusal(target) {
  const stop = new AbortController();
  try {
    const answer = await fetch(target, { signal: stop.signal });
    if (answer.ok) return false;
    state.textContent = (await answer.json()).detail ?? answer.statusText;
    return true;
  } catch {
    state.textContent = "The gateway does not answer.";
    return false;
  } finally {
    stop.abort();
  }
}

function listen() {
  events?.close();
  const target = `/tail${query()}`;
  const source = new EventSource(target);
  events = source;
  source.addEventListener("open", say);
  source.addEventListener("message", (event) => {
    if (paused) return;
    show(JSON.parse(event.data));
    say();
  });
  source.addEventListener("lost", (event) => {
    lost += Number(event.data);
    say();
  });
  source.addEventListener("error", async () => {
    if (source.readyState !== EventSource.CLOSED) return;
    const refused = await explainRefusal(target);
    if (!refused) setTimeout(() => events === source && listen(), RETRY);
  });
}

export function tail() {
  const pause = document.getElementById("pause");
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    say();
  });
  filter.addEventListener("submit", (event) => {
    event.preventDefault();
    listen();
  });
  document.getElementById("clear").addEventListener("click", () => {
    rows.replaceChildren();
    shown = lost = 0;
    say();
  });
  addEventListener("pagehide", () => events?.close(), { once: true });
  listen();
}
