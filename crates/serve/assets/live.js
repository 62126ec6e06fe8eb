// Exchanges the state every second, and says so when it cannot: an old page must not look like one of
// now. Without JavaScript the page reloads itself.
"use strict";

const EVERY_MS = 1000;
const LIMIT_MS = 8000;
const state = document.getElementById("state");
const stale = document.getElementById("stale");
let shownAt = Date.now();

function warn(reason) {
  const seconds = Math.round((Date.now() - shownAt) / 1000);
  stale.textContent = `${reason}: what you see is ${seconds} s old`;
  stale.hidden = false;
  document.body.classList.add("old");
}

function show(text) {
  state.innerHTML = text;
  const title = state.querySelector("[data-title]");
  if (title) document.title = title.dataset.title;
  shownAt = Date.now();
  stale.hidden = true;
  document.body.classList.remove("old");
}

async function refresh() {
  // Who copies a command does not want it to vanish.
  if (!getSelection().isCollapsed) return warn("paused while text is selected");
  try {
    const answer = await fetch("fragment", { cache: "no-store", signal: AbortSignal.timeout(LIMIT_MS) });
    if (answer.status === 401) return location.assign("login");
    if (!answer.ok) throw new Error(`it answers ${answer.status}`);
    show(await answer.text());
  } catch (error) {
    warn(`hb serve does not answer (${error.message})`);
  }
}

async function live() {
  if (!document.hidden) await refresh();
  setTimeout(live, EVERY_MS);
}

setTimeout(live, EVERY_MS);
