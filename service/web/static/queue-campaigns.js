// Campaigns on the queue page. By a key one is decided as a comment is, but asked about first, as it
// stands for many. It leaves the page when somebody else has decided it, and returns with an undo.

import {
  campaigns, hasLeft, idOf, isSettled, putBack, settle, show, takeOut, unsettle,
} from "./queue-cards.js";
import { countIs, say, words } from "./queue-say.js";

const dialog = document.getElementById("ask");
const known = new Map(); // by id of a sample: its campaign's card
const gone = new Map(); // by id of a sample: what was decided, and by whom
let asked = null; // the button that is asked about

const samplesOf = (card) => card.dataset.samples.split(" ");
for (const card of campaigns()) for (const id of samplesOf(card)) known.set(id, card);

// Asks whether all are to be decided as a button says that has this key.
export function ask(card, key) {
  asked = card.querySelector(`[data-settle="${key}"]:enabled`);
  if (!asked) return;
  const later = card.querySelector(".following");
  const { selectedOptions } = later.querySelector("select");
  dialog.querySelector("h2").textContent = asked.dataset.ask;
  dialog.querySelector("[data-later]").textContent =
    `${later.querySelector("label").textContent} ${selectedOptions[0].textContent}.`;
  dialog.querySelector("[value=yes]").textContent = asked.dataset.does;
  dialog.returnValue = "";
  dialog.showModal();
  dialog.querySelector("[value=yes]").focus();
}

dialog?.addEventListener("close", () => {
  const card = asked.closest("[data-campaign]");
  show(card);
  if (dialog.returnValue === "yes" && !isSettled(card)) asked.form.requestSubmit(asked);
  else say(words("said.not_decided"));
});

export const sampleIds = () => campaigns().filter((card) => !isSettled(card)).flatMap(samplesOf);

// A comment was decided. Where all samples were, alike and by one person, so was the campaign.
export function goneOf(id, { by, said, sentence, me }) {
  const card = known.get(id);
  if (!card?.isConnected || isSettled(card)) return;
  gone.set(id, `${said} ${by}`);
  if (new Set(samplesOf(card).map((one) => gone.get(one) ?? one)).size > 1) return;
  countIs(-Number(card.dataset.n));
  if (by === "" || by === me) return takeOut(card);
  if (dialog.open && asked.closest("[data-campaign]") === card) dialog.close();
  if (card.contains(document.activeElement)) {
    settle(card, sentence);
    say(sentence);
  } else takeOut(card, { note: `${card.dataset.name}: ${sentence}` });
}

export function backOf(id) {
  const card = known.get(id);
  if (!card || !gone.delete(id)) return;
  if (card.isConnected && isSettled(card)) unsettle(card);
  else if (hasLeft(idOf(card))) putBack(idOf(card));
  else return;
  countIs(Number(card.dataset.n));
}
