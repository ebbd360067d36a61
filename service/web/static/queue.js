// The queue page. Without this and what it loads the page does all the same things, by forms and
// links; with it decisions need no reload, and others' are seen as they happen.

import "./queue-keys.js";
import "./queue-live.js";
import { cards, show, showHeading, stops } from "./queue-cards.js";
import { lookAhead, whenIdle } from "./queue-ahead.js";
import { takeOver } from "./queue-deciding.js";
import { say } from "./queue-say.js";
import { inOwnTime } from "./queue-times.js";

inOwnTime(document);
takeOver();
whenIdle(lookAhead); // a page comes with few cards, so that the first one is there soon

// After an action by a form: on to the comment that follows, and what was done is read out.
const flash = document.getElementById("flash");
if (!flash.hidden) {
  const following = cards().find((card) => `#${card.id}` === location.hash);
  if (following) show(following);
  else if (stops()[0]) stops()[0].focus({ preventScroll: true });
  else showHeading();
  say(flash.querySelector("p").textContent);
}
