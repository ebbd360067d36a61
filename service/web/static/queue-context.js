// What is around a comment, opened in its card.

import { loadPart } from "./queue-ahead.js";
import { element, say, words } from "./queue-say.js";

export async function toggleContext(card) {
  const link = card.querySelector("a[data-context]");
  const open = card.querySelector(":scope > .context");
  if (open) {
    // The focus must not be lost with what it stands in.
    if (open.contains(document.activeElement)) card.focus({ preventScroll: true });
    open.remove();
    link.setAttribute("aria-expanded", "false");
    say(words("said.context_closed"));
    return;
  }
  if (link.dataset.loading) return;
  link.dataset.loading = "yes";
  const loaded = await loadPart(link.getAttribute("href"));
  delete link.dataset.loading;
  if (!loaded) {
    location.assign(link.href); // the page itself says what is wrong
    return;
  }
  if (!card.isConnected || card.querySelector(":scope > .context")) return;
  const context = element("div", { className: "context" });
  context.append(...[...loaded.childNodes].map((node) => document.adoptNode(node)));
  card.append(context);
  link.setAttribute("aria-expanded", "true");
  say(words("said.context"));
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-context]");
  if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  toggleContext(link.closest("[data-card]"));
});
