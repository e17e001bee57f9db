// Keeps what is shown fresh, without which the console works as well: the page listens to what
// happens, asks for itself again, and takes over what has changed. Where nothing can be listened to it
// asks every few seconds.
const pollEveryMs = 3000;
// An email becomes late without an event of its own.
const pollBesideStreamMs = 15_000;
const pauseMs = 1000;
const reconnectEveryMs = 10_000;

// Those of src/admin/live.ts; a stream without a name for its events would need no list.
const types = [
  "email.scheduled",
  "email.rescheduled",
  "email.updated",
  "email.cancelled",
  "email.sent",
  "email.deferred",
  "email.bounced",
  "email.failed",
  "email.expired",
  "email.held",
  "email.released",
  "email.uncertain",
  "email.replayed",
  "email.suppressed",
];

let source = null;
let isStreaming = false;
let wasStreaming = false;
let triedAt = Number.NEGATIVE_INFINITY;
let isWanted = false;
let wake = () => {};

function tellLost(isLost) {
  document.body.classList.toggle("is-offline", isLost);
}

/** Null: nothing that happens to emails changes this page. */
function streamAddress() {
  const { pathname } = location;
  const [, id] = /^\/console\/emails\/([0-9a-f-]{36})$/.exec(pathname) ?? [];
  if (id) return `/live?email=${id}`;
  return ["/", "/console/emails", "/console/dead-letters"].includes(pathname) ? "/live" : null;
}

function refreshSoon() {
  isWanted = true;
  wake();
}

function connect() {
  const address = streamAddress();
  const isShown = !document.hidden && document.querySelector("[data-live]") !== null;
  if (source || !address || !isShown) return;
  if (performance.now() - triedAt < reconnectEveryMs) return;
  triedAt = performance.now();
  source = new EventSource(address);
  source.addEventListener("open", () => {
    isStreaming = true;
    wasStreaming = true;
    tellLost(false);
    // Something may have happened before somebody listened.
    refreshSoon();
  });
  source.addEventListener("error", () => {
    isStreaming = false;
    if (wasStreaming) tellLost(true);
    // It was refused, and the browser does not try again by itself.
    if (source?.readyState === EventSource.CLOSED) disconnect();
    refreshSoon();
  });
  for (const type of types) source.addEventListener(type, refreshSoon);
}

function disconnect() {
  source?.close();
  source = null;
  isStreaming = false;
}

// Nothing is replaced between pressing and releasing: the click or the drag would be lost with it.
let isPressed = false;
let isPutOff = false;

function release() {
  if (!isPressed) return;
  isPressed = false;
  if (!isPutOff) return;
  isPutOff = false;
  // After the click that the release makes.
  setTimeout(refreshSoon);
}

/** What somebody is using is left as it is. */
function isInUse(part) {
  const focused = document.activeElement;
  const isFocused = focused !== document.body && part.contains(focused);
  // An option of a select is checked, too, without anybody's doing.
  return (
    isFocused || holdsSelection(part) || part.querySelector("details[open], input:checked") !== null
  );
}

function holdsSelection(part) {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && selection.containsNode(part, true);
}

/** Rows by id; those that are new wait until somebody asks for them. */
function mergeRows(body, fresh) {
  const shown = new Map([...body.rows].map((row) => [row.dataset.id, row]));
  const arrived = [];
  for (const row of fresh.rows) {
    const old = shown.get(row.dataset.id);
    if (!old) arrived.push(row);
    else if (old.outerHTML !== row.outerHTML && !isInUse(old)) {
      row.classList.toggle("at", old.classList.contains("at"));
      old.replaceWith(row);
    }
  }
  if (body.dataset.first === "true") offer(body, arrived);
}

function offer(body, rows) {
  const table = body.closest(".card");
  let button = table.previousElementSibling;
  if (!button?.matches(".arrived")) button = null;
  if (rows.length === 0) return button?.remove();
  const isAtTop = window.scrollY < 40 && !document.querySelector("tr.at, tbody :checked");
  if (isAtTop) {
    for (const row of rows.toReversed()) {
      row.classList.add("arriving");
      body.prepend(row);
    }
    return;
  }
  if (!button) {
    button = document.createElement("button");
    button.type = "button";
    button.className = "arrived";
    button.addEventListener("click", () => location.reload());
    table.before(button);
  }
  button.textContent = `New ones: ${rows.length}`;
}

function mergePart(part, fresh) {
  if (part.tagName === "TBODY") return mergeRows(part, fresh);
  if (part.matches("details")) fresh.open = part.open;
  else if (isInUse(part)) return;
  if (part.outerHTML !== fresh.outerHTML) part.replaceWith(fresh);
}

async function refresh() {
  const parts = [...document.querySelectorAll("[data-live]")];
  if (document.hidden || parts.length === 0) return;
  try {
    const response = await fetch(location.href, { headers: { "X-Requested-With": "console" } });
    // The session is over: the page that asks to sign in comes back to this one.
    if (response.status === 401) return location.reload();
    if (!response.ok) return;
    const text = await response.text();
    const html = text.startsWith("<tbody") ? `<table>${text}</table>` : text;
    const page = new DOMParser().parseFromString(html, "text/html");
    const fresh = [...page.querySelectorAll("[data-live]")];
    if (isPressed) {
      isPutOff = true;
    } else if (fresh.length === parts.length && parts.every((part, i) => isAlike(part, fresh[i]))) {
      parts.forEach((part, i) => {
        mergePart(part, fresh[i]);
      });
    } else if (!isInUse(document.body)) location.reload();
    tellLost(false);
  } catch {
    // The server is restarting, say: the next round tells.
    tellLost(true);
  }
}

function isAlike(part, fresh) {
  return part.tagName === fresh.tagName && part.className === fresh.className;
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function keepFresh() {
  for (;;) {
    connect();
    const called = new Promise((resolve) => {
      wake = resolve;
    });
    if (!isWanted) {
      await Promise.race([called, wait(isStreaming ? pollBesideStreamMs : pollEveryMs)]);
    }
    isWanted = false;
    await refresh();
    // A flood of events is one refresh a second.
    await wait(pauseMs);
  }
}

// A browser has six connections to a host at most: a tab that nobody looks at needs none.
function onVisibility() {
  if (document.hidden) return disconnect();
  triedAt = Number.NEGATIVE_INFINITY;
  refreshSoon();
}

// Any other button opens a menu, and nobody is told when that closes.
document.addEventListener("pointerdown", ({ button }) => {
  isPressed = button === 0;
});
for (const type of ["pointerup", "pointercancel", "dragend"]) {
  document.addEventListener(type, release);
}
// A release that went to a list of the browser's own, or to another window.
document.addEventListener("pointermove", ({ buttons }) => buttons === 0 && release());
window.addEventListener("blur", release);
document.addEventListener("visibilitychange", onVisibility);
window.addEventListener("pagehide", disconnect);
window.addEventListener("pageshow", (event) => event.persisted && onVisibility());
window.addEventListener("offline", () => tellLost(true));
window.addEventListener("online", refreshSoon);

keepFresh();
