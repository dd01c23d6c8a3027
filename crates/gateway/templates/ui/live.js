// Keeps a page up to date. The server says when there is something new; the page then asks for itself, and takes over the parts that are marked
// `data-live`. So there is one rendering, the server's, which escapes every text.

const POLL = 15000;

const standing = document.getElementById("live");
const pause = document.getElementById("pause");
let paused = false;
let asking = false;
let missed = false;

function say(state, text) {
  standing.hidden = false;
  standing.dataset.state = state;
  standing.textContent = text;
}

/** Whether somebody is reading or typing in this part right now: it is taken over later. */
function isInUse(part) {
  const selection = document.getSelection();
  const selects = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
  return selects || (part.contains(document.activeElement) && part.matches(":focus-within"));
}

function takeOver(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = fresh.getElementById(part.id);
    if (other && other.outerHTML !== part.outerHTML && !isInUse(part)) {
      const scrolled = part.querySelector(".scroll")?.scrollLeft ?? 0;
      const taken = document.adoptNode(other);
      part.replaceWith(taken);
      if (scrolled) taken.querySelector(".scroll").scrollLeft = scrolled;
    }
  }
}

async function refresh() {
  if (paused || asking) return;
  if (document.hidden) {
    missed = true;
    return;
  }
  asking = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (answer.status === 401) {
      location.reload();
      return;
    }
    if (!answer.ok) throw new Error(answer.statusText);
    takeOver(new DOMParser().parseFromString(await answer.text(), "text/html"));
    say("live", "live");
  } catch {
    say("away", "the gateway does not answer");
  } finally {
    asking = false;
  }
}

let events = null;

function listen() {
  if (document.hidden || (events && events.readyState !== EventSource.CLOSED)) return;
  events = new EventSource("/ui/live");
  events.addEventListener("tick", refresh);
  events.addEventListener("open", () => say(paused ? "paused" : "live", paused ? "paused" : "live"));
  events.addEventListener("error", () => {
    // The browser connects again by itself unless it was refused.
    if (events.readyState === EventSource.CLOSED) {
      refresh();
      setTimeout(listen, POLL);
    } else {
      say("away", "reconnecting");
    }
  });
}

/** Browsers keep few connections to a host: a page that is not seen gives its own back. */
function look() {
  if (document.hidden) {
    events?.close();
    missed = true;
    return;
  }
  listen();
  if (missed) {
    missed = false;
    refresh();
  }
}

/** Begins to follow. A page that was sent as the answer to a form stays as it is: asking for it again would send the form again. */
export function follow() {
  const live = document.querySelector("[data-live]") && location.pathname === "/";
  if (!live) return;
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    say(paused ? "paused" : "live", paused ? "paused" : "live");
    if (!paused) refresh();
  });
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", () => events?.close());
  addEventListener("pageshow", look);
  look();
}
