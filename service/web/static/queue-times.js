// Times in the moderator's own zone; the title keeps UTC.

const tag = document.documentElement.lang;
const inOwnWay = navigator.languages.find((language) => language.startsWith(tag)) ?? tag;
const inOwnZone = new Intl.DateTimeFormat(inOwnWay, { dateStyle: "medium", timeStyle: "short" });

export function inOwnTime(part) {
  for (const time of part.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.valueOf())) continue;
    time.title ||= time.textContent;
    time.textContent = inOwnZone.format(at);
  }
}
