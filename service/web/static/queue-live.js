// Live updates: what others decide leaves this page, what they take back returns, what is new is
// offered. A page that is not seen does not listen: browsers have few connections to spare. Nor does
// one of comments that do not wait: all of them would leave it.

import {
  annotate, cardOf, cards, hasLeft, idOf, isSettled, putBack, settle, takeOut, unsettle,
} from "./queue-cards.js";
import { backOf, goneOf, sampleIds } from "./queue-campaigns.js";
import { othersLookAt } from "./queue-claims.js";
import { isOnWay, isOwnDoing, signInLink } from "./queue-deciding.js";
import { countIs, desk, me, root, say, words } from "./queue-say.js";

const FIRST_WAIT_MS = 2000;
const LONGEST_WAIT_MS = 60_000;
const offer = document.getElementById("offer");
const offered = document.getElementById("offer-link");
const note = document.getElementById("live-note");
let source = null;
let lastId = "";
let wait = FIRST_WAIT_MS;
let timer = 0;
let isNew = 0;
let isOver = !desk.dataset.events;

function whoDid(what) {
  return what.said ? words(`gone.${what.said}`, { who: what.by }) : "";
}

// A decision that stands: `by` whom, and what was `said`; nobody's if it merely waits no more.
function gone(what) {
  const card = cardOf(what.id);
  if (!card) return goneOf(what.id, { ...what, sentence: whoDid(what), me });
  if (isSettled(card)) return;
  countIs(-1);
  if (what.by === "" || what.by === me) return takeOut(card);
  if (card.contains(document.activeElement)) {
    settle(card, whoDid(what));
    say(whoDid(what));
  } else {
    takeOut(card, { note: `${card.dataset.name}: ${whoDid(what)}` });
  }
}

function back(what) {
  const settled = cardOf(what.id);
  if (settled && isSettled(settled)) unsettle(settled);
  else if (hasLeft(what.id)) putBack(what.id);
  else return backOf(what.id);
  countIs(1);
  const card = cardOf(what.id);
  unsettle(card);
  if (what.by !== me) annotate(card, words("live.back", { who: what.by }));
}

async function look() {
  const asked = performance.now();
  const ids = [...cards().map(idOf), ...sampleIds()];
  for (let at = 0; at < Math.max(ids.length, 1); at += 100) {
    const query = new URLSearchParams(ids.slice(at, at + 100).map((id) => ["id", id]));
    const answer = await fetch(`${root}/queue/standing?${query}`, {
      headers: { Accept: "application/json" },
    });
    if (answer.status === 401) throw new SignedOut();
    if (!answer.ok) return;
    for (const one of (await answer.json()).gone) {
      if (!isOwnDoing(one.id, asked)) gone(one);
    }
  }
}

// What is on its way is answered, and what this page did it has shown already.
const isKnownHere = (what) => isOnWay(what.id) || (what.by === me && isOwnDoing(what.id));

class SignedOut extends Error {}

function told(kind, act) {
  source.addEventListener(kind, (event) => {
    lastId = event.lastEventId || lastId;
    act(JSON.parse(event.data));
  });
}

function listen() {
  stop();
  if (isOver || document.hidden) return;
  const after = lastId ? `?after=${encodeURIComponent(lastId)}` : "";
  source = new EventSource(desk.dataset.events + after);
  source.addEventListener("open", () => {
    wait = FIRST_WAIT_MS;
    note.hidden = true;
  });
  source.addEventListener("error", () => {
    // The browser tries again by itself, but not where it was answered that it may not.
    if (source?.readyState === EventSource.CLOSED) later();
  });
  told("decided", (what) => isKnownHere(what) || gone(what));
  told("undone", (what) => isKnownHere(what) || back(what));
  told("claims", (what) => othersLookAt(what.on));
  told("look", () => look().catch(later));
  told("new", ({ n }) => {
    isNew += n;
    countIs(n, { isNew: true });
    offered.textContent = words("live.new", { n: isNew });
    offer.hidden = false;
  });
  told("over", () => {
    isOver = true; // too many pages of this session: an older one has to do without
    stop();
    tellStopped(words("live.stopped"));
  });
}

function stop() {
  clearTimeout(timer);
  source?.close();
  source = null;
}

function tellStopped(sentence, ...more) {
  note.replaceChildren(sentence, " ", ...more);
  note.hidden = false;
}

// Looks first whether there is still somebody signed in, then listens again.
function later(problem) {
  stop();
  if (problem instanceof SignedOut) {
    tellStopped(words("live.signed_out"), signInLink());
    return;
  }
  tellStopped(words("live.stopped"));
  timer = setTimeout(() => look().then(listen, later), wait * (0.75 + Math.random() / 2));
  wait = Math.min(2 * wait, LONGEST_WAIT_MS);
}

document.addEventListener("visibilitychange", () => (document.hidden ? stop() : listen()));
window.addEventListener("pagehide", stop);
window.addEventListener("pageshow", (event) => event.persisted && listen());
window.addEventListener("online", listen);
listen();
