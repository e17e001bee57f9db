// The console works without this file: it counts down, listens to the keyboard and copies. live.js
// keeps what is shown fresh.
const countEveryMs = 15_000;

// The server writes times in the reader's zone once it knows which that is.
function tellZone() {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const cookie = `tfm_zone=${encodeURIComponent(timeZone)}`;
  if (document.cookie.split("; ").includes(cookie)) return;
  // biome-ignore lint/suspicious/noDocumentCookie: cookieStore is not in every browser we serve
  document.cookie = `${cookie}; path=/; max-age=31536000; samesite=strict`;
  const isTold = sessionStorage.getItem("zone") === timeZone;
  sessionStorage.setItem("zone", timeZone);
  if (!isTold && document.querySelector("time")) location.reload();
}

// Relative times, as src/admin/pages/words.ts says them.
const units = [
  [86_400_000, "d", 3_600_000, "h"],
  [3_600_000, "h", 60_000, "min"],
];

function shownDuration(ms) {
  for (const [big, bigUnit, small, smallUnit] of units) {
    if (ms < big) continue;
    const rest = Math.floor((ms % big) / small);
    const head = `${Math.floor(ms / big)} ${bigUnit}`;
    return rest === 0 ? head : `${head} ${rest} ${smallUnit}`;
  }
  if (ms >= 60_000) return `${Math.floor(ms / 60_000)} min`;
  return `${Math.floor(ms / 1000)} s`;
}

function countDown() {
  for (const shown of document.querySelectorAll("[data-relative]")) {
    const at = Date.parse(shown.closest("time").getAttribute("datetime"));
    const ms = at - Date.now();
    const words = shownDuration(Math.abs(ms));
    const text = Math.abs(ms) < 1000 ? "now" : ms > 0 ? `in ${words}` : `${words} ago`;
    if (shown.textContent.trim() !== text) shown.textContent = text;
  }
}

// Keys

const keys = [
  ["?", "Show these keys", showKeys],
  ["/", "Search", () => document.querySelector("[type=search]")?.focus()],
  ["j", "Next row", () => move(1)],
  ["k", "Previous row", () => move(-1)],
  ["Enter", "Open the row", openRow],
  ["x", "Select the row", pickRow],
  ["c", "Compose", () => location.assign("/console/compose")],
  ["g h", "Go to Home", () => location.assign("/")],
  ["g d", "Go to Dead letters", () => location.assign("/console/dead-letters")],
  ["g e", "Go to Emails", () => location.assign("/console/emails")],
  ["Escape", "Close, or leave the box", close],
];

let pressedBefore = "";

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const isTyping = event.target.matches("input:not([type=checkbox]), textarea, select");
  if (isTyping && event.key !== "Escape") return;
  const pressed = pressedBefore === "g" ? `g ${event.key}` : event.key;
  pressedBefore = event.key;
  const known = keys.find(([key]) => key === pressed);
  if (!known) return document.querySelector(`[data-key="${CSS.escape(event.key)}"]`)?.click();
  // Enter on a link or a button is theirs.
  if (pressed === "Enter" && (event.target !== document.body || !document.querySelector("tr.at")))
    return;
  // A dialog closes itself.
  if (pressed !== "Escape") event.preventDefault();
  known[2]();
}

function move(by) {
  const rows = [...document.querySelectorAll("tr[data-id]")];
  if (rows.length === 0) return;
  const from = rows.findIndex((row) => row.classList.contains("at"));
  const to = Math.min(Math.max(from + by, 0), rows.length - 1);
  rows[from]?.classList.remove("at");
  rows[to].classList.add("at");
  rows[to].scrollIntoView({ block: "nearest" });
}

function openRow() {
  document.querySelector("tr.at a")?.click();
}

function pickRow() {
  document.querySelector("tr.at [type=checkbox]")?.click();
}

function close() {
  document.activeElement.blur();
  for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
}

