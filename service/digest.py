"""The digest by mail: what waits, in numbers, for each moderator who asked to be told.

Knows what a digest says and when there is none; not how a mail is handed in, nor who may send
one. Nothing that anybody wrote is in it but the names that operators gave to sites: mail is read
by whoever carries it (docs/adr/0026).
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from model.addresses import mask_addresses
from service.keyring import Keyring
from service.mail import Mail, Mailer, Unsent
from service.storage import Role, Store, Waiting
from service.storage.digests import Digests, Every, Parcel, Workload
from service.storage.jobs import Jobs, JobState
from service.storage.standing_alerts import StandingAlerts
from service.web.card import plain_name
from service.web.texts import DEFAULT, TEXTS, Texts

log = logging.getLogger(__name__)

AT_ONCE = 100
"""Digests that a process sends before it looks at the clock again."""

_INDENT = "  "
_ISOLATES = {0x2068: None, 0x2069: None}

STOP, CONFIRM = "digest-stop", "digest-confirm"
"""What the tokens of the links are for."""


@dataclass(frozen=True, slots=True)
class Written:
    """A digest in words, and whether there is any reason to send it."""

    subject: str
    text: str
    is_wanted: bool


def link_path(keyring: Keyring, purpose: str, link_id: str) -> str:
    """The path of a page that asks whether to stop, or to confirm; reading it does nothing."""
    moderator_id = link_id.partition("/")[0]
    word = purpose.removeprefix("digest-")
    return f"/digest/{word}/{moderator_id}/{keyring.link_token(purpose, link_id)}"


class DigestPost:
    """Writes digests and hands them in. Any number of processes may do so at the same time."""

    def __init__(
        self,
        store: Store,
        mailer: Mailer | None,
        public_url: str,
        *,
        sent: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._store = store
        self._digests = Digests(store)
        self._alerts = StandingAlerts(store)
        self._jobs = Jobs(store)
        self._mailer = mailer
        self._url = public_url
        self._sent = sent  # told what became of each: sent, skipped or failed

    def send_due(self) -> int:
        """Send what is due now; how many were sent. Raises StoreUnavailable."""
        count = 0
        for _ in range(AT_ONCE):
            parcel = self._digests.claim()
            if parcel is None:
                break
            written = self.written(parcel)
            if not written.is_wanted:
                self._digests.skip(parcel)
                self._sent("skipped")
                continue
            problem, is_final = self._problem(parcel, written)
            self._digests.settle(parcel, problem=problem, is_final=is_final)
            self._sent("failed" if problem else "sent")
            if problem:
                what = "not sent" if is_final else "tried again later"
                log.warning("a digest is %s: %s", what, problem)
            count += not problem
        return count

    def ask(self, parcel: Parcel) -> None:
        """Ask by mail whether an address is right. Raises Unsent."""
        t = TEXTS.get(parcel.language, TEXTS[DEFAULT])
        link = self._url + link_path(self._store.keyring, CONFIRM, parcel.link_id)
        lines = (_said(t, "confirm.body"), "", link, "", _said(t, "confirm.else"))
        self._hand_in(parcel, _said(t, "confirm.subject"), lines, {})

    def written(self, parcel: Parcel) -> Written:
        """What a digest would say now."""
        t = TEXTS.get(parcel.language, TEXTS[DEFAULT])
        loads = self._digests.workload(parcel.sites, parcel.last_at)
        names = {site.id: site.name for site in self._store.sites()}
        waiting = sum(load.waiting for load in loads)
        new = sum(load.since_last for load in loads)
        lines = [_said(t, "waiting", n=waiting), ""]
        for load in sorted(loads, key=lambda load: -load.waiting):
            lines += [*_of_site(t, load, names.get(load.site_id, "")), ""]
        if alerts := len(self._alerts.standing(parcel.sites)):
            lines += [_said(t, "alerts", n=alerts), f"{self._url}/dashboard", ""]
        failed_at = self._failed_training(parcel)
        if failed_at is not None:
            lines += [_said(t, "training_failed", at=t.time(failed_at)), f"{self._url}/models", ""]
        lines += [_said(t, "open"), f"{self._url}/queue", "", "-- "]
        lines += [_said(t, f"every.{parcel.every.value}")]
        lines += [_said(t, "change"), f"{self._url}/digest", _said(t, "stop"), self._stop(parcel)]
        is_wanted = bool(new) if parcel.every is Every.HOUR else bool(waiting)
        is_news = failed_at is not None and failed_at > parcel.last_at
        subject = _said(t, "subject", n=waiting)
        if is_news and not is_wanted:
            subject = _said(t, "subject.training_failed")
        return Written(subject, "\n".join(lines) + "\n", is_wanted or is_news)

    def _failed_training(self, parcel: Parcel) -> datetime | None:
        """When the last training failed, if it did, for who administers every site."""
        if parcel.moderator.sites_as(Role.ADMIN) is not None:
            return None
        last = next((job for job in self._jobs.last(limit=2) if job.state.is_over), None)
        return last.ended_at if last is not None and last.state is JobState.FAILED else None

    def _stop(self, parcel: Parcel) -> str:
        return self._url + link_path(self._store.keyring, STOP, parcel.link_id)

    def _problem(self, parcel: Parcel, written: Written) -> tuple[str, bool]:
        headers = {
            "List-Unsubscribe": f"<{self._stop(parcel)}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }
        try:
            self._hand_in(parcel, written.subject, [written.text.rstrip("\n")], headers)
        except Unsent as problem:
            return str(problem), problem.is_final
        return "", True

    def _hand_in(
        self, parcel: Parcel, subject: str, lines: Sequence[str], headers: Mapping[str, str]
    ) -> None:
        if self._mailer is None:
            raise Unsent("no mail server is set")
        # The same for one that is sent twice, so that a mail program can show it once.
        name = f"{parcel.link_id} {parcel.period_at.isoformat()} {'' if headers else subject}"
        self._mailer.send(
            Mail(
                to=parcel.address,
                subject=subject,
                text="\n".join(lines) + "\n",
                message_id=hashlib.sha256(name.encode()).hexdigest()[:32],
                at=self._store.now(),
                language=parcel.language,
                headers=tuple(headers.items()),
            )
        )


def _said(t: Texts, key: str, **values: object) -> str:
    """A sentence without the marks that set words apart on a page, which some programs show."""
    return t(f"mail.{key}", **values).translate(_ISOLATES)


def _of_site(t: Texts, load: Workload, name: str) -> list[str]:
    assert load.oldest is not None, "something waits"
    shown = plain_name(mask_addresses(name))
    lines = [_said(t, "site", site=shown, n=load.waiting, at=t.time(load.oldest))]
    for word, number in (
        ("new", load.since_last),
        ("report", load.by_why.get(Waiting.REPORT, 0)),
        ("appeal", load.by_why.get(Waiting.APPEAL, 0)),
    ):
        lines += [_INDENT + _said(t, word, n=number)] * bool(number)
    if load.copies:
        lines.append(_INDENT + _said(t, "copies", n=load.copies, groups=load.groups))
    return lines
