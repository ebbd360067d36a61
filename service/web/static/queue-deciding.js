// Decisions without a reload. The card leaves at once; should the decision not be recorded, it
// comes back and says why. Nothing is sent that the page's own forms would not send.

import {
  add, annotate, cardOf, current, DECIDING, hasLeft, idOf, isSettled, isShielded, putBack, settle,
  show, takeOut, unsettle,
} from "./queue-cards.js";
import { loadCard } from "./queue-ahead.js";
import { countIs, desk, element, root, say, tell, token, words } from "./queue-say.js";

const PATIENCE_MS = 20_000;
const JUST_NOW_MS = 5000;
const flash = document.getElementById("flash");
const onWay = new Map(); // by id: the decision that is being sent
const done = []; // what can be undone here, the last at the end
const touched = new Map(); // by id: when this page decided or undid it

export const isOnWay = (id) => onWay.has(id);

// Whether this page decided or undid a comment since a time, or is about to.
export const isOwnDoing = (id, since = performance.now() - JUST_NOW_MS) =>
  onWay.has(id) || (touched.get(id) ?? -Infinity) >= since;

async function post(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      body,
      headers: { Accept: "application/json", "X-Form-Token": token },
      keepalive: true, // a page that is left has sent what was decided on it
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    return { status: answer.status, ok: answer.ok, ...(await answer.json()) };
  } catch {
    return { status: 0, ok: false };
  }
}

export function accept(card) {
  card.querySelector("[data-accept]")?.click();
}

export function reject(card, key) {
  card.querySelector(`[data-reject="${key}"]`)?.click();
}

function measured(began) {
  // Two frames later what was shown has been painted.
  requestAnimationFrame(() =>
    setTimeout(() => performance.measure("duyet-next-card", { start: began, end: performance.now() })),
  );
}

function decide(form, button, began) {
  const card = form.closest("[data-card]");
  const id = idOf(card);
  if (onWay.has(id) || isSettled(card)) return;
  const body = new URLSearchParams(new FormData(form));
  if (button.name) body.set(button.name, button.value);
  const path = button.getAttribute("formaction") ?? form.getAttribute("action");
  const act = { id, name: card.dataset.name, said: button.dataset.said };
  unsettle(card);
  takeOut(card);
  measured(began);
  touched.set(id, performance.now());
  countIs(-1);
  done.push(act);
  tell(words(`flash.${act.said}`, { name: act.name }), { mayUndo: true });
  act.recorded = post(path, body).then((answer) => recorded(act, answer));
  onWay.set(id, act);
}

// Whether it stands now. What does not goes back on the page, with what to know about it.
function recorded(act, answer) {
  onWay.delete(act.id);
  touched.set(act.id, performance.now());
  if (answer.ok && answer.id === act.id) return true;
  const place = done.indexOf(act);
  if (place >= 0) done.splice(place, 1);
  const hadNowhereToGo = current() === null;
  const card = putBack(act.id);
  countIs(1);
  const why = reasonOf(answer);
  if (answer.status === 409 || answer.status === 404) {
    settle(card, why);
    const away = element("button", { text: words("failed.dismiss"), type: "button" });
    away.addEventListener("click", () => (takeOut(card), countIs(-1)));
    card.querySelector(":scope > .note").append(away);
  } else {
    annotate(card, why, ...(answer.status === 401 ? [signInLink()] : []));
  }
  if (hadNowhereToGo) show(card);
  tell(`${act.name}: ${why}`, { mayUndo: done.length > 0 });
  return false;
}

function reasonOf(answer) {
  if (answer.status === 409) return answer.body ?? words("failed.offline");
  if (answer.title) return words("failed.gone", { why: `${answer.title}. ${answer.body}` });
  return words("failed.offline");
}

export function signInLink() {
  return element("a", { text: words("live.sign_in"), className: "button", href: `${root}/queue` });
}

export async function undo() {
  const act = done.pop();
  if (!act) {
    const notice = document.getElementById("undo-notice"); // what the page itself says was done
    return notice ? notice.requestSubmit() : say(words("said.no_undo"));
  }
  if (act.recorded && !(await act.recorded)) return;
  touched.set(act.id, performance.now());
  const body = new URLSearchParams({ form_token: token });
  const answer = await post(`${desk.dataset.root}/queue/${act.id}/undo`, body);
  touched.set(act.id, performance.now());
  if (!answer.ok || answer.id !== act.id) {
    if (answer.status === 0 || answer.status >= 500) done.push(act); // it may be tried again
    const why = answer.body ?? words("failed.unreachable");
    return tell(words("failed.undo", { why }), { mayUndo: done.length > 0 });
  }
  const card = await cameBack(act.id);
  if (card) {
    countIs(1);
    show(card);
  }
  tell(words("flash.undone", { name: act.name }), { mayUndo: false });
}

// The card of a comment that waits again: the one that left, or a new one of it.
export async function cameBack(id) {
  const here = hasLeft(id) ? putBack(id) : cardOf(id);
  if (here) {
    unsettle(here);
    return here;
  }
  const card = await loadCard(id);
  if (card) add(card, { first: true });
  return cardOf(id);
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("[data-decide]")) {
    event.preventDefault();
    decide(form, event.submitter ?? form.querySelector("[data-accept]"), event.timeStamp);
  } else if (flash.contains(form) && form.id !== "undo-notice") {
    event.preventDefault();
    undo();
  }
});

// The second click of two would hit the card that has just come up; so would one that was meant
// for a card which another moderator's decision took from under the pointer.
document.addEventListener(
  "click",
  (event) => {
    const onDecision = event.target.closest?.(DECIDING);
    const isLate = event.detail > 1 || (event.detail === 1 && onDecision && isShielded());
    if (isLate && (onDecision || event.target.closest?.("#undo"))) {
      event.preventDefault();
      event.stopPropagation();
    }
  },
  true,
);

// What the page itself says was done, before it was loaded, can be undone as well.
export function takeOver() {
  const form = flash.querySelector("form");
  const id = form.hidden ? null : form.getAttribute("action").split("/").at(-2);
  if (id) done.push({ id, name: flash.dataset.name ?? "" });
}
