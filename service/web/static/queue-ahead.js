// The next cards are loaded before they are needed.

import { add, cards, haveCome, moreToLoad, whenOneLeaves } from "./queue-cards.js";
import { root } from "./queue-say.js";
import { inOwnTime } from "./queue-times.js";

const FEW = 10;
const LONGEST_WAIT_MS = 500;
let loading = null;

async function part(path) {
  const answer = await fetch(path, { headers: { "X-Part": "1" }, credentials: "same-origin" });
  if (!answer.ok || answer.redirected) return null;
  // Parsed in a document of its own, where nothing loads or runs.
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  inOwnTime(parsed);
  return parsed.body;
}

export async function loadPart(path) {
  try {
    return await part(path);
  } catch {
    return null; // not reachable now
  }
}

export async function loadCard(id) {
  const loaded = await loadPart(`${root}/queue/${id}/card`);
  const card = loaded?.querySelector("[data-card]");
  return card ? document.adoptNode(card) : null;
}

// Whether it went on: not without a next page, nor when it can't be had now.
async function loadMore() {
  const more = moreToLoad();
  const link = more?.querySelector("a[rel=next]");
  if (!link) return false;
  const loaded = await loadPart(link.getAttribute("href"));
  if (!loaded) return false;
  for (const card of loaded.querySelectorAll("[data-card]")) add(document.adoptNode(card));
  const next = loaded.querySelector(".more");
  if (next) more.replaceWith(document.adoptNode(next));
  else more.remove();
  haveCome();
  return true;
}

export function lookAhead() {
  if (loading || cards().length >= FEW || !moreToLoad()) return;
  loading = loadMore().then((wentOn) => {
    loading = null;
    if (wentOn) lookAhead(); // all that came may have been decided meanwhile
  });
}

// Once what was to be shown at once has been painted.
export function whenIdle(act) {
  if (window.requestIdleCallback) requestIdleCallback(act, { timeout: LONGEST_WAIT_MS });
  else setTimeout(act, LONGEST_WAIT_MS / 2);
}

whenOneLeaves(lookAhead);
