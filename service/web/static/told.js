// What was just done, or what is wrong with it, stands on the page that an action leads to. The focus
// goes there: it is read out, and Tab goes on from it. A field that has to be mended comes first.

export function goToWhatWasDone() {
  const told =
    document.querySelector('main [aria-invalid="true"]') ?? document.querySelector("main [data-told]");
  if (!told) return false;
  if (!told.matches("input, textarea, select")) told.tabIndex = -1;
  told.focus({ preventScroll: told.getBoundingClientRect().top < innerHeight / 2 });
  return true;
}
