// An act is decided a few hundred at a time, and how far it has come is shown. Without this file one
// press does all of it in one go.

const form = document.querySelector("form[data-steps]");
const steps = document.getElementById("steps");

async function press() {
  const body = new URLSearchParams(new FormData(form));
  body.set("step", "1");
  const answer = await fetch(form.action, {
    method: "POST",
    headers: { Accept: "application/json" },
    body,
  });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

function show({ done, of }) {
  const number = new Intl.NumberFormat(document.documentElement.lang);
  const bar = steps.querySelector("progress");
  steps.hidden = false;
  bar.max = of;
  bar.value = done;
  steps.querySelector("span").textContent = form.dataset.words
    .replace("{done}", number.format(done))
    .replace("{n}", number.format(of));
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  for (const button of document.querySelectorAll(".act-buttons button")) button.disabled = true;
  try {
    let last;
    do {
      last = await press();
      show(last);
    } while (!last.over);
  } catch {
    // What went wrong is said by the page itself, and what was done is on record there.
  }
  location.reload();
});
