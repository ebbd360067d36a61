// Single keys. Each presses what is on the page; none does anything while one types, with Ctrl,
// Alt or Meta, when a key is held down, with a dialog open, or when they are switched off.

import { ask } from "./queue-campaigns.js";
import { current, isCampaign, show, stops } from "./queue-cards.js";
import { accept, reject, undo } from "./queue-deciding.js";
import { toggleContext } from "./queue-context.js";
import { say, words } from "./queue-say.js";

const KEYS_OFF = "duyet-keys-off";
const dialog = document.getElementById("keys");
const switchOfKeys = document.getElementById("keys-on");
const opener = document.getElementById("show-keys");
let rejecting = null; // the card that is being rejected, until its reason is chosen

function move(step) {
  const all = stops();
  const at = all.indexOf(current());
  const inSight = all.findIndex((card) => card.getBoundingClientRect().bottom > 80);
  const next = at < 0 ? Math.max(0, inSight) : at + step;
  if (all[next]) show(all[next]);
  else if (step > 0 && all.length) say(words("said.end"));
}

// Does something with the card that has the focus.
function withCurrent(act) {
  const card = current();
  if (card) act(card);
  else say(words("said.none"));
}

function startRejecting(card) {
  const first = card.querySelector(":is([data-reject], fieldset [data-settle]):enabled");
  if (!first) return;
  rejecting = card;
  card.classList.add("rejecting");
  first.focus();
  say(words("said.rejecting"));
}

function leaveRejecting() {
  rejecting?.classList.remove("rejecting");
  rejecting = null;
}

function rejectFor(key) {
  const card = rejecting;
  leaveRejecting();
  if (isCampaign(card)) ask(card, key);
  else reject(card, key);
}

function keepAfterAll() {
  const card = rejecting;
  leaveRejecting();
  show(card);
  say(words("said.kept"));
}

// What is around a campaign is its page: each of its comments, and what was decided of it.
const openPage = (card) => card.querySelector("h2 a").click();

function pick(card) {
  const box = card.querySelector("[data-pick]");
  if (!box) return say(words("said.not_picked"));
  box.click();
  say(words(box.checked ? "said.picked" : "said.unpicked"));
}

function search() {
  const field = document.querySelector("input[type=search]");
  if (!field) return say(words("said.no_search"));
  const folded = field.closest("details");
  if (folded) folded.open = true;
  field.focus();
  field.select();
}

function help() {
  dialog.showModal();
  dialog.querySelector("button").focus();
}

const ACTIONS = {
  j: () => move(1),
  k: () => move(-1),
  a: () => withCurrent((card) => (isCampaign(card) ? ask(card, "a") : accept(card))),
  r: () => withCurrent(startRejecting),
  x: () => withCurrent(pick),
  c: () => withCurrent((card) => (isCampaign(card) ? openPage(card) : toggleContext(card))),
  u: undo,
  "/": search,
  "?": help,
};

function keysAreOn() {
  if (document.body.dataset.singleKeys === "off") return false; // for the account, everywhere
  try {
    return localStorage.getItem(KEYS_OFF) === null;
  } catch {
    return true; // a browser that keeps nothing
  }
}

const PLAIN_INPUT = "input:not([type=checkbox], [type=radio], [type=submit], [type=button])";

function isTyping(target) {
  if (target.isContentEditable) return true;
  return target.closest?.(`${PLAIN_INPUT}, textarea, select, [role=slider]`) != null;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.repeat) return;
  if (document.querySelector("dialog[open]") || isTyping(event.target) || !keysAreOn()) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  // A reason belongs to the card that has the focus; elsewhere the choice is off.
  if (rejecting && current() !== rejecting) leaveRejecting();
  if (rejecting && key === "Escape") keepAfterAll();
  else if (rejecting && ["s", "t", "o", "x"].includes(key)) rejectFor(key);
  else if (Object.hasOwn(ACTIONS, key)) {
    leaveRejecting();
    ACTIONS[key]();
  } else return;
  event.preventDefault();
});

switchOfKeys.checked = keysAreOn();
switchOfKeys.addEventListener("change", () => {
  try {
    if (switchOfKeys.checked) localStorage.removeItem(KEYS_OFF);
    else localStorage.setItem(KEYS_OFF, "yes");
  } catch {
    switchOfKeys.checked = true;
  }
});
opener.hidden = false;
opener.addEventListener("click", help);
document.body.classList.add("has-keys");
