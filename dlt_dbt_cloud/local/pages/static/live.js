// Reads the page again each second while something is in progress, and replaces what has changed.
"use strict";

const PAUSE = 1000;

/** Returns what a person has opened or closed, by the text of its title. */
function opened(part) {
  const states = new Map();
  for (const it of part.querySelectorAll("details")) states.set(titleOf(it), it.open);
  return states;
}

function titleOf(details) {
  return details.querySelector("summary").textContent.replace(/[\d:]+$/, "");
}

/** Replaces a part by its new version, and keeps what a person has opened and scrolled. */
function replace(old, fresh) {
  const states = opened(old);
  const ends = new Map();
  for (const it of old.querySelectorAll("details pre")) {
    const isAtEnd = it.scrollTop + it.clientHeight >= it.scrollHeight - 4;
    ends.set(titleOf(it.closest("details")), isAtEnd ? Infinity : it.scrollTop);
  }
  const focused = [...old.querySelectorAll("a, button, summary, [tabindex]")].indexOf(document.activeElement);
  for (const it of fresh.querySelectorAll("details")) {
    if (states.has(titleOf(it))) it.open = states.get(titleOf(it));
  }
  old.replaceWith(fresh);
  for (const it of fresh.querySelectorAll("details pre")) {
    const top = ends.get(titleOf(it.closest("details"))) ?? Infinity;
    it.scrollTop = Math.min(top, it.scrollHeight);
  }
  if (focused >= 0) fresh.querySelectorAll("a, button, summary, [tabindex]")[focused]?.focus();
}

/** Makes the page the same as a new version of it, part by part. */
function update(fresh) {
  const main = document.querySelector("main");
  const parts = [...main.children];
  [...fresh.children].forEach((part, place) => {
    const known = (part.id && document.getElementById(part.id)) || (part.id ? null : parts[place]);
    if (!known) main.append(part);
    else if (known.dataset.text !== part.outerHTML) {
      const text = part.outerHTML;
      replace(known, part);
      part.dataset.text = text;
    }
  });
  for (const it of [...main.children]) {
    if (it.id && !fresh.ownerDocument.seen.has(it.id)) it.remove();
  }
  main.toggleAttribute("data-live", fresh.hasAttribute("data-live"));
}

function say(text) {
  const known = document.querySelector(".stopped");
  if (!text) return known?.remove();
  if (known) return;
  const line = document.createElement("p");
  line.className = "stopped";
  line.setAttribute("role", "status");
  line.textContent = text;
  document.querySelector("header.site").after(line);
}

async function follow() {
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main");
    page.seen = new Set([...fresh.children].map((it) => it.id));
    update(fresh);
    document.title = page.title;
    say("");
  } catch {
    say("The local dbt Cloud does not answer. This page goes on when it does.");
  }
  if (document.querySelector("main[data-live]")) setTimeout(follow, PAUSE);
}

if (document.querySelector("main[data-live]")) setTimeout(follow, PAUSE);
