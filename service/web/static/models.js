// Keeps the part of the page that tells of trainings up to date while one runs. When it has ended,
// the whole page is read again, as there may be a new challenger; unless somebody is writing.

const EVERY_MS = 2000;
const trainings = document.getElementById("trainings");

function isWriting() {
  const field = document.activeElement;
  return field instanceof HTMLInputElement && field.type !== "hidden" && field.value !== field.defaultValue;
}

async function look() {
  const answer = await fetch(trainings.dataset.progress, { credentials: "same-origin" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const now = page.getElementById("trainings");
  if (!now) return;
  if (now.dataset.running === "no") {
    if (!isWriting()) location.assign(location.pathname);
    return;
  }
  for (const part of [".stage", ".bar"]) {
    const [old, fresh] = [trainings.querySelector(part), now.querySelector(part)];
    // What has not changed is left alone: a screen reader would say it again.
    if (old && fresh && old.textContent !== fresh.textContent) old.replaceChildren(...fresh.childNodes);
  }
}

async function lookAgain() {
  try {
    if (!document.hidden) await look();
  } catch {
    // The service is away for a moment: the next look tells.
  }
  if (trainings.dataset.running === "yes") setTimeout(lookAgain, EVERY_MS);
}

if (trainings?.dataset.running === "yes") setTimeout(lookAgain, EVERY_MS);
