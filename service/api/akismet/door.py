"""The calls of Akismet's protocol, one method each: a form in, an answer out."""

import asyncio
import csv
import io
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool

from model.decision import ReportKind
from model.outcome import Outcome
from model.verdict import Verdict
from service.access import SiteKeys
from service.api.akismet.answers import (
    THANKS,
    Answer,
    discarded,
    invalid,
    new_guid,
    spoken,
)
from service.api.akismet.calls import Call, call_of, is_set
from service.api.akismet.forms import Form
from service.api.straight import Begun
from service.moderation import Answer as Judged
from service.moderation import Answered, Failed, Moderation
from service.rates import RateLimits
from service.storage import AkismetOrigin, AkismetSite, Store, home_of

MOST_SITES = 500

BLATANT = 0.999
"""The score of spam from which on a reject may be discarded, where the site allows that."""


class AkismetDoor:
    """Answers calls for the sites whose keys they carry.

    Methods raise what the one door raises: Problem, Overloaded, StoreUnavailable; the caller
    knows what to say then. `host` is the request's, which may begin with the key.
    """

    def __init__(
        self,
        keys: SiteKeys,
        rates: RateLimits,
        moderation: Moderation,
        store: Store,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._keys = keys
        self._rates = rates
        self._moderation = moderation
        self._store = store
        self._now = now

    # -------------------------------------------------------------- comments

    async def comment_check(self, form: Form, host: str, user_agent: str) -> Answer:
        """The verdict on a comment, once it is stored for good."""
        known = await self._site(_key_of(form, host))
        refusal = _refusal(known, form)
        if known is None or refusal:
            return invalid(refusal, guid=new_guid())
        call = await _call_of(form)
        if call.is_certain_spam:
            answer = Answer("true", {"X-akismet-guid": new_guid()})
            return discarded(answer) if call.wants_discard and call.is_test else answer
        if call.is_administrator:
            return Answer("false", {"X-akismet-guid": new_guid()})
        if call.is_recheck and not call.is_test:
            found = await run_in_threadpool(self._store.akismet_check, known.site.id, call.match)
            if found is not None:
                return self._spoken(known, call, found.state, found.comment_id, user_agent)
        return await self._judged(known, call, user_agent)

    async def _judged(self, known: AkismetSite, call: Call, user_agent: str) -> Answer:
        await self._rates.take(known.site)
        answer = await self._moderation.check_one(
            known.site,
            call.submission,
            origin=_origin(known, call),
            is_test=call.is_test,
        )
        return self._said(known, call, answer, user_agent)

    def begin_check(
        self,
        form: Form,
        host: str,
        user_agent: str,
        tell: Callable[[Callable[[], Answer]], None],
    ) -> Begun:
        """As `comment_check`, but waits for nothing: `tell` is told, later, on this event loop.

        False for what is not simply judged, a look-up where the key is not known just now. Raises
        Overloaded.
        """
        key = _key_of(form, host)
        known = self._keys.known_akismet(key)
        if known is None:
            return self._keys.asked_akismet(key) or False
        if self._rates.has_limit(known.site) or _refusal(known, form):
            return False
        if len(form["comment_content"]) > _LONG:
            return False
        call = call_of(form)
        if call.is_certain_spam or call.is_administrator or (call.is_recheck and not call.is_test):
            return False

        said = partial(self._said_or_raised, known, call, user_agent)
        self._moderation.begin_one(
            known.site,
            call.submission,
            lambda judged: tell(partial(said, judged)),
            origin=_origin(known, call),
            is_test=call.is_test,
        )
        return True

    def _said_or_raised(
        self, known: AkismetSite, call: Call, user_agent: str, judged: Judged | Exception
    ) -> Answer:
        if isinstance(judged, Exception):
            raise judged
        return self._said(known, call, judged, user_agent)

    def _said(self, known: AkismetSite, call: Call, judged: Judged, user_agent: str) -> Answer:
        match judged:
            case Answered(id=guid, verdict=verdict):
                told = self._spoken(known, call, verdict.outcome, guid or new_guid(), user_agent)
                return discarded(told) if _may_discard(verdict, known) else told
            case Failed(error=error):
                raise error
            case _:
                raise AssertionError("the site's own form has been checked, and no key was sent")

    def _spoken(
        self, known: AkismetSite, call: Call, outcome: Outcome, guid: str, user_agent: str
    ) -> Answer:
        has_callback = known.choices.may_call(call.callback)
        return spoken(
            outcome, known.choices, guid=guid, user_agent=user_agent, has_callback=has_callback
        )

    async def report(self, form: Form, host: str, kind: ReportKind) -> Answer:
        """Note that a verdict was wrong. Of a comment that was never checked, judge it first."""
        known = await self._site(_key_of(form, host))
        refusal = _refusal(known, form)
        if known is None or refusal:
            return invalid(refusal)
        call = await _call_of(form)
        if call.is_test or call.is_certain_spam:
            return Answer(THANKS)
        found = await run_in_threadpool(self._store.akismet_check, known.site.id, call.match)
        comment_id = found.comment_id if found else await self._first_seen(known, call)
        await run_in_threadpool(self._store.report, [known.site.id], comment_id, kind)
        return Answer(THANKS)

    async def _first_seen(self, known: AkismetSite, call: Call) -> str:
        """The id of a comment from before the site came here, judged as it is reported."""
        origin = AkismetOrigin(call.match, call.home, "")
        answer = await self._moderation.check_one(known.site, call.submission, origin=origin)
        if isinstance(answer, Failed):
            raise answer.error
        assert isinstance(answer, Answered), "the site's own form has been checked"
        return answer.id

    # -------------------------------------------------------------- keys

    async def verify_key(self, form: Form, host: str) -> Answer:
        """Whether a key is good for a site."""
        known = await self._site(_key_first(form, host))
        refusal = _refusal(known, form)
        return invalid(refusal) if refusal else Answer("valid")

    async def deactivate(self, form: Form, host: str) -> Answer:
        """A client says goodbye. Its key stays good, for it may come back."""
        known = await self._site(_key_first(form, host))
        return Answer("deactivated") if known else invalid(_UNKNOWN_KEY)

    async def token(self, form: Form, host: str) -> Answer:
        """A word that is worth nothing: what it is for is not served here."""
        known = await self._site(_key_of(form, host))
        return Answer(known.site.id) if known else invalid(_UNKNOWN_KEY)

    async def subscription(self, form: Form, host: str) -> Answer:
        """What WordPress asks before it keeps a key."""
        known = await self._site(_key_first(form, host))
        if known is None:
            return invalid(_UNKNOWN_KEY)
        return _json(
            {
                "account_id": int(known.site.id.replace("-", "")[:8], 16),
                "account_type": "self-hosted",
                "account_name": known.site.name,
                "status": "active",
                "next_billing_date": False,
                "limit_reached": False,
            }
        )

    # -------------------------------------------------------------- counts

    async def stats(self, form: Form, host: str) -> Answer:
        """What was found in the last two or six months, or ever, by month."""
        known = await self._site(_key_first(form, host))
        if known is None:
            return invalid(_UNKNOWN_KEY)
        since = _since(form["from"], self._now())
        months = await run_in_threadpool(self._store.akismet_months, known.site.id, since)
        total = months.total
        right = total.spam + total.ham - total.missed_spam - total.false_positives
        share = 100 * right / (total.spam + total.ham) if total.spam + total.ham else 100.0
        return _json(
            total.as_numbers()
            | {
                "accuracy": f"{max(share, 0.0):.2f}",
                "time_saved": 30 * total.spam,
                "breakdown": {
                    month: {name: str(count) for name, count in counts.as_numbers().items()}
                    | {"da": f"{month}-01"}
                    for month, counts in months.by_month.items()
                },
            }
        )

    async def usage(self, form: Form, host: str) -> Answer:
        """Calls of this month; there is no limit."""
        known = await self._site(_key_of(form, host))
        if known is None:
            return invalid(_UNKNOWN_KEY)
        begun = self._now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        months = await run_in_threadpool(self._store.akismet_months, known.site.id, begun)
        told: dict[str, Any] = {
            "limit": "none",
            "usage": months.total.spam + months.total.ham,
            "percentage": "0.00",
            "throttled": False,
        }
        more = {"notice_level": "NOTICE_NONE", "upgrade": False} if is_set(form["extended"]) else {}
        return _json(told | more)

    async def key_sites(self, form: Form, host: str) -> Answer:
        """The addresses that comments of a month came from, most calls first."""
        known = await self._site(_key_of(form, host))
        if known is None:
            return invalid(_UNKNOWN_KEY)
        month = form["month"] if _is_month(form["month"]) else f"{self._now():%Y-%m}"
        homes = await run_in_threadpool(self._store.akismet_homes, known.site.id, month)
        order = _ORDERS.get(form["order"], "calls")
        named = [(home, counts) for home, counts in homes.items() if form["filter"] in home]
        named.sort(key=lambda one: (-one[1].of(order), one[0]))
        offset, limit = _number(form["offset"], 0), _number(form["limit"], MOST_SITES)
        shown = named[offset : offset + min(limit, MOST_SITES)]
        if form["format"] == "csv":
            return _csv(month, shown, limit=limit, offset=offset, total=len(named))
        rows = [
            {"site": home, "api_calls": str(counts.of("calls"))}
            | {name: str(count) for name, count in counts.as_numbers().items()}
            | {"is_revoked": False}
            for home, counts in shown
        ]
        return _json({month: rows, "limit": limit, "offset": offset, "total": len(named)})

    async def _site(self, key: str) -> AkismetSite | None:
        return await self._keys.akismet_site(key) if key else None


def _origin(known: AkismetSite, call: Call) -> AkismetOrigin:
    callback = call.callback if known.choices.may_call(call.callback) else ""
    return AkismetOrigin(call.match, call.home, callback)


def _may_discard(verdict: Verdict, known: AkismetSite) -> bool:
    is_blatant = verdict.scores is not None and verdict.scores.spam >= BLATANT
    return known.choices.discards and verdict.outcome is Outcome.REJECT and is_blatant


_UNKNOWN_KEY = "The key is not one that was given out here."


def _refusal(known: AkismetSite | None, form: Form) -> str:
    if known is None:
        return _UNKNOWN_KEY
    if not home_of(form["blog"]):
        return 'Empty "blog" value' if not form["blog"].strip() else 'Wrong "blog" value'
    if not known.choices.is_home(home_of(form["blog"])):
        return "The key is not for this site; `duyet sites akismet` adds its address."
    return ""


async def _call_of(form: Form) -> Call:
    # A usual comment takes less than the way to a thread; the longest a good part of a second.
    if len(form["comment_content"]) > _LONG:
        return await asyncio.to_thread(call_of, form)
    return call_of(form)


_LONG = 8_192


def _key_of(form: Form, host: str) -> str:
    return form["api_key"] or form["key"] or _key_in(host)


def _key_first(form: Form, host: str) -> str:
    return form["key"] or form["api_key"] or _key_in(host)


def _key_in(host: str) -> str:
    first = host.partition(".")[0].lower()
    return first if len(first) == 12 and all(c in "0123456789abcdef" for c in first) else ""


def _json(body: Mapping[str, Any]) -> Answer:
    return Answer(json.dumps(body), media_type="application/json")


def _since(said: str, now: datetime) -> datetime | None:
    months = {"60-days": 2, "all": None}.get(said, 6)
    if months is None:
        return None
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    at = first.year * 12 + first.month - 1 - (months - 1)
    return first.replace(year=at // 12, month=at % 12 + 1)


def _is_month(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y-%m")
    except ValueError:
        return False
    return len(text) == 7


def _number(text: str, usual: int) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else usual


_ORDERS = {
    "total": "calls",
    "spam": "spam",
    "ham": "ham",
    "missed_spam": "missed_spam",
    "false_positives": "false_positives",
}


def _csv(month: str, shown: list[Any], *, limit: int, offset: int, total: int) -> Answer:
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    out.write(f"Active sites during {month} (limit:{limit}, offset: {offset}, total: {total})\n")
    write(
        ("Site", "Total API Calls", "Spam", "Ham", "Missed Spam", "False Positives", "Is Revoked")
    )
    for home, counts in shown:
        numbers = counts.as_numbers()
        write((home, counts.of("calls"), *numbers.values(), "false"))
    return Answer(out.getvalue(), media_type="text/csv; charset=utf-8")
