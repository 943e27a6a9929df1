// Asks for what is, again and again, and shows it. Texts of the cluster become text nodes, never HTML.

const PHASES = {
  Current: "done", Staged: "ready", Staging: "moves", Configuring: "moves", Cordoned: "moves",
  Draining: "moves", Rebooting: "moves", Trial: "moves", Confirming: "moves", Pending: "waits",
  Failed: "failed",
};
const OBJECT = {
  Idle: "waits", Staging: "moves", RollingOut: "moves", Soaking: "moves", Waiting: "waits", Complete: "done",
  Halted: "failed", RollingBack: "failed", RolledBack: "failed", Superseded: "waits", Running: "moves",
};
const CACHE = { Serving: "done", Refused: "waits", Quarantined: "failed", Learning: "moves", Building: "moves" };
const PAUSE = 2000;
const NAMED = 3;
const shown = new Map();
let number = 0;
let token = sessionStorage.getItem("token") ?? "";

const place = (id) => document.getElementById(id);

/** An element with a class, attributes and children; strings become text. */
function make(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(options)) {
    if (key === "class") made.className = value;
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.filter((one) => one !== null && one !== undefined && one !== ""));
  return made;
}

const chip = (text, kind) => make("span", { class: "chip", "data-kind": kind ?? "waits" }, text);

function time(text) {
  if (!text) return "";
  const at = new Date(text);
  const title = at.toLocaleString();
  return make("time", { datetime: text, title }, ago(at));
}

function ago(at) {
  const seconds = Math.round((Date.now() - at) / 1000);
  const words = span(Math.abs(seconds));
  return seconds >= 0 ? `${words} ago` : `in ${words}`;
}

function span(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}

const bytes = (count) => count > 1e6 ? `${(count / 1e6).toFixed(1)} MB` : `${count} bytes`;

/** How many nodes are where, as one bar; a screen reader hears the same as a sentence. */
function bar(rollout) {
  const said = rollout.phases.map(([phase, count]) => `${count} ${phase}`).join(", ") || "no nodes";
  const whole = make("div", { class: "bar", role: "img", "aria-label": said });
  for (const [phase, count] of rollout.phases) {
    const part = make("span", { "data-kind": PHASES[phase], title: `${count} ${phase}` });
    part.style.flexGrow = count;
    whole.append(part);
  }
  const legend = make("ul", { class: "legend", "aria-hidden": "true" });
  for (const [phase, count] of rollout.phases) {
    legend.append(make("li", { "data-kind": PHASES[phase] }, `${count} ${phase}`));
  }
  return make("div", {}, whole, legend);
}

function waves(rollout) {
  if (rollout.waves.length < 2) return null;
  const list = make("ol", { class: "waves" });
  rollout.waves.forEach((wave, index) => {
    const now = index === rollout.wave;
    const terms = [
      wave.selector ? `the ${wave.nodes} it names` : `up to node ${wave.nodes}`,
      wave.approval ? "after an approval" : "",
      wave.soak ? `soaks ${span(wave.soak)}` : "",
    ].filter(Boolean);
    list.append(make(
      "li", { "data-kind": wave.ended ? "done" : now ? "moves" : "waits", "aria-current": now ? "step" : null },
      make("strong", {}, wave.name), make("small", {}, terms.join(", ")),
    ));
  });
  return list;
}

function table(title, head, rows) {
  const names = make("tr", {}, ...head.map((one) => make("th", { scope: "col" }, one)));
  const body = rows.map((cells) => make(
    "tr", {}, ...cells.map((cell, index) => make("td", { "data-label": head[index] }, ...[cell].flat())),
  ));
  const caption = title && make("caption", {}, title);
  return make("table", {}, caption, make("thead", {}, names), make("tbody", {}, ...body));
}

/** Some names, and how many more; all that are known by a click. */
function names(group, os) {
  const first = group.nodes.slice(0, NAMED).join(", ");
  if (group.count <= NAMED) return first;
  const last = group.nodes.length < group.count ? " …" : "";
  const id = `group-${os}-${group.phase}-${group.reason}`;
  const open = place(id)?.open ?? false;
  return make("details", { id, open: open ? "" : null }, make("summary", {}, `${first} and ${group.count - NAMED} more`),
    `${group.nodes.slice(NAMED).join(", ")}${last}`);
}

function nodes(rollout) {
  if (!rollout.groups.length) return null;
  const rows = rollout.groups.map((one) => [
    names(one, rollout.os),
    [chip(one.phase, PHASES[one.phase]), one.fetched ? ` ${bytes(one.fetched)}` : ""],
    [make("span", {}, [one.reason, one.message].filter(Boolean).join(": ")),
      make("small", { class: "next" }, one.next)],
    [time(one.since), one.deadline ? make("small", {}, "given up ", time(one.deadline)) : ""],
  ]);
  const count = rollout.groups.reduce((sum, one) => sum + one.count, rollout.more);
  const title = count === 1 ? "One node is not there yet" : `${count} nodes are not there yet`;
  return table(title, ["Nodes", "Are", "Why, and what to do", "Since"], rows);
}