function showKeys() {
  const dialog = document.createElement("dialog");
  const heading = document.createElement("h2");
  heading.textContent = "Keys";
  const list = document.createElement("dl");
  list.className = "keys-list";
  for (const [key, words] of keys) {
    const term = document.createElement("dt");
    for (const part of key.split(" ")) {
      const cap = document.createElement("kbd");
      cap.textContent = part;
      term.append(cap, " ");
    }
    const meaning = document.createElement("dd");
    meaning.textContent = words;
    list.append(term, meaning);
  }
  const button = document.createElement("button");
  button.textContent = "Close";
  button.addEventListener("click", () => dialog.close());
  dialog.append(heading, list, button);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

// Timeline: dragging over it zooms to that time

function instantAt(svg, event) {
  const box = svg.getBoundingClientRect();
  const edges = JSON.parse(svg.dataset.edges);
  const start = Number(svg.dataset.plannedAt) / 100;
  const share = (event.clientX - box.left) / box.width;
  const place = ((share - start) / (1 - start)) * (edges.length - 1);
  const slot = Math.min(Math.max(Math.floor(place), 0), edges.length - 2);
  const rest = Math.min(Math.max(place - slot, 0), 1);
  return edges[slot] + rest * (edges[slot + 1] - edges[slot]);
}

function startDrag(event) {
  const svg = event.target.closest("svg[data-edges]");
  if (!svg || event.button !== 0) return;
  const from = event.clientX;
  const box = svg.getBoundingClientRect();
  const chosen = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  chosen.setAttribute("class", "chosen");
  chosen.setAttribute("height", "150");
  const first = instantAt(svg, event);
  const onMove = (moved) => {
    if (Math.abs(moved.clientX - from) < 6) return;
    svg.append(chosen);
    chosen.setAttribute("x", Math.min(from, moved.clientX) - box.left);
    chosen.setAttribute("width", Math.abs(moved.clientX - from));
  };
  const onUp = (ended) => {
    document.removeEventListener("pointermove", onMove);
    chosen.remove();
    if (Math.abs(ended.clientX - from) < 6) return;
    // Else the bar below the pointer would be followed.
    document.addEventListener("click", (click) => click.preventDefault(), {
      capture: true,
      once: true,
    });
    const [start, end] = [first, instantAt(svg, ended)].toSorted((a, b) => a - b);
    const long = Math.max(end - start, 600_000);
    const query = new URLSearchParams({
      from: new Date(start).toISOString(),
      to: new Date(start + long).toISOString(),
    });
    location.assign(`/?${query}`);
  };
  document.addEventListener("pointermove", onMove);
  document.addEventListener("pointerup", onUp, { once: true });
}

document.addEventListener("pointerdown", startDrag);
document.addEventListener("dragstart", (event) => {
  if (event.target.closest("svg[data-edges]")) event.preventDefault();
});

// Composing: the preview follows what is typed

const previewAfterMs = 600;
let previewing = 0;

function previewSoon(event) {
  const form = event.target.closest("form[data-preview]");
  if (!form || event.target.name === "test_to") return;
  clearTimeout(previewing);
  previewing = setTimeout(() => preview(form), previewAfterMs);
}

/** Without the files, which would be sent at every pause. */
function preview(form) {
  const { files } = form.elements;
  files.disabled = true;
  form.requestSubmit(form.querySelector("[data-preview-button]"));
  files.disabled = false;
}

document.addEventListener("input", previewSoon);
for (const form of document.querySelectorAll("form[data-preview]")) {
  if (form.elements.subject.value !== "") preview(form);
}

// Selection

function tellPicked() {
  const told = document.querySelector("[data-picked]");
  if (!told) return;
  const count = document.querySelectorAll("tbody [name=id]:checked").length;
  told.textContent = `${count} selected:`;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-pick-all]")) {
    for (const box of document.querySelectorAll("tbody [name=id]")) {
      box.checked = event.target.checked;
    }
  }
  tellPicked();
});

document.addEventListener("click", async (event) => {
  const outside = (menu) => !menu.contains(event.target);
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (outside(menu)) menu.open = false;
  }
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});

document.addEventListener("keydown", onKey);

// The bar of a phone is narrower than its pages.
const here = document.querySelector(".rail nav [aria-current]");
if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.clientWidth / 2;

tellZone();
tellPicked();
countDown();
setInterval(countDown, countEveryMs);
