// Says which card this moderator has had in front of them for a second, and shows the others'.

import { cards, current, idOf } from "./queue-cards.js";
import { desk, element, me, root, token, words } from "./queue-say.js";

const AFTER_MS = 1000;
const AGAIN_MS = 25_000;
let claimed = null;
let timer = 0;
let others = {};

function send(path) {
  const headers = { Accept: "application/json", "X-Form-Token": token };
  return fetch(`${root}${path}`, { method: "POST", headers, keepalive: true }).catch(() => null);
}

function claim() {
  const card = current();
  if (!card?.querySelector("[data-decide]") || document.hidden) return leave();
  claimed = idOf(card);
  send(`/queue/${claimed}/claim`);
  timer = setTimeout(claim, AGAIN_MS);
}

function leave() {
  clearTimeout(timer);
  if (claimed === null) return;
  claimed = null;
  send("/queue/leave");
}

function focusMoved() {
  const card = current();
  if (card && idOf(card) === claimed) return;
  clearTimeout(timer);
  timer = setTimeout(claim, AFTER_MS);
}

// Who looks at what, by id. Shown on every card there is, and on those that come later.
export function othersLookAt(looking) {
  others = looking;
  for (const card of cards()) showLooking(card);
}

export function showLooking(card) {
  const line = card.querySelector("[data-looking]");
  const names = (others[idOf(card)] ?? []).filter((name) => name !== me);
  const sentences = names.map((who) => element("span", { text: words("card.looking", { who }) }));
  line.replaceChildren(...sentences.flatMap((one) => [one, " "]));
  line.hidden = names.length === 0;
}

if (desk.dataset.moderates) {
  document.addEventListener("focusin", focusMoved);
  document.addEventListener("focusout", focusMoved);
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : focusMoved()));
  window.addEventListener("pagehide", leave);
}