function history(rollout) {
  if (!rollout.history.length) return null;
  const rows = rollout.history.map((one) => [
    one.version, chip(one.result, OBJECT[one.result]), time(one.started), time(one.finished),
  ]);
  const id = `history-${rollout.os}`;
  const open = place(id)?.open ?? false;
  return make(
    "details", { id, open: open ? "" : null }, make("summary", {}, "What was rolled out before"),
    table("", ["Release", "Came to", "Began", "Ended"], rows),
  );
}

function notes(rollout) {
  const found = [];
  if (rollout.problem) found.push(`Its spec can't be followed: ${rollout.problem}`);
  if (rollout.halted) found.push(rollout.halted);
  if (rollout.paused) found.push("It is paused: a node that has begun is finished.");
  if (rollout.conflicts.length) {
    found.push(`Another OS object selects ${rollout.conflicts.slice(0, 3).join(", ")}, too: nobody moves them.`);
  }
  if (rollout.soakUntil) found.push(make("span", {}, "The wave proves itself; it ends ", time(rollout.soakUntil)));
  if (rollout.approve) found.push(make("span", {}, "It waits for an approval: ", make("code", {}, rollout.approve)));
  return found.length ? make("ul", { class: "notes" }, ...found.map((one) => make("li", {}, one))) : null;
}

function rolloutCard(rollout) {
  const eta = rollout.eta ? `, about ${span(rollout.eta)} left` : "";
  return make(
    "article", { "aria-label": `OS ${rollout.os}` },
    make("h3", {}, rollout.os, " ", chip(rollout.phase, OBJECT[rollout.phase])),
    make("p", {}, `Release ${rollout.release || "?"} on `, make("strong", {}, `${rollout.updated} of ${rollout.total}`),
      ` nodes${eta}`),
    bar(rollout), notes(rollout), waves(rollout), nodes(rollout), history(rollout),
  );
}

/** Seconds without and with an archive, as two bars of one scale. */
function gain(cache, longest) {
  if (cache.without === null) return "not measured yet";
  const line = (word, seconds, kind) => {
    const part = make("span", { "data-kind": kind });
    part.style.width = `${Math.max(2, 100 * seconds / longest)}%`;
    return make("div", { class: "line" }, make("small", {}, `${word} ${seconds.toFixed(2)} s`),
      make("span", { class: "track" }, part));
  };
  return make("div", { class: "gain" }, line("without", cache.without, "waits"), line("with", cache.with, "done"));
}

function cacheTable(caches, unread) {
  if (unread) return make("p", { class: "empty" }, `JavaCaches can't be read: ${unread}`);
  if (!caches.length) return make("p", { class: "empty" }, "There is no JavaCache.");
  const longest = Math.max(...caches.map((one) => one.without ?? 0), 0.001);
  return table("", ["Cache", "Is", "Keys that serve", "Starts from an archive", "A start takes"], caches.map((one) => [
    `${one.namespace}/${one.name}`,
    [chip(one.state || "not seen", CACHE[one.state]), one.reason === one.state ? "" : make("small", {}, one.reason)],
    one.serving || "none",
    one.coverage === null ? "none yet" : `${one.coverage} %`,
    gain(one, longest),
  ]));
}

/** Replaces what has changed and nothing else: where somebody reads or tabs, nothing moves. */
function show(id, key, value, draw) {
  const text = JSON.stringify(value);
  if (shown.get(key) === text) return;
  shown.set(key, text);
  const old = document.getElementById(key);
  const made = draw();
  made.id = key;
  if (old) old.replaceWith(made);
  else place(id).append(made);
}

function draw(seen) {
  place("rollout-list").querySelector(".empty")?.remove();
  const wanted = new Set(seen.rollouts.map((one) => `os-${one.os}`));
  for (const one of [...place("rollout-list").children]) {
    if (!wanted.has(one.id)) { one.remove(); shown.delete(one.id); }
  }
  for (const one of seen.rollouts) show("rollout-list", `os-${one.os}`, one, () => rolloutCard(one));
  if (!seen.rollouts.length) {
    place("rollout-list").replaceChildren(make("p", { class: "empty" }, "There is no OS object."));
  }
  show("cache-list", "caches", [seen.caches, seen.unread], () => make("div", {}, cacheTable(seen.caches, seen.unread)));
}

function state(text, kind) {
  const found = place("state");
  if (found.textContent !== text) found.textContent = text;
  found.dataset.state = kind;
}

const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function ask() {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(`overview.json?after=${number}`, { headers, cache: "no-store" });
  if (answer.status === 401) {
    place("door").hidden = false;
    place("token").focus();
    throw new Error("A token is wanted.");
  }
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  place("door").hidden = true;
  number = said.number;
  draw(said);
  state("Live", "live");
}

async function forever() {
  for (;;) {
    try {
      await ask();
      await wait(250);
    } catch (error) {
      state(`What is shown may be old. ${error.message}`, "old");
      await wait(PAUSE);
    }
  }
}

place("door").addEventListener("submit", (event) => {
  event.preventDefault();
  token = place("token").value.trim();
  sessionStorage.setItem("token", token);
  number = 0;
});
// Times such as "3 min ago" grow old by themselves.
setInterval(() => {
  for (const one of document.querySelectorAll("time")) one.textContent = ago(new Date(one.dateTime));
}, 5000);
forever();
