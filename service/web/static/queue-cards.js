// The cards on the page: which one has the focus, how one leaves, how it comes back. Campaigns stand
// above the comments, and are stops for the keys as these are.
//
// A card that leaves keeps its place by a mark, so that it can come back to exactly there. What
// stands at the top of the window stays where it is, whatever happens above it.

import { element } from "./queue-say.js";

const SHIELD_MS = 300;
const ANY_CARD = "[data-card], [data-campaign]";
export const DECIDING = "[data-decide] button, [data-settle]";
const list = document.getElementById("cards");
const empty = document.getElementById("empty");
const marks = new Map(); // by id: what keeps the place of a card that left
const onLeave = [];
let movedAt = -SHIELD_MS;
let isAwaited = false; // the last card left before the next ones were loaded

export const cards = () => [...list.querySelectorAll(":scope > [data-card]")];
export const cardOf = (id) => list.querySelector(`:scope > [data-card="${CSS.escape(id)}"]`);
export const campaigns = () => [...document.querySelectorAll("#campaigns > [data-campaign]")];
export const stops = () => [...campaigns(), ...cards()]; // in the order in which they are read
export const isCampaign = (card) => card.dataset.campaign !== undefined;
export const idOf = (card) => card.dataset.card ?? card.dataset.campaign;
export const moreToLoad = () => list.querySelector(":scope > .more");
export const isKnown = (id) => marks.has(id) || cardOf(id) !== null;
export const hasLeft = (id) => marks.has(id);
export const whenOneLeaves = (act) => onLeave.push(act);

export function current() {
  const card = document.activeElement?.closest?.(ANY_CARD);
  return card && stops().includes(card) ? card : null;
}

export function show(card) {
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "start" });
}

export function showHeading() {
  document.querySelector("h1")?.focus({ preventScroll: false });
}

// A click that was meant for what stood under the pointer a moment ago is nobody's decision.
export const isShielded = () => performance.now() - movedAt < SHIELD_MS;

// Nor does the second of two clicks, beside the cards, take the focus from the one that came up.
document.addEventListener("mousedown", (event) => {
  if (event.detail > 1 && !event.target.closest(`${ANY_CARD}, form`)) event.preventDefault();
});

const pointer = { x: -1, y: -1 };
for (const kind of ["pointermove", "pointerdown"]) {
  document.addEventListener(kind, (event) => Object.assign(pointer, { x: event.x, y: event.y }), {
    capture: true,
    passive: true,
  });
}

const underPointer = () =>
  document.elementFromPoint(pointer.x, pointer.y)?.closest(ANY_CARD) ?? null;

function watchingPointer(change) {
  const before = underPointer();
  change();
  const after = underPointer();
  if (after && after !== before) movedAt = performance.now();
}

function keepingView(change) {
  watchingPointer(() => {
    const anchor = current() ?? stops().find((card) => card.getBoundingClientRect().bottom > 0);
    const before = anchor?.getBoundingClientRect().top;
    change();
    if (anchor?.isConnected) window.scrollBy(0, anchor.getBoundingClientRect().top - before);
  });
}

// Where one goes on when a card leaves: back to a campaign only if no more comments will come.
function neighbour(card) {
  const all = stops();
  const at = all.indexOf(card);
  const [before, after] = [all[at - 1] ?? null, all[at + 1] ?? null];
  return after ?? (before && isCampaign(before) && moreToLoad() ? null : before);
}

// Takes a card off the page; the focus goes on to the next one if it was here.
export function takeOut(card, { note = "", moveOn = true } = {}) {
  const hadFocus = card.contains(document.activeElement);
  const next = neighbour(card);
  const mark = note ? element("p", { text: note, className: "gone" }) : document.createComment("");
  marks.set(idOf(card), { mark, card });
  const leave = () => {
    card.replaceWith(mark);
    empty.hidden = next !== null || moreToLoad() !== null;
    if (hadFocus && moveOn) {
      if (next) show(next);
      else showHeading();
      isAwaited = next === null;
    }
  };
  if (hadFocus) watchingPointer(leave);
  else keepingView(leave);
  if (note) setTimeout(() => mark.isConnected && fade(mark, card), 8000);
  for (const act of onLeave) act();
}

function fade(note, card) {
  const place = document.createComment("");
  const kept = marks.get(idOf(card));
  if (kept?.mark === note) kept.mark = place;
  keepingView(() => note.replaceWith(place));
}

// Brings a card back to its place. Gives the card, null for one that never was here.
export function putBack(id) {
  const kept = marks.get(id);
  if (!kept) return cardOf(id);
  marks.delete(id);
  keepingView(() => kept.mark.replaceWith(kept.card));
  empty.hidden = true;
  return kept.card;
}

export function add(card, { first = false } = {}) {
  if (isKnown(idOf(card))) return false;
  if (first) keepingView(() => list.prepend(card));
  else list.insertBefore(card, list.querySelector(":scope > .more"));
  empty.hidden = true;
  return true;
}

// The next cards have come, or there are none. Who decided faster than they came, and went nowhere
// else meanwhile, goes on with the first.
export function haveCome() {
  const [first] = cards();
  empty.hidden = stops().length > 0 || moreToLoad() !== null;
  const isWaiting = isAwaited && document.activeElement === document.querySelector("h1");
  if (first) isAwaited = false;
  if (first && isWaiting) watchingPointer(() => show(first));
}

// A card that somebody else settled while one was looking at it stays until one goes on.
export function settle(card, sentence) {
  annotate(card, sentence);
  card.classList.add("settled");
  for (const button of card.querySelectorAll(DECIDING)) button.disabled = true;
}

export function unsettle(card) {
  card.querySelector(":scope > .note")?.remove();
  card.classList.remove("settled", "rejecting");
  for (const button of card.querySelectorAll(DECIDING)) button.disabled = false;
}

export function annotate(card, sentence, ...more) {
  card.querySelector(":scope > .note")?.remove();
  const note = element("div", { className: "note" });
  note.append(element("p", { text: sentence }), ...more);
  card.prepend(note);
}

export const isSettled = (card) => card.classList.contains("settled");

document.addEventListener("focusout", (event) => {
  const card = event.target.closest?.(".settled");
  if (!card || card.contains(event.relatedTarget) || !event.relatedTarget) return;
  if (event.relatedTarget.closest?.(ANY_CARD)) setTimeout(() => leaveSettled(card), 0);
});

function leaveSettled(card) {
  if (!card.isConnected || card.contains(document.activeElement)) return;
  const mark = document.createComment("");
  marks.set(idOf(card), { mark, card });
  keepingView(() => card.replaceWith(mark));
  for (const act of onLeave) act();
}
