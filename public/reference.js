// The reference: tabs over the samples, and "Try it". Without this the page shows all of them.

for (const group of document.querySelectorAll("[data-tabs]")) {
  const blocks = [...group.querySelectorAll(".code")];
  for (const block of blocks) {
    const bar = block.querySelector(".code-bar");
    const tabs = blocks.map((other) => {
      const tab = document.createElement("button");
      tab.type = "button";
      tab.className = "tab";
      tab.textContent = other.dataset.label;
      tab.setAttribute("aria-pressed", String(other === block));
      tab.addEventListener("click", () => choose(other.dataset.label));
      return tab;
    });
    bar.querySelector("span").replaceWith(...tabs);
  }
}

/** One language for the whole page, remembered. */
function choose(label) {
  try {
    localStorage.setItem("sample", label);
  } catch {
    // Storage may be closed to us: then it is not remembered.
  }
  show(label);
}

function show(label) {
  for (const group of document.querySelectorAll("[data-tabs]")) {
    const blocks = [...group.querySelectorAll(".code")];
    const chosen = blocks.find((block) => block.dataset.label === label) ?? blocks[0];
    for (const block of blocks) block.hidden = block !== chosen;
  }
}

let remembered = null;
try {
  remembered = localStorage.getItem("sample");
} catch {
  // As above.
}
show(remembered);

/** A link into what is folded away unfolds it. */
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target === null) return;
  for (let at = target.parentElement; at !== null; at = at.parentElement) {
    if (at.tagName === "DETAILS") at.open = true;
  }
  target.scrollIntoView();
}
addEventListener("hashchange", unfold);
unfold();

for (const part of document.querySelectorAll("[data-try]")) {
  part.hidden = false;
  part.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    send(part).catch((error) => say(part, "No answer", String(error)));
  });
}

async function send(part) {
  const form = part.querySelector("form");
  const [method, template] = part.dataset.try.split(" ");
  const query = new URLSearchParams();
  let path = template;
  for (const input of form.querySelectorAll("input")) {
    const { name, value } = input;
    if (input.dataset.place === "path") {
      path = path.replace(`{${name}}`, encodeURIComponent(value));
    } else if (value !== "") {
      // `metadata.<key>` is filled in as key=value.
      const [key, ...rest] = value.split("=");
      if (name.endsWith(".<key>")) query.append(name.replace("<key>", key), rest.join("="));
      else query.append(name, value);
    }
  }
  const text = form.querySelector("textarea")?.value;
  const target = query.size === 0 ? path : `${path}?${query}`;
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const response = await fetch("/docs/api/try", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ method, path: target, body: text ?? null }),
    });
    const answer = await response.text();
    const isSignedOut = response.status === 401 && !answer.startsWith("{");
    if (isSignedOut) sayToSignIn(part);
    else say(part, `${response.status} ${response.statusText}`, pretty(answer));
  } finally {
    button.disabled = false;
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Not JSON: shown as it came.
    return text;
  }
}

function say(part, heading, text) {
  const output = part.querySelector("output");
  const title = document.createElement("strong");
  title.textContent = heading;
  const block = document.createElement("pre");
  block.tabIndex = 0;
  block.textContent = text;
  output.replaceChildren(title, block);
}

function sayToSignIn(part) {
  const output = part.querySelector("output");
  const link = document.createElement("a");
  link.href = "/";
  link.textContent = "Sign in to the console";
  output.replaceChildren(link, " first: requests from here go out as you.");
}
