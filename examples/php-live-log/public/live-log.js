// The script of the page: keeps the list up to date, and saves what is typed in.
//
// A push from the worker says that something changed; the list itself always comes from PHP.
// While the worker is away, the list is fetched every few seconds instead. Read from the top:
// the list, the connection, what the visitor sees of it, the form.

const POLL_MS = 5000;
const PATIENCE_MS = 10000;

// The list

const list = document.getElementById("contacts");
let fetching = false;
let again = false;
let failed = false;

/** Fetches the list. Of any number of calls while it is being fetched, one more fetch follows. */
async function refetch() {
  again = true;
  if (fetching) return;
  fetching = true;
  while (again) {
    again = false;
    try {
      const answer = await request("entries.php");
      if (!answer.ok) throw new Error(`entries.php answered ${answer.status}`);
      update(await answer.text());
      failed = false;
    } catch {
      failed = true; // The next poll tries again.
    }
  }
  fetching = false;
  show();
}

/** Puts rows that are new on top, and takes those away that are not in the list any more. */
function update(html) {
  const fetched = document.createElement("template");
  fetched.innerHTML = html; // Escaped by src/rows.php.
  const wanted = new Set(Array.from(fetched.content.children, (row) => row.dataset.id));
  const known = new Set(Array.from(list.children, (row) => row.dataset.id));
  for (const row of Array.from(list.children)) {
    if (!wanted.has(row.dataset.id)) row.remove();
  }
  for (const row of Array.from(fetched.content.children).reverse()) {
    if (known.has(row.dataset.id)) continue;
    row.classList.add("new");
    list.prepend(row);
  }
}

/** `fetch` that gives up after a while, so that a network that vanished holds up nothing. */
async function request(url, options = {}) {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), PATIENCE_MS);
  try {
    return await fetch(url, { ...options, signal: patience.signal });
  } finally {
    clearTimeout(timer);
  }
}

// The connection

const live = JSON.parse(document.getElementById("connection").textContent);
let state = "connecting";
let wasLive = false;

/** Loads the worker's client, which the worker itself serves; later, if it is away now. */
function load() {
  const script = document.createElement("script");
  script.src = live.script;
  script.onload = connect;
  script.onerror = () => {
    script.remove();
    setTimeout(load, POLL_MS);
  };
  document.head.append(script);
}

function connect() {
  WavelogWorker.connect(live.url, {
    topic: live.topic,
    token: live.token,
    getToken,
    share: true, // One socket for all tabs of this browser.
    onMessage: refetch,
    onResync: refetch, // Something may have been missed.
    lateMs: 0, // Also at the start: what was saved after the page was made and before it was subscribed.
    resyncSpreadMs: 2000, // So that not all pages ask PHP in the same instant.
    onState(now) {
      state = now;
      if (now === "live") wasLive = true;
      show();
    },
  });
}

async function getToken() {
  const answer = await request("token.php");
  if (!answer.ok) throw new Error(`token.php answered ${answer.status}`);
  return (await answer.json()).token;
}

if (live) load();
else state = "none"; // PHP has no worker: there is nothing but polling.
setInterval(() => {
  if ((state !== "live" || failed) && !document.hidden) refetch();
}, POLL_MS);
document.addEventListener("visibilitychange", () => {
  if (state !== "live" && !document.hidden) refetch();
});

// What the visitor sees of it

const indicator = document.getElementById("state");
const WORDS = {
  live: "Live",
  connecting: "Connecting",
  reconnecting: "Reconnecting",
  polling: `Every ${POLL_MS / 1000} seconds`,
  offline: "Offline",
};
let missing; // Set while it is not live: then the visitor is told that the list is polled.

function show() {
  if (state === "live") {
    clearTimeout(missing);
    missing = undefined;
  } else if (missing === undefined) {
    missing = setTimeout(() => {
      missing = null;
      show();
    }, live ? POLL_MS : 0);
  }
  let now = wasLive ? "reconnecting" : "connecting";
  if (failed || state === "offline") now = "offline";
  else if (state === "live") now = "live";
  else if (missing === null) now = "polling";
  if (indicator.dataset.state === now) return; // Or screen readers would say it again.
  indicator.dataset.state = now;
  indicator.textContent = WORDS[now];
}

addEventListener("online", refetch);
show();

// The form

const form = document.getElementById("entry");
const result = document.getElementById("result");
let saving = false;

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (saving) return;
  saving = true;
  const fields = form.elements;
  for (const field of fields) field.removeAttribute("aria-invalid");
  try {
    const answer = await request(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body: new FormData(form),
    });
    const said = await answer.json();
    if (answer.ok) {
      say("good", `${said.saved} is in the log.`);
      fields.call.value = "";
      fields.name.value = "";
      fields.call.focus();
      refetch();
    } else {
      say("bad", said.message);
      const field = said.field && fields[said.field];
      if (field) {
        field.setAttribute("aria-invalid", "true");
        field.focus();
      }
    }
  } catch {
    say("bad", "Not saved: the server does not answer. Try again in a moment.");
  }
  saving = false;
});

// FM and SSB give two figures, CW and RTTY three, FT8 the signal in decibels.
form.elements.mode.addEventListener("change", () => {
  const usual = { CW: "599", RTTY: "599", DIGI: "599", FT8: "-10" };
  form.elements.report.value = usual[form.elements.mode.value] || "59";
});

function say(kind, words) {
  result.dataset.kind = kind;
  result.textContent = words;
}
