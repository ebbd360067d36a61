// Keys for the queue page. Every action is a button of the page, pressed here for the moderator;
// without this file the page does all the same things. Sends nothing by itself.

const KEYS_OFF = "duyet-keys-off";
const cards = [...document.querySelectorAll("[data-card]")];
const said = document.getElementById("said");
const flash = document.getElementById("flash");
const dialog = document.getElementById("keys");
const switchOfKeys = document.getElementById("keys-on");
const opener = document.getElementById("show-keys");
let rejecting = null; // the card that is being rejected, until its reason is chosen

function say(sentence) {
  // Emptied first: the same sentence twice would be read once.
  said.textContent = "";
  setTimeout(() => (said.textContent = sentence), 50);
}

function currentCard() {
  const card = document.activeElement?.closest("[data-card]");
  return card && cards.includes(card) ? card : null;
}

function show(card) {
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "start" });
}

function move(step) {
  leaveRejecting();
  const at = cards.indexOf(currentCard());
  const next = at < 0 ? 0 : Math.min(cards.length - 1, Math.max(0, at + step));
  if (cards[next]) show(cards[next]);
}

function accept() {
  const card = currentCard();
  if (!card) return say(said.dataset.none);
  card.querySelector("[data-accept]").click();
}

function startRejecting() {
  const card = currentCard();
  if (!card) return say(said.dataset.none);
  rejecting = card;
  card.classList.add("rejecting");
  card.querySelector("[data-reject]").focus();
  say(said.dataset.rejecting);
}

function leaveRejecting() {
  rejecting?.classList.remove("rejecting");
  rejecting = null;
}

function reject(key) {
  const card = rejecting;
  leaveRejecting();
  card.querySelector(`[data-reject="${key}"]`).click();
}

function keepAfterAll() {
  const card = rejecting;
  leaveRejecting();
  show(card);
  say(said.dataset.kept);
}

function undo() {
  const button = document.getElementById("undo");
  if (button) button.click();
  else say(said.dataset.noUndo);
}

function help() {
  dialog.showModal();
  dialog.querySelector("button").focus();
}

const ACTIONS = {
  j: () => move(1),
  k: () => move(-1),
  a: accept,
  r: startRejecting,
  u: undo,
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

function isTyping(target) {
  return target.closest?.("input, textarea, select, [contenteditable]") != null;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.repeat) return;
  if (dialog.open || isTyping(event.target) || !keysAreOn()) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  // A reason belongs to the card that has the focus; elsewhere the choice is off.
  if (rejecting && currentCard() !== rejecting) leaveRejecting();
  if (rejecting && key === "Escape") keepAfterAll();
  else if (rejecting && ["s", "t", "o", "x"].includes(key)) reject(key);
  else if (Object.hasOwn(ACTIONS, key)) ACTIONS[key]();
  else return;
  event.preventDefault();
});

// A second press while the first is on its way would be answered with a conflict.
document.addEventListener("submit", (event) => {
  if (event.target.method === "dialog") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
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

// Times in the moderator's own zone; the title keeps UTC.
const tag = document.documentElement.lang;
const inOwnWay = navigator.languages.find((language) => language.startsWith(tag)) ?? tag;
const inOwnZone = new Intl.DateTimeFormat(inOwnWay, {
  dateStyle: "medium",
  timeStyle: "short",
});
for (const time of document.querySelectorAll("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.valueOf())) time.textContent = inOwnZone.format(at);
}

// After an action: on to the comment that follows, and what was done is read out.
if (flash) {
  const following = cards.find((card) => `#${card.id}` === location.hash);
  const target = following ?? cards[0] ?? document.querySelector("h1");
  if (target === following) show(target);
  else target.focus({ preventScroll: true });
  say(flash.querySelector("p").textContent);
}
