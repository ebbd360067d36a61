// The score strip: a range is dragged over the bars, the two sliders follow, and how many it holds
// is counted from the bars. Without this file the sliders and their button do the same.

import { loadPart } from "./queue-ahead.js";

const strip = document.getElementById("strip");

function begin() {
  const plot = document.getElementById("plot");
  const form = document.getElementById("range");
  const chosen = document.getElementById("chosen");
  if (!plot || !form) return;
  const above = form.elements.above;
  const below = form.elements.below;
  const step = Number(above.step);
  const bars = [...plot.querySelectorAll(".bar")];
  const number = new Intl.NumberFormat(document.documentElement.lang);
  let from = null; // the bar where dragging began

  const range = () => [Number(above.value), Number(below.value)];

  function show() {
    const [low, high] = range();
    let count = 0;
    for (const bar of bars) {
      const at = Number(bar.dataset.place) * step;
      const isChosen = at >= low && at < high;
      bar.classList.toggle("chosen", isChosen);
      if (isChosen) count += Number(bar.dataset.number);
    }
    for (const slider of [above, below]) {
      slider.setAttribute("aria-valuetext", `${slider.value} %`);
      document.getElementById(`${slider.id}-said`).textContent = `${slider.value} %`;
    }
    chosen.textContent = chosen.dataset.words
      .replace(/\{n:([^|}]*)\|([^}]*)\}/g, (_, one, more) => (count === 1 ? one : more))
      .replace("{n}", number.format(count))
      .replace("{low}", low)
      .replace("{high}", high);
  }

  function choose(low, high) {
    above.value = low;
    below.value = high;
    show();
  }

  function barAt(x) {
    const box = plot.querySelector("svg").getBoundingClientRect();
    const share = (x - box.left) / box.width;
    return Math.min(bars.length - 1, Math.max(0, Math.floor(share * bars.length)));
  }

  function dragTo(x) {
    const to = barAt(x);
    choose(Math.min(from, to) * step, (Math.max(from, to) + 1) * step);
  }

  const picture = plot.querySelector("svg");
  picture.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    picture.setPointerCapture(event.pointerId);
    from = barAt(event.clientX);
    dragTo(event.clientX);
    event.preventDefault();
  });
  picture.addEventListener("pointermove", (event) => {
    if (from !== null) dragTo(event.clientX);
  });
  picture.addEventListener("pointerup", () => {
    if (from === null) return;
    from = null;
    form.requestSubmit(); // the range, its samples and what can be done with it
  });
  picture.addEventListener("pointercancel", () => (from = null));

  // The handles never pass each other.
  above.addEventListener("input", () => {
    const low = Number(above.value);
    choose(low, Math.max(Number(below.value), low + step));
  });
  below.addEventListener("input", () => {
    const high = Number(below.value);
    choose(Math.min(Number(above.value), high - step), high);
  });
  plot.classList.add("draggable");
}

// Its bars are counted over all that waits, so they come when somebody opens it.
async function load() {
  const link = document.getElementById("strip-link");
  if (!link) return;
  const loaded = await loadPart(link.getAttribute("href"));
  if (!loaded || !link.isConnected) return; // the link leads there as well
  link.parentElement.replaceWith(...loaded.childNodes);
  begin();
}

// Opened once, it stays open on this browser.
const OPEN = "duyet-strip-open";
const kept = (act) => {
  try {
    return act();
  } catch {
    return null; // a browser that keeps nothing
  }
};
if (strip) {
  begin();
  if (kept(() => localStorage.getItem(OPEN)) !== null) strip.open = true;
  strip.addEventListener("toggle", () => {
    if (strip.open) load();
    if (strip.open) kept(() => localStorage.setItem(OPEN, "yes"));
    else kept(() => localStorage.removeItem(OPEN));
  });
}

// How many cards are selected is said where one decides what becomes of them.
const picked = document.getElementById("picked");
const bulk = document.getElementById("bulk");
function countPicked() {
  const count = document.querySelectorAll("input[data-pick]:checked").length;
  picked.hidden = count === 0;
  picked.textContent = String(count);
  if (count) bulk.querySelector("details").open = true;
}
if (picked && bulk) {
  document.addEventListener("change", (event) => {
    if (event.target.matches?.("[data-pick]")) countPicked();
  });
  countPicked();
}
