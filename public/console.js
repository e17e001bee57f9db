// The console works without this file: it only keeps the list fresh, shows times in the
// reader's own time zone and copies commands.
const refreshEveryMs = 2000;

/** @param {ParentNode} root */
function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.getAttribute("datetime") ?? "");
    time.title = time.textContent;
    time.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  }
}

/** @param {Element} list */
async function refresh(list, shown) {
  if (document.hidden) return shown;
  try {
    const response = await fetch(list.dataset.refresh, {
      headers: { "X-Requested-With": "console" },
    });
    if (response.status === 401) location.reload();
    if (!response.ok) return shown;
    const fragment = await response.text();
    if (fragment !== shown) {
      list.innerHTML = fragment;
      showLocalTimes(list);
    }
    document.body.classList.remove("is-offline");
    return fragment;
  } catch {
    // The server is restarting, say: the next round tells.
    document.body.classList.add("is-offline");
    return shown;
  }
}

async function keepFresh(list) {
  let shown = null;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, refreshEveryMs));
    shown = await refresh(list, shown);
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});

showLocalTimes(document);
const list = document.querySelector("[data-refresh]");
if (list) keepFresh(list);
