// Words: what the page says, in the moderator's language, and reads out politely.

export const desk = document.getElementById("desk");
export const me = desk.dataset.me;
export const root = desk.dataset.root;
export const token = desk.dataset.formToken;

const WORDS = JSON.parse(desk.dataset.words);
const number = new Intl.NumberFormat(document.documentElement.lang);
const said = document.getElementById("said");
const flash = document.getElementById("flash");
const count = document.getElementById("count");
let waiting = Number(count?.dataset.n ?? 0);
let all = count?.dataset.all ? Number(count.dataset.all) : null; // where only some are looked for

export function words(key, values = {}) {
  const shown = (value) => (typeof value === "number" ? number.format(value) : value);
  return WORDS[key].replace(/\{(\w+)\}/g, (whole, name) => (name in values ? shown(values[name]) : whole));
}

export function say(sentence) {
  // Emptied first: the same sentence twice would be read once.
  said.textContent = "";
  setTimeout(() => (said.textContent = sentence), 50);
}

// The line about what was done, with a way back if there is one.
export function tell(sentence, { mayUndo = false } = {}) {
  flash.querySelector("p").textContent = sentence;
  flash.querySelector("form").hidden = !mayUndo;
  for (const one of flash.querySelectorAll("#undo-notice, #more-of-notice")) one.remove();
  flash.hidden = false;
  say(sentence);
}

// How many there are changes; what is `new` may be none of those that are looked for.
export function countIs(change, { isNew = false } = {}) {
  if (!count) return;
  if (all === null || !isNew) waiting = Math.max(0, waiting + change);
  if (all !== null) all = Math.max(0, all + change);
  const some = `${number.format(waiting)} ${words("find.of", { n: all })}`;
  count.textContent = all === null ? words("queue.waiting", { n: waiting }) : some;
  document.title = document.title.replace(/\([\d.,]+\)/, `(${number.format(all ?? waiting)})`);
}

export function element(name, { text = "", className = "", ...more } = {}) {
  const made = Object.assign(document.createElement(name), { className, ...more });
  if (text) made.textContent = text;
  return made;
}
